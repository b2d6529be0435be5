"""What a check may demand, as plain data that knows no engine.

What they mean: NULL breaks ``NotNull`` alone, never a pattern, a range, a key or a reference; NaN is a value, outside
every range and every set and equal to itself as a key; infinities compare as numbers; a pattern is what Python's
``re.search`` finds; bounds are exact values of the column's type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import timedelta
    from decimal import Decimal

    from airflow_dataproducts.manifest.literals import Literal as Value
    from airflow_dataproducts.manifest.types import DataType

Scope = Literal["run", "table"]
Measure = Literal["null_rate", "distinct_count", "mean", "sum", "stddev", "quantile"]


@dataclass(frozen=True, slots=True)
class NotNull:
    """No value is NULL."""


@dataclass(frozen=True, slots=True)
class Unique:
    """No two rows agree in all of the check's columns; rows with a NULL among them are not compared."""


@dataclass(frozen=True, slots=True)
class Matches:
    """``re.search(regex, value)`` finds something."""

    regex: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value is one of ``values``."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """The value is within bounds; ``strict_*`` leaves the bound itself out, None leaves that side open."""

    low: Value | None = None
    high: Value | None = None
    strict_low: bool = False
    strict_high: bool = False


@dataclass(frozen=True, slots=True)
class LengthBetween:
    """The text has so many characters (code points)."""

    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class MultipleOf:
    """The value divided by ``number`` leaves no remainder."""

    number: Decimal


@dataclass(frozen=True, slots=True)
class References:
    """The values of the check's columns are those of ``columns`` in some row of ``table``."""

    table: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OfType:
    """Every value can be read as ``kind``, and the column is one of that type where the data says its types."""

    kind: DataType


@dataclass(frozen=True, slots=True)
class ColumnSet:
    """The table has these columns and no others."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RowCount:
    """The table that consumers will see has so many rows, and not too many more or fewer than before.

    Attributes:
        max_change: greatest relative change against the mean of the last ``window`` published versions, as a share.
    """

    low: int | None = None
    high: int | None = None
    max_change: Decimal | None = None
    window: int = 1


@dataclass(frozen=True, slots=True)
class Statistic:
    """A number measured over a column is within bounds.

    Attributes:
        measure: what is measured; ``null_rate`` is a share from 0 to 1, ``stddev`` that of the sample.
        low, high: bounds, both included.
        max_change: greatest relative change against the mean of the last ``window`` published runs, as a share.
        quantile: which one, from 0 to 1, where that is the measure.
    """

    measure: Measure
    low: Decimal | None = None
    high: Decimal | None = None
    max_change: Decimal | None = None
    window: int = 1
    quantile: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Fresh:
    """The greatest value of the column is no older than ``max_age`` when it is checked."""

    max_age: timedelta


@dataclass(frozen=True, slots=True)
class Violations:
    """``sql``, which counts violations over the outputs and inputs as tables, counts at most ``most``.

    Attributes:
        most: a number of violations.
        share: a share of the rows instead; None where ``most`` counts.
    """

    sql: str
    most: int = 0
    share: Decimal | None = None


@dataclass(frozen=True, slots=True)
class SchemaOf:
    """The columns of an input and their types are those of the last published run."""

    input: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """At most this share of the rows breaks a check that sets rows aside."""

    share: Decimal


@dataclass(frozen=True, slots=True)
class GxExpectation:
    """An expectation of Great Expectations, or of the user's own, that none of the rules above says.

    Attributes:
        type: GX's name of it, or ``package.module:ClassName``.
        kwargs: its arguments as sorted pairs.
    """

    type: str
    kwargs: tuple[tuple[str, Any], ...]


RowRule = NotNull | Unique | Matches | OneOf | Between | LengthBetween | MultipleOf | References
"""Rules that single rows break, so that these can be counted, shown and set aside."""
TableRule = OfType | ColumnSet | RowCount | Statistic | Fresh | Violations | SchemaOf | SetAside | GxExpectation
"""Rules about the table as a whole."""
Rule = RowRule | TableRule
ROW_RULES = (NotNull, Unique, Matches, OneOf, Between, LengthBetween, MultipleOf, References)
