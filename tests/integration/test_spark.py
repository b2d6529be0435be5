"""Products that Spark makes and checks, each in a process of its own: Great Expectations learns of Spark when it is imported, or never."""

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

import pyspark
import pytest

from demo.standalone import free_port
from tests.integration.dirty_orders import BROKEN
from tests.integration.test_command_line import call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Write = Callable[..., Path]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java; install a JRE of 17 or newer"),
]


@contextmanager
def connect_server(folder: Path) -> Iterator[str]:
    """A Spark Connect server on the loopback interface; its address."""
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


@pytest.fixture(params=["a master", "Spark Connect"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """What ``[dataproducts] spark`` names."""
    with connect_server(tmp_path / "server") if request.param == "Spark Connect" else nullcontext("local[1]") as found:
        yield found


def python(module: str, folder: Path, remote: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"tests.integration.{module}", str(folder), remote],
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_the_same_contract_over_the_same_rows(tmp_path: Path, remote: str) -> None:
    done = python("spark_check", tmp_path, remote)
    assert json.loads(done.stdout.splitlines()[-1]) == BROKEN


def test_a_transform(tmp_path: Path, remote: str) -> None:
    """Exact values, DuckDB's SQL in Spark's words, folders, and errors without a value of the data."""
    done = python("spark_transform", tmp_path, remote)
    assert "The value" not in done.stderr  # what Spark says of a value that does not fit, with the value
    found = json.loads(done.stdout.splitlines()[-1])
    assert [(row["id"], row["total"], row["year"], row["made"]) for row in found["rows"]] == [
        (1, "0.1000", "2026", "2026-01-31"), (2, "12345678901234.5678", "2026", "2026-01-31"),
    ]  # fmt: skip
    assert found["rows"][0]["at"] == "2026-01-01 01:02:03.456789"
    assert found["rows"][0]["zone"] == "1969-01-01 00:00:00+00:00"
    assert (found["published"], found["total"]) == (2, "decimal128(20, 4)")
    assert [(row["uid"], row["doc"], row["kinds"]) for row in found["rows"]] == [
        ("6f9619ff-8b86-d011-b42d-00cf4fc964ff", '{"a": [1, null]}', ["a"]), (None, "null", ["b"]),
    ]  # fmt: skip
    assert len(found["errors"]) == 6
    for error, part in zip(
        found["errors"],
        (
            "made",
            "nothing",
            "the contract's column total",
            "CAST_INVALID_INPUT",
            "a value is no uuid",
            "a value is no json",
        ),
        strict=True,
    ):
        assert error.startswith("output out: ")
        assert part in error
        assert "'c'" not in error
        assert "{no" not in error
        assert "\n" not in error


PRODUCT = """
apiVersion: dataproducts/v1
kind: DataProduct
name: big
domain: test
version: 1.0.0
description: Sales by day.
owner: {team: core}
schedule: manual
inputs: {sales: {path: sales.csv}, shops: {path: shops.csv}}
outputs:
  sold:
    engine: spark
    transform: SELECT * FROM sales
    publish: {to: parquet, partition_by: [day, kind]}
    contract:
      primary_key: [id]
      columns:
        - {name: id, type: bigint, required: true}
        - {name: shop, type: string, references: shops.name}
        - {name: day, type: date, min: "2026-01-01"}
        - {name: kind, type: string, enum: [web, till]}
        - {name: amount, type: "decimal(10,2)", min: 0.01}
      rules: [{name: some, row_count: {min: 1}}]
  days:
    engine: spark
    transform: SELECT day, kind, sum(amount) AS amount FROM sold GROUP BY ALL
    publish: {to: delta}
    contract:
      primary_key: [day]
      columns: [{name: day, type: date}, {name: kind, type: string}, {name: amount, type: "decimal(12,2)"}]
      rules:
        - {name: adds_up, sql: "SELECT count(*) FROM sold WHERE day NOT IN (SELECT day FROM days)"}
  none:
    engine: spark
    transform: SELECT id, day FROM sold WHERE id < 0
    publish: {to: parquet, partition_by: [day]}
    contract:
      columns: [{name: id, type: bigint}, {name: day, type: date}]
      rules: [{name: any, row_count: {min: 0}}]
  good:
    engine: spark
    transform: SELECT id, amount FROM sold
    publish: {to: parquet}
    contract:
      columns: [{name: id, type: bigint}, {name: amount, type: "decimal(10,2)", max: 5, on_violation: quarantine}]
"""
SALES = "id,shop,day,kind,amount\n1,north,2026-01-01,web,0.01\n2,south,2026-01-01,web,2.50\n3,north,2026-01-02,,9.99\n"


@pytest.mark.parametrize("remote", ["Spark Connect"], indirect=True)
def test_a_product_is_made_and_checked_in_spark(write: Write, tmp_path: Path, remote: str) -> None:
    """One output is made of another's folders, and one sets rows aside, which DuckDB does."""
    manifest = write(PRODUCT, folder="big")
    (manifest.parent / "shops.csv").write_text("name\nnorth\nsouth\n")
    environment = {"AIRFLOW__DATAPRODUCTS__SPARK": remote, "AIRFLOW_HOME": str(tmp_path / "home")}

    planned = call("plan", manifest).stdout
    assert "13 check(s) in spark" in planned
    assert "5 check(s), 4 of which stop the run, 1 set rows aside" in planned

    (manifest.parent / "sales.csv").write_text(SALES)
    result = call("run", manifest, "--run-id", "r1", "--format", "json", **environment)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["rows"] == {"sold": 3, "days": 2, "none": 0, "good": 2}

    (manifest.parent / "sales.csv").write_text(SALES + "3,east,1999-01-01,web,0\n")
    result = call("run", manifest, "--run-id", "r2", **environment)
    assert result.returncode == 1
    assert "output sold breaks its contract, nothing was published: 4 of 13 checks failed" in result.stderr
    for check in ("primary_key (2)", "shop.references (1)", "day.range (1)", "amount.range (1)"):
        assert check in result.stderr
