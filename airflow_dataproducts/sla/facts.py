"""What was observed of a product, as the catalog knows it. All moments are in UTC, with their zone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run of a product.

    Attributes:
        run_id: Airflow's.
        state: running, success or failed.
        started_at: when it began.
        finished_at: when it ended; None while it runs.
        failed_task: the task that failed.
        error: why, without values.
    """

    run_id: str
    state: str
    started_at: datetime
    finished_at: datetime | None = None
    failed_task: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What consumers see of an output.

    Attributes:
        at: when it became visible.
        run_id: the run that published it.
        rows: rows in it.
        rows_before: rows of the version before; None for the first.
        checked: rows that were validated; None where nobody knows.
        dimensions: quality score by dimension, from 0 to 100.
        nulls: NULLs by column, among the checked rows.
        newest: the greatest value of the columns that promises ask for.
    """

    at: datetime
    run_id: str
    rows: int
    rows_before: int | None = None
    checked: int | None = None
    dimensions: Mapping[str, float] = field(default_factory=dict)
    nulls: Mapping[str, int] = field(default_factory=dict)
    newest: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probes:
    """What probes found within a promise's window.

    Attributes:
        ok: probes that could read.
        total: all of them.
        p95: seconds that 95 of 100 did not exceed; None without any.
        p99: the same for 99 of 100.
    """

    ok: int
    total: int
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that promises of a product are judged by.

    Attributes:
        known_since: when the product was first seen.
        paused: whether Airflow's scheduler leaves it alone; None where nobody has asked.
        run: its newest run; None before the first.
        usual_seconds: what its successful runs take, the median; None before the first.
        shown: what consumers see, by output.
        probes: what probes found, by promise.
        marks: how far incremental inputs have been read and published, by input.
        drift: how the schema differs from that of the version; None where it does not.
    """

    known_since: datetime
    paused: bool | None = None
    run: LastRun | None = None
    usual_seconds: float | None = None
    shown: Mapping[str, Shown] = field(default_factory=dict)
    probes: Mapping[str, Probes] = field(default_factory=dict)
    marks: Mapping[str, datetime] = field(default_factory=dict)
    drift: str | None = None

    @property
    def last_publish(self) -> datetime | None:
        """When all outputs were last renewed; None before that."""
        return min((each.at for each in self.shown.values()), default=None)
