"""The catalog's side of promises: what the monitor reads and writes, in a few statements however many products there are."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_dataproducts.catalog import tables
from airflow_dataproducts.catalog import tables_sla as t
from airflow_dataproducts.catalog.facts import only, probes, runs, shown
from airflow_dataproducts.catalog.standing import HEARTBEAT, PAUSED, Status, row_of, status_of
from airflow_dataproducts.catalog.statements import insert_if_new, upsert
from airflow_dataproducts.sla.budgets import budget_of
from airflow_dataproducts.sla.facts import Facts
from airflow_dataproducts.sla.incidents import Incident
from airflow_dataproducts.sla.promises import Promise
from airflow_dataproducts.sla.verdicts import judge, utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_dataproducts.catalog.store import Catalog
    from airflow_dataproducts.sla.budgets import Budget
    from airflow_dataproducts.sla.verdicts import Verdict

REMEMBERED = timedelta(days=90)
"""How long an incident that is over is still counted."""
_RULES = 3
"""Broken rules that a message names."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything the monitor reads at once.

    Attributes:
        specs: what is promised, by product (see ``runtime.monitor.specification``).
        facts: what was observed, by product.
        status: how each promise stood, by product and promise.
        incidents: those that are open, and those of the last 90 days.
    """

    specs: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Facts]
    status: Mapping[tuple[str, str], Status]
    incidents: Sequence[Incident]

    def judged(self, product: str, now: datetime) -> Iterator[tuple[Promise, Verdict]]:
        """Each promise of a product, in the manifest's order, with its verdict."""
        for promise in self.promises(product):
            yield promise, judge(promise, self.facts[product], now)

    def promises(self, product: str) -> Iterator[Promise]:
        """Each promise of a product, in the manifest's order."""
        yield from (Promise(**fields) for fields in self.specs[product]["promises"])

    def budget(self, promise: Promise, now: datetime) -> Budget:
        """The error budget of a promise."""
        past = [each for each in self.incidents if each.key == (promise.product, promise.name)]
        return budget_of((promise.kind, promise.target), past, self.facts[promise.product].known_since, now)


@dataclass(frozen=True, slots=True)
class Told:
    """A message to send.

    Attributes:
        dedup_key: no two messages have the same.
        thread: the incident that it is about: messages of one are sent in their order.
        channel: slack, email, pagerduty or notifier.
        address: where in that channel.
        kind: opened, reminder, escalated, resolved, affects, also, review or digest.
        payload: what it says, as plain values.
    """

    dedup_key: str
    thread: str
    channel: str
    address: str
    kind: str
    payload: Mapping[str, Any]


@dataclass(slots=True)
class Changes:
    """What the monitor writes at once."""

    status: list[Status] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    messages: list[Told] = field(default_factory=list)


def thread_of(incident: Incident) -> str:
    """What the messages about an incident have in common; those of an incident that is part of another are in that one's."""
    return f"{incident.root or incident.product}|{incident.promise}|{incident.window}"[:250]


