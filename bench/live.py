"""What a user waits for in a running Airflow: from saving a manifest to seeing its DAG, and a run's length."""

from __future__ import annotations

import json
import statistics
import time
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from demo.standalone import HAS_IMPORTERS, Airflow, discovery, standalone

if TYPE_CHECKING:
    from pathlib import Path

SAVES, RUNS = 5, 3

PRODUCT = """\
apiVersion: dataproducts/v1
kind: DataProduct
name: {name}
domain: bench
version: 1.0.0
description: A row from a file.
owner: {{team: bench}}
schedule: manual
inputs: {{rows: {{path: rows.csv}}}}
outputs:
  rows:
    publish: {{to: parquet}}
    contract: {{primary_key: [id], columns: [{{name: id, type: integer}}]}}
"""

BY_HAND = """\
from airflow.sdk import DAG
from bench.operators import NoOperator

with DAG("by_hand", schedule=None) as dag:
    tasks = [NoOperator(task_id=name) for name in ("extract", "transform", "validate", "publish", "record", "document")]
    for before, after in zip(tasks, tasks[1:]):
        before >> after
"""


def measure(folder: Path) -> dict[str, float]:
    """Seconds: from save to list (median and worst), and of whole runs (medians)."""
    products, python = folder / "products", folder / "python"
    python.mkdir(parents=True)
    (python / "by_hand.py").write_text(BY_HAND)
    products.mkdir()
    with standalone(folder / "airflow", _settings(products, python)) as airflow:
        airflow.wait_for_dag("by_hand")
        waits = [_save_to_list(airflow, products, number) for number in range(SAVES)]
        hand, ours = [], []
        airflow.wait_for_dag("bench.p0")
        for _ in range(RUNS):
            hand.append(_run(airflow, "by_hand"))
            ours.append(_run(airflow, "bench.p0"))
    return {
        "save to list, median": statistics.median(waits),
        "save to list, worst": max(waits),
        "run of a product": statistics.median(ours),
        "run by hand": statistics.median(hand),
    }


def _settings(products: Path, python: Path) -> dict[str, str]:
    if HAS_IMPORTERS:
        for file in python.iterdir():
            (products / file.name).write_text(file.read_text())
        return discovery(products)
    settings = discovery(products)
    bundles = json.loads(settings["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    local = {
        "name": "python",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(python)},
    }
    return {**settings, "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([*bundles, local])}


def _save_to_list(airflow: Airflow, products: Path, number: int) -> float:
    folder = products / f"p{number}"
    folder.mkdir()
    (folder / "rows.csv").write_text("id\n1\n")
    time.sleep(1.7 * number)  # at another moment of Airflow's own rhythm each time
    begun = time.monotonic()
    (folder / "product.yaml").write_text(PRODUCT.format(name=f"p{number}"))
    airflow.until("the DAG", lambda: airflow.request("GET", f"/api/v2/dags/bench.p{number}"), 120)
    return time.monotonic() - begun


def _run(airflow: Airflow, dag_id: str) -> float:
    run_id = airflow.trigger(dag_id)
    state = airflow.finish(dag_id, run_id)
    assert state == "success", f"{dag_id} {run_id}: {state}"  # noqa: S101 - a failed run has no length worth telling
    found = airflow.request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")
    begun, ended = (datetime.fromisoformat(found[name]) for name in ("start_date", "end_date"))
    return (ended - begun).total_seconds()
