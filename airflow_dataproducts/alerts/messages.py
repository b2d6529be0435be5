"""What a message about an incident says, as plain values that every channel puts into its own words."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.sla.budgets import WINDOW, budget_of
from airflow_dataproducts.sla.verdicts import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_dataproducts.sla.facts import Facts
    from airflow_dataproducts.sla.incidents import Event, Incident


_DETAILS = ("promised", "actual", "excess", "cause", "why", "chain", "part_of", "since", "output")


def payload(
    event: Event, spec: Mapping[str, Any], facts: Facts, past: Iterable[Incident], now: datetime
) -> dict[str, Any]:
    """Everything a message says.

    Args:
        event: what happened.
        spec: the product's specification.
        facts: what was observed of it.
        past: incidents of the same promise, this one included.
        now: the moment.
    """
    incident = event.incident
    incidents = list(past)
    promise: Mapping[str, Any] = next((each for each in spec["promises"] if each["name"] == incident.promise), {})
    left = budget_of((promise.get("kind", ""), promise.get("target")), incidents, facts.known_since, now)
    last = facts.last_publish
    return {
        "kind": event.kind, "product": incident.product, "version": spec["version"], "promise": incident.promise,
        "severity": incident.severity, "opened_at": incident.opened_at.isoformat(),
        "resolved_at": incident.resolved_at.isoformat() if incident.resolved_at else None, "at": now.isoformat(),
        **{name: incident.details.get(name) for name in _DETAILS},
        "owner": spec["owner"], "consumers": spec["consumers"], "last_publish": last.isoformat() if last else None,
        "run_id": facts.run.run_id if facts.run else None, "failed_task": facts.run.failed_task if facts.run else None,
        "runbook": spec["alerts"].get("runbook"),
        "budget": {"attainment": left.attainment, "spent": left.spent, "burn_rate": left.burn_rate, "days": WINDOW.days},
        "breaches": len(incidents),
    }  # fmt: skip


def digest(kind: str, payloads: list[dict[str, Any]], now: datetime) -> dict[str, Any]:
    """Many messages as one."""
    rows = [
        {name: each[name] for name in ("product", "promise", "severity", "promised", "actual", "why")}
        for each in payloads
    ]
    return {"kind": "digest", "of": kind, "count": len(rows), "rows": rows, "at": now.isoformat()}


def title(told: Mapping[str, Any]) -> str:
    """A message in a line: what a subject or notification shows."""
    if told["kind"] == "digest":
        word = "kept again" if told["of"] == "resolved" else "broken"
        return f"{told['count']} promises {word} at once"
    name = f"{told['product']}@{told['version']}"
    words = {
        "opened": f"{name} breaks its promise: {told['promised']}",
        "reminder": f"{name} still breaks its promise: {told['promised']}",
        "escalated": f"{name}: nobody has taken on that it breaks its promise: {told['promised']}",
        "resolved": f"RESOLVED {name} keeps its promise again: {told['promised']}",
        "also": f"{name} breaks another promise: {told['promised']}",
        "affects": f"{name} waits, too: {told['promised']}",
        "review": f"{name} has broken its promise {told['breaches']} times: {told['promised']}",
    }  # fmt: skip
    return words[told["kind"]]


def lines(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The facts of a message, as labels and texts."""
    if told["kind"] == "digest":
        return [(f"{row['product']} {row['promise']}", f"{row['promised']}; {row['actual']}") for row in told["rows"]]
    found = [
        ("Promised", told["promised"]),
        ("Actual", f"{told['actual']} ({told['excess']})" if told.get("excess") else told["actual"]),
        ("Severity", told["severity"]),
        ("Broken since", _when(told["since"] or told["opened_at"], told["at"])),
        ("Likely cause", f"{told['cause']}: {told['why']}" if told["why"] else told["cause"]),
        (
            "Last good publish",
            f"{_when(told['last_publish'], told['at'])}, which consumers still see"
            if told["last_publish"]
            else "never",
        ),
        ("Owner", _person(told["owner"])),
    ]
    if told.get("cause_owner"):
        found.append((f"Owner of {told['chain'][-1]}", _person(told["cause_owner"])))
    if told.get("others"):
        found.insert(2, ("Broken with it", "; ".join(told["others"])))
    if told["consumers"]:
        found.append(("Consumers affected", ", ".join(_consumer(each) for each in told["consumers"])))
    found += [("Failed rule", rule) for rule in told.get("rules", ())]
    left = told["budget"]
    if left["attainment"] is not None:
        found.append(
            (
                f"Error budget, {left['days']} days",
                f"kept {left['attainment']:.2%} of the time, {left['spent']:.0%} spent{_burning(left)}",
            )
        )
    return [(label, str(text)) for label, text in found if text]


def _burning(left: Mapping[str, Any]) -> str:
    """How fast a budget is being spent, where that is faster than it lasts."""
    return f", burning {left['burn_rate']:.0f} times too fast" if left["burn_rate"] >= 2 else ""  # noqa: PLR2004 - below it is as good as even


def _when(moment: str, now: str) -> str:
    """A moment as people read it."""
    then = datetime.fromisoformat(moment)
    ago = duration((datetime.fromisoformat(now) - then).total_seconds())
    return f"{then:%Y-%m-%d %H:%M} UTC, {ago} ago"


def _person(owner: Mapping[str, Any]) -> str:
    return ", ".join(str(owner[name]) for name in ("team", "email", "slack") if owner.get(name))


def _consumer(consumer: Mapping[str, Any]) -> str:
    contact = consumer.get("contact")
    return f"{consumer['team']} ({contact})" if contact else str(consumer["team"])
