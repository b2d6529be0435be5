"""``dataproducts validate``, ``suite`` and ``infer``: what a person, a program and a CI system get to see."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import yaml

from airflow_dataproducts.engine.validation.gx import import_gx
from airflow_dataproducts.manifest.contract import Contract
from bench.generate import orders
from demo.shop import airflow_connection
from tests.conftest import MINIMAL, ROOT
from tests.integration.test_command_line import call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psycopg

    Write = Callable[..., Path]

pytestmark = pytest.mark.slow

PRODUCT = (
    MINIMAL.replace("{path: things.csv}", "{connection: db, table: public.things}")
    .replace(
        "        - {name: label, type: string, description: Word}\n",
        "        - {name: label, type: string, description: Word, pattern: '^[a-z]+$', references: kinds.name}\n"
        "        - {name: size, type: 'decimal(5,2)', min: 0.1, severity: low}\n",
    )
    .replace("inputs:\n", "inputs:\n  kinds: {path: kinds.csv}\n")
    .replace("    publish: {to: parquet}\n", "    publish: {to: parquet}\n    transform: SELECT * FROM things\n")
)


@pytest.fixture
def manifest(write: Write) -> Path:
    return write(PRODUCT)


def data(tmp_path: Path, file: str, /, **columns: Any) -> Path:
    path = tmp_path / file
    table = pa.table(columns)
    pacsv.write_csv(table, path) if file.endswith("csv") else pq.write_table(table, path)
    return path


def good(tmp_path: Path, name: str = "good.parquet") -> Path:
    return data(
        tmp_path,
        name,
        id=pa.array([1, 2], pa.int32()),
        label=["bolt", "nut"],
        size=pa.array(["0.10", "2.00"]).cast(pa.decimal128(5, 2)),
    )


def test_files_that_keep_the_contract(manifest: Path, tmp_path: Path) -> None:
    kinds = data(tmp_path, "kinds.parquet", name=["bolt", "nut"])
    result = call("validate", manifest, "--data", good(tmp_path), "--input", f"kinds={kinds}")
    assert (result.returncode, result.stderr) == (0, "")
    assert "holds  label is found in kinds.name" in result.stdout
    assert result.stdout.splitlines()[-1] == "test.things.things: 10 of 10 checks hold on 2 rows, quality score 100"


def test_files_that_break_it(manifest: Path, tmp_path: Path) -> None:
    bad = data(tmp_path, "bad.csv", id=[2, 3], label=["NUT", "nut"], size=["0.05", "1"])
    result = call("validate", manifest, "--data", good(tmp_path, "good.csv"), "--data", bad, COLUMNS="200")
    assert result.returncode == 1
    assert "failed   label.pattern (high): label matches ^[a-z]+$; found 1 of 4, such as NUT" in result.stdout
    assert "failed   primary_key (critical): id names one row; found 2 of 4, such as 2" in result.stdout
    assert "warned   size.range (low): size is >= 0.1; found 1 of 4, such as 0.05" in result.stdout
    assert "skipped  label.references: looks at kinds; give --input kinds=<file>" in result.stdout


def test_for_programs(manifest: Path, tmp_path: Path) -> None:
    bad = data(tmp_path, "bad.parquet", id=pa.array([1], pa.int32()), label=["NUT"])
    result = call("validate", manifest, "--data", bad, "--format", "json")
    found = json.loads(result.stdout)
    assert (result.returncode, found["success"], found["rows"]) == (1, False, 1)
    assert [each["check"] for each in found["results"] if not each["success"]] == [
        "columns",
        "label.pattern",
        "size.type",
        "size.range",
    ]
    assert found["skipped"] == {"label.references": "looks at kinds; give --input kinds=<file>"}
    assert found["gx"][0]["statistics"]["evaluated_expectations"] == 9


def test_for_ci(manifest: Path, tmp_path: Path) -> None:
    bad = data(tmp_path, "bad.csv", id=[1], label=["NUT"], size=["0.01"])
    result = call("validate", manifest, "--data", bad, "--format", "junit")
    suite = ET.fromstring(result.stdout)[0]
    assert {key: suite.get(key) for key in ("name", "tests", "failures", "errors", "skipped")} == {
        "name": "test.things.things", "tests": "10", "failures": "1", "errors": "0", "skipped": "1",
    }  # fmt: skip
    outcomes = {case.get("name"): [child.tag for child in case] for case in suite}
    assert outcomes["label.pattern"] == ["failure"]
    assert outcomes["size.range"] == ["system-out"]
    assert outcomes["label.references"] == ["skipped"]
    assert outcomes["primary_key"] == []


def test_a_table_inside_a_database(manifest: Path, database: psycopg.Connection) -> None:
    database.execute("CREATE TABLE things (id integer, label text, size numeric(5,2))")
    database.execute("INSERT INTO things VALUES (1, 'bolt', 0.10), (1, 'NUT', 0.05)")
    uri = f"postgresql://{database.info.user}@/{database.info.dbname}?host={database.info.host}"
    result = call(
        "validate", manifest, "--connection", "db", "--table", "public.things", COLUMNS="200",
        AIRFLOW_CONN_DB=airflow_connection(uri),
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    assert "failed   primary_key (critical): id names one row; found 2, such as 1" in result.stdout
    assert "warned   size.range (low): size is >= 0.1; found 1 of 2" in result.stdout


def test_a_version_of_a_delta_table(manifest: Path, tmp_path: Path) -> None:
    from deltalake import write_deltalake

    write_deltalake(tmp_path / "lake", pq.read_table(good(tmp_path)))
    bad = pa.table(
        {"id": pa.array([1], pa.int32()), "label": ["NUT"], "size": pa.array(["0.10"]).cast(pa.decimal128(5, 2))}
    )
    write_deltalake(tmp_path / "lake", bad, mode="append")
    for version, code in (("@v0", 0), ("@v1", 1), ("", 1)):
        assert call("validate", manifest, "--data", f"{tmp_path / 'lake'}{version}").returncode == code
    gone = call("validate", manifest, "--data", f"{tmp_path / 'lake'}@v9")
    assert gone.stderr.strip().endswith("has no version 9")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --data <file>, or --connection <id> with --table <schema.table>"),
        (["--data", "gone.parquet"], "input things: no file at"),
        (["--data", "x", "--output", "other"], "test.things has no output 'other' (allowed: things)"),
        (["--data", "x", "--input", "kinds"], "--input kinds: write <input>=<file>"),
        (["--data", "x", "--input", "more=y"], "--input more: no such input (allowed: kinds, things)"),
    ],
)
def test_mistakes(manifest: Path, arguments: list[str], message: str) -> None:
    result = call("validate", manifest, *arguments)
    assert result.returncode in {1, 2}
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_suite_runs_on_great_expectations_alone(manifest: Path, tmp_path: Path) -> None:
    """As its user would: the JSON loaded by GX, run on pandas, without a line of ours."""
    result = call("suite", manifest, "--format", "json")
    import_gx()  # with PySpark and pandas 3 installed, GX cannot be imported where warnings are errors
    import great_expectations as gx
    import pandas as pd

    document = json.loads(result.stdout)
    wanted = [each for each in document["expectations"] if each["type"] != "unexpected_rows_expectation"]
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    suite = gx.ExpectationSuite(name=document["name"], expectations=wanted)
    frame = pd.DataFrame(
        {"id": pd.array([1, 1], "int32"), "label": pd.array(["bolt", "NUT"], "string"), "size": [0.1, 0.05]}
    )
    batch = context.data_sources.add_pandas("p").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")
    found = batch.get_batch(batch_parameters={"dataframe": frame}).validate(suite)
    broken = {each.expectation_config.meta["check"] for each in found.results if not each.success}
    assert broken - {"size.type"} == {"label.pattern", "size.range", "primary_key"}
    assert {each["notes"] for each in wanted if each["meta"]["check"] == "size.range"} == {
        "Size is >= 0.1. The bounds are exactly: at least 0.1."
    }


def test_the_suite_for_people(manifest: Path) -> None:
    result = call("suite", manifest, COLUMNS="200")
    assert result.returncode == 0
    assert "expect_column_values_to_match_regex" in result.stdout


SHOP = {
    "order_id": [f"ORD-{number:05}" for number in range(100)],
    "customer_no": [number % 40 for number in range(100)],
    "email": [f"user{number % 40}@example.com" if number % 10 else None for number in range(100)],
    "status": [["open", "done", "lost"][number % 3] for number in range(100)],
    "amount": [f"{number}.{number % 100:02}" for number in range(100)],
    "on": [f"2026-01-{number % 28 + 1:02}" for number in range(100)],
    "code": [f"{number % 7:03}" for number in range(100)],
}


def test_a_contract_is_proposed_from_a_file_and_holds_for_it(write: Write, tmp_path: Path) -> None:
    path = data(tmp_path, "shop.csv", **SHOP)
    result = call("infer", path)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert "  primary_key: [order_id]  # no two rows share order_id" in "\n".join(lines)
    assert not [line for line in lines if "user1@" in line or "example.com" in line]
    proposed = yaml.safe_load(result.stdout)["contract"]
    contract = Contract.model_validate(proposed)
    assert {column.name: str(column.type) for column in contract.columns} == {
        "order_id": "string", "customer_no": "integer", "email": "string", "status": "string", "amount": "decimal(4,2)",
        "on": "date", "code": "string",
    }  # fmt: skip
    by_name = {column["name"]: column for column in proposed["columns"]}
    assert by_name["order_id"]["pattern"] == "^ORD-[0-9]{5}$"
    assert by_name["status"]["enum"] == ["done", "lost", "open"]
    assert (by_name["email"]["pii"], by_name["email"]["format"], "required" in by_name["email"]) == (
        "email",
        "email",
        False,
    )
    assert (by_name["amount"]["min"], by_name["amount"]["required"]) == (0, True)
    whole = MINIMAL[: MINIMAL.index("    contract:")] + "    contract: " + json.dumps(proposed, default=str) + "\n"
    checked = call("validate", write(whole, folder="inferred"), "--data", path)
    assert checked.returncode == 0, checked.stdout


def test_a_contract_is_proposed_from_a_table(database: psycopg.Connection) -> None:
    database.execute("CREATE TABLE pairs (a integer, b integer, at timestamptz, note text)")
    database.execute("INSERT INTO pairs SELECT i / 3, i % 3, now(), NULL FROM generate_series(0, 29) i")
    uri = f"postgresql://{database.info.user}@/{database.info.dbname}?host={database.info.host}"
    result = call("infer", "db", "public.pairs", AIRFLOW_CONN_DB=airflow_connection(uri))
    assert result.returncode == 0, result.stderr
    proposed = yaml.safe_load(result.stdout)["contract"]
    assert proposed["primary_key"] == ["a", "b"]
    assert [column["type"] for column in proposed["columns"]] == ["integer", "integer", "timestamptz", "string"]
    assert call("infer", "db", "public.gone", AIRFLOW_CONN_DB=airflow_connection(uri)).returncode == 1


APART = """
import json, sys
from airflow_dataproducts.engine.validation import apart
was = apart._can_be_apart
def asked(*given):
    found = was(*given)
    print(f"apart: {found}", file=sys.stderr)
    return found and "--together" not in sys.argv
