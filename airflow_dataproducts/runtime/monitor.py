"""The monitor's tick: what manifests promise, how it stands, and what is to be told; a few statements for all products."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.catalog.sla import Changes
from airflow_dataproducts.catalog.standing import HEARTBEAT, PAUSED, Status, broken_check, judging_of, mended
from airflow_dataproducts.exceptions import ManifestError
from airflow_dataproducts.manifest.index import index
from airflow_dataproducts.manifest.load import load_manifest
from airflow_dataproducts.runtime import telling
from airflow_dataproducts.runtime.run import log
from airflow_dataproducts.sla.causes import Cause, cause_of
from airflow_dataproducts.sla.incidents import Event, Incident, cause_group, details, go_on, opened, resolved
from airflow_dataproducts.sla.promises import TIMELY, Promise, promises_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from airflow_dataproducts.catalog.sla import Observed, SlaStore
    from airflow_dataproducts.manifest.product import Product
    from airflow_dataproducts.sla.incidents import EventKind
    from airflow_dataproducts.sla.verdicts import Verdict

_WATCHED = ("active", "deprecated")
"""What a product's status must be for its promises to count."""
_ASKED = 50
"""Products at most of which a tick asks Airflow whether they are paused."""
GAP = timedelta(minutes=10)
"""A monitor that has been silent for longer was not there."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a tick did."""

    products: int
    promises: int
    breached: int
    opened: int
    resolved: int
    messages: int


def specification(product: Product) -> dict[str, Any]:
    """What the catalog keeps of a product for the monitor: its promises, and what messages say of it."""
    columns = {
        name: [(each.name, str(each.type)) for each in output.contract.columns]
        for name, output in product.outputs.items()
    }
    return {
        "version": product.version, "owner": product.owner.model_dump(mode="json", exclude_none=True),
        "alerts": product.alerts.model_dump(mode="json", exclude_none=True), "upstream": list(product.upstream),
        "escalate_after": product.alerts.escalate.after.total_seconds() if product.alerts.escalate else None,
        "consumers": [each.model_dump(mode="json", exclude_none=True) for each in product.consumers],
        "review": {"breaches": product.sla.review.breaches, "within": product.sla.review.within.total_seconds()},
        "promises": [each.to_dict() for each in promises_of(product)] if product.status in _WATCHED else [],
        "columns": columns,
    }  # fmt: skip


def sync(store: SlaStore, root: Path, memory: Path | None, now: datetime) -> int:
    """Take over the promises of the manifests below a folder; returns how many were new or had changed.

    A manifest that cannot be read leaves its product's promises as they were: its import error is in Airflow's list.

    Args:
        store: the catalog's promises.
        root: the folder.
        memory: the file in which the index of the manifests is kept; None for none.
        now: the moment.
    """
    known = store.signatures()
    mark = f"{hashlib.sha256(str(root).encode()).hexdigest()[:16]}:"
    found = index(root, memory) if root.is_dir() else []
    entries = {each.product_id: each for each in found if each.product_id is not None}
    specs = {}
    for name, entry in entries.items():
        signature = f"{mark}{entry.digest}:{entry.path}"
        if known.get(name) == signature:
            continue
        try:
            product = load_manifest(root / entry.path, root).product
        except ManifestError:
            continue
        specs[name] = (signature, specification(product))
    broken = {each.path for each in found if each.product_id is None}
    own = {name: signature.split(":", 2)[2] for name, signature in known.items() if signature.startswith(mark)}
    gone = [name for name, path in own.items() if name not in entries and path not in broken]
    if specs or gone:
        store.sync(specs, _drift(store, specs), gone, now)
    return len(specs)


