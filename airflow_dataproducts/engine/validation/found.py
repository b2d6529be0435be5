"""What a scan is given and what it finds, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import quote
from airflow_dataproducts.contract.modes import OLD, stays

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow.dataset as pads

    from airflow_dataproducts.plan import ValidateStep

INPUTS = "inputs"
"""The schema of the inputs by their own names, where an output may hide them."""
CURRENT = "__current"
"""The table of the rows that consumers see before this run is published."""


@dataclass(frozen=True, slots=True)
class Before:
    """What was there before this run.

    Attributes:
        table: the rows that consumers see now, at least the columns that checks on the whole table need; None before
            the first version.
        measured: what earlier published runs measured for a check, newest first.
    """

    table: pads.Dataset | None = None
    measured: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured for one check.

    Attributes:
        holds: whether it holds; row rules by the share they must.
        unexpected: rows that break it, or what a query counted.
        observed: the number measured, for rules on one.
        samples: values that break it; of a rule on several columns, their values side by side.
        bounds: the lowest and highest number allowed, where history had a say.
        missing: rows that a row rule does not look at, because a value is NULL.
        note: why it could not be measured.
    """

    holds: bool
    unexpected: int = 0
    observed: Any = None
    samples: tuple[Any, ...] = ()
    bounds: tuple[Any, Any] | None = None
    missing: int = 0
    note: str = ""


@dataclass(slots=True)
class Scan:
    """Everything measured.

    Attributes:
        rows: of this run.
        nulls: by column.
        columns: DuckDB's type of each column as the data came.
        found: by check.
        rows_after: rows that consumers will see once this run is published.
        quarantined: rows that break a check which sets them aside.
    """

    rows: int = 0
    nulls: dict[str, int] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    found: dict[str, Found] = field(default_factory=dict)
    rows_after: int = 0
    quarantined: int = 0


def kept_rows(step: ValidateStep) -> str:
    """The rows of the version before that stay when this run is published, as a query over ``__current``."""
    return f"SELECT * FROM {CURRENT} {OLD} WHERE {stays(step.output, f'main.{quote(step.name)}')}"
