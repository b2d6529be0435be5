"""Planned times in which an output need not be there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def in_maintenance(planned: Iterable[Sequence[object]], now: datetime) -> bool:
    """Whether a moment is within a planned time.

    Args:
        planned: the cron expression of each start, in UTC, and its seconds.
        now: the moment, with its zone.
    """
    from croniter import croniter

    moment = now.astimezone(UTC)
    for cron, seconds in planned:
        begun: datetime = croniter(str(cron), moment + timedelta(microseconds=1)).get_prev(datetime)
        if moment < begun + timedelta(seconds=float(str(seconds))):
            return True
    return False