def _drift(store: SlaStore, specs: Mapping[str, tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """How the columns of products differ from those with which their versions first ran."""
    found = {}
    for name, manifest in store.first_seen({name: spec["version"] for name, (_, spec) in specs.items()}).items():
        for output, columns in specs[name][1]["columns"].items():
            there = manifest.get("outputs", {}).get(output, {}).get("contract", {}).get("columns", [])
            was = {each["name"]: str(each["type"]) for each in there}
            now = dict(columns)
            changed = [f"+{each} {kind}" for each, kind in now.items() if was.get(each) != kind] + [
                f"-{each}" for each in was if each not in now
            ]
            if was and changed:
                found[name] = f"{output}: {', '.join(changed)} within one version"
    return found


def tick(store: SlaStore, now: datetime, is_paused: Callable[[str], bool | None] = lambda _product: None) -> Summary:
    """Judge every promise, and write what follows from it.

    Args:
        store: the catalog's promises.
        now: the moment.
        is_paused: asks Airflow whether a product's DAG is paused; None where it cannot tell.
    """
    seen = store.observed(now)
    judging = _Judging(seen, now, is_paused)
    for name in _upstream_first(seen.specs):
        judging.product_or_say_why_not(name)
    judging.end_what_nobody_promises()
    changes = judging.changes
    changes.status += [
        Status(name, PAUSED, PAUSED if value else "running", "paused" if value else "not paused", now, now)
        for name, value in judging.paused.items()
        if value is not None
    ]
    changes.messages = telling.messages(judging.events, seen, now, telling.rules(store, judging.events, seen))
    product, promise = HEARTBEAT
    last = seen.status.get(HEARTBEAT)
    if last is not None and now - last.checked_at > GAP:
        changes.incidents.append(_absence(last.checked_at, now))
    changes.status.append(Status(product, promise, "ok", f"{len(seen.specs)} products", now, now))
    store.write(changes, now)
    over = sum(each.resolved_at is not None for each in changes.incidents)
    return Summary(
        len(seen.specs), len(judging.judged), judging.breached, judging.opened, over, len(changes.messages)
    )  # fmt: skip


def _absence(since: datetime, now: datetime) -> Incident:
    """The incident of a monitor that was not there: nobody's promise is broken by it."""
    told = {
        "promised": "promises are judged each minute",
        "actual": "back",
        "cause": "checker broken",
        "why": "no tick",
        "since": since.isoformat(),
    }
    return Incident(0, *HEARTBEAT, since.isoformat(), "high", since, "checker broken", resolved_at=now, details=told)


class _Judging:
    """One look at all products."""

    def __init__(self, seen: Observed, now: datetime, is_paused: Callable[[str], bool | None]) -> None:
        self._seen = seen
        self._now = now
        self._is_paused = is_paused
        self._open = {each.key: each for each in seen.incidents if each.resolved_at is None}
        self.judged: set[tuple[str, str]] = set()
        self._chains: dict[str, tuple[str, ...]] = {}
        self._standing: dict[tuple[str, str], Incident] = {}
        for each in sorted(self._open.values(), key=lambda each: each.opened_at):
            if each.root is None:
                self._standing.setdefault((each.product, each.group), each)
        self.changes = Changes()
        self.events: list[Event] = []
        self.paused: dict[str, bool | None] = {}
        self.breached = self.opened = 0

    def product_or_say_why_not(self, name: str) -> None:
        """Judge a product; what goes wrong in that is the monitor's own fault, and no breach of anybody's promise."""
        check = judging_of(name)
        known = self._seen.status.get(("", check))
        try:
            self.product(name)
        except Exception as error:  # noqa: BLE001 - whatever it is, other products' promises count all the same
            log.exception("the promises of %s cannot be judged", name)
            why = f"{name} cannot be judged: {type(error).__name__}"
            self.changes.status.append(broken_check(check, why, known, self._now))
            self.judged |= {key for key in self._open if key[0] == name}
        else:
            if known is not None and known.state == "broken":
                self.changes.status.append(mended(known, self._now))

    def product(self, name: str) -> None:
        """Judge a product's promises; the products that it reads have been judged before."""
        late = {each: self._chains[each] for each in self._seen.specs[name]["upstream"] if each in self._chains}
        for promise, verdict in self._seen.judged(name, self._now):
            self.judged.add((name, promise.name))
            self._note(promise, verdict)
            if verdict.state == "breached":
                self.breached += 1
                self._broken(promise, verdict, late)
            elif (incident := self._open.get((name, promise.name))) is not None and verdict.state != "unknown":
                self._end(incident, verdict.actual)

    def end_what_nobody_promises(self) -> None:
        """Incidents of promises that manifests do not make any more are over."""
        for (product, _), incident in self._open.items():
            if incident.key not in self.judged and product in self._seen.specs:
                self._end(incident, "not promised any more")

    def _end(self, incident: Incident, actual: str) -> None:
        over, events = resolved(incident, actual, self._now)
        self.changes.incidents.append(over)
        self.events += events
        group = incident.product, incident.group
        if (standing := self._standing.get(group)) is not None and standing.key == incident.key:
            del self._standing[group]

    def _broken(self, promise: Promise, verdict: Verdict, late: Mapping[str, tuple[str, ...]]) -> None:
        cause = self._cause(promise, late)
        if promise.kind in TIMELY:
            self._chains[promise.product] = cause.chain
        known = self._open.get((promise.product, promise.name))
        group = promise.product, cause_group(promise.kind, known.window if known else verdict.window)
        told = details(promise, verdict, cause, None if cause.chain else self._part_of(promise, group))
        if known is None:
            self.opened += 1
            incident = opened(promise, verdict.window, told, self._now)
            self.changes.incidents.append(incident)
            kind: EventKind = "opened" if incident.root is None else "also" if told["part_of"] else "affects"
            self.events.append(Event(kind, incident))
            self._review(promise, incident)
        else:
            incident = self._go_on(known, told)
        if incident.root is None:
            self._standing.setdefault(group, incident)

    def _part_of(self, promise: Promise, group: tuple[str, str]) -> str | None:
        """The promise whose incident tells of this one's cause already, and loudly enough."""
        standing = self._standing.get(group)
        if standing is None or standing.key == (promise.product, promise.name) or not standing.covers(promise.severity):
            return None
        return standing.promise

    def _go_on(self, known: Incident, told: Mapping[str, Any]) -> Incident:
        spec = self._seen.specs[known.product]
        after = timedelta(seconds=spec["escalate_after"]) if spec["escalate_after"] else None
        incident, events = go_on(known, told, self._now, after)
        if incident is not known:
            self.changes.incidents.append(incident)
        if incident.root is None and known.root not in (None, known.product):
            events = [Event("opened", incident), *events]  # what it waited for has come, and it is still broken
        self.events += events
        return incident

    def _cause(self, promise: Promise, late: Mapping[str, tuple[str, ...]]) -> Cause:
        cause = cause_of(promise, self._seen.facts[promise.product], late, self._now)
        if cause.kind in {"never ran", "no run"} and promise.product not in self.paused and len(self.paused) < _ASKED:
            self.paused[promise.product] = self._is_paused(promise.product)
        if cause.kind in {"never ran", "no run"} and self.paused.get(promise.product):
            return Cause("paused", "the product's DAG is paused in Airflow")
        return cause

    def _review(self, promise: Promise, incident: Incident) -> None:
        rule = self._seen.specs[promise.product]["review"]
        since = self._now - timedelta(seconds=rule["within"])
        count = 1 + sum(each.key == incident.key and each.opened_at >= since for each in self._seen.incidents)
        if count >= rule["breaches"] and incident.root is None:
            self.events.append(Event("review", incident, count))

    def _note(self, promise: Promise, verdict: Verdict) -> None:
        """How the promise stands, where that is news; rows that say the same again are not written."""
        known = self._seen.status.get((promise.product, promise.name))
        if known is None or known.state != verdict.state:
            since = verdict.since or self._now
        elif (verdict.state == "ok" or known.actual == verdict.actual) and self._now - known.checked_at < GAP:
            return
        else:
            since = known.since
        self.changes.status.append(
            Status(promise.product, promise.name, verdict.state, verdict.actual, since, self._now)
        )


def _upstream_first(specs: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    graph = {name: [each for each in spec["upstream"] if each in specs] for name, spec in specs.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError:  # which is an import error of the products concerned; the others' promises count all the same
        return list(specs)
