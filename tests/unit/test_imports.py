"""What is loaded where: the DAG processor stays light, and nothing is imported for show."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from demo.standalone import HAS_IMPORTERS
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = (
    "pandas",
    "pyarrow",
    "duckdb",
    "great_expectations",
    "sqlalchemy",
    "deltalake",
    "boto3",
    "alembic",
    "adbc_driver_postgresql",
    "numpy",
    "fastapi",
)

PARSE = f"""
import json, sys
from airflow.sdk import DAG, Asset, BaseOperator, TaskGroup
with DAG("by_hand", schedule="@daily"), TaskGroup("group"):  # what any DAG with an asset makes Airflow load
    BaseOperator(task_id="task", outlets=[Asset(name="a", uri="x://a")])
before = set(sys.modules)
from airflow_dataproducts.plan import load_plan
from airflow_dataproducts.dag import build_dag
import airflow_dataproducts.get_provider_info, airflow_dataproducts.operators, airflow_dataproducts.environment
{{extra}}
from pathlib import Path
for path in sorted(Path({str(ROOT / "dags")!r}).rglob("product.yaml")):
    build_dag(load_plan(path))
print(json.dumps(sorted({{{{name.partition(".")[0] for name in set(sys.modules) - before}}}})))
"""


def loaded(extra: str) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PARSE.format(extra=extra)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "extra",
    [
        "",
        "import airflow_dataproducts.discovery.stub, airflow_dataproducts.discovery.policy",
        "import airflow_dataproducts.manifest.index",
        pytest.param(
            "import airflow_dataproducts.discovery.importer",
            marks=pytest.mark.skipif(not HAS_IMPORTERS, reason="needs Airflow >= 3.4"),
        ),
    ],
)
def test_parsing_imports_nothing_heavy(extra: str) -> None:
    assert not loaded(extra).intersection(HEAVY)


def test_the_plugin_brings_no_web_server_into_other_processes() -> None:
    before = loaded("import airflow.plugins_manager")
    assert loaded("import airflow.plugins_manager, airflow_dataproducts.plugin") <= before | {"airflow_dataproducts"}


def test_the_test_can_fail() -> None:
    assert "duckdb" in loaded("import duckdb")


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("airflow_dataproducts/**/*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_files_stay_small(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 400, f"{file} should be split by what it holds"


def test_nothing_names_the_workshop() -> None:
    """The project stands alone: no file of it names the place it was made in, or a package index."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    words = ("../" + "shared", "." + "library", "index" + "-url http", "extra-index" + "-url", "DEVELOPERS" + ".md")
    for name in listed:
        path = ROOT / name
        if path.suffix in {".png", ".gif"} or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        assert not [word for word in words if word in text], name


def test_entry_points_exist() -> None:
    code = (
        "from importlib.metadata import distribution\n"
        "for each in distribution('airflow-dataproducts').entry_points: each.load(); print(each.group)"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    groups = {"console_scripts", "apache_airflow_provider", "airflow.plugins", "airflow.policy"}
    assert groups <= set(result.stdout.split())
