"""Messages as plain text and Markdown: for mail, for other notifiers, for reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataproducts.alerts.messages import lines, title

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from airflow_dataproducts.sla.incidents import Incident


def text(told: Mapping[str, Any], links: Mapping[str, str]) -> tuple[str, str]:
    """A message's subject and body."""
    body = [title(told), "", *(f"{label}: {value}" for label, value in lines(told))]
    body += ["", *(f"{label}: {address}" for label, address in links.items())] if links else []
    return title(told), "\n".join(body)


def report(incident: Incident, messages: Sequence[Mapping[str, Any]], now: datetime) -> str:
    """An incident's report in Markdown: what was promised, what happened when, what was told to whom.

    Args:
        incident: the incident.
        messages: its rows of the outbox, in order.
        now: the moment, for one that is not over.
    """
    from airflow_dataproducts.sla.verdicts import duration

    end = incident.resolved_at or now
    told = incident.details
    head = f"# Incident {incident.id}: {incident.product}, {incident.promise}\n"
    rows = [
        ("Promised", told.get("promised")), ("Actual", told.get("actual")), ("By", told.get("excess")), ("Severity", incident.severity), ("State", incident.state),
        ("Broken since", told.get("since") or incident.opened_at.isoformat()), ("Noticed", incident.opened_at.isoformat()),
        ("Lasted", duration((end - incident.opened_at).total_seconds()) + ("" if incident.resolved_at else " until now")),
        ("Cause", f"{told.get('cause')}: {told.get('why')}"), ("Chain", " <- ".join([incident.product, *(told.get("chain") or [])])),
    ]  # fmt: skip
    table = "\n".join(["| | |", "| --- | --- |", *(f"| {label} | {_cell(value)} |" for label, value in rows if value)])
    times = [
        (incident.opened_at, "noticed"), (incident.acknowledged_at, f"acknowledged by {incident.acknowledged_by}"),
        (incident.escalated_at, "escalated"), (incident.resolved_at, "resolved"),
    ]  # fmt: skip
    story = [(moment, what) for moment, what in times if moment is not None]
    story += [
        (each["sent_at"], f"{each['kind']} sent by {each['channel']} to {each['address']}")
        for each in messages
        if each["sent_at"]
    ]
    timeline = "\n".join(
        f"- {moment:%Y-%m-%d %H:%M:%S} UTC {what}" for moment, what in sorted(story, key=lambda each: each[0])
    )
    evidence = "\n".join(f"- {each}" for each in _evidence(messages)) or "none is kept"
    affected = messages[0]["payload"].get("consumers", []) if messages else []
    consumers = (
        "\n".join(f"- {each['team']} {each.get('contact') or ''}".rstrip() for each in affected) or "none are known"
    )
    spent = messages[-1]["payload"].get("budget") if messages else None
    budget = (
        f"kept {spent['attainment']:.2%} of {spent['days']} days, {spent['spent']:.0%} of the budget spent"
        if spent and spent["attainment"] is not None
        else "not known"
    )
    return f"{head}\n{table}\n\n## Timeline\n\n{timeline}\n\n## Evidence\n\n{evidence}\n\n## Consumers\n\n{consumers}\n\n## Error budget\n\n{budget}\n"


def _evidence(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What was known when people were told first: the run, its failed task, what consumers saw, and the rules that the data broke."""
    told: Mapping[str, Any] = messages[0]["payload"] if messages else {}
    if told.get("run_id"):
        yield f"run {told['run_id']}{f', failed in {task}' if (task := told.get('failed_task')) else ''}"
    if "last_publish" in told:
        yield f"last good publish {told['last_publish'] or 'never'}"
    yield from (f"failed rule {rule}" for rule in told.get("rules", ()))


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
