"""The monitor on real stores, and Slack on a real socket: what is broken is told once, in order, whatever happens between."""

from __future__ import annotations

import json
import random
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
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
from airflow_dataproducts.runtime import monitor, probing, sending
from airflow_dataproducts.sla.maintenance import in_maintenance
from demo.slack import Slack, slack
from tests.integration import own_notifier
from tests.integration.conftest import info_of
from tests.integration.dying import Calls
from tests.integration.home import Home
from tests.integration.kafka_brokers import CONTEXT
from tests.integration.post_office import post_office

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    Write = Callable[..., Path]

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
    assert (storm["kind"], storm["payload"]["count"]) == ("digest", 3000)
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
        ("digest", "resolved", 3000)
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
    sending.flush(Outbox(catalog), channel, clock)
    (absence,) = store.incidents("")
    assert absence.cause == "checker broken"
    told = [each["text"] for each in server.posted]
    assert len([text for text in told if "test.up@1.0.0 breaks" in text]) == 1
    assert not [text for text in told if "monitor" in text]


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


def test_messages_stand_in_one_thread(catalog: Catalog, store: SlaStore, known: Path, server: Slack) -> None:
    clock = Clock()
    monitor.tick(store, NOW)
    sending.flush(Outbox(catalog), channel, clock)
    first = next(each for each in server.posted if "test.up@1.0.0 breaks" in each["text"] and "1h old" in each["text"])
    assert first["channel"] == "#things"
    assert first["text"].startswith("<@U1> ")
    for product in ("up", "down"):
        publish(catalog, product, NOW + timedelta(minutes=1))
    clock.now += timedelta(minutes=2)
    monitor.tick(store, clock.now)
    sending.flush(Outbox(catalog), channel, clock)
    over = [each for each in server.posted if each["text"].startswith("RESOLVED test.up")]
    assert over
    assert all(each["thread_ts"] for each in over)
    assert len(server.updated) == len(over), "the first message says that it is over, too"
    assert "secret" not in json.dumps([row["error"] for row in Outbox(catalog).rows()])


@pytest.mark.parametrize("ill", [[429] * 3, [500] * 3, [0], "invalid_auth"])
def test_slack_is_unwell_for_an_hour(
    catalog: Catalog, store: SlaStore, known: Path, server: Slack, ill: list[int] | str
) -> None:
    clock, outbox = Clock(), Outbox(catalog)
    if isinstance(ill, str):
        server.refuses = ill
    else:
        server.answers += ill
    monitor.tick(store, clock.now)
    for minute in range(120):
        clock.now = NOW + timedelta(minutes=minute)
        if minute == 30:
            publish(catalog, "up", clock.now)
            publish(catalog, "down", clock.now)
        if minute == 60:
            server.refuses = None
        monitor.tick(store, clock.now)
        sending.flush(outbox, channel, clock)
    rows = outbox.rows()
    assert all(row["sent_at"] for row in rows)
    order = [each["text"].removeprefix("<@U1> ").split(": ")[-1] + each["text"][:8] for each in server.posted]
    assert len(order) == len(set(order)) == len(rows), "each of them once"
    for promise in ("1h old", "23:59"):
        kinds = [
            ("RESOLVED" in text) for each in server.posted if promise in (text := each["text"]) and "test.up" in text
        ]
        assert kinds == sorted(kinds), "open before resolved"


def test_two_monitors_and_two_senders_tell_once(catalog: Catalog, store: SlaStore, known: Path, server: Slack) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work(_number: int) -> None:
        try:
            monitor.tick(store, NOW)
        except CatalogError:  # SQLite's snapshot was taken over by the other
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
        list(pool.map(lambda _: sending.flush(Outbox(catalog), channel, Clock()), range(4)))
    assert len(store.incidents()) == 4
    texts = [each["text"] for each in server.posted]
    assert len(texts) == len(set(texts)) == 4


def test_killed_between_sending_and_noting_it(catalog: Catalog, store: SlaStore, known: Path, server: Slack) -> None:
    """What was taken and not noted is sent again once its claim is over, never before."""
    monitor.tick(store, NOW)
    outbox, clock = Outbox(catalog), Clock()
    (message, *_) = outbox.waiting(NOW)
    assert outbox.claim(message.id, NOW, NOW + sending.CLAIMED)
    assert not outbox.claim(message.id, NOW, NOW + sending.CLAIMED)
    sending.flush(outbox, channel, clock)
    assert message.id not in {row["id"] for row in outbox.rows() if row["sent_at"]}
    clock.now += timedelta(minutes=3)
    sending.flush(outbox, channel, clock)
    assert all(row["sent_at"] for row in outbox.rows())


def test_what_nobody_takes_is_dead_after_days(catalog: Catalog, store: SlaStore, known: Path, server: Slack) -> None:
    server.refuses = "invalid_auth"
    clock = Clock()
    monitor.tick(store, NOW)
    for _ in range(2):
        sending.flush(Outbox(catalog), channel, clock)
        clock.now += timedelta(days=4)
    dead = Outbox(catalog).rows(only_dead=True)
    assert dead
    assert "invalid_auth" in dead[0]["error"]