apart._can_be_apart = asked
from airflow_dataproducts.cli import main
sys.argv = [each for each in sys.argv if each != "--together"]
main()
"""


def apart(*arguments: str, code: str = APART) -> subprocess.CompletedProcess[str]:
    """The command in a process that has loaded nothing yet."""
    return subprocess.run(
        [sys.executable, "-c", code, "validate", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")
def test_rows_measured_in_a_process_of_their_own_are_judged_alike(tmp_path: Path) -> None:
    file = orders(tmp_path / "orders.parquet", 20_000, dirty=True)
    given = [str(ROOT / "bench" / "orders" / "product.yaml"), "--data", str(file), "--format", "json"]
    one, other = apart(*given), apart(*given, "--together")
    assert one.stderr.strip() == other.stderr.strip() == "apart: True"
    assert one.returncode == other.returncode == 1
    found, same = json.loads(one.stdout), json.loads(other.stdout)
    assert [each for each in found["results"] if not each["success"]]
    for each in (found, same):
        del each["gx"]  # it names moments
    assert found == same
    assert found["rows"] == 20_000


@pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")
def test_what_goes_wrong_in_a_process_of_its_own_is_one_line(tmp_path: Path) -> None:
    manifest = str(ROOT / "bench" / "orders" / "product.yaml")
    for content in ("no Parquet", ""):
        (tmp_path / "broken.parquet").write_text(content)
        found = apart(manifest, "--data", str(tmp_path / "broken.parquet"))
        assert found.returncode == 1
        assert found.stderr.splitlines()[1:] == [f"{tmp_path}/broken.parquet cannot be read as Parquet"]
    file = str(orders(tmp_path / "orders.parquet", 500_000, dirty=True))
    found = apart(manifest, "--data", file, "--memory-limit", "1MB")
    assert found.returncode == 2
    assert found.stderr.splitlines()[1:] == [
        "output orders: DuckDB needs more memory than its limit; raise [dataproducts] memory_limit"
    ]
    killed = APART.replace("was = ", "import os\napart.measured = lambda *_, **__: os.kill(os.getpid(), 9)\nwas = ")
    found = apart(manifest, "--data", file, code=killed)
    assert found.returncode == 2
    assert "the process that reads the rows ended with -9" in found.stderr.splitlines()[-1]
