"""Any other SQL database, through its own Airflow hook's DB-API connection."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import quote
from airflow_dataproducts.engine.sources import sql
from airflow_dataproducts.engine.staging import Stream
from airflow_dataproducts.exceptions import SourceChangedError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from airflow_dataproducts.engine.sources import Reading
    from airflow_dataproducts.manifest.inputs import QueryInput, TableInput

ROWS = 20_000
_USERS_MISTAKE = ("ProgrammingError", "DatabaseError", "OperationalError")


@contextmanager
def open_query(name: str, source: TableInput | QueryInput, reading: Reading) -> Iterator[Stream]:
    """Open a table or query. See :func:`airflow_dataproducts.engine.sources.open_source`."""
    place = f"input {name}: connection {source.connection}"
    with closing(reading.connections.dbapi(source.connection)) as connection, closing(connection.cursor()) as cursor:
        condition = sql.where(source.cursor, reading.bounds)
        try:
            cursor.execute(f"SELECT * FROM {sql.relation(source, reading.moment)}{condition}")
            first = cursor.fetchmany(ROWS)
        except Exception as error:  # noqa: BLE001 - every driver has errors of its own
            if type(error).__name__ in _USERS_MISTAKE:
                raise SourceChangedError(f"{place}: {_line(error)}") from None
            raise SourceError(f"{place}: {_line(error)}") from None
        names = [column[0] for column in cursor.description]
        schema = _schema(names, first)
        yield Stream(schema, _batches(place, cursor, schema, first))


def _line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _schema(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.Schema:
    """Types after the first rows' Python values. Decimals travel as text, for a later row may have more digits."""
    import pyarrow as pa

    fields = []
    for index, name in enumerate(names):
        values = [row[index] for row in rows]
        fields.append(pa.field(name, _type(values)))
    return pa.schema(fields)


def _type(values: list[Any]) -> pa.DataType:
    import datetime
    from decimal import Decimal

    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    aware = any(isinstance(value, datetime.datetime) and value.tzinfo is not None for value in values)
    plain: dict[type, pa.DataType] = {
        bool: pa.bool_(), int: pa.int64(), str: pa.string(), bytes: pa.binary(), datetime.date: pa.date32(),
        datetime.time: pa.time64("us"), datetime.datetime: pa.timestamp("us", "UTC" if aware else None),
        Decimal: pa.string(),
    }  # fmt: skip
    if kinds and kinds <= {int, float, bool} and float in kinds:
        return pa.float64()
    return plain.get(kinds.pop(), pa.string()) if len(kinds) == 1 else pa.string()


def _batches(place: str, cursor: Any, schema: pa.Schema, first: Sequence[Sequence[Any]]) -> Iterator[pa.RecordBatch]:
    rows = first
    while rows:
        yield _batch(place, schema, rows)
        try:
            rows = cursor.fetchmany(ROWS)
        except Exception as error:  # noqa: BLE001 - every driver has errors of its own
            raise SourceError(f"{place}: broke off: {_line(error)}") from None


def _batch(place: str, schema: pa.Schema, rows: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = []
    for index, field in enumerate(schema):
        values = [row[index] for row in rows]
        if field.type == pa.string():
            values = [value if value is None or isinstance(value, str) else str(value) for value in values]
        try:
            arrays.append(pa.array(values, field.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            raise SourceChangedError(
                f"{place}: column {quote(field.name)} changes its type among the rows; it began as {field.type}; "
                "cast it in a query"
            ) from None
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
