"""Commands that need Airflow's connections, in processes of their own."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from demo.shop import airflow_connection
from tests.conftest import MINIMAL
from tests.unit.test_cli import COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psycopg

    Write = Callable[..., Path]

pytestmark = pytest.mark.slow


def call(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={**os.environ, **environment},
    )


def test_lint_finds_connections_that_airflow_does_not_know(write: Write) -> None:
    path = write(MINIMAL, **{"path: things.csv": "connection: shop, table: t"})
    result = call("lint", path, "--connections")
    assert result.returncode == 1
    message = "there is no Airflow connection 'shop'; add it under Admin > Connections or as AIRFLOW_CONN_SHOP"
    assert result.stdout == f"{path}:10:12: inputs.things.connection: {message}\n"
    assert call("lint", path, "--connections", AIRFLOW_CONN_SHOP="postgres://me@localhost/x").returncode == 0


def test_run_reads_and_writes_through_airflows_connections(
    write: Write, database: psycopg.Connection, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "lite.db")) as lite:
        lite.executescript("CREATE TABLE t (id integer, label text); INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    text = MINIMAL.replace("path: things.csv", "connection: lite, table: t").replace(
        "{to: parquet}", "{to: postgres, connection: db, table: mart.things}"
    )
    uri = f"postgresql://{database.info.user}@/{database.info.dbname}?host={database.info.host}"
    environment = {
        "AIRFLOW_CONN_DB": airflow_connection(uri),
        "AIRFLOW_CONN_DATAPRODUCTS_CATALOG": airflow_connection(uri),
        "AIRFLOW_CONN_LITE": json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "lite.db")}),
    }
    result = call("run", write(text), "--run-id", "r1", "--format", "json", **environment)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["rows"] == {"things": 2}
    assert database.execute("SELECT * FROM mart.things ORDER BY id").fetchall() == [(1, "a"), (2, "b")]
    assert database.execute("SELECT state FROM runs").fetchall() == [("success",)]


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (
            "id,label\n1,a\n1,b\n",
            1,
            "output things breaks its contract, nothing was published: 1 of 6 checks failed: primary_key (2)",
        ),
        ("id,lab\n1,a\n", 1, "the contract's column label is not in the result; did you mean lab? (it has id, lab)"),
    ],
)
def test_a_failed_run_is_one_line_and_exit_1(write: Write, content: str, code: int, message: str) -> None:
    path = write(MINIMAL)
    (path.parent / "things.csv").write_text(content)
    result = call("run", path)
    assert result.returncode == code
    assert "Traceback" not in result.stderr
    assert message in result.stderr.splitlines()[-1]


READ = """
from airflow_dataproducts import open_output
from airflow_dataproducts.exceptions import SourceChangedError
print(open_output("test.things").to_table().to_pylist(), open_output("test.things", "things").count_rows())
try:
    open_output("test.things", "gone")
except SourceChangedError as error:
    print(error)
"""


def test_open_output(write: Write) -> None:
    path = write(MINIMAL)
    (path.parent / "things.csv").write_text("id,label\n1,a\n")
    assert call("run", path).returncode == 0
    result = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=True, timeout=200)
    assert result.stdout.splitlines() == [
        "[{'id': 1, 'label': 'a'}] 1",
        "product test.things has no published output 'gone' (there are: things)",
    ]
