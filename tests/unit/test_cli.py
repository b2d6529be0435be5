"""The command line as a user meets it: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from tests.conftest import MINIMAL, ROOT
from tests.unit.test_manifest import FULL

if TYPE_CHECKING:
    from collections.abc import Callable

    Write = Callable[..., Path]

COMMAND = Path(sys.executable).with_name("dataproducts")
HEAVY = ("airflow", "pandas", "pyarrow", "duckdb", "great_expectations", "sqlalchemy", "rich")


def call(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd, timeout=120
    )


def test_lint_is_silent_about_what_is_right() -> None:
    result = call("lint", ROOT / "dags")
    assert (result.returncode, result.stdout, result.stderr) == (0, "3 manifest(s), 0 error(s)\n", "")


def test_lint_lists_every_mistake(write: Write, tmp_path: Path) -> None:
    bad = write(MINIMAL.replace("version: 1.0.0", "version: one").replace("tier", "teir"), folder="a")
    write(MINIMAL, folder="b")
    result = call("lint", tmp_path)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert (
        lines[0]
        == f"{bad}:1:1: name: the product test.things is also in b/product.yaml; neither is loaded until one is renamed"
    )
    assert lines[1] == f"{bad}:5:1: version: found 'one'; a semantic version has three numbers, such as 2.1.0"
    assert "b/product.yaml:1:1" in lines[2]
    assert result.stderr == "2 manifest(s), 3 error(s)\n"


def test_lint_for_programs(write: Write, tmp_path: Path) -> None:
    write(MINIMAL.replace("version: 1.0.0", "version: one"))
    found = json.loads(call("lint", tmp_path, "--format", "json").stdout)
    assert [(each["line"], each["field"], each["severity"]) for each in found] == [(5, "version", "error")]


@pytest.mark.parametrize(
    "arguments", [["lint", "/nowhere"], ["plan", "/nowhere"], ["plan", "."], ["lint", "--what"], ["nonsense"]]
)
def test_wrong_usage_is_one_line_and_exit_2(arguments: list[str], tmp_path: Path) -> None:
    result = call(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stderr


def test_plan_of_a_broken_manifest_names_every_mistake(write: Write) -> None:
    path = write(MINIMAL.replace("version: 1.0.0", "version: one").replace("type: string", "type: word"))
    result = call("plan", path)
    assert result.returncode == 2
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == [
        "version",
        "outputs.things.contract.columns[1].type",
    ]


def test_plan_shows_the_steps() -> None:
    assert call("plan", FULL.parent).stdout == (
        "sales.sales-orders 2.1.0 (active), runs 0 2 * * *\n"
        "  extract.orders               table public.orders in connection shop, everything, because an output's mode is replace\n"
        "  extract.customers            query in connection shop, everything\n"
        "  extract.rates                files s3://raw/rates/*.csv\n"
        "  extract.segments             product marketing.customer-segments ^2, output its only one\n"
        "  transform.orders             SQL, 1 line(s), cast to 5 column(s)\n"
        "  validate.orders              15 check(s), 14 of which stop the run\n"
        "  publish.orders               replace delta at s3://data-products/sales/orders\n"
        "  record                       run, metrics and watermarks to the catalog; asset event sales.sales-orders\n"
        "  document                     Data Docs, metrics of every column, clean staging; after failures, too\n"
    )


def test_plan_shows_where_a_value_comes_from() -> None:
    result = call("plan", ROOT / "dags" / "sales" / "returns")
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("from ")]
    assert "sales/_defaults.yaml: domain, tier, owner.team" in line
    assert "execution.retry_delay" in line
    assert "execution.retries" not in line


def test_plan_for_programs() -> None:
    found = json.loads(call("plan", FULL, "--format", "json").stdout)
    assert found["product"] == "sales.sales-orders"
    assert [task["task_id"] for task in found["tasks"]][-3:] == ["publish.orders", "record", "document"]
    assert found["tasks"][-2]["upstream"] == ["publish.orders"]
    assert found["manifest"]["outputs"]["orders"]["contract"]["columns"][2]["type"] == "decimal(12,2)"


def test_the_schema_accepts_what_loads_and_refuses_what_does_not() -> None:
    import yaml

    schema = json.loads(call("schema").stdout)
    validator = jsonschema.Draft202012Validator(schema)
    for path in (FULL, *ROOT.glob("dags/**/product.yaml")):
        validator.validate(json.loads(json.dumps(yaml.safe_load(path.read_text()), default=str)))
    wrong = yaml.safe_load(MINIMAL)
    wrong["teir"] = "gold"
    wrong["status"] = "activ"
    assert len(list(validator.iter_errors(wrong))) == 2
    assert schema["properties"]["outputs"]["additionalProperties"]["$ref"].endswith("Output")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["lint", str(ROOT / "dags")], ["plan", str(FULL)], ["schema"]], ids=lambda a: a[0]
)
def test_what_authors_run_on_every_save_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['dataproducts', *{arguments!r}]\n"
        "from airflow_dataproducts.cli import run_app\n"
        "assert run_app() == 0\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "NO_COLOR": "1"}
    )
    assert result.stdout.splitlines()[-1] == "HEAVY []"
