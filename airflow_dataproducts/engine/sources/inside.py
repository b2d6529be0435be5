"""Inputs that a database reads itself: nothing is copied, only looked at, so that later steps all mean the same rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import quote
from airflow_dataproducts.engine.kept import Kept
from airflow_dataproducts.engine.sources import sql
from airflow_dataproducts.engine.sources.postgres import looking, read_all
from airflow_dataproducts.engine.sources.product import published_version
from airflow_dataproducts.exceptions import SourceChangedError
from airflow_dataproducts.manifest.inputs import ProductInput, QueryInput, TableInput

if TYPE_CHECKING:
    from airflow_dataproducts.engine.sources import Reading
    from airflow_dataproducts.manifest.inputs import Input


def look(name: str, source: Input, reading: Reading) -> Kept:
    """Count an input's rows where they are, and say how far its cursor goes.

    Args:
        name: the input's name.
        source: a table, a query, or another product's output in PostgreSQL.
        reading: what it is read with.

    Raises:
        SourceChangedError: it is not what the manifest says, or not in a database.
        SourceError: it cannot be reached.
    """
    if isinstance(source, ProductInput):
        published = published_version(name, source, reading)
        if published.kind != "postgres" or published.connection is None:
            raise SourceChangedError(
                f"input {name}: {source.product} is published to {published.kind}, where no database can read it; use engine: duckdb"
            )
        return _look(name, published.connection, sql.table(published.location), None, reading)
    assert isinstance(source, TableInput | QueryInput)  # noqa: S101 - the manifest allows no others
    return _look(name, source.connection, sql.relation(source, reading.moment), source.cursor, reading)


def _look(name: str, connection: str, relation: str, column: str | None, reading: Reading) -> Kept:
    with looking(name, connection, reading) as cursor:
        columns = _names(cursor, relation)
        if column is None:
            return Kept(connection, relation, columns, *_measured(cursor, relation))
        if column not in columns:
            raise SourceChangedError(
                f"input {name}: the cursor column {column} is not there (it has {', '.join(columns)})"
            )
        new = f"(SELECT * FROM {relation}{sql.where(column, reading.bounds)}) AS q"
        rows, highest = _measured(cursor, new, column)
    found = Kept(connection, new, columns, rows, highest)
    if highest is not None:
        # Rows that come while the run is at work are the next run's.
        upto = sql.where(column, [("<=", highest)])
        found = replace(found, relation=f"(SELECT * FROM {new}{upto} OR {quote(column)} IS NULL) AS q")
    return found


def _names(cursor: Any, relation: str) -> tuple[str, ...]:
    cursor.execute(f"SELECT * FROM {relation} LIMIT 0")
    return tuple(cursor.fetch_arrow_table().schema.names)


def _measured(cursor: Any, relation: str, column: str | None = None) -> tuple[int, str | None]:
    """The rows of a relation, and the greatest value of a column as ISO text or digits."""
    greatest = f", max({quote(column)}) AS highest" if column else ""
    stream = read_all(cursor, f"(SELECT count(*) AS rows{greatest} FROM {relation}) AS q")
    (row,) = next(stream.batches).to_pylist()
    return row["rows"], sql.cursor_text(row.get("highest"))