def test_a_webhook_does_what_it_can(
    catalog: Catalog, store: SlaStore, known: Path, server: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"conn_type": "slackwebhook", "host": server.url.removesuffix("/api/"), "password": "/services/T0/B0/x"}
    monkeypatch.setenv("AIRFLOW_CONN_DATAPRODUCTS_SLACK", json.dumps(told))
    monitor.tick(store, NOW)
    assert sending.flush(Outbox(catalog), channel, Clock()).sent == 4
    assert len(server.posted) == 4


def test_the_clock_goes_back_an_hour(catalog: Catalog, store: SlaStore, known: Path) -> None:
    monitor.tick(store, NOW)
    before = events(catalog)
    monitor.tick(store, NOW - timedelta(hours=1))
    monitor.tick(store, NOW)
    assert events(catalog) == before
    assert catalog.rows(t.incidents)


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


@pytest.mark.parametrize("to", ["{to: delta}", "{to: postgres, connection: db, table: mart.things}"])
def test_outputs_are_probed_as_consumers_read_them(
    tmp_path: Path, write: Write, database: psycopg.Connection, to: str
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
    if "delta" in to:
        shutil.rmtree(home.data / "probed" / "things")
    else:
        database.execute("DROP SCHEMA mart CASCADE")
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


def test_mail_and_notifiers_of_ones_own(
    store: SlaStore, catalog: Catalog, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    also = "alerts: {also: [email, tests.integration.own_notifier.OwnNotifier, nowhere.Such]}"
    slack_only = MANIFEST[MANIFEST.index("alerts:") : MANIFEST.index("consumers:")].rstrip()
    write(MANIFEST.replace("NAME", "up").replace("INPUT", "{path: a.csv}").replace(slack_only, also), folder="up")
    monitor.sync(store, tmp_path, None, NOW - timedelta(days=2))
    monitor.tick(store, NOW)
    with post_office() as (port, letters):
        told = {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": port,
            "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "dp@example.com"},
        }
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(told))
        found = sending.flush(Outbox(catalog), channel, Clock())
    assert (found.sent, found.failed) == (4, 2)
    assert len(letters) == 2
    assert "To: core@example.com" in letters[0]
    assert "Subject: test.up@1.0.0 breaks its promise" in letters[0].replace("\r\n ", " ")
    assert {each["incident"]["promise"] for each in own_notifier.heard} == {"freshness", "landing"}
    errors = {row["error"] for row in Outbox(catalog).rows() if row["error"]}
    assert errors == {"the notifier nowhere.Such cannot be made: No module named 'nowhere'"}


def tick_and_die(database: str, at: int | None, report: str) -> None:
    """A tick and its sending in a process that kills itself at a Python call; without one it tells how many there are."""
    with Catalog(sa.URL.create("sqlite", database=database)) as catalog:
        store = SlaStore(catalog)
        store.heartbeat()
        with Calls(at) as calls:
            monitor.tick(store, NOW)
            sending.flush(Outbox(catalog), channel, Clock())
    Path(report).write_text(str(calls.count))


@pytest.mark.slow
def test_a_monitor_that_is_killed_anywhere_loses_nothing(tmp_path: Path, write: Write, server: Slack) -> None:
    """Between incident and message, between message and its note: every message comes, and twice at most where a kill fell between."""
    database, report, dice = tmp_path / "catalog.db", tmp_path / "calls", random.Random(3)
    for name, text in (("up", "{path: a.csv}"), ("down", "{product: test.up}")):
        write(MANIFEST.replace("NAME", name).replace("INPUT", text), folder=name)
    calls, killed = 0, 0
    for number in range(14):
        for file in tmp_path.glob("catalog.db*"):
            file.unlink()
        server.posted.clear()
        with Catalog(sa.URL.create("sqlite", database=str(database))) as catalog:
            monitor.sync(SlaStore(catalog), tmp_path, None, NOW - timedelta(days=2))
        at = dice.randint(1, calls) if calls else None
        process = CONTEXT.Process(target=tick_and_die, args=(str(database), at, str(report)))
        process.start()
        process.join(60)
        killed += process.exitcode == -9
        calls = calls or int(report.read_text())
        with Catalog(sa.URL.create("sqlite", database=str(database))) as catalog:
            clock = Clock()
            clock.now += sending.CLAIMED + timedelta(seconds=1)
            monitor.tick(SlaStore(catalog), NOW)
            sending.flush(Outbox(catalog), channel, clock)
            rows = Outbox(catalog).rows()
        texts = [each["text"] for each in server.posted]
        assert len(rows) == len(set(texts)) == 4, number
        assert all(row["sent_at"] for row in rows)
        assert len(texts) <= 5, "one may have been on its way"
    assert killed > 8
