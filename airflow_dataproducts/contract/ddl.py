"""PostgreSQL tables as a contract describes them: types, NOT NULL, the primary key, comments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.contract.types import postgres_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_dataproducts.manifest.contract import Column, Contract
    from airflow_dataproducts.manifest.types import DataType


def quote(name: str) -> str:
    """A name as SQL identifier, safe whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def names(columns: Iterable[str]) -> str:
    """Names as a list of SQL identifiers."""
    return ", ".join(quote(column) for column in columns)


def all_given(columns: Iterable[str]) -> str:
    """The condition that none of the columns is NULL."""
    return " AND ".join(f"{quote(column)} IS NOT NULL" for column in columns)


def text(value: str) -> str:
    """A text as SQL literal."""
    return "'" + value.replace("'", "''") + "'"


_LOADED_AS_TEXT = ("uuid", "jsonb")


def create_table(contract: Contract, table: str, *, loading: bool = False) -> str:
    """``CREATE TABLE`` for the contract's columns.

    Args:
        contract: a valid contract.
        table: the table's quoted name.
        loading: make columns text whose type takes no binary copy from Arrow; ``finish_loading`` converts them.

    A column is NOT NULL where the contract requires it and a violation stops the run; otherwise the table would refuse
    rows that the contract lets pass with a warning.
    """
    lines = []
    for column in contract.columns:
        kind = postgres_type(column.type)
        kind = "text" if loading and kind in _LOADED_AS_TEXT else kind
        lines.append(f"{quote(column.name)} {kind}{' NOT NULL' if _is_strict(contract, column) else ''}")
    return f"CREATE TABLE {table} (\n  " + ",\n  ".join(lines) + "\n)"


def _is_strict(contract: Contract, column: Column) -> bool:
    if column.name in contract.primary_key:
        return True
    return column.required and column.on_violation != "warn" and column.severity in {None, "critical", "high"}


def draft_type(kind: DataType) -> str:
    """The type of a column of rows that are not yet checked: no length, which a cast would cut texts to."""
    return "text" if kind.length is not None else postgres_type(kind)


def settle(contract: Contract, table: str) -> Iterator[str]:
    """The statement that gives a table made of a query what ``create_table`` would have said, in one look at its rows."""
    changes = []
    for column in contract.columns:
        name, kind = quote(column.name), postgres_type(column.type)
        if kind != draft_type(column.type):
            changes.append(f"ALTER {name} TYPE {kind}")
        if _is_strict(contract, column):
            changes.append(f"ALTER {name} SET NOT NULL")
    if changes:
        yield f"ALTER TABLE {table} {', '.join(changes)}"


def finish_loading(contract: Contract, table: str) -> Iterator[str]:
    """The statements that give columns their own type which ``create_table(loading=True)`` made text."""
    for column in contract.columns:
        kind = postgres_type(column.type)
        if kind in _LOADED_AS_TEXT:
            name = quote(column.name)
            yield f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {kind} USING {name}::{kind}"


def primary_key(contract: Contract, table: str) -> str | None:
    """The statement that adds the key once the rows are in, which is faster than keeping an index up to date."""
    if not contract.primary_key:
        return None
    return f"ALTER TABLE {table} ADD PRIMARY KEY ({names(contract.primary_key)})"


def comments(contract: Contract, relation: str, kind: str = "TABLE") -> Iterator[str]:
    """``COMMENT ON`` for every described column of a table or view."""
    for column in contract.columns:
        if column.description:
            yield f"COMMENT ON COLUMN {relation}.{quote(column.name)} IS {text(column.description)}"
    yield f"COMMENT ON {kind} {relation} IS 'published by airflow-dataproducts'"
