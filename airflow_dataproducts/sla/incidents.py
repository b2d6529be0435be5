"""Broken promises over time: one incident for each, from open to resolved, as pure steps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataproducts.manifest.base import Severity
from airflow_dataproducts.sla.promises import TIMELY
from airflow_dataproducts.sla.verdicts import excess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataproducts.sla.causes import Cause
    from airflow_dataproducts.sla.promises import Promise
    from airflow_dataproducts.sla.verdicts import Verdict

EventKind = Literal["opened", "reminder", "escalated", "resolved", "affects", "also", "review"]
_BY_SEVERITY = list(Severity)
GAPS = (timedelta(hours=1), timedelta(hours=4), timedelta(hours=12), timedelta(days=1))
"""Between reminders; the last one goes on."""


@dataclass(frozen=True, slots=True)
class Incident:
    """A broken promise.

    Attributes:
        id: the catalog's; 0 while it is new.
        product: the product.
        promise: the promise's name.
        window: what was broken, so that one breach is one incident.
        severity: of the promise.
        opened_at: when it was noticed.
        cause: its kind.
        root: the product whose incident this one is part of, which may be its own; None where it stands for itself.
        acknowledged_at: when somebody took it on; None before that.
        acknowledged_by: who.
        resolved_at: when the promise was kept again; None before that.
        reminders: how many were sent.
        reminded_at: when the last one was.
        escalated_at: when others were told; None before that.
        muted_until: nothing is sent before.
        muted_why: the reason given.
        details: what messages say: promised, actual, cause and the like.
    """

    id: int
    product: str
    promise: str
    window: str
    severity: str
    opened_at: datetime
    cause: str = ""
    root: str | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    reminders: int = 0
    reminded_at: datetime | None = None
    escalated_at: datetime | None = None
    muted_until: datetime | None = None
    muted_why: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """Product and promise: there is one open incident of each."""
        return self.product, self.promise

    @property
    def state(self) -> str:
        """open, acknowledged or resolved."""
        return "resolved" if self.resolved_at else "acknowledged" if self.acknowledged_at else "open"

    @property
    def begun_at(self) -> datetime:
        """Since when the promise is broken, which may be before that was noticed."""
        since = self.details.get("since")
        return min(datetime.fromisoformat(since), self.opened_at) if since else self.opened_at

    @property
    def group(self) -> str:
        """What incidents of one product with one cause have in common: that no run came, or one version's data."""
        return cause_group(str(self.details.get("kind")), self.window)

    def covers(self, severity: str) -> bool:
        """Whether who was told of this one need not be called again for another of that severity and the same cause."""
        return _BY_SEVERITY.index(Severity(self.severity)) <= _BY_SEVERITY.index(Severity(severity))

    def is_muted(self, now: datetime) -> bool:
        """Whether nothing is to be sent about it."""
        return self.muted_until is not None and now < self.muted_until


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell about an incident.

    Attributes:
        kind: what happened.
        incident: the incident as it is now.
        number: which of its kind, from 1.
    """

    kind: EventKind
    incident: Incident
    number: int = 1


def cause_group(kind: str, window: str) -> str:
    """What the incidents of a product have in common when they have one cause.

    Args:
        kind: the promise's.
        window: what the verdict is about.
    """
    return "late" if kind in TIMELY else window


def opened(promise: Promise, window: str, told: Mapping[str, Any], now: datetime) -> Incident:
    """A new incident.

    Args:
        promise: what is broken.
        window: what the verdict is about.
        told: its details.
        now: the moment.
    """
    return Incident(
        0, promise.product, promise.name, window, promise.severity, now, str(told["cause"]), _root(promise.product, told), details=told
    )  # fmt: skip


def details(promise: Promise, verdict: Verdict, cause: Cause, part_of: str | None = None) -> dict[str, Any]:
    """What messages say of an incident.

    Args:
        promise: what is broken.
        verdict: by how much.
        cause: why.
        part_of: another promise of the product whose incident has the same cause.
    """
    return {
        "promised": promise.text, "actual": verdict.actual, "excess": excess(promise, verdict), "kind": promise.kind,
        "cause": cause.kind, "why": cause.text, "chain": list(cause.chain), "part_of": part_of,
        "since": verdict.since.isoformat() if verdict.since else None, "output": promise.output,
    }  # fmt: skip


def go_on(
    incident: Incident, told: Mapping[str, Any], now: datetime, escalate_after: timedelta | None
) -> tuple[Incident, list[Event]]:
    """An open incident whose promise is still broken: perhaps reminded of, perhaps escalated.

    Args:
        incident: the incident.
        told: its newest details.
        now: the moment.
        escalate_after: how long it may stay open unnoticed; None for ever.
    """
    cause, root = str(told["cause"]), _root(incident.product, told)
    # The cause may become known later; what is told stays the same otherwise, or each tick would write every row.
    found = (
        incident
        if (incident.cause, incident.root) == (cause, root)
        else replace(incident, cause=cause, root=root, details=told)
    )
    if found.is_muted(now) or found.acknowledged_at is not None or found.root is not None:
        return found, []
    events = []
    if escalate_after is not None and found.escalated_at is None and now - found.opened_at >= escalate_after:
        found = replace(found, escalated_at=now, details=told)
        events.append(Event("escalated", found))
    gap = GAPS[min(found.reminders, len(GAPS) - 1)]
    if now - (found.reminded_at or found.opened_at) >= gap:
        found = replace(found, reminders=found.reminders + 1, reminded_at=now, details=told)
        events.append(Event("reminder", found, found.reminders))
    return found, events


def _root(product: str, told: Mapping[str, Any]) -> str | None:
    chain: Sequence[str] = told.get("chain") or ()
    return chain[-1] if chain else product if told.get("part_of") else None


def resolved(incident: Incident, actual: str, now: datetime) -> tuple[Incident, list[Event]]:
    """An incident that is over."""
    found = replace(incident, resolved_at=now, details={**incident.details, "actual": actual})
    return found, [Event("resolved", found)] if found.root is None and not found.is_muted(now) else []
