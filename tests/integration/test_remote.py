"""The same contract over the same rows: in DuckDB, inside PostgreSQL, and in Spark."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import adbc_driver_postgresql.dbapi as adbc
import pyarrow.dataset as pads
import pytest

from airflow_dataproducts.contract import ddl
from airflow_dataproducts.engine.validation import Tables, validate
from airflow_dataproducts.engine.validation.remote import Warehouse, in_database
from airflow_dataproducts.exceptions import ConfigurationError
from demo.standalone import free_port
from tests.integration.conftest import info_of
from tests.integration.dirty_orders import BROKEN, CUSTOMERS, ROWS, broken, step

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from airflow_dataproducts.settings import Settings


def test_in_duckdb(settings: Settings) -> None:
    tables = Tables({"orders": pads.dataset(ROWS)}, {"customers": pads.dataset(CUSTOMERS)})
    assert broken(validate(step(), tables, settings)) == {**BROKEN}


@pytest.fixture
def warehouse(database: psycopg.Connection) -> Warehouse:
    database.execute("CREATE SCHEMA mart")
    database.execute(ddl.create_table(step().output.contract, "mart.orders").replace(" NOT NULL", ""))
    database.execute("CREATE TABLE mart.customers (id bigint)")
    uri = info_of(database).postgres_uri()
    with adbc.connect(uri) as connection, connection.cursor() as cursor:
        for name, table in (("orders", ROWS), ("customers", CUSTOMERS)):
            cursor.adbc_ingest(name, table, mode="append", db_schema_name="mart")
        connection.commit()
    url = uri.replace("postgresql://", "postgresql+psycopg2://", 1)
    return Warehouse(url, "mart.orders", {"customers": "mart.customers"})


def test_inside_postgresql(warehouse: Warehouse) -> None:
    assert broken(in_database(step(), warehouse)) == BROKEN


def test_no_such_table(warehouse: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match="cannot read its table"):
        in_database(step(), Warehouse(warehouse.url, "mart.gone"))


@pytest.mark.slow
def test_in_spark(tmp_path: Path) -> None:
    """In a process of its own: GX learns of Spark when it is imported, or never."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java; install a JRE of 17 or newer to run this test")
    script = Path(__file__).with_name("spark_check.py")
    environment = {**os.environ, "PYTHONPATH": str(script.parents[2])}
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert json.loads(run.stdout.splitlines()[-1]) == BROKEN


@contextmanager
def connect_server(folder: Path) -> Iterator[str]:
    """A Spark Connect server on the loopback interface; its address."""
    import pyspark

    folder.mkdir()
    port = free_port()
    own = {
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
        "spark.connect.grpc.binding.address": "127.0.0.1", "spark.connect.grpc.binding.port": str(port),
    }  # fmt: skip
    options = [part for name, value in own.items() for part in ("--conf", f"{name}={value}")]
    submit = str(Path(pyspark.__file__).parent / "bin" / "spark-submit")
    server = "org.apache.spark.sql.connect.service.SparkConnectServer"
    process = subprocess.Popen(
        [submit, "--master", "local[1]", *options, "--class", server, "spark-internal"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        for _ in range(600):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("through", ["a master", "Spark Connect"])
def test_a_transform_in_spark(tmp_path: Path, through: str) -> None:
    """Exact values, DuckDB's SQL in Spark's words, folders, and errors without a value of the data."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    command = [sys.executable, "-W", "ignore", "-m", "tests.integration.spark_transform", str(tmp_path)]
    with connect_server(tmp_path / "server") if through == "Spark Connect" else nullcontext("local[1]") as remote:
        done = subprocess.run([*command, remote], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "The value" not in done.stderr  # what Spark says of a value that does not fit, with the value
    found = json.loads(done.stdout.splitlines()[-1])
    assert [(row["id"], row["total"], row["year"], row["made"]) for row in found["rows"]] == [
        (1, "0.1000", "2026", "2026-01-31"), (2, "12345678901234.5678", "2026", "2026-01-31"),
    ]  # fmt: skip
    assert found["rows"][0]["at"] == "2026-01-01 01:02:03.456789"
    assert found["rows"][0]["zone"] == "1969-01-01 00:00:00+00:00"
    assert (found["published"], found["total"]) == (2, "decimal128(20, 4)")
    assert len(found["errors"]) == 4
    for error, part in zip(
        found["errors"], ("made", "nothing", "the contract's column total", "CAST_INVALID_INPUT"), strict=True
    ):
        assert error.startswith("output out: ")
        assert part in error
        assert "'c'" not in error
        assert "\n" not in error
