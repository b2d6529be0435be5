"""Promises judged without waiting: spellings, verdicts, causes, incidents, budgets, messages."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from airflow_dataproducts.alerts import messages, plain, slack
from airflow_dataproducts.manifest.sla import Sla
from airflow_dataproducts.notifications import links
from airflow_dataproducts.plan import load_plan
from airflow_dataproducts.sla.budgets import allowed_of, budget
from airflow_dataproducts.sla.causes import Cause, cause_of
from airflow_dataproducts.sla.facts import Facts, LastRun, Probes, Shown
from airflow_dataproducts.sla.histogram import bucket, quantile
from airflow_dataproducts.sla.incidents import Event, details, go_on, opened, resolved
from airflow_dataproducts.sla.promises import Promise, promises_of
from airflow_dataproducts.sla.verdicts import Verdict, duration, excess, judge, share

if TYPE_CHECKING:
    from collections.abc import Callable

    Write = Callable[..., Path]

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
HOUR = 3600.0


def promise(kind: str = "freshness", **more: Any) -> Promise:
    fields = {"target": 4 * HOUR, "breach": 6 * HOUR, "output": "orders", **more}
    return Promise("sales.orders", kind, kind, "high", "as promised", **fields)


def facts(hours: float | None = None, **more: Any) -> Facts:
    shown = {} if hours is None else {"orders": Shown(NOW - timedelta(hours=hours), "r1", 100)}
    return Facts(**{"known_since": NOW - timedelta(days=9), "shown": shown, **more})


@pytest.mark.parametrize(
    ("written", "path", "meaning"),
    [
        ({"freshness": "4 hours"}, "freshness.0.target", 4 * HOUR),
        ({"freshness": "< 4 hours"}, "freshness.0.target", 4 * HOUR),
        ({"freshness": "<= 24 hours"}, "freshness.0.target", 24 * HOUR),
        ({"freshness": {"profile": "1_hour", "events": "real_time"}}, "freshness.1.target", 60),
        ({"freshness": {"profile": "1_hour", "events": "real_time"}}, "freshness.0.output", "profile"),
        ({"freshness": {"max_age_hours": 24}}, "freshness.0.target", 24 * HOUR),
        ({"freshness_hours": 1}, "freshness.0.target", HOUR),
        ({"availability": "99.9%"}, "availability.target", 0.999),
        ({"availability_percent": 99.9}, "availability.target", 0.999),
        ({"availability": {"target": "99.9%", "measurement_window": "monthly"}}, "availability.window", 30 * 24 * HOUR),
        ({"freshness": {"metrics": [{"table": "customers", "target_latency": "4 hours", "breach_threshold": "6 hours",
          "measurement_frequency": "Every 30 minutes", "measurement_method": "max(updated_at)"}]}}, "freshness.0.every", 1800),
        ({"quality": {"description": "d", "metrics": [{"name": "completeness", "target": "99.5%", "breach_threshold": "98%"}]}},
         "completeness.0.breach", 0.98),
        ({"availability": {"target": "99.9%", "planned_maintenance": {"window": "Sunday 02:00-04:00 UTC"}}},
         "availability.maintenance.0.cron", "0 2 * * 0"),
        ({"performance": {"metrics": [{"query_type": "simple", "query": "SELECT 1", "target_latency_p95": "< 1 second"}]}},
         "latency.0.p95", 1),
        ({"slaProperties": [{"property": "latency", "value": 4, "unit": "d", "element": "orders.updated_at"}]}, "freshness.0.target", 96 * HOUR),
        ({"slaProperties": [{"property": "latency", "value": 4, "unit": "d", "element": "orders.updated_at"}]}, "freshness.0.column", "updated_at"),
        ({"sla_version": "1.0.0", "support": {}, "freshness": "1h"}, "freshness.0.target", HOUR),
    ],
)  # fmt: skip
def test_every_spelling_loads(written: dict[str, Any], path: str, meaning: Any) -> None:
    found: Any = Sla.model_validate(written)
    for part in path.split("."):
        found = found[int(part)] if part.isdigit() else getattr(found, part)
    plain_value = (
        found.total_seconds() if isinstance(found, timedelta) else float(found) if isinstance(meaning, float) else found
    )
    assert plain_value == pytest.approx(meaning)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"slaProperties": [{"property": "latency", "value": 4, "unit": "m"}]}, "minutes or months"),
        ({"freshness": {"target": "6h", "breach": "4h"}}, "breach is before target"),
        ({"completeness": {"target": "98%", "breach": "99%"}}, "breach is above target"),
        ({"landing": {"by": "06:00", "timezone": "Berlin"}}, "no IANA time zone"),
        (
            {"availability": {"target": "99%", "maintenance": [{"cron": "sunday", "duration": "2h"}]}},
            "no cron expression",
        ),
        ({"latency": {"query": "SELECT 1"}}, "give p95 or p99"),
        ({"volume": {}}, "promises nothing"),
        ({"freshness": "soon"}, "a duration is a number and a unit"),
    ],
)
def test_what_is_unclear_is_refused(written: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Sla.model_validate(written)


@pytest.mark.parametrize(
    ("hours", "state"), [(1, "ok"), (4, "ok"), (4.1, "at_risk"), (6, "at_risk"), (6.1, "breached"), (None, "breached")]
)
def test_freshness(hours: float | None, state: str) -> None:
    verdict = judge(promise(), facts(hours), NOW)
    assert verdict.state == state
    if state == "breached":
        assert verdict.since is not None
        assert verdict.since < NOW


def test_freshness_of_a_column_and_of_an_inputs_cursor() -> None:
    newest = {"updated_at": NOW - timedelta(hours=5)}
    shown = {"orders": Shown(NOW, "r1", 1, newest=newest)}
    assert judge(promise(column="updated_at"), facts(shown=shown), NOW).state == "at_risk"
    by_cursor = promise(column="changed", more={"inputs": ["raw"]})
    assert judge(by_cursor, facts(1, marks={"raw": NOW - timedelta(hours=7)}), NOW).state == "breached"


def test_what_will_be_late_is_at_risk() -> None:
    due_in_ten_minutes = facts(6 - 1 / 6, usual_seconds=1200)
    assert judge(promise(target=8 * HOUR, breach=6 * HOUR), due_in_ten_minutes, NOW).state == "at_risk"
    running = facts(5.9, usual_seconds=1200, run=LastRun("r2", "running", NOW - timedelta(minutes=18)))
    assert judge(promise(target=5.95 * HOUR), running, NOW).state == "ok", "it ends in two minutes, before six"


LANDING = {"by": "06:00", "timezone": "Europe/Berlin", "days": ["mon", "tue", "wed", "thu", "fri"], "holidays": ["2026-05-01"], "grace": 900.0}  # fmt: skip


@pytest.mark.parametrize(
    ("now", "published", "state"),
    [
        ("2026-06-10T04:14+00:00", "2026-06-09T05:00+02:00", "ok"),  # 06:14 in Berlin, within grace
        ("2026-06-10T04:16+00:00", "2026-06-09T05:00+02:00", "breached"),
        ("2026-06-10T04:16+00:00", "2026-06-10T00:30+02:00", "ok"),
        ("2026-06-13T12:00+00:00", "2026-06-12T05:00+02:00", "ok"),  # Saturday: Friday's counts
        ("2026-06-13T12:00+00:00", "2026-06-11T05:00+02:00", "breached"),
        ("2026-05-01T12:00+00:00", "2026-04-30T05:00+02:00", "ok"),  # a holiday
        ("2026-03-30T04:10+00:00", "2026-03-27T05:00+01:00", "ok"),  # clocks went forward on Sunday: 06:10 is 04:10 UTC
        ("2026-03-30T04:16+00:00", "2026-03-27T05:00+01:00", "breached"),
        ("2026-10-26T05:14+00:00", "2026-10-23T05:00+02:00", "ok"),  # and back: 06:14 is 05:14 UTC
        ("2026-10-26T05:16+00:00", "2026-10-23T05:00+02:00", "breached"),
    ],
)
def test_landing(now: str, published: str, state: str) -> None:
    moment = datetime.fromisoformat(now)
    shown = {"orders": Shown(datetime.fromisoformat(published), "r1", 1)}
    found = judge(promise("landing", more=LANDING), Facts(moment - timedelta(days=90), shown=shown), moment)
    assert found.state == state


def test_a_product_that_is_new_has_missed_nothing() -> None:
    young = Facts(NOW - timedelta(minutes=5))
    assert judge(promise("landing", more=LANDING), young, NOW).state == "ok"
    assert judge(promise(), young, NOW).state == "ok"
    never = Facts(NOW - timedelta(days=2))
    assert judge(promise("landing", more=LANDING), never, NOW).state == "breached"


def shown_with(**more: Any) -> Facts:
    return facts(shown={"orders": Shown(NOW, "r1", 100, checked=1000, **more)})


@pytest.mark.parametrize(
    ("kind", "found", "state"),
    [
        ("completeness", {"nulls": {"a": 10, "b": 0}}, "ok"),
        ("completeness", {"nulls": {"a": 30, "b": 0}}, "at_risk"),
        ("completeness", {"nulls": {"a": 90, "b": 10}}, "breached"),
        ("completeness", {"nulls": {"c": 900}}, "unknown"),
        ("accuracy", {"dimensions": {"validity": 97.9, "uniqueness": 100.0}}, "breached"),
        ("consistency", {"dimensions": {"consistency": 99.0}}, "at_risk"),
        ("consistency", {}, "unknown"),
    ],
)
def test_levels(kind: str, found: dict[str, Any], state: str) -> None:
    level = promise(kind, target=0.995, breach=0.98, output=None, more={"required": {"orders": ["a", "b"]}})
    assert judge(level, shown_with(**found), NOW).state == state


def test_volume_latency_availability_duration_and_drift() -> None:
    changed = promise("volume", more={"min": 10, "max": None, "max_change": 0.5})
    assert judge(changed, shown_with(rows_before=90), NOW).state == "ok"
    assert judge(changed, shown_with(rows_before=900), NOW).state == "breached"
    slow = promise("latency", more={"p95": 1.0, "query": "SELECT 1", "window": 60})
    assert judge(slow, facts(probes={"latency": Probes(9, 9, 0.5, 3.0)}), NOW).state == "ok"
    assert judge(slow, facts(probes={"latency": Probes(9, 9, 1.5, 3.0)}), NOW).state == "breached"
    assert judge(slow, facts(), NOW).state == "unknown"
    up = promise("availability", target=0.999, breach=0.99)
    assert judge(up, facts(probes={"availability": Probes(989, 1000)}), NOW).state == "breached"
    assert judge(up, facts(probes={"availability": Probes(1000, 1000)}), NOW).state == "ok"
    run = LastRun("r1", "running", NOW - timedelta(hours=7))
    assert judge(promise("duration"), facts(run=run), NOW).state == "breached"
    assert judge(promise("schema_drift"), facts(drift="orders.id became text"), NOW).state == "breached"


@pytest.mark.parametrize(
    ("known", "late", "kind"),
    [
        ({"paused": True}, {}, "paused"),
        ({}, {}, "never ran"),
        ({"run": LastRun("r", "failed", NOW, NOW, "extract.a", "no such table")}, {}, "own run failed"),
        ({"run": LastRun("r", "failed", NOW, NOW, "validate.a", "2 rows")}, {}, "blocked by quality gate"),
        ({"run": LastRun("r", "running", NOW)}, {}, "own run late"),
        ({"run": LastRun("r", "success", NOW, NOW)}, {}, "no run"),
        ({"run": LastRun("r", "success", NOW, NOW)}, {"up": ("top",)}, "upstream late"),
        ({"run": LastRun("r", "failed", NOW, NOW, "extract.a", "x")}, {"up": ("top",)}, "own run failed"),
    ],
)
def test_causes(known: dict[str, Any], late: dict[str, Any], kind: str) -> None:
    found = cause_of(promise(), facts(**known), late, NOW)
    assert found.kind == kind
    assert found.chain == (("up", "top") if kind == "upstream late" else ())
    assert cause_of(promise("accuracy"), facts(**known), late, NOW).kind == "data"


def an_incident(**more: Any) -> Any:
    verdict = Verdict("breached", "7h old", "w", since=NOW)
    made = promise(**more)
    return opened(made, "w", details(made, verdict, Cause("never ran", "no run")), NOW)


def test_an_incident_is_reminded_of_ever_less_often_and_escalated_once() -> None:
    incident, told = an_incident(), []
    for minutes in range(0, 72 * 60, 10):
        now = NOW + timedelta(minutes=minutes)
        incident, events = go_on(incident, incident.details, now, timedelta(hours=2))
        told += [(minutes / 60, event.kind) for event in events]
    assert told == [
        (1, "reminder"),
        (2, "escalated"),
        (5, "reminder"),
        (17, "reminder"),
        (41, "reminder"),
        (65, "reminder"),
    ]


@pytest.mark.parametrize(
    "more", [{"acknowledged_at": NOW}, {"muted_until": NOW + timedelta(days=9)}, {"root": "up.top"}]
)
def test_nothing_is_said_of_what_is_taken_on_muted_or_told_elsewhere(more: dict[str, Any]) -> None:
    incident = replace(an_incident(), **more)
    chain = ("up.top",) if "root" in more else ()
    told = details(promise(), Verdict("breached", "x"), Cause("upstream late" if chain else "never ran", "y", chain))
    assert go_on(incident, told, NOW + timedelta(hours=9), timedelta(hours=2))[1] == []
    if "acknowledged_at" not in more:
        assert resolved(incident, "1h old", NOW)[1] == []


def test_budgets() -> None:
    day = timedelta(days=1)
    found = budget([(NOW - 2 * day, NOW - 1 * day)], NOW - 30 * day, NOW, 30 * day, allowed=0.1)
    assert found.attainment == pytest.approx(29 / 30)
    assert found.spent == pytest.approx(1 / 3)
    assert found.burn_rate == 0
    assert budget([(NOW - day, NOW)], NOW - 30 * day, NOW, 30 * day, 0.1).burn_rate == pytest.approx(10)
    assert budget([], NOW, NOW, day).attainment is None
    assert allowed_of("availability", 0.999) == pytest.approx(0.001)
    assert (allowed_of("freshness", 3600.0), allowed_of("accuracy", 1.0)) == (0.01, 0.0001)


def test_percentiles_are_near() -> None:
    counted: dict[str, int] = {}
    for number in range(1, 1001):
        counted[bucket(number / 1000)] = counted.get(bucket(number / 1000), 0) + 1
    assert quantile(counted, 0.95) == pytest.approx(0.95, rel=0.06)
    assert quantile({}, 0.5) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "250ms"), (59, "59s"), (22_331, "6h 12m"), (90_061, "1d 1h"), (0, "0ms")]
)
def test_durations_are_read_by_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
    assert (share(0.99999), share(0.57)) == ("99.99%", "57%")


@pytest.mark.parametrize(
    ("kind", "measured", "limit", "text"),
    [
        ("freshness", 7 * HOUR, 6 * HOUR, "1h more than 6h"), ("duration", 61.0, 60.0, "1s more than 1m"),
        ("completeness", 0.97, 0.98, "1 points below 98%"), ("availability", 0.9985, 0.999, "0.05 points below 99.9%"),
        ("volume", 3.0, None, None), ("landing", 60.0, None, None),
    ],
)  # fmt: skip
def test_by_how_much_a_promise_is_broken(kind: str, measured: float, limit: float | None, text: str | None) -> None:
    assert excess(promise(kind, breach=limit), Verdict("breached", "", measured=measured)) == text


SPEC = {
    "version": "2.1.0", "owner": {"team": "sales", "email": "s@example.com", "on_call": "<@U1>"}, "alerts": {"slack": "#sales", "runbook": "https://wiki.example.com/orders"},
    "consumers": [{"team": "finance", "contact": "f@example.com"}], "promises": [], "upstream": [], "escalate_after": None,
}  # fmt: skip


def told(kind: str = "opened", **more: Any) -> dict[str, Any]:
    hour_ago = NOW - timedelta(hours=1)
    found = facts(7, run=LastRun("r1", "failed", hour_ago, hour_ago, "extract.a", "no such table"))
    fresh = replace(promise(), text="orders.updated_at at most 4h old")
    verdict = judge(fresh, found, NOW)
    incident = opened(fresh, verdict.window, details(fresh, verdict, cause_of(fresh, found, {}, NOW)), NOW)
    event = Event(kind, incident)  # type: ignore[arg-type]
    return {**messages.payload(event, SPEC, found, [incident], NOW), **more}


MORE: dict[str, Any] = {
    "others": ["published by 06:00 Europe/Berlin"], "rules": ["status is one of completed, pending: 3 of 1,000, such as shipped"],
    "cause": "upstream late", "why": "waits for crm.segments <- crm.customers", "chain": ["crm.segments", "crm.customers"],
    "cause_owner": {"team": "crm", "email": "crm@example.com"},
}  # fmt: skip
"""What a message says when there is more to say."""


def test_a_message_says_what_people_ask() -> None:
    made = slack.message(told(), {"DAG": "http://a/dags/sales.orders"}, "<@U1>")
    text = json.dumps(made)
    for part in (
        "at most 4h old",
        "7h old",
        "own run failed",
        "extract.a failed",
        "no such table",
        "finance (f@example.com)",
        "http://a/dags",
    ):
        assert part in text
    assert made["text"].startswith("<@U1> sales.orders@2.1.0 breaks its promise")
    assert "<@U1>" not in json.dumps(made["blocks"]), "only the top-level text pings"
    subject, body = plain.text(told(), {"DAG": "http://a"})
    assert "breaks its promise" in subject
    assert "Actual: 7h old" in body


def test_links_lead_to_the_run_its_log_the_catalog_and_the_runbook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow/")
    run = "http://airflow/dags/sales.orders/runs/scheduled__2026-06-10T00%3A00%3A00%2B00%3A00"
    catalog = "http://airflow/dataproducts/api/v1/products/sales.orders"
    assert links(told(run_id="scheduled__2026-06-10T00:00:00+00:00")) == {
        "DAG": "http://airflow/dags/sales.orders", "Run": run, "Log": f"{run}/tasks/extract.a", "Catalog": catalog,
        "Quality": f"{catalog}/quality", "Runbook": "https://wiki.example.com/orders",
    }  # fmt: skip
    assert links(messages.digest("opened", [told()], NOW)) == {}
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "")
    assert links(told(runbook=None)) == {}


@pytest.mark.parametrize("kind", ["opened", "resolved", "digest"])
def test_messages_are_what_they_were(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changed on purpose? DATAPRODUCTS_TEST_SNAPSHOTS=1 writes them anew; look at the difference."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow")
    payload = messages.digest("opened", [told() for _ in range(12)], NOW) if kind == "digest" else told(kind, **MORE)
    made = json.dumps(slack.message(payload, links(payload), "<@U1>"), indent=1, ensure_ascii=False) + "\n"
    kept = Path(__file__).parent / "snapshots" / f"slack_{kind}.json"
    if os.environ.get("DATAPRODUCTS_TEST_SNAPSHOTS"):
        kept.write_text(made)
    assert made == kept.read_text()


def test_only_the_first_message_pings() -> None:
    for kind in ("reminder", "resolved", "affects", "review"):
        assert "<@U1>" not in json.dumps(slack.message(told(kind), {}, "<@U1>"))
    assert slack.message(told("resolved"), {})["text"].startswith("RESOLVED")


def test_texts_ping_nobody_and_stay_within_slacks_limits() -> None:
    nasty = "<!channel> & <@U9> " * 500
    made = slack.message(told(promised=nasty, why=nasty, rules=["<!here>"] * 80), {}, None)
    text = json.dumps(made)
    assert "<!" not in text
    assert "<@" not in text
    assert len(made["blocks"]) <= slack.MOST_BLOCKS
    assert len(made["text"]) <= slack.MOST_TEXT
    for block in made["blocks"]:
        texts = [block["text"]] if "text" in block else block.get("fields") or block["elements"]
        assert len(block.get("fields", ())) <= 10
        assert all(len(each["text"]) <= slack.MOST_TEXT for each in texts)


def test_a_storm_is_one_message() -> None:
    many = messages.digest("opened", [told() for _ in range(500)], NOW)
    made = slack.message(many, {})
    assert made["text"] == "500 promises broken at once"
    assert len(made["blocks"]) <= slack.MOST_BLOCKS


def test_the_report_tells_the_story() -> None:
    incident = an_incident()
    rows = [{"sent_at": NOW, "kind": "opened", "channel": "slack", "address": "#sales", "payload": told()}]
    text = plain.report(incident, rows, NOW + timedelta(hours=2))
    for part in (
        "run r1, failed in extract.a",
        "last good publish 2026-06-10T05:00",
        "# Incident 0: sales.orders, freshness",
        "2h until now",
        "opened sent by slack to #sales",
        "- finance",
        "never ran: no run",
    ):
        assert part in text


def test_promises_of_the_full_manifest() -> None:
    product = load_plan(Path(__file__).parent / "manifests" / "full" / "product.yaml").product
    found = {each.name: each for each in promises_of(product)}
    assert found["freshness"].breach == 6 * HOUR
    assert found["landing"].more["timezone"] == "Europe/Berlin"
    assert json.dumps([each.to_dict() for each in found.values()])
    assert ZoneInfo(found["landing"].more["timezone"])
