"""What all tests share."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent

MINIMAL = """\
apiVersion: dataproducts/v1
kind: DataProduct
name: things
domain: test
version: 1.0.0
description: Things.
owner: {team: testers}
schedule: manual
inputs:
  things: {path: things.csv}
outputs:
  things:
    publish: {to: parquet}
    contract:
      primary_key: [id]
      columns:
        - {name: id, type: integer, description: Number}
        - {name: label, type: string, description: Word}
"""


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has an AIRFLOW_HOME of its own, so that tests can run side by side and leave nothing behind."""
    home = tmp_path_factory.mktemp("airflow")
    monkeypatch.setenv("AIRFLOW_HOME", str(home))
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(home / "bundles"))
    for name in [each for each in os.environ if each.startswith(("AIRFLOW_CONN_", "AIRFLOW__DATAPRODUCTS"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a product.yaml (``MINIMAL`` unless given, with replacements) into a folder of the test's own."""

    def make(text: str = MINIMAL, folder: str = "", **replacements: str) -> Path:
        for old, new in replacements.items():
            text = text.replace(old, new)
        path = tmp_path / folder / "product.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return make
