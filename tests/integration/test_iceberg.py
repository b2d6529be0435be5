"""Iceberg tables as their readers find them, by PyIceberg alone."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from pyiceberg.catalog import load_catalog

from airflow_dataproducts import runtime
from airflow_dataproducts.engine.connections import ConnectionInfo
from airflow_dataproducts.engine.targets.iceberg_catalog import open_catalog
from airflow_dataproducts.exceptions import ConfigurationError, PublishError
from tests.integration.conftest import info_of
from tests.integration.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg
    from pyiceberg.table import Table

    Write = Callable[..., Path]

ORDERS = """
apiVersion: dataproducts/v1
kind: DataProduct
name: orders
domain: test
version: 1.0.0
description: Orders in Iceberg.
owner: {team: core}
schedule: manual
inputs:
  orders: {connection: db, table: orders, cursor: id}
outputs:
  orders:
    description: All orders.
    publish: {to: iceberg, connection: CATALOG, table: mart.orders, mode: MODE, partition_by: [country]}
    contract:
      primary_key: [id]
      columns:
        - {name: id, type: bigint, description: Number}
        - {name: country, type: string}
        - {name: amount, type: "decimal(20,2)"}
        - {name: placed, type: timestamptz}
        - {name: local, type: timestamp}
        - {name: day, type: date}
        - {name: token, type: uuid}
        - {name: facts, type: json}
        - {name: share, type: double}
        - {name: tags, type: "array<string>"}
