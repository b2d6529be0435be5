"""Plan → DAG: one task group per stage, one task per input and output."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Asset, Param, TaskGroup
from airflow.sdk.configuration import conf
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from airflow_dataproducts.documentation import product_markdown
from airflow_dataproducts.operators import (
    DocumentOperator,
    ExtractOperator,
    PublishOperator,
    RecordOperator,
    TransformOperator,
    ValidateOperator,
)
from airflow_dataproducts.plan import DOCUMENT, RECORD, task_id
from airflow_dataproducts.settings import SECTION

if TYPE_CHECKING:
    from airflow_dataproducts.plan import Plan, Stage, Step

START = datetime(2024, 1, 1, tzinfo=UTC)
"""Every DAG's start date. Runs before the product existed are never made up: catchup is off."""

RUN_IS_LATE = "airflow_dataproducts.notifications.run_is_late"
"""What Airflow's triggerer calls when a run has missed its deadline."""
_UNUSUAL = timedelta(minutes=10)
"""Beyond what runs usually take."""

_OPERATORS: dict[Stage, Any] = {
    "extract": ExtractOperator,
    "transform": TransformOperator,
    "validate": ValidateOperator,
    "publish": PublishOperator,
}


def product_asset(product_id: str, output: str | None = None) -> Asset:
    """The asset of an output, or of the product as a whole, whose event says that all its outputs are visible."""
    path = product_id.replace(".", "/", 1)
    if output is None:
        return Asset(name=product_id, uri=f"dataproducts://{path}", group="data-product")
    return Asset(name=f"{product_id}.{output}", uri=f"dataproducts://{path}/{output}", group="data-product")


def build_dag(plan: Plan) -> DAG:
    """The DAG of a product."""
    product = plan.product
    owner = product.owner
    with DAG(
        dag_id=product.id,
        description=product.description.strip().splitlines()[0],
        schedule=_schedule(plan),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=True if product.status == "draft" else None,
        tags=sorted({"data-product", f"domain:{product.domain}", *_tier(product.tier), *product.tags}),
        owner_links={owner.team: f"mailto:{owner.email}"} if owner.email else {},
        doc_md=product_markdown(plan),
        default_args=_task_arguments(plan),
        params=_params(),
        deadline=_deadline(plan),
    ) as dag:
        groups = []
        for stage, steps in plan.stages:
            with TaskGroup(stage) as group:
                tasks = {step.name: _task(plan, stage, step) for step in steps}
                for step in steps:
                    for used in getattr(step, "uses", ()):
                        tasks[used] >> tasks[step.name]
            groups.append(group)
        record = RecordOperator(task_id=RECORD, plan=plan, outlets=[product_asset(product.id)])
        for before, after in zip(groups, [*groups[1:], record], strict=True):
            before >> after
        # A teardown runs whatever became of the run, which does not wait for it to be judged, and tidies up after it.
        record >> DocumentOperator(task_id=DOCUMENT, plan=plan, retries=0).as_teardown()
    return dag


def _deadline(plan: Plan) -> DeadlineAlert:
    """Has a run that is late judged when it becomes so, and not only when the monitor looks next.

    Late is a run that takes longer than was promised, or than the age that was promised for the data; where neither was, longer than
    runs usually take.
    """
    sla, callback = plan.product.sla, AsyncCallback(RUN_IS_LATE, {"product": plan.product.id})
    limits = [sla.duration] if sla.duration is not None else sla.freshness
    after = min((each.breach or each.target for each in limits), default=None)
    if after is None:
        return DeadlineAlert(DeadlineReference.AVERAGE_RUNTIME(max_runs=10, min_runs=3), _UNUSUAL, callback)
    return DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, after, callback)


def _params() -> dict[str, Param]:
    """What can be asked of a run when it is triggered by hand."""
    text: dict[str, Any] = {"type": ["null", "string"]}
    return {
        "full": Param(False, type="boolean", title="Full reload", description="Read everything, and replace whatever was published."),  # noqa: FBT003 - a default
        "from": Param(None, **text, title="From", description="With To: read and publish again the rows whose cursor is in this range; such as 2026-01-31."),
        "to": Param(None, **text, title="To", description="The end of the range, which is not part of it."),
        "rollback_to": Param(None, **text, title="Roll back to", description="Instead of all that, show consumers this version again: a revision, run id or version number."),
    }  # fmt: skip


def _task(plan: Plan, stage: Stage, step: Step) -> Any:
    extra: dict[str, Any] = {}
    if stage == "publish":
        extra["outlets"] = [product_asset(plan.product.id, step.name)]
    elif stage == "transform":
        extra["doc_md"] = (
            f"```sql\n{sql}\n```" if (sql := getattr(step, "sql", None)) else f"`{getattr(step, 'function', '')}`"
        )
    return _OPERATORS[stage](task_id=task_id(stage, step).partition(".")[2], plan=plan, step=step, **extra)


def _schedule(plan: Plan) -> Any:
    if plan.schedule.products:
        return [product_asset(each.product, each.output) for each in plan.schedule.products]
    return plan.schedule.cron


def _tier(tier: str | None) -> list[str]:
    return [f"tier:{tier}"] if tier else []


def _task_arguments(plan: Plan) -> dict[str, Any]:
    execution = plan.product.execution
    arguments: dict[str, Any] = {
        "owner": plan.product.owner.team,
        "retries": execution.retries,
        "retry_delay": execution.retry_delay,
        "pool": execution.pool or conf.get(SECTION, "pool", fallback="default_pool"),
    }
    if execution.timeout is not None:
        arguments["execution_timeout"] = execution.timeout
    return arguments
