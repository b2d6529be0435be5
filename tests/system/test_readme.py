"""The README's commands and product, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as pads
import pytest

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line
]
PRODUCT = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)[0]
BY_OTHERS = {"make demo": "tests/system/test_demo.py", "make test": "this very run"}


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "product.yaml").write_text(PRODUCT)
    (tmp_path / "parts" / "parts.csv").write_text("part_no,label,price\nP001,bolt,1.10\nP002,NA,\n")
    return tmp_path


def shell(command: str, folder: Path) -> str:
    """Run a command of the README in a folder, with this environment's programs for those of .venv."""
    command = command.replace(".venv/bin/", f"{Path(sys.executable).parent}/").replace(
        "python -m", f"{sys.executable} -m"
    )
    environment = {**os.environ, "AIRFLOW_HOME": str(folder / "airflow")}
    result = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_every_command_is_known_to_these_tests() -> None:
    assert COMMANDS == [
        "make demo",
        "make test",
        ".venv/bin/dataproducts lint parts",
        ".venv/bin/dataproducts plan parts",
        ".venv/bin/dataproducts run parts",
        ".venv/bin/dataproducts infer parts/parts.csv",
        ".venv/bin/dataproducts validate parts --data parts/parts.csv",
        "python -m pip install --constraint constraints.txt .",
    ]


@pytest.mark.slow
def test_a_new_user_follows_the_readme(parts: Path) -> None:
    lint, plan, run, infer, validate = (command for command in COMMANDS if "dataproducts" in command)
    assert shell(lint, parts) == "1 manifest(s), 0 error(s)\n"
    assert "publish.parts" in shell(plan, parts)
    assert "factory.parts 1.0.0 published: {'parts': 2}" in shell(run, parts)
    table = pads.dataset(parts / "airflow" / "dataproducts" / "data" / "factory" / "parts" / "parts").to_table()
    assert [(row["part_no"], row["label"], str(row["price"])) for row in table.to_pylist()] == [
        ("P001", "bolt", "1.10"),
        ("P002", None, "None"),
    ]
    assert "primary_key: [part_no]" in shell(infer, parts)
    assert "quality score 100" in shell(validate, parts)


def test_the_product_has_twenty_lines_and_the_mistake_reads_as_shown(parts: Path) -> None:
    assert len(PRODUCT.splitlines()) == 20
    (shown,) = re.findall(r"```text\n(.*?), \.\.\.\)\n```", README, re.DOTALL)
    (parts / "parts" / "product.yaml").write_text(
        PRODUCT.replace("name: part_no, type: string", "name: part_no, type: strng")
    )
    assert shown in shell(".venv/bin/dataproducts lint parts || true", parts)


@pytest.mark.slow
def test_the_package_installs_as_shown(tmp_path: Path) -> None:
    (command,) = (each for each in COMMANDS if "pip install" in each)
    aside = command.replace("constraints.txt .", f"{ROOT}/constraints.txt --no-deps --target {tmp_path}/there {ROOT}")
    shell(aside, tmp_path)
    there = tmp_path / "there" / "airflow_dataproducts"
    assert (there / "catalog" / "migrations" / "versions" / "0001_first_tables.py").is_file()
    assert (there / "catalog" / "migrations" / "script.py.mako").is_file()


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
