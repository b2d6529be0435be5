"""What a validation in a real scheduled task costs, with and without Great Expectations loaded beforehand."""

from __future__ import annotations

import statistics
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from bench.live import PRODUCT
from demo.standalone import Airflow, discovery, standalone

if TYPE_CHECKING:
    from pathlib import Path

RUNS = 5


def measure(folder: Path) -> dict[str, float]:
    """Seconds of the task ``validate.rows`` over one row, as Airflow tells them; medians."""
    return {name: _median(folder / name, preload=preload) for name, preload in (("cold", False), ("preloaded", True))}


def _median(folder: Path, *, preload: bool) -> float:
    products = folder / "products" / "p0"
    products.mkdir(parents=True)
    (products / "rows.csv").write_text("id\n1\n")
    (products / "product.yaml").write_text(PRODUCT.format(name="p0"))
    settings = {**discovery(folder / "products"), "AIRFLOW__DATAPRODUCTS__PRELOAD": str(preload)}
    with standalone(folder / "airflow", settings) as airflow:
        airflow.wait_for_dag("bench.p0")
        return statistics.median(_run(airflow) for _ in range(RUNS))


def _run(airflow: Airflow) -> float:
    run_id = airflow.trigger("bench.p0")
    state = airflow.finish("bench.p0", run_id)
    assert state == "success", state  # noqa: S101 - a failed run has no length worth telling
    where = f"/api/v2/dags/bench.p0/dagRuns/{quote(run_id, safe='')}/taskInstances/validate.rows"
    found = airflow.request("GET", where)
    begun, ended = (datetime.fromisoformat(found[name]) for name in ("start_date", "end_date"))
    return (ended - begun).total_seconds()
