"""PostgreSQL through ADBC: binary COPY straight into Arrow, streamed, with every type exact.

Types without an exact Arrow counterpart (enums, inet, intervals, money, unconstrained numeric, ...) arrive as
PostgreSQL's own text, which the contract's cast then reads. ``numeric(p,s)`` becomes decimal128(p,s).
"""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import quote, text
from airflow_dataproducts.engine.sources import sql
from airflow_dataproducts.engine.sources.side_by_side import side_by_side
from airflow_dataproducts.engine.staging import Stream, guarded
from airflow_dataproducts.exceptions import SourceChangedError, SourceError
from airflow_dataproducts.manifest.inputs import TableInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from airflow_dataproducts.engine.sources import Reading
    from airflow_dataproducts.manifest.inputs import QueryInput

_DECIMAL128 = 38
_TYPMOD_OFFSET = 4  # PostgreSQL adds VARHDRSZ to a numeric's typmod (src/backend/utils/adt/numeric.c)
PART_PAGES = 16_384
"""Pages that are worth a connection of their own: 128 MB."""
_MOST_PARTS = 4
_TID_RANGES = 140_000  # PostgreSQL 14 release notes: "Allow efficient heap scanning of a range of TIDs"
_USERS_MISTAKE = ("42", "3F", "28")  # SQLSTATE classes: syntax or access rule, invalid schema, invalid authorisation


@contextmanager
def open_query(name: str, source: TableInput | QueryInput, reading: Reading) -> Iterator[Stream]:
    """Open a table or query. See :func:`airflow_dataproducts.engine.sources.open_source`.

    A large table is read in several parts at once, all of them in one snapshot.
    """
    uri = reading.connections.get(source.connection).postgres_uri()
    errors = partial(_errors, name, source.connection)
    relation = sql.relation(source, reading.moment)
    condition = sql.where(source.cursor, reading.bounds)
    with _session(uri, errors) as cursor:
        with errors():
            parts = _parts(cursor, relation, reading.settings.threads) if isinstance(source, TableInput) else []
            if len(parts) < 2:  # noqa: PLR2004 - one part is the whole
                stream = read_all(cursor, relation, condition)
            else:
                stream = _read_parts(uri, cursor, relation, [_and(condition, part) for part in parts])
        yield Stream(stream.schema, guarded(stream, errors))


@contextmanager
def looking(name: str, connection: str, reading: Reading) -> Iterator[Any]:
    """A cursor in a transaction that reads one snapshot of a database; its errors are those of an input."""
    errors = partial(_errors, name, connection)
    with _session(reading.connections.get(connection).postgres_uri(), errors) as cursor, errors():
        yield cursor


@contextmanager
def _session(uri: str, errors: Callable[[], AbstractContextManager[None]], snapshot: str = "") -> Iterator[Any]:
    """A transaction that sees one snapshot: its own, or one that another has exported."""
    import adbc_driver_postgresql.dbapi as adbc

    with errors():
        connection = adbc.connect(uri)
    try:
        with connection.cursor() as cursor:
            with errors():
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                if snapshot:
                    cursor.execute(f"SET TRANSACTION SNAPSHOT {text(snapshot)}")
            yield cursor
    finally:
        connection.close()


