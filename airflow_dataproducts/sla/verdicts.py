"""Whether a promise is kept: a pure function of the promise, what was observed, and the clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from airflow_dataproducts.sla.landing import last_deadline, next_deadline, start_of_day

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataproducts.sla.facts import Facts, Shown
    from airflow_dataproducts.sla.promises import Promise

State = Literal["ok", "at_risk", "breached", "unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a promise now.

    Attributes:
        state: ok; at_risk, which is past the target, or about to break it; breached; unknown where nothing was observed yet.
        actual: what was found, for people.
        window: what the verdict is about, so that one breach is one incident: a day, a version, a newest value.
        due: when the promise is broken if nothing happens; None where time does not break it.
        since: when it broke; None where it did not, or nobody knows.
        measured: what was found: seconds, rows, or a share from 0 to 1.
    """

    state: State
    actual: str
    window: str = ""
    due: datetime | None = None
    since: datetime | None = None
    measured: float | None = None


def judge(promise: Promise, facts: Facts, now: datetime) -> Verdict:
    """The verdict on a promise.

    Args:
        promise: what was promised.
        facts: what was observed.
        now: the moment, with its zone.
    """
    return _JUDGES[promise.kind](promise, facts, now)


def _freshness(promise: Promise, facts: Facts, now: datetime) -> Verdict:
    shown = facts.shown.get(promise.output or "")
    newest = _newest(promise, shown, facts)
    since = newest or facts.known_since
    target, breach = promise.target or 0.0, promise.breach or 0.0
    due = since + timedelta(seconds=breach)
    age = (now - since).total_seconds()
    what = f"{duration(age)} old" if newest else f"nothing published since it became known {duration(age)} ago"
    state = _by_time(age, target, breach)
    if state == "ok" and _will_be_late(facts, due, now):
        state = "at_risk"
    return Verdict(state, what, since.isoformat(), due, due if state == "breached" else None, age)


def _newest(promise: Promise, shown: Shown | None, facts: Facts) -> datetime | None:
    inputs = promise.more.get("inputs")
    if inputs:
        return min((facts.marks[each] for each in inputs if each in facts.marks), default=None)
    if shown is None:
        return None
    return shown.newest.get(promise.column) if promise.column else shown.at


def _by_time(value: float, target: float, breach: float) -> State:
    return "breached" if value > breach else "at_risk" if value > target else "ok"


def _will_be_late(facts: Facts, due: datetime, now: datetime) -> bool:
    """Whether the usual run, begun now or at work already, ends after a moment."""
    if facts.usual_seconds is None:
        return False
    running = facts.run is not None and facts.run.state == "running"
    begun = facts.run.started_at if running and facts.run is not None else now
    return max(begun + timedelta(seconds=facts.usual_seconds), now) > due


def _landing(promise: Promise, facts: Facts, now: datetime) -> Verdict:
    due = last_deadline(promise.more, now)
    published = facts.last_publish
    if due is not None and facts.known_since < due:
        day = start_of_day(promise.more, due)
        if published is None or published < day:
            late = duration((now - due).total_seconds())
            return Verdict(
                "breached", f"not published, {late} late", day.date().isoformat(), due, due, (now - due).total_seconds()
            )
    coming = next_deadline(promise.more, now)
    landed = published is not None and coming is not None and published >= start_of_day(promise.more, coming)
    if coming is not None and not landed and _will_be_late(facts, coming, now):
        return Verdict("at_risk", "will be late: a run usually takes longer than is left", coming.isoformat(), coming)
    told = f"published {duration((now - published).total_seconds())} ago" if published else "nothing is due yet"
    return Verdict("ok", told, due=coming)


def _levels(measure: Callable[[Promise, Shown], float | None]) -> Callable[[Promise, Facts, datetime], Verdict]:
    def judged(promise: Promise, facts: Facts, _now: datetime) -> Verdict:
        found = [
            (value, name, shown)
            for name, shown in facts.shown.items()
            if promise.output in (None, name) and (value := measure(promise, shown)) is not None
        ]
        if not found:
            return Verdict("unknown", "not measured yet")
        value, name, shown = min(found, key=lambda each: each[0])
        state = _by_share(value, promise)
        return Verdict(state, f"{share(value)} in {name}", shown.run_id, since=_when(state, shown.at), measured=value)

    return judged


def _by_share(value: float, promise: Promise) -> State:
    return "breached" if value < (promise.breach or 0.0) else "at_risk" if value < (promise.target or 0.0) else "ok"


def _when(state: State, moment: datetime) -> datetime | None:
    return moment if state == "breached" else None


