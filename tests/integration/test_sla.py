"""The monitor on real stores: what is broken is noted and told once, whatever happens between."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from airflow_dataproducts.catalog import tables
from airflow_dataproducts.catalog import tables_sla as t
from airflow_dataproducts.catalog.outbox import Outbox
from airflow_dataproducts.catalog.sla import SlaStore
from airflow_dataproducts.catalog.store import Catalog
from airflow_dataproducts.exceptions import CatalogError
from airflow_dataproducts.notifications import channel
from airflow_dataproducts.plan import load_plan
from airflow_dataproducts.runtime import monitor, sending
from tests.integration.watching import EXPIRE, MANIFEST, NOW, Clock, events, publish

if TYPE_CHECKING:
    from pathlib import Path

    from demo.slack import Slack
    from tests.integration.watching import Write


def test_a_product_that_never_ran_breaks_its_promises(catalog: Catalog, store: SlaStore, known: Path) -> None:
    found = monitor.tick(store, NOW, lambda product: product == "test.up")
    assert (found.products, found.promises) == (2, 12)
    states = {(each.product, each.promise): each.state for each in store.status()}
    assert states["test.up", "freshness"] == "breached"
    assert states["test.up", "accuracy"] == "unknown"
    incidents = {each.key: each for each in store.incidents(only_open=True)}
    assert incidents["test.up", "freshness"].cause == "paused"
    assert incidents["test.down", "freshness"].root == "test.up"
    assert ("test.up", "freshness", "opened") in events(catalog)
    assert ("test.down", "freshness", "affects") in events(catalog)
    before = events(catalog)
    monitor.tick(store, NOW + timedelta(minutes=1))
    assert events(catalog) == before, "told once"


def test_it_is_over_when_it_is_published(catalog: Catalog, store: SlaStore, known: Path) -> None:
    monitor.tick(store, NOW)
    for product in ("up", "down"):
        publish(catalog, product, NOW + timedelta(minutes=1))
    monitor.tick(store, NOW + timedelta(minutes=2))
    assert store.incidents(only_open=True) == []
    assert {each.state for each in store.status()} == {"ok"}
    kinds = [kind for product, promise, kind in events(catalog) if (product, promise) == ("test.up", "freshness")]
    assert kinds == ["opened", "resolved"]


def told_of(catalog: Catalog, product: str) -> list[tuple[str, str, list[str]]]:
    rows = [row for row in Outbox(catalog).rows() if row["payload"]["product"] == product]
    return [(row["kind"], row["payload"]["promise"], row["payload"]["others"]) for row in rows]


def test_what_one_cause_breaks_is_told_of_once(catalog: Catalog, store: SlaStore, known: Path) -> None:
    """A run that does not come breaks two promises at once, and a third one later; its coming mends all of them."""
    publish(catalog, "up", NOW - timedelta(minutes=90))
    now = NOW
    for _ in range(38):
        monitor.tick(store, now)
        now += timedelta(hours=1)
    broken = {each.promise: each for each in store.incidents("test.up", only_open=True)}
    assert set(broken) == {"freshness", "landing"}
    assert (broken["freshness"].root, broken["landing"].root) == (None, "test.up")
    assert broken["landing"].details["part_of"] == "freshness"
    first, *later = told_of(catalog, "test.up")
    assert first == ("opened", "freshness", [])
    assert ("also", "landing", []) in later
    assert not [each for each in later if each[:2] in {("opened", "landing"), ("reminder", "landing")}]
    threads = {
        row["thread"]
        for row in Outbox(catalog).rows()
        if row["payload"]["product"] == "test.up" and row["kind"] != "escalated"
    }
    assert len(threads) == 1
    publish(catalog, "up", now, run="r2")
    monitor.tick(store, now)
    assert store.incidents("test.up", only_open=True) == []
    assert [kind for kind, _, _ in told_of(catalog, "test.up")].count("resolved") == 1


def test_what_breaks_together_is_one_message(catalog: Catalog, store: SlaStore, known: Path) -> None:
    monitor.tick(store, NOW)
    assert told_of(catalog, "test.up") == [("opened", "freshness", ["published by 23:59 UTC"])]
    assert told_of(catalog, "test.down") == [("affects", "freshness", ["published by 23:59 UTC"])]
    (waits,) = [row["payload"] for row in Outbox(catalog).rows() if row["kind"] == "affects"]
    assert waits["cause_owner"]["email"] == "core@example.com"


def test_what_is_worse_is_told_aloud(
    catalog: Catalog, store: SlaStore, known: Path, write: Write, tmp_path: Path
) -> None:
    """A message about a promise of high severity does not swallow a critical one."""
    worse = (
        MANIFEST.replace("NAME", "up")
        .replace("INPUT", "{path: a.csv}")
        .replace('by: "23:59"', 'by: "23:59", severity: critical')
    )
    write(worse, folder="up")
    monitor.sync(store, tmp_path, None, NOW)
    monitor.tick(store, NOW)
    assert [(kind, promise) for kind, promise, _ in told_of(catalog, "test.up")] == [
        ("opened", "freshness"),
        ("opened", "landing"),
    ]


def test_a_promise_that_stays_broken_stands_for_itself(
    catalog: Catalog, store: SlaStore, known: Path, write: Write, tmp_path: Path
) -> None:
    """What was told with another that is over is reminded of by itself, and not announced anew."""
    monitor.tick(store, NOW)
    without = (
        MANIFEST.replace("NAME", "up")
        .replace("INPUT", "{path: a.csv}")
        .replace("freshness: {target: 1h, breach: 2h}, ", "")
    )
    write(without, folder="up")
    monitor.sync(store, tmp_path, None, NOW + timedelta(minutes=1))
    for minutes in (1, 2, 63):
        monitor.tick(store, NOW + timedelta(minutes=minutes))
    (left,) = store.incidents("test.up", only_open=True)
    assert (left.promise, left.root) == ("landing", None)
    assert [(kind, promise) for kind, promise, _ in told_of(catalog, "test.up")] == [
        ("opened", "freshness"), ("resolved", "freshness"), ("reminder", "landing"),
    ]  # fmt: skip


def test_three_breaches_in_a_month_call_for_a_review(catalog: Catalog, store: SlaStore, known: Path) -> None:
    now = NOW
    for number in range(3):
        publish(catalog, "up", now, run=f"r{number}")
        monitor.tick(store, now)
        now += timedelta(hours=3)
        monitor.tick(store, now)
    assert [
        kind
        for product, promise, kind in events(catalog)
        if (product, promise, kind) == ("test.up", "freshness", "review")
    ] == ["review"]


def test_acknowledged_and_muted(catalog: Catalog, store: SlaStore, known: Path) -> None:
    monitor.tick(store, NOW)
    first, second = (each for each in store.incidents(only_open=True) if each.product == "test.up")
    assert store.acknowledge(first.id, "me", NOW)
    assert store.mute(second.id, NOW + timedelta(days=1), "known")
    assert not store.acknowledge(10_000, "me", NOW)
    told = len(events(catalog))
    monitor.tick(store, NOW + timedelta(hours=5))
    assert [kind for _, _, kind in events(catalog)[told:]] == []
    again = {each.id: each for each in store.incidents()}
    assert (again[first.id].acknowledged_by, again[second.id].muted_why) == ("me", "known")


def test_a_manifest_that_goes_takes_its_incidents_with_it(store: SlaStore, known: Path) -> None:
    monitor.tick(store, NOW)
    (known / "up" / "product.yaml").unlink()
    (known / "down" / "product.yaml").write_text("a: [")
    monitor.sync(store, known, None, NOW)
    assert {each.product for each in store.incidents(only_open=True)} == {"test.down"}, (
        "broken manifests keep their promises"
    )


def test_a_promise_that_is_not_made_any_more_is_not_broken(catalog: Catalog, store: SlaStore, known: Path) -> None:
    monitor.tick(store, NOW)
    path = known / "up" / "product.yaml"
    path.write_text(path.read_text().replace("freshness: {target: 1h, breach: 2h}, ", ""))
    monitor.sync(store, known, None, NOW)
    monitor.tick(store, NOW + timedelta(minutes=1))
    assert ("test.up", "freshness") not in {each.key for each in store.incidents(only_open=True)}
    assert ("test.up", "freshness", "resolved") in events(catalog)


def test_what_waits_is_told_of_in_the_thread_of_what_it_waits_for(
    catalog: Catalog, store: SlaStore, known: Path
) -> None:
    publish(catalog, "up", NOW - timedelta(hours=2, minutes=1))
    publish(catalog, "down", NOW - timedelta(hours=2))
    monitor.tick(store, NOW + timedelta(minutes=1))
    threads = {
        row["payload"]["product"]: row["thread"]
        for row in Outbox(catalog).rows()
        if row["payload"]["promise"] == "freshness"
    }
    assert threads["test.down"] == threads["test.up"]


def test_a_schema_that_changes_within_a_version_is_told(catalog: Catalog, store: SlaStore, known: Path) -> None:
    path = known / "up" / "product.yaml"
    path.write_text(path.read_text().replace('landing: {by: "23:59"}', 'landing: {by: "23:59"}, schema_drift: {}'))
    catalog.run_started(load_plan(path, known), "r1")
    monitor.sync(store, known, None, NOW)
    monitor.tick(store, NOW)
    states = {each.key: each for each in store.status("test.up")}
    assert states["test.up", "schema_drift"].state == "ok"
    path.write_text(path.read_text().replace("type: bigint", "type: string"))
    monitor.sync(store, known, None, NOW)
    monitor.tick(store, NOW)
    found = {each.key: each for each in store.status("test.up")}["test.up", "schema_drift"]
    assert (found.state, found.actual) == ("breached", "things: +id string within one version")


def test_a_monitor_that_was_not_there_says_so_of_itself(store: SlaStore, known: Path) -> None:
    monitor.tick(store, NOW)
    assert store.heartbeat() == NOW
    monitor.tick(store, NOW + timedelta(hours=1))
    (own,) = store.incidents("")
    assert (own.cause, own.opened_at, own.state) == ("checker broken", NOW, "resolved")


def many(store: SlaStore, count: int) -> None:
    spec: dict[str, Any] = {
        "version": "1.0.0", "owner": {"team": "core"}, "alerts": {"slack": "#storm"}, "upstream": [], "escalate_after": None, "consumers": [],
        "review": {"breaches": 99, "within": 1.0},
    }  # fmt: skip

    def promises(product: str) -> list[dict[str, Any]]:
        base = {"product": product, "severity": "high", "text": "t", "target": 3600.0, "breach": 7200.0, "every": 60.0, "output": "things", "column": None, "more": {}}  # fmt: skip
        return [{**base, "name": f"p{number}", "kind": "freshness"} for number in range(6)]

    specs = {
        f"test.p{number}": (f"s:{number}", {**spec, "promises": promises(f"test.p{number}")}) for number in range(count)
    }
    store.sync(specs, {}, [], NOW - timedelta(days=1))


def test_a_tick_is_ten_statements_however_many_products(catalog: Catalog, store: SlaStore) -> None:
    many(store, 1000)
    with catalog.transaction() as connection:
        rows = [{"product_id": f"test.p{number}", "run_id": "r1", "output": "things", "version": "1.0.0", "kind": "delta", "location": "x",
                 "revision": "1", "rows": 1, "published_at": NOW - timedelta(hours=number % 3)} for number in range(1000)]  # fmt: skip
        connection.execute(sa.insert(tables.publications), rows)
    statements: list[str] = []
    engine = catalog._engine()
    sa.event.listen(engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: statements.append(statement))
    begun = time.process_time()
    found = monitor.tick(store, NOW + timedelta(minutes=1))
    cpu = time.process_time() - begun
    assert found.promises == 6000
    assert found.opened == 1998
    assert len(statements) <= 10, statements
    assert cpu < 10, "a loose bound for a busy machine; the benchmark has the figure"
    statements.clear()
    monitor.tick(store, NOW + timedelta(minutes=2))
    assert len(statements) <= 10


def test_a_storm_is_one_message_and_so_is_its_end(catalog: Catalog, store: SlaStore) -> None:
    many(store, 500)
    monitor.tick(store, NOW)
    (storm,) = Outbox(catalog).rows()
    assert (storm["kind"], storm["payload"]["count"]) == ("digest", 500)
    row = {
        "run_id": "r1",
        "output": "things",
        "version": "1.0.0",
        "kind": "delta",
        "location": "x",
        "revision": "1",
        "rows": 1,
    }
    with catalog.transaction() as connection:
        everywhere = [{**row, "product_id": f"test.p{number}", "published_at": NOW} for number in range(500)]
        connection.execute(sa.insert(tables.publications), everywhere)
    monitor.tick(store, NOW + timedelta(minutes=1))
    over = Outbox(catalog).rows()[1:]
    assert [(each["kind"], each["payload"]["of"], each["payload"]["count"]) for each in over] == [
        ("digest", "resolved", 500)
    ]


def test_a_catalog_that_is_down_for_ten_ticks(store: SlaStore, catalog: Catalog, known: Path, server: Slack) -> None:
    """Ticks fail, and the first one after them says what has happened meanwhile: once, and of the monitor apart."""
    publish(catalog, "up", NOW - timedelta(minutes=1))
    publish(catalog, "down", NOW - timedelta(minutes=1))
    monitor.tick(store, NOW)
    nowhere = SlaStore(
        Catalog(sa.URL.create("postgresql+psycopg", "nobody", host="127.0.0.1", port=1, database="none"))
    )
    for _ in range(10):
        with pytest.raises(CatalogError):
            monitor.tick(nowhere, NOW)
    clock = Clock()
    clock.now += timedelta(hours=3)
    monitor.tick(store, clock.now)
    sending.flush(Outbox(catalog), channel, clock, EXPIRE)
    (absence,) = store.incidents("")
    assert absence.cause == "checker broken"
    told = [each["text"] for each in server.posted]
    assert len([text for text in told if "test.up@1.0.0 breaks" in text]) == 1
    assert not [text for text in told if "monitor" in text]


def test_the_clock_goes_back_an_hour(catalog: Catalog, store: SlaStore, known: Path) -> None:
    monitor.tick(store, NOW)
    before = events(catalog)
    monitor.tick(store, NOW - timedelta(hours=1))
    monitor.tick(store, NOW)
    assert events(catalog) == before
    assert catalog.rows(t.incidents)
