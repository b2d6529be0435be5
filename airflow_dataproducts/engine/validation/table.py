"""The table under validation as the contract's types, whatever types the data came with.

What a run makes has the contract's types already, and is read as it is. A file that somebody else wrote is read through
a view that casts each column; values that cannot be cast are NULL in the view and break the column's type check.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataproducts.contract.ddl import quote
from airflow_dataproducts.contract.types import TEXT_IN_FILES, duckdb_type
from airflow_dataproducts.engine import duck

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from airflow_dataproducts.manifest.contract import Contract
    from airflow_dataproducts.manifest.types import DataType

_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
_FLOATS = {"FLOAT", "DOUBLE"}
_TIMESTAMPS = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP_US"}
_ZONED = {"TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ", "TIMESTAMPTZ_NS", "TIMESTAMP_NS WITH TIME ZONE"}
_TEXTS = {"VARCHAR"}


@dataclass(frozen=True, slots=True)
class TypedTable:
    """What the data's columns are, beside what the contract wants.

    Attributes:
        name: the table's name; it has the contract's types now.
        found: DuckDB's type of each column as the data came, in its order.
        unfit: for each column whose values had to be cast, the condition under which one could not be, over ``raw``.
        foreign: columns whose type is another kind than the contract's, however their values read.
        raw: the table as it came.
    """

    name: str
    found: Mapping[str, str]
    unfit: Mapping[str, str]
    foreign: frozenset[str]
    raw: str


def typed(
    connection: duckdb.DuckDBPyConnection, name: str, contract: Contract, *, says_types: bool = True
) -> TypedTable:
    """See to it that the table ``name`` has the contract's types.

    Args:
        connection: a session to which :func:`airflow_dataproducts.engine.duck.add_table` gave the table.
        name: the table.
        contract: the contract.
        says_types: False for data that knows text only, such as CSV: then what its values can be read as decides.
    """
    rows = connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {quote(name)})").fetchall()
    found = dict(rows)
    stored = _stored(connection, contract)
    unfit: dict[str, str] = {}
    casts = []
    foreign = set()
    for column in contract.columns:
        kind = found.get(column.name)
        if kind is None or kind == stored[column.name]:
            continue
        cast = _cast(column.name, column.type)
        casts.append(f"{cast} AS {quote(column.name)}")
        unfit[column.name] = _unfit(column.name, column.type, kind, cast)
        if says_types and not _kin(kind, column.type, stored[column.name]):
            foreign.add(column.name)
    if not casts:
        return TypedTable(name, found, {}, frozenset(), name)
    raw = duck.RAW + name
    connection.execute(
        f"CREATE OR REPLACE VIEW {quote(name)} AS SELECT * REPLACE ({', '.join(casts)}) FROM {quote(raw)}"
    )
    return TypedTable(name, found, unfit, frozenset(foreign), raw)


def _stored(connection: duckdb.DuckDBPyConnection, contract: Contract) -> dict[str, str]:
    """The type of each column as staged files keep it, in DuckDB's own spelling."""
    casts = [
        f"CAST(NULL AS {duckdb_type(column.type, in_files=True)}) AS {quote(column.name)}"
        for column in contract.columns
    ]
    query = f"SELECT column_name, column_type FROM (DESCRIBE SELECT {', '.join(casts)})"
    return dict(connection.execute(query).fetchall())


def _cast(name: str, kind: DataType) -> str:
    value = f"TRY_CAST({quote(name)} AS {duckdb_type(kind)})"
    return f"CAST({value} AS VARCHAR)" if kind.name in TEXT_IN_FILES else value


def _unfit(name: str, kind: DataType, found: str, cast: str) -> str:
    """A value that cannot be cast, or not without losing digits."""
    lost = f" OR {cast} <> {quote(name)}" if kind.is_numeric and _is_number(found) else ""
    return f"({quote(name)} IS NOT NULL AND ({cast} IS NULL{lost}))"


def _is_number(found: str) -> bool:
    return found in _INTEGERS or found in _FLOATS or found.startswith("DECIMAL")


def _kin(found: str, kind: DataType, stored: str) -> bool:
    """Whether a type is the contract's kind, if perhaps of another width."""
    if kind.name in {"integer", "bigint"}:
        return found in _INTEGERS
    if kind.name == "decimal":
        return found.startswith("DECIMAL") or found in _INTEGERS
    families = {
        "float": _FLOATS, "double": _FLOATS, "timestamp": _TIMESTAMPS, "timestamptz": _ZONED,
        "string": _TEXTS, "json": _TEXTS | {"JSON"}, "uuid": _TEXTS | {"UUID"},
    }  # fmt: skip
    return found in families.get(kind.name, {stored}) or (found.startswith("ENUM") and kind.name == "string")
