"""The contract of an output as the manifest writes it. What it means is the contract package's."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from airflow_dataproducts.manifest.base import Part, SqlName, Text
from airflow_dataproducts.manifest.constraints import Constraints, Judged, RowCount, Statistics
from airflow_dataproducts.manifest.contract_problems import column_problems, contract_problems, rule_problems
from airflow_dataproducts.manifest.problems import report
from airflow_dataproducts.manifest.types import DataType, parse_type
from airflow_dataproducts.manifest.units import Duration, Share, parse_share

ColumnType = Annotated[
    DataType,
    BeforeValidator(parse_type),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["string", "decimal(12,2)", "timestamptz", "array<string>"]}),
]

Pii = Literal[
    "name", "email", "phone", "address", "birth_date", "national_id", "ip_address", "device_id", "location",
    "financial", "health", "biometric", "other",
]  # fmt: skip


def _pii(value: Any) -> Any:
    """``pii: true`` says that it is, not what it is."""
    return {True: "other", False: None}[value] if isinstance(value, bool) else value


class Column(Constraints):
    """One column of an output and what must be true of its values."""

    name: SqlName
    """Name of the column."""
    type: ColumnType
    """string, varchar(n), integer, bigint, decimal(p,s), float, double, boolean, date, time, timestamp, timestamptz,
    uuid, json, binary, array<...> or struct<...>."""
    description: str = ""
    """What a value means, for those who read the data."""
    pii: Annotated[Pii | None, BeforeValidator(_pii), WithJsonSchema({"enum": [*get_args(Pii), True, False]})] = None
    """Kind of personal data in the column; its values never reach logs, messages or the catalog."""
    mask: Literal["hash", "redact", "partial", "null"] | None = None
    """How the column shows itself to readers without the right to it."""

    @model_validator(mode="after")
    def _consistent(self) -> Column:
        report(column_problems(self))
        return self


def _threshold(value: Any) -> Any:
    return parse_share(value) if isinstance(value, str) else value


class Rule(Constraints, Statistics):
    """A rule about one column with a severity of its own, about several columns, or about the rows as a whole."""

    name: SqlName
    """Name of the rule, as logs and messages show it."""
    description: str = ""
    """What the rule protects."""
    column: SqlName | None = None
    """The column it speaks of, for the rules on values, freshness and the statistics."""
    columns: tuple[SqlName, ...] = ()
    """The columns it speaks of together, for unique and references."""
    sql: Text | None = None
    """A query that counts violations; outputs and inputs are tables by their names."""
    threshold: Annotated[
        int | Share, BeforeValidator(_threshold), WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}]})
    ] = 0
    """The most violations the query may count, as a number or as a share of the rows, such as 1%."""
    scope: Literal["run", "table"] | None = None
    """Whether unique and sql look at this run's rows or at the whole table as consumers will see it. By default the
    table for unique and the run for sql; in mode replace they are the same."""
    row_count: RowCount | None = None
    """Bounds on the number of rows."""
    freshness: Duration | None = None
    """The newest value of the column, a date or timestamp, is at most so old when the run validates it."""
    schema_drift: tuple[SqlName, ...] = ()
    """Inputs whose columns and types must be what they were when the product last published."""

    @model_validator(mode="after")
    def _consistent(self) -> Rule:
        report(rule_problems(self))
        return self


class Expectation(Judged):
    """An expectation of Great Expectations, or of your own."""

    type: Text
    """Its name, such as expect_column_median_to_be_between, or package.module:ClassName."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Its arguments."""
    name: SqlName | None = None
    """How logs and messages call it; made from the type and column where left out."""
    description: str = ""
    """What it protects."""


class Contract(Part):
    """What consumers may rely on in one output."""

    columns: tuple[Column, ...] = Field(min_length=1)
    """The columns, in the order they are published."""
    primary_key: tuple[SqlName, ...] = ()
    """The columns that together name a row: never NULL, never twice."""
    rules: tuple[Rule, ...] = ()
    """Rules with a name of their own."""
    expectations: tuple[Expectation, ...] = ()
    """Expectations of Great Expectations beside the rules."""
    max_quarantine: Share | None = None
    """The greatest share of rows that may be quarantined; more fails the run."""
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
