"""Statements that both kinds of store say in their own dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

Row = dict[str, Any]


def upsert(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Row],
    keep: tuple[str, ...] = (),
    index: tuple[str, ...] = (),
) -> None:
    """Insert rows, or update those of their keys, in one statement.

    Args:
        connection: within a transaction.
        table: the table.
        rows: all with the same columns; none is no statement.
        keep: columns that stay as they are where the row is there.
        index: the unique columns by which a row is known; the primary key where left out.
    """
    if not rows:
        return
    insert = _insert(connection, table)
    keys = index or tuple(column.name for column in table.primary_key)
    changed = {name: insert.excluded[name] for name in rows[0] if name not in keys and name not in keep}
    connection.execute(insert.on_conflict_do_update(index_elements=list(keys), set_=changed), list(rows))


def insert_if_new(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows, but for those that are there."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(), list(rows))


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)
