"""What data looks like: the facts from which a contract can be proposed."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from airflow_dataproducts.contract.ddl import quote, text
from airflow_dataproducts.contract.formats import FORMATS
from airflow_dataproducts.contract.proposal import MOST_VALUES, ColumnFacts, TableFacts
from airflow_dataproducts.contract.types import duckdb_type
from airflow_dataproducts.engine import duck
from airflow_dataproducts.engine.validation.regex import to_re2
from airflow_dataproducts.manifest.types import parse_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    import pyarrow.dataset as pads

    from airflow_dataproducts.settings import Settings

_MOST_PAIRS = 10

_TEXT_TYPES: tuple[tuple[str, str, str], ...] = (
    # the contract's type, what a text of it looks like, DuckDB's type that must take every value
    ("boolean", r"^(?:true|false|TRUE|FALSE|True|False)$", "BOOLEAN"),
    ("integer", r"^-?(?:0|[1-9][0-9]*)$", "INTEGER"),
    ("bigint", r"^-?(?:0|[1-9][0-9]*)$", "BIGINT"),
    ("decimal", r"^-?(?:0|[1-9][0-9]*)\.[0-9]+$", "DECIMAL(38,10)"),
    ("double", r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$", "DOUBLE"),
    ("date", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "DATE"),
    ("timestamptz", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(?:Z|[+-][0-9]{2}:?[0-9]{2})$", "TIMESTAMPTZ"),
    ("timestamp", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+$", "TIMESTAMP"),
    ("uuid", to_re2(FORMATS["uuid"]) or "", "UUID"),
)
"""What text may be read as; a leading zero is kept as text, since it means something."""


def profile(data: pads.Dataset, settings: Settings, *, says_types: bool = True) -> TableFacts:
    """The facts of a table.

    Args:
        data: its rows.
        settings: the site's.
        says_types: False for rows that know text only, such as CSV's: types are read from the values then.
    """
    with duck.session(settings) as connection:
        duck.add_table(connection, "data", data)
        described = connection.execute("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM data)").fetchall()
        (rows,) = duck.one_row(connection, "SELECT count(*) FROM data")
        columns = tuple(_column(connection, name, kind, says_types=says_types) for name, kind in described)
        return TableFacts(rows, columns, _keys(connection, rows, columns))


def _column(connection: duckdb.DuckDBPyConnection, name: str, kind: str, *, says_types: bool) -> ColumnFacts:
    column = quote(name)
    is_text = kind == "VARCHAR"
    length = f"length({column})" if is_text else "0"
    query = (
        f"SELECT count(*) - count({column}), count(DISTINCT {column}), CAST(min({column}) AS VARCHAR), "
        f"CAST(max({column}) AS VARCHAR), coalesce(min({length}), 0), coalesce(max({length}), 0) FROM data"
    )
    nulls, distinct, low, high, shortest, longest = duck.one_row(connection, query)
    facts = ColumnFacts(
        name, _type(kind), nulls, distinct, low, high, shortest, longest, _values(connection, column, distinct)
    )
    if not is_text or not distinct:
        return facts
    found = _text_type(connection, column) if not says_types else "string"
    if found == "string":
        formats, shapes = _formats(connection, column), _shapes(connection, column)
        return replace(facts, formats=formats, shapes=shapes)
    low, high = _extremes(connection, column, found)
    return replace(facts, type=found, low=low, high=high, shortest=0, longest=0)


def _type(kind: str) -> str:
    """DuckDB's type as the contract's."""
    small = {"TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT"}
    names = {"BOOLEAN": "boolean", "FLOAT": "float", "DOUBLE": "double", "DATE": "date", "TIME": "time", "BLOB": "binary",
             "UUID": "uuid", "JSON": "json", "VARCHAR": "string", "HUGEINT": "decimal(38,0)", "UBIGINT": "decimal(20,0)"}  # fmt: skip
    if kind in small:
        return "integer"
    if kind in {"BIGINT", "UINTEGER"}:
        return "bigint"
    if kind.startswith("DECIMAL"):
        return kind.lower()
    if kind.endswith("[]"):
        return f"array<{_type(kind[:-2])}>"
    if kind.startswith("TIMESTAMP"):
        return "timestamptz" if "TIME ZONE" in kind or "TZ" in kind else "timestamp"
    return names.get(kind, "json" if kind.startswith(("STRUCT", "MAP")) else "string")


def _text_type(connection: duckdb.DuckDBPyConnection, column: str) -> str:
    """The narrowest type that every text can be read as."""
    parts = [
        f"bool_and(regexp_matches({column}, {text(look)}) AND TRY_CAST({column} AS {kind}) IS NOT NULL)"
        for _, look, kind in _TEXT_TYPES
    ]
    fits = duck.one_row(connection, f"SELECT {', '.join(parts)} FROM data WHERE {column} IS NOT NULL")
    name = next((each[0] for each, fit in zip(_TEXT_TYPES, fits, strict=True) if fit), "string")
    if name != "decimal":
        return name
    digits = f"regexp_replace({column}, '[-]', '')"
    whole, scale = duck.one_row(
        connection,
        f"SELECT max(length(split_part({digits}, '.', 1))), max(length(split_part({digits}, '.', 2))) FROM data",
    )
    return f"decimal({min(38, whole + scale)},{scale})"


def _extremes(connection: duckdb.DuckDBPyConnection, column: str, kind: str) -> tuple[str | None, str | None]:
    cast = f"CAST({column} AS {duckdb_type(parse_type(kind))})"
    low, high = duck.one_row(connection, f"SELECT CAST(min({cast}) AS VARCHAR), CAST(max({cast}) AS VARCHAR) FROM data")
    return low, high


def _values(connection: duckdb.DuckDBPyConnection, column: str, distinct: int) -> tuple[tuple[str, int], ...]:
    if not 0 < distinct <= MOST_VALUES:
        return ()
    query = f"SELECT CAST({column} AS VARCHAR), count(*) AS n FROM data WHERE {column} IS NOT NULL GROUP BY ALL ORDER BY n DESC, 1"
    return tuple(connection.execute(query).fetchall())


def _formats(connection: duckdb.DuckDBPyConnection, column: str) -> tuple[str, ...]:
    searched = {name: found for name, regex in FORMATS.items() if (found := to_re2(regex)) is not None}
    parts = [f"bool_and(regexp_matches({column}, {text(regex)}))" for regex in searched.values()]
    fits = duck.one_row(connection, f"SELECT {', '.join(parts)} FROM data WHERE {column} IS NOT NULL")
    return tuple(name for name, fit in zip(searched, fits, strict=True) if fit)


def _shapes(connection: duckdb.DuckDBPyConnection, column: str) -> tuple[str, ...]:
    shape = f"{column}"
    for look, shown in ((r"[0-9]", "9"), (r"[A-Z]", "A"), (r"[a-z]", "a")):
        shape = f"regexp_replace({shape}, {text(look)}, {text(shown)}, 'g')"
    query = f"SELECT {shape} AS shape FROM data WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 2"
    return tuple(row[0] for row in connection.execute(query).fetchall())


def _keys(
    connection: duckdb.DuckDBPyConnection, rows: int, columns: Sequence[ColumnFacts]
) -> tuple[tuple[str, ...], ...]:
    """Columns that alone name one row; where there are none, pairs that do."""
    if not rows:
        return ()
    able = [each for each in columns if not each.nulls and each.type not in {"float", "double", "json", "boolean"}]
    single = tuple((each.name,) for each in able if each.distinct == rows)
    if single:
        return single
    pairs = [(a, b) for a, b in combinations(able, 2) if a.distinct * b.distinct >= rows]
    likely = sorted(pairs, key=lambda pair: -pair[0].distinct * pair[1].distinct)[:_MOST_PAIRS]
    found = []
    for a, b in likely:
        query = f"SELECT count(*) FROM (SELECT DISTINCT {quote(a.name)}, {quote(b.name)} FROM data)"
        if duck.one_row(connection, query)[0] == rows:
            found.append((a.name, b.name))
    return tuple(found)
