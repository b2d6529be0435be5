"""Validates the dirty orders in Spark and prints what is broken, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

from airflow_dataproducts.engine import layout
from airflow_dataproducts.engine.storage import open_place
from airflow_dataproducts.engine.validation.remote import in_spark
from tests.integration.dirty_orders import CUSTOMERS, ROWS, broken, step


def main(folder: Path, remote: str) -> None:
    """Everything under the folder."""
    tables = {}
    for name, table in (("orders", ROWS), ("customers", CUSTOMERS)):
        (folder / name).mkdir()
        pq.write_table(table, folder / name / "part-0.parquet", coerce_timestamps="us")
        tables[name] = layout.open_files(open_place(str(folder / name)), {})
    print(json.dumps(broken(in_spark(step(), tables, remote, {}))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
