"""When a run runs, as its SQL may know it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_dataproducts.contract.ddl import text
from airflow_dataproducts.manifest.sql import with_values


@dataclass(frozen=True, slots=True)
class Moment:
    """A run's place in time, as Airflow gives it. All moments are in UTC.

    Attributes:
        run_id: the run.
        logical_date: the moment that the run stands for; of a run by hand or by an asset, when it began.
        start: where its data interval begins.
        end: where it ends.
    """

    run_id: str
    logical_date: datetime
    start: datetime
    end: datetime

    @classmethod
    def now(cls, run_id: str) -> Moment:
        """The moment of a run that nobody scheduled."""
        here = datetime.now(UTC)
        return cls(run_id, here, here, here)

    def fill(self, sql: str) -> str:
        """SQL with its parameters (``manifest.sql.PARAMETERS``) replaced by literals that every database reads."""
        values = {
            "run_id": text(self.run_id),
            "run_date": f"DATE {text(self.logical_date.date().isoformat())}",
            "logical_date": _stamp(self.logical_date),
            "data_interval_start": _stamp(self.start),
            "data_interval_end": _stamp(self.end),
        }
        return with_values(sql, lambda name: values.get(name, f"${name}"))


def _stamp(moment: datetime) -> str:
    return f"TIMESTAMP WITH TIME ZONE {text(moment.astimezone(UTC).isoformat(sep=' '))}"
