"""Messages on real sockets: each comes once, in order, whatever happens between."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pagerduty
import pytest
import sqlalchemy as sa

from airflow_dataproducts.catalog.outbox import Outbox
from airflow_dataproducts.catalog.sla import SlaStore
from airflow_dataproducts.catalog.store import Catalog
from airflow_dataproducts.exceptions import CatalogError
from airflow_dataproducts.notifications import channel
from airflow_dataproducts.runtime import monitor, sending
from tests.integration import own_notifier
from tests.integration.dying import Calls
from tests.integration.kafka_brokers import CONTEXT
from tests.integration.pager import pager
from tests.integration.post_office import post_office
from tests.integration.watching import EXPIRE, MANIFEST, NOW, Clock, publish

if TYPE_CHECKING:
    from demo.slack import Slack
    from tests.integration.watching import Write


def test_messages_stand_in_one_thread(catalog: Catalog, store: SlaStore, known: Path, server: Slack) -> None:
    clock = Clock()
    monitor.tick(store, NOW)
    sending.flush(Outbox(catalog), channel, clock, EXPIRE)
    first = next(each for each in server.posted if "test.up@1.0.0 breaks" in each["text"] and "1h old" in each["text"])
    assert first["channel"] == "#things"
    assert first["text"].startswith("<@U1> ")
    for product in ("up", "down"):
        publish(catalog, product, NOW + timedelta(minutes=1))
    clock.now += timedelta(minutes=2)
    monitor.tick(store, clock.now)
    sending.flush(Outbox(catalog), channel, clock, EXPIRE)
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
        sending.flush(outbox, channel, clock, EXPIRE)
    rows = outbox.rows()
    assert all(row["sent_at"] for row in rows)
    order = [each["text"].removeprefix("<@U1> ").split(": ")[-1] + each["text"][:8] for each in server.posted]
    assert len(order) == len(set(order)) == len(rows), "each of them once"
    kinds = ["RESOLVED" in each["text"] for each in server.posted if "test.up" in each["text"]]
    assert kinds == [False, True], "open before resolved"


def test_two_monitors_and_two_senders_tell_once(catalog: Catalog, store: SlaStore, known: Path, server: Slack) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work(_number: int) -> None:
        try:
            monitor.tick(store, NOW)
        except CatalogError:  # SQLite's snapshot was taken over by the other
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
        list(pool.map(lambda _: sending.flush(Outbox(catalog), channel, Clock(), EXPIRE), range(4)))
    assert len(store.incidents()) == 4
    texts = [each["text"] for each in server.posted]
    assert len(texts) == len(set(texts)) == 2, "one for each cause"


def test_killed_between_sending_and_noting_it(catalog: Catalog, store: SlaStore, known: Path, server: Slack) -> None:
    """What was taken and not noted is sent again once its claim is over, never before."""
    monitor.tick(store, NOW)
    outbox, clock = Outbox(catalog), Clock()
    (message, *_) = outbox.waiting(NOW)
    assert outbox.claim(message.id, NOW, NOW + sending.CLAIMED)
    assert not outbox.claim(message.id, NOW, NOW + sending.CLAIMED)
    sending.flush(outbox, channel, clock, EXPIRE)
    assert message.id not in {row["id"] for row in outbox.rows() if row["sent_at"]}
    clock.now += timedelta(minutes=3)
    sending.flush(outbox, channel, clock, EXPIRE)
    assert all(row["sent_at"] for row in outbox.rows())


def test_what_nobody_takes_is_dead_after_days(catalog: Catalog, store: SlaStore, known: Path, server: Slack) -> None:
    server.refuses = "invalid_auth"
    clock = Clock()
    monitor.tick(store, NOW)
    for _ in range(2):
        sending.flush(Outbox(catalog), channel, clock, EXPIRE)
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
    assert sending.flush(Outbox(catalog), channel, Clock(), EXPIRE).sent == 2
    assert len(server.posted) == 2


def test_mail_and_notifiers_of_ones_own(
    store: SlaStore, catalog: Catalog, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_notifier.heard.clear()
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
        found = sending.flush(Outbox(catalog), channel, Clock(), EXPIRE)
    assert (found.sent, found.failed) == (2, 1)
    assert len(letters) == 1
    assert "To: core@example.com" in letters[0]
    assert "Subject: test.up@1.0.0 breaks its promise" in letters[0].replace("\r\n ", " ")
    (heard,) = own_notifier.heard
    assert (heard["incident"]["promise"], heard["incident"]["others"]) == ("freshness", ["published by 23:59 UTC"])
    errors = {row["error"] for row in Outbox(catalog).rows() if row["error"]}
    assert errors == {"the notifier nowhere.Such cannot be made: No module named 'nowhere'"}


def tick_and_die(database: str, at: int | None, report: str) -> None:
    """A tick and its sending in a process that kills itself at a Python call; without one it tells how many there are."""
    with Catalog(sa.URL.create("sqlite", database=database)) as catalog:
        store = SlaStore(catalog)
        store.heartbeat()
        with Calls(at) as calls:
            monitor.tick(store, NOW)
            sending.flush(Outbox(catalog), channel, Clock(), EXPIRE)
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
            sending.flush(Outbox(catalog), channel, clock, EXPIRE)
            rows = Outbox(catalog).rows()
        texts = [each["text"] for each in server.posted]
        assert len(rows) == len(set(texts)) == 2, number
        assert all(row["sent_at"] for row in rows)
        assert len(texts) <= 3, "one may have been on its way"
    assert killed > 8


def test_one_incident_is_one_alert_in_pagerduty(
    store: SlaStore, catalog: Catalog, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's own hook and PagerDuty's own client, to a server here."""
    write(
        MANIFEST.replace("NAME", "up")
        .replace("INPUT", "{path: a.csv}")
        .replace('slack: "#things"', "also: [pagerduty]"),
        folder="up",
    )
    monitor.sync(store, tmp_path, None, NOW - timedelta(days=2))
    monkeypatch.setenv(
        "AIRFLOW_CONN_PAGERDUTY_EVENTS_DEFAULT", json.dumps({"conn_type": "pagerduty_events", "password": "k" * 32})
    )
    with pager() as (address, taken):
        monkeypatch.setattr(pagerduty.EventsApiV2Client, "url", "")  # in place of what refuses addresses without https
        monkeypatch.setattr(pagerduty.EventsApiV2Client, "default_base_url", address)
        monitor.tick(store, NOW)
        assert sending.flush(Outbox(catalog), channel, Clock(), EXPIRE).sent == 1
        publish(catalog, "up", NOW + timedelta(minutes=1))
        monitor.tick(store, NOW + timedelta(minutes=2))
        clock = Clock()
        clock.now += timedelta(minutes=2)
        assert sending.flush(Outbox(catalog), channel, clock, EXPIRE).sent == 1
    opened, over = taken
    assert (opened["event_action"], over["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == over["dedup_key"]
    assert opened["routing_key"] == "k" * 32
    assert opened["payload"]["severity"] == "error"
    assert opened["payload"]["summary"].startswith("test.up@1.0.0 breaks its promise")
    assert "nothing published" in opened["payload"]["custom_details"]