"""
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def site(tmp_path: Path, write: Write, database: psycopg.Connection) -> Iterator[Callable[..., Home]]:
    database.execute(
        "CREATE TABLE orders (id bigint, country text, amount numeric(20,2), placed timestamptz, local timestamp, day date, "
        "token uuid, facts jsonb, share double precision, tags text[])"
    )
    database.execute(
        "INSERT INTO orders SELECT i, CASE i % 3 WHEN 0 THEN 'DE' WHEN 1 THEN 'FR' END, 123456789012345678.90 + i, "
        "'2026-01-01 12:00+00', '2026-01-01 12:00', '2026-01-01', 'aaaaaaaa-0000-0000-0000-000000000000', '{\"a\": 1}', 0.5, '{x,y}' "
        "FROM generate_series(1, 6) AS t(i)"
    )
    homes = []

    def make(mode: str = "append", catalog: str = "ice") -> Home:
        text = ORDERS.replace("MODE", mode).replace("CATALOG", catalog)
        infos = info_of(database), ConnectionInfo("ice", "sqlite", host=str(tmp_path / "catalog.db"))
        homes.append(Home(tmp_path / "home", write(text, folder="p"), *infos))
        return homes[-1]

    yield make
    for home in homes:
        home.close()


def table_in(home: Home) -> Table:
    (uri,) = (f"sqlite:///{info.host}" for info in home.infos if info.id == "ice")
    return load_catalog("ice", type="sql", uri=uri).load_table("mart.orders")


def test_what_other_readers_see(site: Callable[..., Home]) -> None:
    home = site()
    assert home.run("r1") == {"orders": 6}
    table = table_in(home)
    rows = table.scan().to_arrow().sort_by("id").to_pylist()
    assert rows[0] == {
        "id": 1, "country": "FR", "amount": Decimal("123456789012345679.90"), "placed": NOON, "local": NOON.replace(tzinfo=None),
        "day": NOON.date(), "token": "aaaaaaaa-0000-0000-0000-000000000000", "facts": '{"a":1}', "share": 0.5, "tags": ["x", "y"],
    } or rows[0]["facts"] == '{"a": 1}'  # fmt: skip
    assert [row["country"] for row in rows] == ["FR", None, "DE"] * 2
    assert len(list(table.scan(row_filter="country = 'DE'").plan_files())) == 1, "the others are not even opened"
    assert table.schema().find_field("id").doc == "Number"
    assert table.properties["comment"] == "All orders."
    current = table.current_snapshot()
    assert current is not None
    assert current.summary is not None
    assert current.summary["dataproducts.run-id"] == "r1"


def test_only_the_new_rows_come_and_files_are_written_once(
    site: Callable[..., Home], database: psycopg.Connection
) -> None:
    home = site()
    home.run("r1")
    before = {file.file.file_path for file in table_in(home).scan().plan_files()}
    database.execute("INSERT INTO orders (id, country) VALUES (7, 'DE')")
    assert home.run("r2") == {"orders": 7}
    after = {file.file.file_path for file in table_in(home).scan().plan_files()}
    assert before < after
    assert len(after - before) == 1
    run = home.open("r3")
    (step,) = run.plan.publications
    first, second = reversed(runtime.versions(run, step))
    assert (first.rows, second.rows, second.state) == (6, 7, "current")
    runtime.rollback(run)
    assert table_in(home).scan().count() == 6
    assert home.run("r2") == {"orders": 7}, "what was taken back can be published again"


def test_the_contract_grows_and_shrinks(site: Callable[..., Home]) -> None:
    home = site("replace")
    home.run("r1")
    text = home.manifest.read_text()
    home.manifest.write_text(text.replace("- {name: share, type: double}", "- {name: more, type: string}").replace(
        "inputs:\n  orders: {connection: db, table: orders, cursor: id}",
        "inputs:\n  orders: {connection: db, query: 'SELECT *, share::text AS more FROM orders'}",
    ))  # fmt: skip
    home.run("r2")
    table = table_in(home)
    assert "more" in table.schema().column_names
    assert "share" not in table.schema().column_names
    first = table.metadata.snapshots[0].snapshot_id
    old = table.scan(snapshot_id=first).to_arrow()
    assert old["share"].to_pylist() == [0.5] * 6, "the old version is as it was"
    home.manifest.write_text(home.manifest.read_text().replace("{name: day, type: date}", "{name: day, type: string}"))
    with pytest.raises(PublishError, match="Iceberg does not change the table's columns to the contract's"):
        home.run("r3")


def test_partitions_change_with_a_full_run_only(site: Callable[..., Home]) -> None:
    home = site()
    home.run("r1")
    home.manifest.write_text(home.manifest.read_text().replace("[country]", "[day]"))
    with pytest.raises(PublishError, match="run it with --full"):
        home.run("r2")
    home.run("r3", runtime.Options(full=True))
    assert table_in(home).scan().count() == 6


def test_a_catalog_in_postgresql(site: Callable[..., Home]) -> None:
    home = site(catalog="db")
    assert home.run("r1") == {"orders": 6}
    assert home.run("r1") == {"orders": 6}


def test_nobody_wrote_the_rows_of_others(site: Callable[..., Home]) -> None:
    """Rows that another engine has added or deleted are seen as it meant them."""
    home = site("merge")
    home.run("r1")
    table_in(home).delete("id = 3")
    run = home.open("r2")
    current = run.target(run.plan.publications[0]).current(("id",))
    assert current is not None
    assert sorted(current.to_table()["id"].to_pylist()) == [1, 2, 4, 5, 6]
    home.run("r2", runtime.Options(full=True))
    assert table_in(home).scan().count() == 6


def test_a_connection_that_is_no_catalog() -> None:
    with pytest.raises(ConfigurationError, match="connection web is of type 'http'; an Iceberg catalog's is"):
        open_catalog(ConnectionInfo("web", "http", host="x"))


def test_a_rest_catalog_is_asked_where_the_connection_says() -> None:
    from airflow_dataproducts.engine.targets.iceberg_catalog import _address

    info = ConnectionInfo("ice", "iceberg", host="http://127.0.0.1", port=8181, login="me", password="secret")
    assert _address(info) == {"type": "rest", "uri": "http://127.0.0.1:8181", "credential": "me:secret"}
