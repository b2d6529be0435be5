"""Validates the dirty orders in a local Spark and prints what is broken, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from airflow_dataproducts.engine.validation.remote import in_spark
from tests.integration.dirty_orders import CUSTOMERS, ROWS, broken, step


def main(folder: Path) -> None:
    """Everything Spark writes goes to the folder, everything it opens listens on loopback."""
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.local.dir", str(folder / "local"))
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .getOrCreate()
    )
    try:
        for name, table in (("orders", ROWS), ("customers", CUSTOMERS)):
            pq.write_table(table, folder / f"{name}.parquet", coerce_timestamps="us")
            spark.read.parquet(str(folder / f"{name}.parquet")).createOrReplaceTempView(name)
        found = in_spark(step(), spark.table("orders"), {"customers": "customers"})
    finally:
        spark.stop()
    print(json.dumps(broken(found)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