def _complete(promise: Promise, shown: Shown) -> float | None:
    if not shown.checked:
        return None
    if promise.column:
        return None if promise.column not in shown.nulls else 1 - shown.nulls[promise.column] / shown.checked
    required = {name for columns in promise.more.get("required", {}).values() for name in columns} & set(shown.nulls)
    if not required:
        return None
    return 1 - sum(shown.nulls[name] for name in required) / (shown.checked * len(required))


def _of_dimensions(*names: str) -> Callable[[Promise, Shown], float | None]:
    def measure(_promise: Promise, shown: Shown) -> float | None:
        found = [shown.dimensions[name] for name in names if shown.dimensions.get(name) is not None]
        return min(found) / 100 if found else None

    return measure


def _availability(promise: Promise, facts: Facts, now: datetime) -> Verdict:
    probes = facts.probes.get(promise.name)
    if probes is None or not probes.total:
        return Verdict("unknown", "not probed yet")
    value = probes.ok / probes.total
    state = _by_share(value, promise)
    told = f"{share(value)}, {probes.ok:,} of {probes.total:,} probes"
    return Verdict(state, told, f"{now:%Y-%m}", since=_when(state, now), measured=value)


def _latency(promise: Promise, facts: Facts, now: datetime) -> Verdict:
    probes = facts.probes.get(promise.name)
    if probes is None or probes.p95 is None or probes.p99 is None:
        return Verdict("unknown", "not timed yet")
    found = {"p95": probes.p95, "p99": probes.p99}
    slow = [key for key in found if promise.more.get(key) is not None and found[key] > promise.more[key]]
    told = ", ".join(f"{key} {duration(value)}" for key, value in found.items())
    state: State = "breached" if slow else "ok"
    return Verdict(state, told, f"{now:%Y-%m-%d}", since=_when(state, now), measured=found[slow[0] if slow else "p95"])


def _volume(promise: Promise, facts: Facts, _now: datetime) -> Verdict:
    shown = facts.shown.get(promise.output or "")
    if shown is None:
        return Verdict("unknown", "nothing published yet")
    low, high, change = (promise.more.get(key) for key in ("min", "max", "max_change"))
    before = shown.rows_before
    moved = abs(shown.rows - before) / before if before else 0.0
    wrong = (low is not None and shown.rows < low) or (high is not None and shown.rows > high)
    wrong = wrong or (change is not None and moved > change)
    told = f"{shown.rows:,} rows" + (f", {before:,} before" if before is not None else "")
    state: State = "breached" if wrong else "ok"
    return Verdict(state, told, shown.run_id, since=_when(state, shown.at), measured=float(shown.rows))


def _drift(_promise: Promise, facts: Facts, now: datetime) -> Verdict:
    if facts.drift is None:
        return Verdict("ok", "as the version says")
    return Verdict("breached", facts.drift, facts.drift, since=now)


def _run_time(promise: Promise, facts: Facts, now: datetime) -> Verdict:
    run = facts.run
    if run is None:
        return Verdict("unknown", "no run yet")
    target, breach = promise.target or 0.0, promise.breach or 0.0
    taken = ((run.finished_at or now) - run.started_at).total_seconds()
    state = _by_time(taken, target, breach)
    due = run.started_at + timedelta(seconds=breach)
    told = f"{duration(taken)}{'' if run.finished_at else ' until now'}"
    return Verdict(state, told, run.run_id, due, due if state == "breached" else None, taken)


_JUDGES: dict[str, Callable[[Promise, Facts, datetime], Verdict]] = {
    "freshness": _freshness,
    "landing": _landing,
    "completeness": _levels(_complete),
    "accuracy": _levels(_of_dimensions("accuracy", "validity", "uniqueness")),
    "consistency": _levels(_of_dimensions("consistency")),
    "availability": _availability,
    "latency": _latency,
    "volume": _volume,
    "schema_drift": _drift,
    "duration": _run_time,
}


def excess(promise: Promise, verdict: Verdict) -> str | None:
    """By how much a promise is broken, for people; None where what was found says it by itself."""
    found, limit = verdict.measured, promise.breach
    if found is None or limit is None:
        return None
    if promise.kind in {"freshness", "duration"}:
        return f"{duration(found - limit)} more than {duration(limit)}"
    return f"{(limit - found) * 100:.2g} points below {share(limit)}"


def duration(seconds: float) -> str:
    """Seconds in two units at most, for people: ``6h 12m``."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    parts = []
    left = round(seconds)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"


def share(value: float) -> str:
    """A share from 0 to 1 as a percentage, for people; never rounded up to one that was not reached."""
    return f"{int(value * 10_000 + 1e-6) / 100:g}%"  # the tiny rest is what binary fractions lose


def utc(moment: datetime) -> datetime:
    """A moment of a store that keeps UTC without saying so."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
