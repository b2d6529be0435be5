"""Error budgets: how much of a time a promise was kept, and how much may still go wrong.

The budget of a window is the share of it that may be bad; burn rate is how fast it is spent against spending it evenly
(Google, The Site Reliability Workbook, chapter 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from airflow_dataproducts.sla.incidents import Incident

WINDOW = timedelta(days=30)
"""The time over which an error budget counts."""
_SHARES = ("availability", "completeness", "accuracy", "consistency")
_LEAST = 1e-4
"""Of a promise of 100%, for which every breach would otherwise spend an infinite budget."""
ALLOWED = 0.01
"""The share of a window that may be bad where a promise names no share itself."""


def allowed_of(kind: str, target: float | None) -> float:
    """The share of a window that a promise lets be bad: what it leaves to 100% where it promises a share, else 1%.

    Args:
        kind: the promise's.
        target: what it promises.
    """
    return max(1 - target, _LEAST) if kind in _SHARES and target is not None else ALLOWED


@dataclass(frozen=True, slots=True)
class Budget:
    """How a promise did over a window.

    Attributes:
        attainment: share of the observed time in which it was kept; None where nothing was observed.
        allowed: share of the window that may be bad.
        spent: share of the budget that is spent; above 1 it is overdrawn.
        burn_rate: how fast it is being spent in the last hour against spending it evenly over the window.
    """

    attainment: float | None
    allowed: float
    spent: float
    burn_rate: float


def budget_of(
    promise: tuple[str, float | None], incidents: Iterable[Incident], known_since: datetime, now: datetime
) -> Budget:
    """The budget of a promise over the last 30 days.

    Args:
        promise: its kind, and what it promises.
        incidents: those of the promise.
        known_since: when its product was first seen.
        now: the moment.
    """
    bad = [(each.begun_at, each.resolved_at or now) for each in incidents]
    return budget(bad, known_since, now, WINDOW, allowed_of(*promise))


def budget(
    bad: Iterable[tuple[datetime, datetime]],
    observed_since: datetime,
    now: datetime,
    window: timedelta,
    allowed: float = ALLOWED,
) -> Budget:
    """The budget of a promise.

    Args:
        bad: the times in which it was broken: from, to.
        observed_since: when it was first judged.
        now: the end of the window.
        window: its length.
        allowed: share of it that may be bad.
    """
    start = max(now - window, observed_since)
    observed = (now - start).total_seconds()
    times = list(bad)
    lost = sum(_overlap(each, start, now) for each in times)
    hour = max(now - timedelta(hours=1), start)
    recent = (now - hour).total_seconds()
    burning = sum(_overlap(each, hour, now) for each in times) / recent if recent else 0.0
    whole = window.total_seconds() * allowed
    return Budget(
        1 - lost / observed if observed else None,
        allowed,
        lost / whole if whole else float(lost > 0),
        burning / allowed if allowed else 0.0,
    )


def _overlap(times: tuple[datetime, datetime], start: datetime, end: datetime) -> float:
    return max((min(times[1], end) - max(times[0], start)).total_seconds(), 0.0)
