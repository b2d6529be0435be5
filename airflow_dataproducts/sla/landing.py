"""Times of day in time zones, on the days on which they are promised."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LOOK = 370
"""Days to look for one that counts: there is one in any year."""


def last_deadline(promise: Mapping[str, Any], now: datetime) -> datetime | None:
    """The newest deadline that is not after ``now``, with grace; None where there is none in a year.

    Args:
        promise: by, timezone, days, holidays (ISO) and grace (seconds).
        now: the moment, with its zone.
    """
    today = now.astimezone(ZoneInfo(promise["timezone"])).date()
    # A long grace may reach into the next days.
    first = today
    for back in range(_LOOK):
        day = first - timedelta(days=back)
        if _counts(promise, day) and (due := _deadline(promise, day)) <= now:
            return due
    return None


def next_deadline(promise: Mapping[str, Any], now: datetime) -> datetime | None:
    """The first deadline after ``now``, with grace; None where there is none in a year."""
    today = now.astimezone(ZoneInfo(promise["timezone"])).date()
    back = int(promise["grace"] // 86_400) + 1
    for ahead in range(-back, _LOOK):
        day = today + timedelta(days=ahead)
        if _counts(promise, day) and (due := _deadline(promise, day)) > now:
            return due
    return None


def start_of_day(promise: Mapping[str, Any], deadline: datetime) -> datetime:
    """When the day of a deadline begins: what is published from then on has landed."""
    zone = ZoneInfo(promise["timezone"])
    day = (deadline - timedelta(seconds=promise["grace"])).astimezone(zone).date()
    return datetime.combine(day, time(), zone)


def _counts(promise: Mapping[str, Any], day: date) -> bool:
    return _DAYS[day.weekday()] in promise["days"] and day.isoformat() not in promise["holidays"]


def _deadline(promise: Mapping[str, Any], day: date) -> datetime:
    """In UTC: sums of local times would be an hour off where clocks change."""
    local = datetime.combine(day, time.fromisoformat(promise["by"]), ZoneInfo(promise["timezone"]))
    return local.astimezone(UTC) + timedelta(seconds=promise["grace"])
