"""DuckDB's SQL in PostgreSQL's words, by sqlglot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.contract.ddl import quote
from airflow_dataproducts.engine.masking import without_values
from airflow_dataproducts.exceptions import TransformError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlglot import exp


def in_postgres(query: str, tables: Mapping[str, str]) -> str:
    """A query, in brackets, with a name for each table that it reads.

    Args:
        query: DuckDB's SQL.
        tables: the query that gives each table's rows, by name.

    Raises:
        TransformError: it cannot be said in PostgreSQL's words.
    """
    import sqlglot

    try:
        text = _spelt_out(sqlglot.parse_one(query, read="duckdb")).sql(
            "postgres", unsupported_level=sqlglot.ErrorLevel.RAISE
        )
    except (sqlglot.errors.SqlglotError, ValueError) as error:
        line = without_values(str(error).strip().splitlines()[0])
        raise TransformError(f"the SQL cannot be said in PostgreSQL's words: {line}") from None
    # Not materialised: PostgreSQL sees through the name to the table's indexes and statistics.
    read = [f"{quote(name.lower())} AS NOT MATERIALIZED ({rows})" for name, rows in tables.items()]
    before = f"WITH {', '.join(read)} " if read else ""
    return f"({before}SELECT * FROM ({text}\n) AS made)"


def _spelt_out(tree: exp.Expr) -> exp.Expr:
    """``GROUP BY ALL`` as the places of the columns that aggregate nothing; PostgreSQL has no word for it."""
    from sqlglot import exp

    for select in tree.find_all(exp.Select):
        group = select.args.get("group")
        if group is not None and group.args.get("all"):
            places = [index for index, each in enumerate(select.expressions, 1) if each.find(exp.AggFunc) is None]
            plain = [exp.Literal.number(place) for place in places]
            select.set("group", exp.Group(expressions=plain) if plain else None)
    return tree
