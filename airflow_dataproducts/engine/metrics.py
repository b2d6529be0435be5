"""Metrics of every column of an output, for the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import quote
from airflow_dataproducts.engine import duck

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow.dataset as pads

    from airflow_dataproducts.manifest.contract import Contract
    from airflow_dataproducts.settings import Settings

_ORDERED = {"integer", "bigint", "decimal", "float", "double", "date", "time", "timestamp", "timestamptz", "string"}
_PARTS = 4


@dataclass(frozen=True, slots=True)
class ColumnMetric:
    """Measures of one column: NULLs, approximate distinct values, and the extremes unless it is personal data."""

    column: str
    nulls: int
    distinct: int
    minimum: str | None
    maximum: str | None


def column_metrics(contract: Contract, data: pads.Dataset, settings: Settings) -> tuple[ColumnMetric, ...]:
    """The metrics of each of the contract's columns, in one scan.

    Args:
        contract: the contract.
        data: rows that have its columns.
        settings: the site's.
    """
    with duck.session(settings) as connection:
        duck.add_table(connection, "data", data)
        row = duck.one_row(connection, f"SELECT {aggregates(contract, 'approx_count_distinct({})')} FROM data")
    return read_metrics(contract, row)


def aggregates(contract: Contract, distinct: str = "count(DISTINCT {})") -> str:
    """What :func:`read_metrics` reads, in SQL.

    Args:
        contract: the contract.
        distinct: what counts the distinct values of a column.
    """
    parts = []
    for column in contract.columns:
        name = quote(column.name)
        shown = column.pii is None and column.type.name in _ORDERED
        low, high = (f"CAST({extreme}({name}) AS VARCHAR)" if shown else "NULL" for extreme in ("min", "max"))
        parts.append(f"count(*) - count({name}), {distinct.format(name)}, {low}, {high}")
    return ", ".join(parts)


def read_metrics(contract: Contract, row: Sequence[Any]) -> tuple[ColumnMetric, ...]:
    """The metrics of each of the contract's columns, from the row of its aggregates."""
    return tuple(
        ColumnMetric(column.name, *row[index * _PARTS : (index + 1) * _PARTS])
        for index, column in enumerate(contract.columns)
    )
