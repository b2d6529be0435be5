"""Which columns an output's columns are made from, read from the transform's SQL by sqlglot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataproducts.manifest.sql import tables_among, with_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataproducts.plan import TransformStep


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """One column that another is made from.

    Attributes:
        output_column: the column that is made; empty where only the tables are known.
        table: an input, or another output.
        column: its column; empty where only the tables are known.
    """

    output_column: str
    table: str
    column: str


def links(step: TransformStep, tables: Mapping[str, Sequence[str]]) -> list[Link]:
    """Where an output's columns come from, sorted.

    A function, and SQL that sqlglot cannot follow, are known by their tables alone.

    Args:
        step: the transform.
        tables: the columns of the inputs, and of the other outputs, by name.
    """
    if step.sql is None:
        return sorted(Link("", table, "") for table in tables)
    used = {Link("", table, "") for table in tables_among(step.sql, tables)}
    return sorted(used | set(_columns(step, step.sql, tables)))


def _columns(step: TransformStep, sql: str, tables: Mapping[str, Sequence[str]]) -> Iterator[Link]:
    import logging

    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage

    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    plain = with_values(sql, lambda _name: "NULL")
    schema = {table: dict.fromkeys(columns, "VARCHAR") for table, columns in tables.items()}
    by_lower = {table.lower(): table for table in tables}
    for column in step.output.contract.columns:
        try:
            node = lineage(column.name, plain, schema=schema, dialect="duckdb")
        except (SqlglotError, ValueError, KeyError, RecursionError):
            continue
        for leaf in node.walk():
            table = by_lower.get(leaf.source.name.lower()) if isinstance(leaf.source, exp.Table) else None
            if table is not None and not leaf.downstream:
                name = leaf.name.rpartition(".")[2].strip('"')
                yield Link(
                    column.name, table, next((each for each in tables[table] if each.lower() == name.lower()), name)
                )
