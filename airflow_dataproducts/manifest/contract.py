"""The contract of an output as the manifest writes it. What it means is the contract package's."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from airflow_dataproducts.manifest.base import Part, SeverityName, SqlName, Text
from airflow_dataproducts.manifest.problems import column_problems, contract_problems, report
from airflow_dataproducts.manifest.types import DataType, parse_type
from airflow_dataproducts.manifest.units import Share

Scalar = bool | int | float | date | datetime | time | str
"""A value of an enum or bound as YAML gives it; the contract package reads it as the column's type."""

ColumnType = Annotated[
    DataType,
    BeforeValidator(parse_type),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["string", "decimal(12,2)", "timestamptz", "array<string>"]}),
]

Format = Literal["email", "uuid", "uri", "ipv4", "ipv6", "hostname", "date", "time", "date-time"]
OnViolation = Literal["fail", "quarantine", "warn"]
Pii = Literal[
    "name", "email", "phone", "address", "birth_date", "national_id", "ip_address", "device_id", "location",
    "financial", "health", "biometric", "other",
]  # fmt: skip


def _pii(value: Any) -> Any:
    """``pii: true`` says that it is, not what it is."""
    return {True: "other", False: None}[value] if isinstance(value, bool) else value


class Column(Part):
    """One column of an output and what must be true of its values."""

    name: SqlName
    """Name of the column."""
    type: ColumnType
    """string, varchar(n), integer, bigint, decimal(p,s), float, double, boolean, date, time, timestamp, timestamptz,
    uuid, json, binary, array<...> or struct<...>."""
    description: str = ""
    """What a value means, for those who read the data."""
    required: bool = False
    """No value may be NULL."""
    unique: bool = False
    """No two rows may share a value; NULLs are not compared."""
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
    pii: Annotated[Pii | None, BeforeValidator(_pii), WithJsonSchema({"enum": [*get_args(Pii), True, False]})] = None
    """Kind of personal data in the column; its values never reach logs, messages or the catalog."""
    mask: Literal["hash", "redact", "partial", "null"] | None = None
    """How the column shows itself to readers without the right to it."""
    severity: SeverityName | None = None
    """How bad it is when a value breaks a rule of this column: critical, high, medium, low or info."""
    on_violation: OnViolation | None = None
    """What then happens: fail the run, quarantine the rows, or warn. By default fail for critical and high."""

    @model_validator(mode="after")
    def _consistent(self) -> Column:
        report(column_problems(self))
        return self


class RowCount(Part):
    """Bounds on the number of rows."""

    min: int | None = Field(default=None, ge=0)
    """Fewest rows."""
    max: int | None = Field(default=None, ge=0)
    """Most rows."""
    max_change: Share | None = None
    """Greatest change against the version published before, up or down, such as 50%."""


class Rule(Part):
    """A rule about the rows of an output as a whole."""

    name: SqlName
    """Name of the rule, as logs and messages show it."""
    description: str = ""
    """What the rule protects."""
    sql: Text | None = None
    """A query that counts violations; outputs and inputs are tables by their names."""
    threshold: int = Field(default=0, ge=0)
    """The most violations the query may count."""
    row_count: RowCount | None = None
    """Bounds on the number of rows, instead of a query."""
    severity: SeverityName | None = None
    """How bad a violation is: critical, high, medium, low or info; critical where nothing is said."""
    on_violation: Literal["fail", "warn"] | None = None
    """What then happens; by default fail for critical and high."""

    @model_validator(mode="after")
    def _one_of(self) -> Rule:
        if (self.sql is None) == (self.row_count is None):
            raise ValueError("a rule has either sql or row_count")
        return self


class Contract(Part):
    """What consumers may rely on in one output."""

    columns: tuple[Column, ...] = Field(min_length=1)
    """The columns, in the order they are published."""
    primary_key: tuple[SqlName, ...] = ()
    """The columns that together name a row: never NULL, never twice."""
    rules: tuple[Rule, ...] = ()
    """Rules about the rows as a whole."""
    evolution: Literal["backward_compatible", "forward_compatible", "full", "none"] = "backward_compatible"
    """Which changes to this contract a minor version may bring."""

    @model_validator(mode="after")
    def _consistent(self) -> Contract:
        report(contract_problems(self))
        return self

    def column(self, name: str) -> Column:
        """The column of that name.

        Raises:
            KeyError: there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)
