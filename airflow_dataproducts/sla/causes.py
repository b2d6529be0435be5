"""Why a promise is broken, as far as it was observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_dataproducts.sla.promises import TIMELY
from airflow_dataproducts.sla.verdicts import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_dataproducts.sla.facts import Facts
    from airflow_dataproducts.sla.promises import Promise

Kind = Literal[
    "paused", "never ran", "own run failed", "blocked by quality gate", "own run late", "upstream late", "no run",
    "data", "checker broken",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a promise is broken.

    Attributes:
        kind: what it is.
        text: in a line, for people; without values.
        chain: for upstream late, the products that it goes back through, the one where it begins last.
    """

    kind: Kind
    text: str
    chain: tuple[str, ...] = ()


def cause_of(promise: Promise, facts: Facts, late: Mapping[str, Sequence[str]], now: datetime) -> Cause:  # noqa: PLR0911 - one per kind
    """The likely cause of a broken promise.

    Args:
        promise: the promise.
        facts: what was observed of its product.
        late: of each product that this one reads and that is late itself, the chain that leads to where that begins.
        now: the moment.
    """
    if promise.kind not in TIMELY:
        return Cause("data", f"{promise.kind.replace('_', ' ')} of what was published")
    if facts.paused:
        return Cause("paused", "the product's DAG is paused in Airflow")
    run = facts.run
    if run is not None and run.state == "failed":
        when = duration((now - (run.finished_at or run.started_at)).total_seconds())
        if (run.failed_task or "").startswith("validate"):
            return Cause(
                "blocked by quality gate",
                f"{run.failed_task} stopped the run {when} ago: {run.error or ''}".rstrip(": "),
            )
        return Cause(
            "own run failed", f"{run.failed_task or 'a task'} failed {when} ago: {run.error or ''}".rstrip(": ")
        )
    if late:
        name, chain = min(late.items(), key=lambda each: (len(each[1]), each[0]))
        whole = (name, *chain)
        return Cause("upstream late", f"waits for {' <- '.join(whole)}", whole)
    if run is None:
        return Cause("never ran", "no run of it has ever begun")
    taken = duration((now - run.started_at).total_seconds())
    if run.state == "running":
        usual = f"; usually {duration(facts.usual_seconds)}" if facts.usual_seconds else ""
        return Cause("own run late", f"the run has been at work for {taken}{usual}")
    return Cause("no run", f"the last run began {taken} ago and succeeded; none has begun since")
