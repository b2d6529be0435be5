"""``make demo`` as it is run by a user, and its data read back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as pads
import pytest
from deltalake import DeltaTable

from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]


def test_the_demo_goes_as_told(tmp_path: Path) -> None:
    environment = {**os.environ, "DEMO_FOLDER": str(tmp_path / "demo")}
    version = Path(sys.prefix).name.partition("-airflow-")[2]  # of `make test AIRFLOW=...`
    command = ["make", "demo", "EXIT=1", *([f"AIRFLOW={version}"] if version else [])]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=580
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "NOT SO" not in result.stdout
    data = tmp_path / "demo" / "data"
    orders = DeltaTable(str(data / "sales" / "orders" / "orders"))
    assert orders.version() == 1
    table = orders.to_pyarrow_dataset().to_table(columns=["order_id", "status", "customer_email"])
    assert len(set(table["order_id"].to_pylist())) == table.num_rows == 205_000 - 205_000 // 4_000
    assert "no address" not in set(table["customer_email"].to_pylist())
    assert table["status"].to_pylist().count("refunded") > 0
    aside = pads.dataset(data / "sales" / "orders" / "orders.quarantine").to_table()
    assert aside.num_rows == 205_000 // 4_000
    assert pads.dataset(data / "finance" / "revenue" / "daily").count_rows() > 0
    returns = data / "sales" / "returns" / "returns"
    assert not returns.is_symlink()
    assert not (returns / "_delta_log").exists()
    assert "blocked by quality gate" in result.stdout
    assert "admin, password" in result.stdout
