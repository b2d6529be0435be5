"""What follows from a tick's events: the messages, and to whom each goes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from airflow_dataproducts.alerts.messages import digest, payload
from airflow_dataproducts.catalog.sla import Told, thread_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    from airflow_dataproducts.catalog.sla import Observed, SlaStore
    from airflow_dataproducts.sla.incidents import Event, Incident

STORM = 10
"""Messages of one kind to one place in one tick from which they become one."""
_EXPLAINED = 50
"""Products at most whose broken rules a tick asks the catalog for."""
_BY_DATA = ("blocked by quality gate", "data")
"""Causes that rules explain."""


def rules(store: SlaStore, events: list[Event], seen: Observed) -> Mapping[str, list[str]]:
    """The rules that data broke, of the first products whose incident that explains."""
    runs: dict[str, str] = {}
    for event in events:
        run = seen.facts[event.incident.product].run
        if event.kind == "opened" and event.incident.cause in _BY_DATA and run is not None and len(runs) < _EXPLAINED:
            runs[event.incident.product] = run.run_id
    return store.failed_rules(runs.items()) if runs else {}


def messages(events: list[Event], seen: Observed, now: datetime, rules: Mapping[str, list[str]]) -> list[Told]:
    """What is to be told, to whom; a storm becomes one message for each place."""
    past: dict[tuple[str, str], list[Incident]] = defaultdict(list)
    for incident in seen.incidents:
        past[incident.key].append(incident)
    threads, leads = _threads(events, seen), _leads(events)
    places: dict[tuple[str, str, str], list[Told]] = defaultdict(list)
    for event, others in leads:
        incident = event.incident
        spec = seen.specs[incident.product]
        same = [each for each in past[incident.key] if each.window != incident.window]
        told = {
            **payload(event, spec, seen.facts[incident.product], [*same, incident], now),
            "rules": rules.get(incident.product, []), "cause_owner": _owner_of_cause(incident, seen),
            "others": [each.incident.details["promised"] for each in others],
        }  # fmt: skip
        thread = threads.get((incident.root or "", incident.group), thread_of(incident))
        for channel, address in _addresses(event, spec, seen):
            own = f"{incident.product}|{incident.promise}|{incident.window}|{event.kind}|{event.number}|{channel}|{address}"
            message = Told(own[:500], thread, channel, address, event.kind, told)
            places[channel, address, event.kind].append(message)
    return [message for place, found in places.items() for message in _calmed(place, found, now)]


def _leads(events: list[Event]) -> list[tuple[Event, list[Event]]]:
    """The events that are messages of their own, each with what the same cause has broken at the same time."""
    found: list[tuple[Event, list[Event]]] = []
    leads: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        key = event.incident.product, event.incident.group
        if event.kind in {"also", "affects"} and key in leads:
            leads[key].append(event)
            continue
        others: list[Event] = []
        if event.kind in {"opened", "also", "affects"}:
            leads[key] = others
        found.append((event, others))
    return found


def _calmed(place: tuple[str, str, str], messages: list[Told], now: datetime) -> list[Told]:
    """A storm's messages as one."""
    if len(messages) <= STORM:
        return messages
    channel, address, kind = place
    whole, at = digest(kind, [dict(each.payload) for each in messages], now), now.isoformat()
    return [Told(f"digest|{kind}|{channel}|{address}|{at}", f"digest|{at}", channel, address, "digest", whole)]


def _owner_of_cause(incident: Incident, seen: Observed) -> Mapping[str, Any] | None:
    """Who answers for the product where it begins, where that is another one."""
    if incident.root in (None, incident.product):
        return None
    spec = seen.specs.get(incident.root)
    return None if spec is None else dict(spec["owner"])


def _threads(events: list[Event], seen: Observed) -> Mapping[tuple[str, str], str]:
    """The thread of each cause, by product and group: what is part of an incident is told where that one is."""
    known = [each for each in seen.incidents if each.resolved_at is None] + [event.incident for event in events]
    return {(each.product, each.group): thread_of(each) for each in reversed(known) if each.root is None}


def _addresses(event: Event, spec: Mapping[str, Any], seen: Observed) -> list[tuple[str, str]]:
    """The channels and places that hear of an event."""
    # What waits for another product is told where that one's incident is.
    alerts = seen.specs.get(event.incident.root or "", spec)["alerts"] if event.kind == "affects" else spec["alerts"]
    if event.kind == "escalated":
        return [("slack", alerts["escalate"]["to"])]
    found = [("slack", alerts["slack"])] if alerts.get("slack") else []
    if event.kind in {"affects", "also", "review"}:
        return found
    owner = spec["owner"]
    for also in alerts.get("also", ()):
        if also == "email":
            found += [("email", owner["email"])] if owner.get("email") else []
        else:
            found.append(("pagerduty", "") if also == "pagerduty" else ("notifier", also))
    return found