class SlaStore:
    """Promises in a catalog.

    Args:
        catalog: the catalog.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def signatures(self) -> dict[str, str]:
        """What is known of each product's manifest, by product."""
        with self._catalog.transaction() as connection:
            query = sa.select(t.sla_products.c.product_id, t.sla_products.c.signature)
            return {row[0]: row[1] for row in connection.execute(query)}

    def sync(
        self,
        specs: Mapping[str, tuple[str, Mapping[str, Any]]],
        drift: Mapping[str, str],
        gone: Iterable[str],
        now: datetime,
    ) -> None:
        """Take over what manifests say now.

        Args:
            specs: signature and specification of the products that are new or have changed.
            drift: how the schemas of some of them differ from those with which their versions first ran.
            gone: products whose manifests are there no more; their open incidents are over.
            now: the moment.
        """
        rows = [
            {
                "product_id": name,
                "signature": signature,
                "spec": dict(spec),
                "drift": drift.get(name),
                "known_since": now,
                "synced_at": now,
            }
            for name, (signature, spec) in specs.items()
        ]
        with self._catalog.transaction() as connection:
            upsert(connection, t.sla_products, rows, keep=("known_since",))
            left = list(gone)
            if left:
                open_ones = t.incidents.c.product_id.in_(left) & t.incidents.c.resolved_at.is_(None)
                connection.execute(sa.update(t.incidents).where(open_ones).values(resolved_at=now))
                for table in (t.sla_products, t.sla_status):
                    connection.execute(sa.delete(table).where(table.c.product_id.in_(left)))

    def first_seen(self, versions: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
        """The manifests with which versions first ran, by product; those that ran.

        Args:
            versions: the version of each product.
        """
        v = tables.product_versions
        with self._catalog.transaction() as connection:
            found = connection.execute(
                sa.select(v.c.product_id, v.c.version, v.c.manifest).where(v.c.product_id.in_(versions))
            )
            return {name: manifest for name, version, manifest in found if versions[name] == version}

    def observed(self, now: datetime, product: str | None = None) -> Observed:
        """Everything that promises are judged by, in seven statements.

        Args:
            now: the moment.
            product: of this product alone; None for all.
        """
        with self._catalog.transaction() as connection:
            products = connection.execute(only(sa.select(t.sla_products), t.sla_products, product)).mappings().all()
            (seen, marks), ran = shown(connection, product), runs(connection, product)
            found = probes(connection, now, products)
            incidents = _incidents(connection, now, product)
            status = connection.execute(only(sa.select(t.sla_status), t.sla_status, product)).mappings().all()
        specs = {row["product_id"]: row["spec"] for row in products}
        paused = {row["product_id"]: row["state"] == PAUSED for row in status if row["promise"] == PAUSED}
        facts = {}
        for row in products:
            name = row["product_id"]
            last, usual = ran.get(name, (None, None))
            facts[name] = Facts(
                utc(row["known_since"]), paused.get(name), last, usual, seen.get(name, {}), found.get(name, {}),
                marks.get(name, {}), row["drift"],
            )  # fmt: skip
        known = (status_of(row) for row in status)
        return Observed(specs, facts, {each.key: each for each in known}, incidents)

    def failed_rules(self, runs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
        """What was found wrong in some runs, worst first, by product; samples are masked where they are personal data.

        Args:
            runs: products and run ids.
        """
        v = tables.validations.c
        found: dict[str, list[str]] = {}
        query = sa.select(v.product_id, v.rows, v.results).where(sa.tuple_(v.product_id, v.run_id).in_(list(runs)))
        with self._catalog.transaction() as connection:
            for product, rows, results in connection.execute(query):
                broken = sorted(
                    (each for each in results if not each["success"]), key=lambda each: -(each["unexpected"] or 0)
                )
                found.setdefault(product, []).extend(_rule(each, rows) for each in broken[:_RULES])
        return found

    def write(self, changes: Changes, now: datetime) -> None:
        """Write how promises stand, their incidents, and what is to be told of them: all of it or nothing."""
        messages = [
            {**asdict(each), "payload": dict(each.payload), "tries": 0, "created_at": now, "next_try_at": now}
            for each in changes.messages
        ]
        with self._catalog.transaction() as connection:
            upsert(connection, t.sla_status, [row_of(each) for each in changes.status])
            upsert(
                connection, t.incidents, [_incident_row(each) for each in changes.incidents],
                keep=("opened_at", "acknowledged_at", "acknowledged_by", "muted_until", "muted_why"),
                index=("product_id", "promise", "window"),
            )  # fmt: skip
            insert_if_new(connection, t.outbox, messages)

    def heartbeat(self) -> datetime | None:
        """When the monitor last judged promises; None before it ever did."""
        product, promise = HEARTBEAT
        same = (t.sla_status.c.product_id == product) & (t.sla_status.c.promise == promise)
        with self._catalog.transaction() as connection:
            found = connection.execute(sa.select(t.sla_status.c.checked_at).where(same)).scalar_one_or_none()
        return utc(found) if found else None

    def note(self, check: Status) -> None:
        """Keep how a check of the monitor's own went."""
        with self._catalog.transaction() as connection:
            upsert(connection, t.sla_status, [row_of(check)])

    def broken_checks(self) -> list[Status]:
        """Checks of the monitor's own that could not be made, the longest broken first."""
        broken = (t.sla_status.c.product_id == "") & (t.sla_status.c.state == "broken")
        with self._catalog.transaction() as connection:
            rows = connection.execute(sa.select(t.sla_status).where(broken).order_by(t.sla_status.c.since)).mappings()
            return [status_of(row) for row in rows]

    def status(self, product: str | None = None) -> list[Status]:
        """How promises stand, of one product or all."""
        query = (
            sa.select(t.sla_status)
            .where(t.sla_status.c.product_id != "", t.sla_status.c.promise != PAUSED)
            .order_by("product_id", "promise")
        )
        if product is not None:
            query = query.where(t.sla_status.c.product_id == product)
        with self._catalog.transaction() as connection:
            rows = connection.execute(query).mappings().all()
        return [status_of(row) for row in rows]

    def incidents(self, product: str | None = None, *, only_open: bool = False, limit: int = 100) -> list[Incident]:
        """Incidents, newest first."""
        query = sa.select(t.incidents).order_by(t.incidents.c.opened_at.desc(), t.incidents.c.id.desc()).limit(limit)
        if product is not None:
            query = query.where(t.incidents.c.product_id == product)
        if only_open:
            query = query.where(t.incidents.c.resolved_at.is_(None))
        with self._catalog.transaction() as connection:
            return [_incident(row) for row in connection.execute(query).mappings()]

    def incident(self, number: int) -> Incident | None:
        """The incident of a number; None where there is none."""
        with self._catalog.transaction() as connection:
            row = connection.execute(sa.select(t.incidents).where(t.incidents.c.id == number)).mappings().first()
        return _incident(row) if row else None

    def acknowledge(self, incident: int, who: str, now: datetime) -> bool:
        """Note that somebody takes an incident on; False where there is none that is open."""
        return self._change(incident, {"acknowledged_at": now, "acknowledged_by": who})

    def mute(self, incident: int, until: datetime, why: str) -> bool:
        """Send nothing about an incident until then; False where there is none that is open."""
        return self._change(incident, {"muted_until": until, "muted_why": why})

    def _change(self, incident: int, values: dict[str, Any]) -> bool:
        same = (t.incidents.c.id == incident) & t.incidents.c.resolved_at.is_(None)
        with self._catalog.transaction() as connection:
            return bool(connection.execute(sa.update(t.incidents).where(same).values(**values)).rowcount)

    def probed(self, product: str, promise: str, day: str, found: Mapping[str, Any]) -> None:
        """Keep what a day's probes found so far: ok, total, histogram, probed_at."""
        row = {"product_id": product, "promise": promise, "day": day, **found}
        with self._catalog.transaction() as connection:
            upsert(connection, t.probes, [row])

    def specifications(self) -> dict[str, Mapping[str, Any]]:
        """What is promised, by product."""
        with self._catalog.transaction() as connection:
            return {
                row[0]: row[1]
                for row in connection.execute(sa.select(t.sla_products.c.product_id, t.sla_products.c.spec))
            }

    def last_probed(self) -> dict[tuple[str, str], datetime]:
        """When each promise was probed last, by product and promise."""
        p = t.probes.c
        query = sa.select(p.product_id, p.promise, sa.func.max(p.probed_at)).group_by(p.product_id, p.promise)
        with self._catalog.transaction() as connection:
            return {(product, promise): utc(at) for product, promise, at in connection.execute(query)}

    def probes_of(self, product: str, promise: str, day: str) -> dict[str, Any] | None:
        """What a day's probes found so far."""
        same = (t.probes.c.product_id == product) & (t.probes.c.promise == promise) & (t.probes.c.day == day)
        with self._catalog.transaction() as connection:
            row = connection.execute(sa.select(t.probes).where(same)).mappings().first()
        return dict(row) if row else None


def _incidents(connection: sa.Connection, now: datetime, product: str | None) -> list[Incident]:
    remembered = t.incidents.c.resolved_at.is_(None) | (t.incidents.c.opened_at > now - REMEMBERED)
    query = only(sa.select(t.incidents).where(remembered), t.incidents, product)
    return [_incident(row) for row in connection.execute(query).mappings()]


def _rule(result: Mapping[str, Any], rows: int) -> str:
    samples = ", ".join(str(each) for each in (result.get("samples") or ())[:3])
    return (
        f"{result['description']}: {result['unexpected'] or 0:,} of {rows:,}{f', such as {samples}' if samples else ''}"
    )


_TIMES = ("opened_at", "acknowledged_at", "resolved_at", "reminded_at", "escalated_at", "muted_until")
_PLAIN = (
    "id",
    "promise",
    "window",
    "severity",
    "cause",
    "root",
    "reminders",
    "acknowledged_by",
    "muted_why",
    "details",
)


def _incident(row: Any) -> Incident:
    times: dict[str, Any] = {name: utc(row[name]) if row[name] else None for name in _TIMES}
    return Incident(product=row["product_id"], **{name: row[name] for name in _PLAIN}, **times)


def _incident_row(incident: Incident) -> dict[str, Any]:
    names = (*(name for name in _PLAIN if name != "id"), *_TIMES)
    return {"product_id": incident.product, **{name: getattr(incident, name) for name in names}}