def _parts(cursor: Any, relation: str, threads: int) -> list[str]:
    """Conditions that part a large table by its pages; empty where it is small, or no table of PostgreSQL 14 or newer.

    Older servers read the whole table for a range of ctid.
    """
    cursor.execute("SELECT current_setting('server_version_num')::int")
    if cursor.fetchone()[0] < _TID_RANGES:
        return []
    cursor.execute(
        "SELECT pg_relation_size(oid) / current_setting('block_size')::int FROM pg_class "
        f"WHERE oid = to_regclass({text(relation)}) AND relkind IN ('r', 'm')"
    )
    found = cursor.fetchone()
    pages = found[0] if found else 0
    count = min(threads or os.cpu_count() or 1, pages // PART_PAGES, _MOST_PARTS)
    edges = [pages * part // count for part in range(1, count)] if count > 1 else []
    if not edges:
        return []
    # The last part is open: rows that came after the size was asked for are in the snapshot or not, but never left out.
    lows, highs = ["", *(f"ctid >= '({edge},0)'" for edge in edges)], [*(f"ctid < '({edge},0)'" for edge in edges), ""]
    return [" AND ".join(each for each in bounds if each) for bounds in zip(lows, highs, strict=True)]


def _and(condition: str, part: str) -> str:
    return f"{condition} AND {part}" if condition else f" WHERE {part}"


def _read_parts(uri: str, cursor: Any, relation: str, conditions: list[str]) -> Stream:
    """Every part in a connection of its own, within the snapshot of ``cursor``."""
    cursor.execute("SELECT pg_export_snapshot()")
    (snapshot,) = cursor.fetchone()
    schema, query = _query(cursor, relation)

    def read(condition: str) -> Iterator[pa.RecordBatch]:
        with _session(uri, nullcontext, snapshot) as own:
            own.execute(f"{query}{condition}")
            for batch in own.fetch_record_batch():
                yield _cast(batch, schema)

    return Stream(schema, side_by_side([partial(read, condition) for condition in conditions]))


def read_all(cursor: Any, relation: str, condition: str = "") -> Stream:
    """Every row of a relation, with exact types.

    Args:
        cursor: of an ADBC connection.
        relation: what stands after FROM.
        condition: a WHERE clause, or nothing.
    """
    schema, query = _query(cursor, relation)
    cursor.execute(f"{query}{condition}")
    return Stream(schema, (_cast(batch, schema) for batch in cursor.fetch_record_batch()))


def _query(cursor: Any, relation: str) -> tuple[pa.Schema, str]:
    """The schema that rows are staged with, and the query that reads them."""
    cursor.execute(f"SELECT * FROM {relation} LIMIT 0")
    described = cursor.fetch_record_batch()
    described.read_all()
    fields = list(described.schema)
    return _schema(fields), f"SELECT {', '.join(_select(field) for field in fields)} FROM {relation}"


def _select(field: pa.Field) -> str:
    """The expression that reads a column: itself, or its text where Arrow has no exact type.

    A numeric is read as its text, too: PostgreSQL writes it four times faster than the driver takes its digits apart.
    """
    column = quote(field.name)
    if not _is_opaque(field.type):
        return column
    return f"{column}::text AS {column}"


def _is_numeric(kind: pa.DataType) -> bool:
    return getattr(kind, "type_name", None) == "numeric"


def _is_opaque(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_list(kind):
        return _is_opaque(kind.value_type)
    return isinstance(kind, pa.BaseExtensionType) or pa.types.is_interval(kind)


def _schema(fields: list[pa.Field]) -> pa.Schema:
    """The schema that is staged: no extension types, numeric(p,s) as decimal128."""
    import pyarrow as pa

    return pa.schema([pa.field(field.name, _staged_type(field)) for field in fields])


def _staged_type(field: pa.Field) -> pa.DataType:
    import pyarrow as pa

    if _is_numeric(field.type):
        return _decimal(int((field.metadata or {}).get(b"POSTGRESQL:typmod", b"-1")))
    return pa.string() if _is_opaque(field.type) else field.type


def _decimal(typmod: int) -> pa.DataType:
    """decimal128 for a numeric's typmod; text where it has none or decimal128 cannot hold it."""
    import pyarrow as pa

    if typmod < _TYPMOD_OFFSET:
        return pa.string()
    precision, scale = (typmod - _TYPMOD_OFFSET) >> 16, (typmod - _TYPMOD_OFFSET) & 0xFFFF
    return pa.decimal128(precision, scale) if precision <= _DECIMAL128 and scale <= precision else pa.string()


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    columns = []
    for column, field in zip(batch.columns, schema, strict=True):
        plain = column.storage if isinstance(column.type, pa.BaseExtensionType) else column
        try:
            columns.append(plain if plain.type == field.type else plain.cast(field.type))
        except pa.ArrowInvalid:
            # The only numeric that does not fit its own precision is NaN or an infinity.
            raise SourceChangedError(
                f"column {field.name} holds NaN or infinity, which no decimal can; filter or cast it in a query"
            ) from None
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@contextmanager
def _errors(name: str, connection: str) -> Iterator[None]:
    """One line for whatever the database says; what a user can mend is told apart from what may pass."""
    import adbc_driver_manager as adbc

    try:
        yield
    except SourceChangedError as error:
        raise SourceChangedError(f"input {name}: {error}") from None
    except (adbc.Error, OSError) as error:
        state = getattr(error, "sqlstate", None) or ""
        line = reason(error)
        kind = SourceChangedError if state.startswith(_USERS_MISTAKE) else SourceError
        raise kind(f"input {name}: connection {connection}: {line}") from None


def reason(error: BaseException) -> str:
    """The database's own words, without the driver's and without the query's text."""
    message = str(error)
    for start in ("ERROR:", "FATAL:"):
        if start in message:
            return message.split(start, 1)[1].strip().splitlines()[0]
    return message.strip().splitlines()[0] if message.strip() else type(error).__name__
