"""Promises in a catalog of either kind, products that publish without running, and a Slack on a real socket."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from airflow_dataproducts.catalog import tables
from airflow_dataproducts.catalog.outbox import Outbox
from airflow_dataproducts.catalog.sla import SlaStore
from airflow_dataproducts.catalog.store import Catalog
from airflow_dataproducts.runtime import monitor
from demo.slack import Slack, slack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Write = Callable[..., Path]

EXPIRE = timedelta(days=3)
NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
MANIFEST = """
apiVersion: dataproducts/v1
kind: DataProduct
name: NAME
domain: test
version: 1.0.0
description: Things.
owner: {team: core, email: core@example.com, on_call: "<@U1>"}
schedule: manual
inputs: {in: INPUT}
outputs:
  things:
    contract: {columns: [{name: id, type: bigint, required: true}]}
sla: {freshness: {target: 1h, breach: 2h}, completeness: 99%, accuracy: 99%, volume: {min: 1}, duration: 1h, landing: {by: "23:59"}}
alerts: {slack: "#things", escalate: {after: 3h, to: "#platform"}}
consumers: [{team: finance}]
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    from tests.integration.conftest import info_of  # which imports this module

    if request.param == "sqlite":
        url = sa.URL.create("sqlite", database=str(tmp_path / "catalog.db"))
    else:
        found = info_of(request.getfixturevalue("database"))
        url = sa.URL.create("postgresql+psycopg", found.login, database=found.schema, query={"host": str(found.host)})
    with Catalog(url) as made:
        yield made


@pytest.fixture
def store(catalog: Catalog) -> SlaStore:
    return SlaStore(catalog)


@pytest.fixture
def known(store: SlaStore, write: Write, tmp_path: Path) -> Path:
    """Two products of which the second reads the first, known since two days ago."""
    write(MANIFEST.replace("NAME", "up").replace("INPUT", "{path: a.csv}"), folder="up")
    write(MANIFEST.replace("NAME", "down").replace("INPUT", "{product: test.up}"), folder="down")
    assert monitor.sync(store, tmp_path, None, NOW - timedelta(days=2)) == 2
    return tmp_path


def publish(catalog: Catalog, product: str, at: datetime, run: str = "r1", **more: Any) -> None:
    with catalog.transaction() as connection:
        key = {"product_id": f"test.{product}", "run_id": run}
        connection.execute(sa.insert(tables.runs).values(
            **key, version="1.0.0", state="success", started_at=at - timedelta(minutes=2), finished_at=at))  # fmt: skip
        connection.execute(sa.insert(tables.publications).values(
            **key, output="things", version="1.0.0", kind="delta", location="x", revision=run, rows=more.get("rows", 9), published_at=at))  # fmt: skip
        connection.execute(sa.insert(tables.validations).values(
            **key, output="things", success=True, rows=9, quarantined=0, checks=1, failed=0, warned=0, score=100.0,
            dimensions={"validity": 100.0}, results=[], gx=[], validated_at=at))  # fmt: skip
        connection.execute(
            sa.insert(tables.column_metrics).values(
                **key, output="things", column_name="id", nulls=0, distinct_values=9
            )
        )


def events(catalog: Catalog) -> list[tuple[str, str, str]]:
    return [(row["payload"]["product"], row["payload"]["promise"], row["kind"]) for row in Outbox(catalog).rows()]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    with slack() as found:
        extra = {"base_url": found.url, "timeout": 1}
        told = {"conn_type": "slack", "password": "xoxb-secret-token", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_DATAPRODUCTS_SLACK", json.dumps(told))
        yield found


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now
