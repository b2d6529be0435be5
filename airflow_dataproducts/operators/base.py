"""What the step operators share: the run they work in, and how errors become task states."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_dataproducts.exceptions import DataProductsError
from airflow_dataproducts.plan import task_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_dataproducts.engine.moment import Moment
    from airflow_dataproducts.plan import Plan, Stage, Step
    from airflow_dataproducts.runtime import Options, Run

_Result = TypeVar("_Result")

log = logging.getLogger("airflow_dataproducts")


def moment_of(context: Context) -> Moment:
    """When a run runs; one that nobody scheduled stands for the moment at which it was to begin."""
    from airflow_dataproducts.engine.moment import Moment

    run = context["dag_run"]
    logical = context.get("logical_date") or run.run_after
    start, end = context.get("data_interval_start") or logical, context.get("data_interval_end") or logical
    return Moment(str(context["run_id"]), logical, start, end)


def asked_of(params: Mapping[str, Any]) -> Options:
    """What a run's params ask for; the params of a DAG made before there were any ask for nothing."""
    from airflow_dataproducts.runtime import Options

    return Options(
        full=bool(params.get("full")),
        start=params.get("from") or None,
        end=params.get("to") or None,
        rollback_to=params.get("rollback_to") or None,
    )


class DataProductOperator(BaseOperator):
    """A task of a product's run.

    Args:
        plan: the product's plan, which says where the references of the steps before come from.
        step: the step of the plan that is this task's; None for the one that closes the run.
        kwargs: any argument of Airflow's BaseOperator.
    """

    ui_color = "#e8f4ff"

    def __init__(self, *, plan: Plan, step: Step | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self.step = step

    def execute(self, context: Context) -> dict[str, Any]:
        """Do the task's work, or what is left of it in a run that goes back to an old version."""
        to = asked_of(context["params"]).rollback_to
        if to is None:
            return self.work(context)
        log.info("this run goes back to version %s: nothing is read, made or checked", to)
        return self.go_back(context)

    def work(self, context: Context) -> dict[str, Any]:
        """What the task does; small plain values for XCom."""
        raise NotImplementedError

    def go_back(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - for the one that has something to do
        """What the task does in a run that goes back to an old version."""
        return {}

    def within_run(self, context: Context, work: Callable[[Run], _Result]) -> _Result:
        """Do the work in the run this task belongs to.

        Errors go to the catalog and become Airflow's: a mistake that trying again cannot mend fails the task at once,
        anything else leaves it to its retries.
        """
        try:
            with self.run_of(context) as run:
                return self._noting(run, work)
        except DataProductsError as error:
            log.error("%s", error)  # noqa: TRY400 - the message is made for its reader, a traceback is not
            kind = AirflowFailException if isinstance(error, ValueError) else AirflowException
            raise kind(str(error)) from None

    def _noting(self, run: Run, work: Callable[[Run], _Result]) -> _Result:
        """Do the work; what goes wrong is in the catalog then."""
        try:
            return work(run)
        except DataProductsError as error:
            self._note(run, error)
            raise
        except Exception as error:
            # A defect, ours or a library's: its traceback may quote data, so the catalog gets the kind alone.
            self._note(run, DataProductsError(f"unexpected {type(error).__name__}, see the task's log"))
            raise

    def beside_run(self, context: Context, work: Callable[[Run], _Result]) -> _Result | None:
        """Do work that the run does not depend on: None, and a warning in the log, when it fails."""
        try:
            with self.run_of(context) as run:
                return work(run)
        except Exception as error:  # noqa: BLE001 - nothing here may stop the data
            log.warning("left out: %s", error if isinstance(error, DataProductsError) else repr(error))
            return None

    @contextmanager
    def run_of(self, context: Context) -> Iterator[Run]:
        """The run that a task belongs to, with the catalog open.

        Raises:
            ConfigurationError: what the run's params ask for cannot be done with this product.
        """
        from airflow_dataproducts import runtime
        from airflow_dataproducts.environment import AirflowConnections, site_catalog, site_settings

        settings = site_settings()
        asked = asked_of(context["params"])
        plan, moment = asked.apply(self.plan, moment_of(context))
        with site_catalog(settings) as catalog:
            yield runtime.Run(plan, settings, AirflowConnections(), catalog, moment, asked.rollback_to)

    def references(self, context: Context, stage: Stage, steps: Sequence[Step]) -> dict[str, Any]:
        """What the tasks of a stage returned, by step."""
        pull = context["ti"].xcom_pull
        return {step.name: pull(task_ids=task_id(stage, step)) for step in steps}

    def _note(self, run: Run, error: DataProductsError) -> None:
        from airflow_dataproducts import runtime

        try:
            runtime.failed(run, self.task_id, error)
        except DataProductsError as second:
            log.warning("the failure is not in the catalog: %s", second)
