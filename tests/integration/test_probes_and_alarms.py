"""Probes that look as consumers do, and what is told when the watching itself goes wrong."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from airflow_dataproducts.catalog import tables
from airflow_dataproducts.catalog import tables_sla as sla
from airflow_dataproducts.catalog.alarms import alarms
from airflow_dataproducts.catalog.outbox import Outbox
from airflow_dataproducts.catalog.sla import SlaStore
from airflow_dataproducts.notifications import channel
from airflow_dataproducts.runtime import monitor, probing, sending
from airflow_dataproducts.sla.maintenance import in_maintenance
from tests.integration.conftest import KnownConnections, info_of
from tests.integration.home import Home
from tests.integration.watching import NOW, Clock, publish

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from airflow_dataproducts.catalog.store import Catalog
    from demo.slack import Slack
    from tests.integration.watching import Write


PROBED = """
apiVersion: dataproducts/v1
kind: DataProduct
name: probed
domain: test
version: 1.0.0
description: Things.
owner: {team: core}
schedule: manual
inputs: {things: {path: things.csv}}
outputs:
  things:
    publish: PUBLISH
    contract: {columns: [{name: id, type: bigint}]}
sla:
  availability: {target: 90%, maintenance: [{cron: "0 2 * * 0", duration: 2h}]}
  latency: [{name: count, query: "SELECT count(*) FROM things WHERE id > 0", p95: 1h}, {name: slow, query: "SELECT 1 FROM things", p95: 0.00001s}]
"""


@pytest.mark.parametrize(
    ("to", "lost"),
    [
        ("{to: delta}", "*"),
        ("{to: delta}", "**/*.parquet"),
        ("{to: parquet}", "**/*.parquet"),
        ("{to: postgres, connection: db, table: mart.things}", None),
    ],
)
def test_outputs_are_probed_as_consumers_read_them(
    tmp_path: Path, write: Write, database: psycopg.Connection, to: str, lost: str | None
) -> None:
    home = Home(
        tmp_path / "home",
        write(
            PROBED.replace("PUBLISH", to),
            folder="p",
        ),
        info_of(database),
    )
    (home.manifest.parent / "things.csv").write_text("id\n1\n2\n")
    run = home.open("r1")
    store = SlaStore(run.catalog)
    monitor.sync(store, home.manifest.parent, None, NOW)

    def probe(minutes: int) -> int:
        return probing.probe_due((run.catalog, store), run.settings, run.connections, NOW + timedelta(minutes=minutes))

    assert probe(0) == 0, "nothing is published yet"
    home.run("r1")
    assert (probe(0), probe(4), probe(5)) == (3, 0, 3), "each five minutes"
    monitor.tick(store, NOW + timedelta(minutes=6))
    states = {each.promise: (each.state, each.actual) for each in store.status()}
    assert states["availability"] == ("ok", "100%, 2 of 2 probes")
    assert states["latency.count"][0] == "ok"
    assert states["latency.slow"][0] == "breached"
    if lost is None:
        database.execute("DROP SCHEMA mart CASCADE")
    else:
        for path in list((home.data / "probed").glob(lost)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    probe(10)
    monitor.tick(store, NOW + timedelta(minutes=11))
    found = {each.promise: each for each in store.status()}["availability"]
    assert (found.state, found.actual) == ("breached", "66.66%, 2 of 3 probes")
    sunday = datetime(2026, 6, 14, 2, 30, tzinfo=UTC)
    assert probing.probe_due((run.catalog, store), run.settings, run.connections, sunday) == 2, (
        "maintenance: latency alone"
    )
    home.close()


@pytest.mark.parametrize(("now", "within"), [("02:00", True), ("03:59", True), ("04:00", False), ("01:59", False)])
def test_planned_maintenance(now: str, within: bool) -> None:
    assert in_maintenance([("0 2 * * 0", 7200.0)], datetime.fromisoformat(f"2026-06-14T{now}+00:00")) is within


def test_a_probe_that_cannot_be_made_says_nothing_of_the_product(tmp_path: Path, write: Write) -> None:
    """A connection that is missing here is the checker's trouble; consumers have their own."""
    home = Home(tmp_path / "home", write(PROBED.replace("PUBLISH", "{to: delta}"), folder="p"))
    (home.manifest.parent / "things.csv").write_text("id\n1\n")
    home.run("r1")
    run = home.open("r2")
    store, nowhere = SlaStore(run.catalog), KnownConnections()
    monitor.sync(store, home.manifest.parent, None, NOW)
    place = tables.publications.c
    with run.catalog.transaction() as connection:
        was = connection.execute(sa.select(place.kind, place.location, place.connection)).one()
        connection.execute(
            sa.update(tables.publications).values(kind="postgres", location="mart.things", connection="gone")
        )
    for minutes in (0, 5):
        assert probing.probe_due((run.catalog, store), run.settings, nowhere, NOW + timedelta(minutes=minutes)) == 3
    monitor.tick(store, NOW + timedelta(minutes=6))
    states = {each.promise: each.state for each in store.status()}
    assert states["availability"] == "unknown"
    assert store.incidents(only_open=True) == []
    found = alarms(run.catalog, NOW + timedelta(minutes=6))
    assert {(each.kind, each.since) for each in found} == {("checker broken", NOW)}
    assert "test.probed, availability cannot be probed: " in found[0].text
    assert "gone" in found[0].text
    with run.catalog.transaction() as connection:
        connection.execute(sa.update(tables.publications).values(**was._mapping))
    probing.probe_due((run.catalog, store), run.settings, run.connections, NOW + timedelta(minutes=10))
    assert alarms(run.catalog, NOW + timedelta(minutes=10)) == []
    home.close()


