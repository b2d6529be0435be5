"""What is wrong with the watching itself, seen when it is asked for: nobody else would tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa

from airflow_dataproducts.catalog import tables
from airflow_dataproducts.catalog import tables_sla as t
from airflow_dataproducts.catalog.sla import SlaStore
from airflow_dataproducts.sla.verdicts import duration, utc

if TYPE_CHECKING:
    from airflow_dataproducts.catalog.store import Catalog

SILENT = timedelta(minutes=5)
"""A monitor that has not judged for so long is not there."""
_TRIED = timedelta(days=1)
"""A check that nobody has tried for so long is not wanted any more."""
REMEMBERED = timedelta(days=7)
"""How long it is told that a message could not be delivered."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that keeps people from being told of broken promises.

    Attributes:
        kind: monitor silent, message undelivered, or checker broken.
        text: what it is, for people.
        since: since when.
    """

    kind: Literal["monitor silent", "message undelivered", "checker broken"]
    text: str
    since: datetime


def silent_since(catalog: Catalog, now: datetime) -> datetime | None:
    """Since when the monitor is silent: its last tick, or the first run that it should have seen; None where it is at work."""
    last = SlaStore(catalog).heartbeat()
    if last is None:
        with catalog.transaction() as connection:
            first = connection.execute(sa.select(sa.func.min(tables.runs.c.started_at))).scalar_one()
        last = None if first is None else utc(first)
    return last if last is not None and now - last > SILENT else None


def alarms(catalog: Catalog, now: datetime) -> list[Alarm]:
    """Everything that is wrong now.

    Args:
        catalog: the catalog.
        now: the moment.
    """
    found = []
    silent = silent_since(catalog, now)
    if silent is not None:
        ago = duration((now - silent).total_seconds())
        found.append(
            Alarm("monitor silent", f"promises have not been judged for {ago}: is the scheduler at work?", silent)
        )
    found += _undelivered(catalog, now)
    tried = (each for each in SlaStore(catalog).broken_checks() if now - each.checked_at < _TRIED)
    return found + [Alarm("checker broken", each.actual, each.since) for each in tried]


def _undelivered(catalog: Catalog, now: datetime) -> list[Alarm]:
    """Messages that were given up, by channel."""
    o = t.outbox.c
    query = (
        sa.select(o.channel, sa.func.count(), sa.func.min(o.created_at), sa.func.max(o.error))
        .where(o.dead_at > now - REMEMBERED)
        .group_by(o.channel)
        .order_by(o.channel)
    )
    with catalog.transaction() as connection:
        rows = connection.execute(query).all()
    return [
        Alarm("message undelivered", f"{count} {'message' if count == 1 else 'messages'} by {channel} could not be delivered: {error}", utc(since))
        for channel, count, since, error in rows
    ]  # fmt: skip
