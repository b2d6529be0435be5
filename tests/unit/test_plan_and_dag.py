"""Product → Plan → DAG."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Asset
from airflow.serialization.serialized_objects import DagSerialization

from airflow_dataproducts.dag import build_dag, product_asset
from airflow_dataproducts.documentation import product_markdown
from airflow_dataproducts.plan import load_plan
from tests.conftest import MINIMAL, ROOT
from tests.unit.test_manifest import FULL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow.sdk import DAG

    Write = Callable[..., Path]

TWO_OUTPUTS = MINIMAL.replace(
    "outputs:\n",
    """outputs:
  others:
    transform: SELECT * FROM things
    publish: {to: delta, mode: append}
    contract: {columns: [{name: id, type: integer}]}
""",
)


def test_the_dag_of_the_full_manifest() -> None:
    dag = build_dag(load_plan(FULL))
    assert dag.dag_id == "sales.sales-orders"
    assert dag.task_ids == [
        "extract.orders", "extract.customers", "extract.rates", "extract.segments",
        "transform.orders", "validate.orders", "publish.orders", "record", "document",
    ]  # fmt: skip
    assert dag.tags == {"data-product", "domain:sales", "tier:gold", "sales", "orders"}
    assert dag.owner_links == {"sales-analytics": "mailto:sales-data@example.com"}
    assert dag.max_active_runs == 1
    assert not dag.catchup
    assert type(dag.timetable).__name__ == "CronTriggerTimetable"
    assert dag.description == "Sales orders enriched with the customer's segment."
    assert "```sql\nSELECT * FROM orders" in (dag.get_task("transform.orders").doc_md or "")


def test_each_stage_waits_for_the_whole_stage_before(write: Write) -> None:
    dag = build_dag(load_plan(write(TWO_OUTPUTS)))
    edges = {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}
    assert edges == {
        "extract.things": [],
        "transform.others": ["extract.things"],
        "transform.things": ["extract.things"],
        "validate.others": ["transform.others", "transform.things"],
        "validate.things": ["transform.others", "transform.things"],
        "publish.others": ["validate.others", "validate.things"],
        "publish.things": ["validate.others", "validate.things"],
        "record": ["publish.others", "publish.things"],
        "document": ["record"],
    }
    assert set(dag.task_group_dict) >= {"extract", "transform", "validate", "publish"}


def test_outputs_and_the_product_are_assets(write: Write) -> None:
    dag = build_dag(load_plan(write(TWO_OUTPUTS)))
    assert [asset.uri for asset in _assets(dag, "publish.others")] == ["dataproducts://test/things/others"]
    assert [asset.name for asset in _assets(dag, "publish.things")] == ["test.things.things"]
    assert [asset.uri for asset in _assets(dag, "record")] == ["dataproducts://test/things"]


def _assets(dag: DAG, task: str) -> list[Asset]:
    return [outlet for outlet in dag.get_task(task).outlets if isinstance(outlet, Asset)]


@pytest.mark.parametrize(
    ("source", "said", "expected"),
    [
        ("{product: a.b}", "", ["dataproducts://a/b"]),
        ("{product: a.b, output: c}", "", ["dataproducts://a/b/c"]),
        ("{product: a.b}", "schedule: manual\n", []),
        ("{product: a.b}", "schedule: '@daily'\n", "@daily"),
        ("{path: things.csv}", "", []),
        ("{product: a.b}", "schedule: '@daily'\nstatus: retired\n", []),
    ],
)
def test_schedules(write: Write, source: str, said: str, expected: Any) -> None:
    path = write(MINIMAL, **{"{path: things.csv}": source, "schedule: manual\n": said})
    dag = build_dag(load_plan(path))
    schedule: Any = dag.schedule
    if isinstance(expected, str):
        assert schedule == expected
    else:
        assets = getattr(schedule, "objects", schedule) or []
        assert [asset.uri for asset in assets] == expected


def test_a_draft_comes_paused(write: Write) -> None:
    assert build_dag(load_plan(write(MINIMAL, **{"schedule: manual": "status: draft"}))).is_paused_upon_creation is True
    assert build_dag(load_plan(write(MINIMAL))).is_paused_upon_creation is None


def test_how_tasks_run(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    task = build_dag(load_plan(write(MINIMAL))).get_task("extract.things")
    assert (task.retries, task.retry_delay, task.pool, task.owner) == (
        2,
        timedelta(minutes=1),
        "default_pool",
        "testers",
    )
    monkeypatch.setenv("AIRFLOW__DATAPRODUCTS__POOL", "site")
    assert build_dag(load_plan(write(MINIMAL))).get_task("record").pool == "site"
    own = "schedule: manual\nexecution: {retries: 5, retry_delay: 5m, timeout: 2h, pool: heavy}"
    task = build_dag(load_plan(write(MINIMAL, **{"schedule: manual": own}))).get_task("extract.things")
    assert (task.retries, task.retry_delay, task.execution_timeout, task.pool) == (
        5, timedelta(minutes=5), timedelta(hours=2), "heavy",
    )  # fmt: skip


def test_incremental_only_where_nothing_is_replaced(write: Write) -> None:
    text = MINIMAL.replace("{path: things.csv}", "{connection: c, table: t, cursor: at}")
    assert [step.incremental for step in load_plan(write(text)).extracts] == [False]
    assert [
        step.incremental for step in load_plan(write(text.replace("to: parquet", "to: parquet, mode: append"))).extracts
    ] == [True]


@pytest.mark.parametrize("path", sorted(ROOT.glob("dags/**/product.yaml")), ids=lambda path: path.parent.name)
def test_the_examples_become_dags_that_airflow_can_store(path: Path) -> None:
    dag = build_dag(load_plan(path, ROOT / "dags"))
    stored = DagSerialization.to_dict(dag)
    assert stored["dag"]["dag_id"] == dag.dag_id
    assert DagSerialization.from_dict(stored).task_ids == dag.task_ids


def test_the_page_of_a_product_tells_everything() -> None:
    page = product_markdown(load_plan(FULL))
    for part in (
        "# sales.sales-orders 2.1.0", "sales-analytics (sales-data@example.com, #sales-data, @sales-oncall)", "7 years", "GDPR, CCPA",
        "| freshness | orders.updated_at at most 4h old |", "| landing | published by 06:00 Europe/Berlin |", "at least 99.5%",
        "| `total_amount` | `decimal(12,2)` | Total in USD |", "| `email` | `string` | Contact address (personal data: email) |",
        "| primary_key | critical | fail | order_id names one row |", "finance-reporting",
    ):  # fmt: skip
        assert part in page


def test_the_asset_of_a_product_is_the_same_for_who_writes_and_who_reads() -> None:
    assert product_asset("a.b", "c") == product_asset("a.b", "c")
    assert product_asset("a.b").uri == "dataproducts://a/b"


@pytest.mark.parametrize(
    ("mode", "columns", "engine"),
    [
        ("replace", "{name: id, type: integer, min: 1}", "spark"),
        ("replace", "{name: id, type: integer, unique: true}", "spark"),
        ("append", "{name: id, type: integer, min: 1}", "duckdb"),
        ("replace", "{name: id, type: integer, min: 1, on_violation: quarantine}", "duckdb"),
    ],
)
def test_what_spark_made_is_checked_there_unless_only_a_scan_can(
    write: Write, mode: str, columns: str, engine: str
) -> None:
    text = TWO_OUTPUTS.replace("mode: append}", f"mode: {mode}}}\n    engine: spark").replace(
        "{name: id, type: integer}", columns
    )
    engines = {step.name: step.engine for step in load_plan(write(text)).validations}
    assert engines == {"others": engine, "things": "duckdb"}
