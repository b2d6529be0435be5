"""Whether a product is fit for a consumer now: published, fresh, of a version that it can read, and good enough."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataproducts.manifest.units import VersionRange, format_duration
from airflow_dataproducts.sla.verdicts import duration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

State = Literal["ready", "waiting", "unfit"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a consumer asks of a product.

    Attributes:
        product: ``<domain>.<name>``.
        output: the output; None for all of them.
        version: a version range, such as ^2; None for any.
        max_age: seconds since the publication; None for any age.
        since: the publication must be newer than this moment, ISO 8601; None for any.
        min_quality: quality score from 0 to 100; None for any.
    """

    product: str
    output: str | None = None
    version: str | None = None
    max_age: float | None = None
    since: str | None = None
    min_quality: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for a trigger."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Published:
    """What consumers see of an output now."""

    output: str
    version: str
    at: datetime
    score: float | None


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer.

    Attributes:
        state: ready; waiting for what a run will bring; unfit, which only another version or better data mends.
        reason: why, for people.
    """

    state: State
    reason: str


def readiness(wanted: Wanted, published: Sequence[Published], now: datetime) -> Readiness:
    """Whether a product is fit for a consumer.

    Args:
        wanted: what is asked.
        published: what consumers see of its outputs.
        now: the moment.
    """
    found = [each for each in published if wanted.output in (None, each.output)]
    if not found:
        what = f"{wanted.product}{f'.{wanted.output}' if wanted.output else ''}"
        return Readiness("waiting", f"{what} has not been published yet")
    answers = [_one(wanted, each, now) for each in found]
    return next(
        (each for state in ("unfit", "waiting") for each in answers if each.state == state),
        Readiness("ready", f"{wanted.product}: {', '.join(each.reason for each in answers)}"),
    )


def _one(wanted: Wanted, each: Published, now: datetime) -> Readiness:
    from datetime import datetime as moment

    name = f"{wanted.product}.{each.output}"
    age = now - each.at
    if wanted.since is not None and each.at < moment.fromisoformat(wanted.since):
        return Readiness(
            "waiting", f"{name} was last published {duration(age.total_seconds())} ago, before what is waited for"
        )
    if wanted.max_age is not None and age.total_seconds() > wanted.max_age:
        most = format_duration(timedelta(seconds=wanted.max_age))
        return Readiness("waiting", f"{name} is {duration(age.total_seconds())} old, more than {most}")
    if wanted.version is not None and each.version not in VersionRange(wanted.version):
        return Readiness("unfit", f"{name} is of version {each.version}, which is not within {wanted.version}")
    if wanted.min_quality is not None and (each.score is None or each.score < wanted.min_quality):
        return Readiness("unfit", f"{name} has a quality score of {each.score}, less than {wanted.min_quality:g}")
    return Readiness("ready", f"{each.output} {each.version}, published {duration(age.total_seconds())} ago")