def test_a_product_that_cannot_be_judged_keeps_no_other_from_it(catalog: Catalog, store: SlaStore, known: Path) -> None:
    broken = sa.update(sla.sla_products).where(sla.sla_products.c.product_id == "test.up")
    with catalog.transaction() as connection:
        spec = connection.execute(
            sa.select(sla.sla_products.c.spec).where(sla.sla_products.c.product_id == "test.up")
        ).scalar_one()
        wrong = [{**each, "kind": "of a later release"} for each in spec["promises"]]
        connection.execute(broken.values(spec={**spec, "promises": wrong}))
    monitor.tick(store, NOW)
    assert {each.product for each in store.incidents(only_open=True)} == {"test.down"}
    (alarm,) = alarms(catalog, NOW)
    assert (alarm.kind, alarm.text) == ("checker broken", "test.up cannot be judged: KeyError")
    with catalog.transaction() as connection:
        connection.execute(broken.values(spec=spec))
    monitor.tick(store, NOW + timedelta(minutes=1))
    assert alarms(catalog, NOW + timedelta(minutes=1)) == []
    assert {each.product for each in store.incidents(only_open=True)} == {"test.up", "test.down"}


def test_a_monitor_that_is_silent_is_an_alarm(catalog: Catalog, store: SlaStore, known: Path) -> None:
    assert alarms(catalog, NOW) == [], "nothing has run"
    publish(catalog, "up", NOW)
    (never,) = alarms(catalog, NOW + timedelta(minutes=6))
    assert never.kind == "monitor silent"
    monitor.tick(store, NOW + timedelta(minutes=7))
    assert alarms(catalog, NOW + timedelta(minutes=11)) == []
    (silent,) = alarms(catalog, NOW + timedelta(minutes=20))
    assert (silent.text, silent.since) == (
        "promises have not been judged for 13m: is the scheduler at work?", NOW + timedelta(minutes=7),
    )  # fmt: skip


def test_messages_that_were_given_up_are_an_alarm(
    catalog: Catalog, store: SlaStore, known: Path, server: Slack
) -> None:
    server.refuses = "invalid_auth"
    clock = Clock()
    monitor.tick(store, clock.now)
    sending.flush(Outbox(catalog), channel, clock, timedelta(hours=1))
    assert alarms(catalog, clock.now) == []
    clock.now += timedelta(hours=2)
    monitor.tick(store, clock.now)
    sending.flush(Outbox(catalog), channel, clock, timedelta(hours=1))
    found = {each.kind: each.text for each in alarms(catalog, clock.now)}
    assert (
        "by slack could not be delivered: Slack answered 200 invalid_auth to chat.postMessage"
        in found["message undelivered"]
    )
    assert "xoxb" not in str(found)
    assert [each.kind for each in alarms(catalog, clock.now + timedelta(days=8))] == ["monitor silent"], "not for ever"
