"""The catalog's outbox: messages that were written with their incident, until their channel has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_dataproducts.catalog import tables_sla as t
from airflow_dataproducts.catalog.sla import Told
from airflow_dataproducts.sla.verdicts import utc

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_dataproducts.catalog.store import Catalog


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that is to be sent.

    Attributes:
        id: the outbox's.
        told: the message.
        tries: how often it has been tried.
        created_at: when it was written.
        parent: what the channel gave for the first message about the same incident in the same place; None without one.
    """

    id: int
    told: Told
    tries: int
    created_at: datetime
    parent: Mapping[str, Any] | None


class Outbox:
    """Messages in a catalog.

    Args:
        catalog: the catalog.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def waiting(self, now: datetime, limit: int = 500) -> list[Waiting]:
        """What is to be sent now, in order; a message waits for those before it about the same incident in the same place."""
        o = t.outbox
        unsent = o.c.sent_at.is_(None) & o.c.dead_at.is_(None)
        parents = sa.select(o.c.thread, o.c.channel, o.c.address, o.c.reference).where(
            o.c.reference.is_not(None), o.c.sent_at.is_not(None)
        )
        with self._catalog.transaction() as connection:
            rows = connection.execute(sa.select(o).where(unsent).order_by(o.c.id).limit(limit)).mappings().all()
            threads = {row["thread"] for row in rows}
            known = (
                connection.execute(parents.where(o.c.thread.in_(threads)).order_by(o.c.id.desc())).all() if rows else []
            )
        first = {(thread, channel, address): reference for thread, channel, address, reference in known if reference}
        found, held = [], set()
        for row in rows:
            place = row["thread"], row["channel"], row["address"]
            claimed = row["claimed_until"] is not None and utc(row["claimed_until"]) > now
            if place in held or claimed or utc(row["next_try_at"]) > now:
                held.add(place)
                continue
            held.add(place)  # the next one about it follows once this one is out
            told = Told(*(row[name] for name in ("dedup_key", "thread", "channel", "address", "kind", "payload")))
            found.append(Waiting(row["id"], told, row["tries"], utc(row["created_at"]), first.get(place)))
        return found

    def claim(self, message: int, now: datetime, until: datetime) -> bool:
        """Take a message for oneself; False where another process has."""
        o = t.outbox
        free = o.c.claimed_until.is_(None) | (o.c.claimed_until <= now)
        mine = (o.c.id == message) & o.c.sent_at.is_(None) & free
        with self._catalog.transaction() as connection:
            return bool(connection.execute(sa.update(o).where(mine).values(claimed_until=until)).rowcount)

    def sent(self, message: int, reference: Mapping[str, Any] | None, now: datetime) -> None:
        """Note that a message is out, and what the channel gave for it."""
        self._set(message, {"sent_at": now, "reference": dict(reference) if reference else None, "error": None})

    def failed(self, message: int, error: str, tries: int, next_try_at: datetime, *, dead: bool) -> None:
        """Note that a message could not be sent, and when it is tried again; never, where it is dead."""
        values = {"error": error, "tries": tries, "next_try_at": next_try_at, "claimed_until": None}
        self._set(message, {**values, "dead_at": next_try_at if dead else None})

    def rows(self, thread: str | None = None, *, only_dead: bool = False) -> list[dict[str, Any]]:
        """Messages as they stand, oldest first."""
        query = sa.select(t.outbox).order_by(t.outbox.c.id)
        if thread is not None:
            query = query.where(t.outbox.c.thread == thread)
        if only_dead:
            query = query.where(t.outbox.c.dead_at.is_not(None))
        with self._catalog.transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _set(self, message: int, values: dict[str, Any]) -> None:
        with self._catalog.transaction() as connection:
            connection.execute(sa.update(t.outbox).where(t.outbox.c.id == message).values(**values))
