"""What may be demanded of a column's values, and of numbers measured over a table."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from airflow_dataproducts.manifest.base import Part, SeverityName, SqlName
from airflow_dataproducts.manifest.units import Share

Scalar = bool | int | float | date | datetime | time | str
"""A value of an enum or bound as YAML gives it; the contract package reads it as the column's type."""

Format = Literal["email", "uuid", "uri", "ipv4", "ipv6", "hostname", "date", "time", "date-time"]
OnViolation = Literal["fail", "quarantine", "warn"]
Dimension = Literal["completeness", "validity", "uniqueness", "consistency", "timeliness", "accuracy"]
"""The quality dimensions of DAMA's working group, as far as rules on data can measure them."""

_REFERENCE = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*)\.([A-Za-z_][A-Za-z0-9_]*)$")
_QUANTILE = re.compile(r"^p(\d{1,2}(?:\.\d+)?)$")


class Reference(Part):
    """Rows of another table that values must name."""

    input: SqlName
    """The input, or another output of this product, that has the rows."""
    columns: tuple[SqlName, ...] = Field(min_length=1)
    """Its columns, in the order of the rule's own."""


def _reference(value: Any) -> Any:
    """``customers.id`` for an input and its column."""
    match = _REFERENCE.match(value) if isinstance(value, str) else None
    if match:
        return {"input": match.group(1), "columns": [match.group(2)]}
    if isinstance(value, str):
        raise ValueError(f"found {value!r}; write <input>.<column>, such as customers.id")  # noqa: TRY004
    return value


ReferenceField = Annotated[Reference, BeforeValidator(_reference)]


class Judged(Part):
    """How bad it is when something does not hold, and what then happens."""

    severity: SeverityName | None = None
    """How bad a violation is: critical, high, medium, low or info; what is usual for the rule where nothing is said."""
    on_violation: OnViolation | None = None
    """What then happens: fail the run, quarantine the rows, or warn. By default fail for critical and high."""
    dimension: Dimension | None = None
    """The quality dimension it measures, where it is not the usual one of the rule."""
    owner: str = ""
    """Who answers for it, where that is not the product's owner."""


class Constraints(Judged):
    """What must be true of a column's values."""

    required: bool = False
    """No value may be NULL."""
    unique: bool = False
    """No two rows of the whole table may share a value; NULLs are not compared."""
    pattern: str | None = None
    """Regular expression that Python's re.search must find in each value."""
    format: Format | None = None
    """A well-known shape of text: email, uuid, uri, ipv4, ipv6, hostname, date, time or date-time."""
    enum: tuple[Scalar, ...] | None = Field(default=None, min_length=1)
    """The only values allowed."""
    min: Scalar | None = None
    """Smallest value allowed."""
    max: Scalar | None = None
    """Greatest value allowed."""
    exclusive_min: Scalar | None = None
    """Every value is greater than this."""
    exclusive_max: Scalar | None = None
    """Every value is smaller than this."""
    min_length: int | None = Field(default=None, ge=0)
    """Fewest characters of a text."""
    max_length: int | None = Field(default=None, ge=0)
    """Most characters of a text."""
    multiple_of: int | float | None = Field(default=None, gt=0)
    """Every value is a multiple of this."""
    references: ReferenceField | None = None
    """A column of an input in which every value must be found, such as customers.id; NULLs are not looked for."""
    mostly: Share | None = None
    """The share of rows that must hold the rules, such as 99%; all where left out. Only required counts NULLs."""


class Steady(Part):
    """How much a number may change from run to run."""

    max_change: Share | None = None
    """Greatest relative change, up or down, against what was measured when the product last published, such as 20%."""
    window: int = Field(default=1, ge=1, le=100)
    """How many published runs max_change looks back on; it compares with their mean."""

    @model_validator(mode="after")
    def _bounds_something(self) -> Steady:
        low, high = getattr(self, "min", None), getattr(self, "max", None)
        if low is None and high is None and self.max_change is None:
            raise ValueError("bounds nothing; give min, max or max_change")
        if low is not None and high is not None and low > high:
            raise ValueError(f"found min {low}, which is greater than max {high}")
        return self


class Bounds(Steady):
    """Bounds on a number measured over the table."""

    min: int | float | None = None
    """Smallest value allowed."""
    max: int | float | None = None
    """Greatest value allowed."""


class ShareBounds(Steady):
    """Bounds on a share of the rows."""

    min: Share | None = None
    """Smallest share allowed."""
    max: Share | None = None
    """Greatest share allowed."""


class RowCount(Steady):
    """Bounds on the number of rows that consumers will see."""

    min: int | None = Field(default=None, ge=0)
    """Fewest rows."""
    max: int | None = Field(default=None, ge=0)
    """Most rows."""


def _quantile(value: str) -> str:
    if not _QUANTILE.match(value):
        raise ValueError(f"found {value!r}; a quantile is written p50 for the median, p95, p99.9")
    return value


Quantile = Annotated[str, AfterValidator(_quantile), WithJsonSchema({"type": "string", "pattern": _QUANTILE.pattern})]


class Statistics(Part):
    """Numbers measured over one column, and their bounds."""

    null_rate: ShareBounds | None = None
    """Share of rows without a value."""
    distinct_count: Bounds | None = None
    """Number of different values, NULL left out."""
    mean: Bounds | None = None
    """Arithmetic mean."""
    sum: Bounds | None = None
    """Sum."""
    stddev: Bounds | None = None
    """Standard deviation of the sample."""
    quantiles: dict[Quantile, Bounds] | None = None
    """Quantiles by name: p50 is the median, p95, p99.9."""
