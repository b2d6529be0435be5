"""How long a manifest takes to become a DAG, against the same DAG by hand and by dag-factory."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import logging
import statistics
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = 1_000
ROUNDS = 3

MANIFEST = """\
apiVersion: dataproducts/v1
kind: DataProduct
name: product-{n}
domain: bench
version: 1.0.0
tier: gold
description: Product number {n} of the benchmark.
owner: {{team: team-{n}, email: team{n}@example.com}}
tags: [bench, orders]
schedule: "0 2 * * *"
inputs:
  orders: {{connection: shop, table: public.orders}}
outputs:
  orders:
    transform: SELECT * FROM orders
    publish: {{to: delta}}
    contract:
      primary_key: [order_id]
      columns:
        - {{name: order_id, type: string, description: Number, pattern: "^ORD"}}
        - {{name: customer_id, type: bigint, description: Customer, required: true}}
        - {{name: total, type: "decimal(12,2)", description: Total, min: 0}}
        - {{name: status, type: string, description: Status, enum: [open, done]}}
  days:
    transform: SELECT day, count(*) AS n FROM orders GROUP BY day
    publish: {{to: parquet}}
    contract:
      primary_key: [day]
      columns:
        - {{name: day, type: date, description: Day}}
        - {{name: n, type: bigint, description: Orders, min: 1}}
"""

BY_HAND = '''\
from datetime import UTC, datetime, timedelta
from airflow.sdk import DAG, Asset, TaskGroup
from bench.operators import NoOperator

with DAG(
    "bench.by_hand_{n}", description="Product number {n} of the benchmark.", schedule="0 2 * * *", catchup=False,
    start_date=datetime(2024, 1, 1, tzinfo=UTC), max_active_runs=1, tags=["bench", "orders", "domain:bench", "tier:gold", "data-product"],
    owner_links={{"team-{n}": "mailto:team{n}@example.com"}}, doc_md="""{doc}""",
    default_args={{"owner": "team-{n}", "retries": 2, "retry_delay": timedelta(minutes=1), "pool": "default_pool"}},
) as dag:
    with TaskGroup("extract") as extract:
        NoOperator(task_id="orders")
    with TaskGroup("transform") as transform:
        NoOperator(task_id="orders", doc_md="SELECT * FROM orders")
        NoOperator(task_id="days", doc_md="SELECT day, count(*) AS n FROM orders GROUP BY day")
    with TaskGroup("validate") as validate:
        NoOperator(task_id="orders")
        NoOperator(task_id="days")
    with TaskGroup("publish") as publish:
        NoOperator(task_id="orders", outlets=[Asset(name="h{n}.orders", uri="dataproducts://bench/h{n}/orders")])
        NoOperator(task_id="days", outlets=[Asset(name="h{n}.days", uri="dataproducts://bench/h{n}/days")])
    record = NoOperator(task_id="record", outlets=[Asset(name="h{n}", uri="dataproducts://bench/h{n}")])
    document = NoOperator(task_id="document").as_teardown()
    extract >> transform >> validate >> publish >> record >> document
'''

DAG_FACTORY = """\
bench.factory_{n}:
  description: Product number {n} of the benchmark.
  schedule: "0 2 * * *"
  catchup: false
  max_active_runs: 1
  tags: [bench, orders, "domain:bench", "tier:gold", data-product]
  doc_md: "{doc}"
  default_args: {{owner: team-{n}, retries: 2, retry_delay_sec: 60, pool: default_pool, start_date: 2024-01-01}}
  task_groups:
    extract: {{}}
    transform: {{dependencies: [extract]}}
    validate: {{dependencies: [transform]}}
    publish: {{dependencies: [validate]}}
  tasks:
    extract_orders: {{operator: bench.operators.NoOperator, task_group_name: extract}}
    transform_orders: {{operator: bench.operators.NoOperator, task_group_name: transform, doc_md: SELECT * FROM orders}}
    transform_days: {{operator: bench.operators.NoOperator, task_group_name: transform, doc_md: SELECT day FROM orders}}
    validate_orders: {{operator: bench.operators.NoOperator, task_group_name: validate}}
    validate_days: {{operator: bench.operators.NoOperator, task_group_name: validate}}
    publish_orders: {{operator: bench.operators.NoOperator, task_group_name: publish}}
    publish_days: {{operator: bench.operators.NoOperator, task_group_name: publish}}
    record: {{operator: bench.operators.NoOperator, dependencies: [publish_orders, publish_days]}}
    document: {{operator: bench.operators.NoOperator, dependencies: [record]}}
"""


def write_files(folder: Path) -> None:
    """The three spellings of each DAG, in folders of their own."""
    from airflow_dataproducts.documentation import product_markdown
    from airflow_dataproducts.plan import load_plan

    for n in range(COUNT):
        manifest = folder / "manifests" / str(n) / "product.yaml"
        manifest.parent.mkdir(parents=True)
        manifest.write_text(MANIFEST.format(n=n))
    doc = product_markdown(load_plan(folder / "manifests" / "0" / "product.yaml"))
    for name, template, suffix in (("hand", BY_HAND, "py"), ("factory", DAG_FACTORY, "yaml")):
        (folder / name).mkdir()
        text = doc if name == "hand" else doc.replace("\n", "\\n").replace('"', "'")
        for n in range(COUNT):
            (folder / name / f"{n}.{suffix}").write_text(template.format(n=n, doc=text))


def by_us(folder: Path, n: int) -> object:
    """Load a manifest as Airflow does on either version: from its file, with its folders' defaults."""
    from airflow_dataproducts.discovery.stub import load

    return load(str(folder / "manifests"), f"{n}/product.yaml", None)


def by_hand(folder: Path, n: int) -> object:
    """Load a Python file as Airflow's importer does."""
    loader = importlib.machinery.SourceFileLoader(f"by_hand_{n}", str(folder / "hand" / f"{n}.py"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None  # noqa: S101 - it is made from a loader
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module.dag


def by_dag_factory(folder: Path, n: int) -> object:
    """Load a YAML file with dag-factory."""
    from dagfactory import load_yaml_dags

    found: dict[str, object] = {}
    load_yaml_dags(
        found, config_filepath=str(folder / "factory" / f"{n}.yaml"), defaults_config_path=str(folder / "factory")
    )
    return found[f"bench.factory_{n}"]


def measure(folder: Path) -> dict[str, float]:
    """Milliseconds per DAG, the median of rounds, taken in turns so that a busy machine is busy for all."""
    logging.disable(logging.WARNING)
    sys.dont_write_bytecode = False  # the files by hand are read as Airflow reads them the second time
    write_files(folder)
    ways: dict[str, Callable[[Path, int], object]] = {"ours": by_us, "by hand": by_hand, "dag-factory": by_dag_factory}
    for load in ways.values():
        dag = load(folder, 0)
        assert len(dag.tasks) == 9, dag  # type: ignore[attr-defined]  # noqa: S101 - the same DAG three times, or no comparison
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, load in ways.items():
            begun = time.perf_counter()
            for n in range(COUNT):
                load(folder, n)
            times[name].append((time.perf_counter() - begun) / COUNT * 1000)
    logging.disable(logging.NOTSET)
    return {name: statistics.median(each) for name, each in times.items()}
