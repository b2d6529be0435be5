"""PostgreSQL through ADBC: binary COPY straight into Arrow, streamed, with every type exact.

Types without an exact Arrow counterpart (enums, inet, intervals, money, unconstrained numeric, ...) arrive as
PostgreSQL's own text, which the contract's cast then reads. ``numeric(p,s)`` becomes decimal128(p,s).
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import quote
from airflow_dataproducts.engine.sources import sql
from airflow_dataproducts.engine.staging import Stream, guarded
from airflow_dataproducts.exceptions import SourceChangedError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from airflow_dataproducts.engine.sources import Reading
    from airflow_dataproducts.manifest.inputs import QueryInput, TableInput

_DECIMAL128 = 38
_TYPMOD_OFFSET = 4  # PostgreSQL adds VARHDRSZ to a numeric's typmod (src/backend/utils/adt/numeric.c)
_USERS_MISTAKE = ("42", "3F", "28")  # SQLSTATE classes: syntax or access rule, invalid schema, invalid authorisation


@contextmanager
def open_query(name: str, source: TableInput | QueryInput, reading: Reading) -> Iterator[Stream]:
    """Open a table or query. See :func:`airflow_dataproducts.engine.sources.open_source`."""
    import adbc_driver_postgresql.dbapi as adbc

    info = reading.connections.get(source.connection)
    with _errors(name, source.connection):
        connection = adbc.connect(info.postgres_uri())
    try:
        with connection.cursor() as cursor:
            with _errors(name, source.connection):
                # One snapshot for the columns' types and the rows.
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                stream = read_all(
                    cursor, sql.relation(source, reading.moment), sql.where(source.cursor, reading.bounds)
                )
            yield Stream(stream.schema, guarded(stream, partial(_errors, name, source.connection)))
    finally:
        connection.close()


def read_all(cursor: Any, relation: str, condition: str = "") -> Stream:
    """Every row of a relation, with exact types.

    Args:
        cursor: of an ADBC connection.
        relation: what stands after FROM.
        condition: a WHERE clause, or nothing.
    """
    cursor.execute(f"SELECT * FROM {relation} LIMIT 0")
    described = cursor.fetch_record_batch()
    described.read_all()
    fields = list(described.schema)
    cursor.execute(f"SELECT {', '.join(_select(field) for field in fields)} FROM {relation}{condition}")
    schema = _schema(fields)
    return Stream(schema, (_cast(batch, schema) for batch in cursor.fetch_record_batch()))


def _select(field: pa.Field) -> str:
    """The expression that reads a column: itself, or its text where Arrow has no exact type."""
    column = quote(field.name)
    if _is_numeric(field.type) or not _is_opaque(field.type):
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
