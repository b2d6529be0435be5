"""dlt: a PostgreSQL table to a Delta table, by its fastest backend. Run by dlt's own environment; prints seconds as JSON."""

import json
import os
import sys
import tempfile
import time

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"

import dlt
from dlt.destinations import filesystem
from dlt.sources.sql_database import sql_table


def main(uri: str, table: str) -> None:
    """Move a table."""
    with tempfile.TemporaryDirectory(prefix="dataproducts-dlt-") as folder:
        lake = filesystem(f"file://{folder}/lake")
        pipeline = dlt.pipeline("moved", destination=lake, dataset_name="moved", pipelines_dir=f"{folder}/state")
        rows = sql_table(
            uri.replace("postgresql://", "postgresql+psycopg2://"), table, schema="public", backend="pyarrow",
            chunk_size=100_000, reflection_level="full_with_precision",
        )  # fmt: skip
        begun = time.perf_counter()
        pipeline.run(rows, write_disposition="replace", table_format="delta")
        print(json.dumps({"seconds": time.perf_counter() - begun, "rss": 0.0}))


if __name__ == "__main__":
    main(*sys.argv[1:])
