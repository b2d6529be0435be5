"""DuckDB sessions with the site's limits."""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import quote, text
from airflow_dataproducts.engine.masking import without_values
from airflow_dataproducts.exceptions import SourceChangedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import pyarrow as pa
    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.staging import Stream
    from airflow_dataproducts.settings import Settings

BATCH_ROWS = 65_536
RAW = "__raw_"
"""Start of the name under which a table stands as it came; the view of its own name may be replaced by one that casts."""


@contextmanager
def session(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB that spills to a folder of its own, thinks in UTC and never asks the network for anything."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="dataproducts-duckdb-") as scratch:
        config: dict[str, Any] = {
            "memory_limit": settings.memory_limit,
            "temp_directory": scratch,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        if settings.threads:
            config["threads"] = settings.threads
        connection = duckdb.connect(":memory:", config=config)
        try:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()


def add_table(connection: duckdb.DuckDBPyConnection, name: str, data: pads.Dataset, schema: str = "main") -> None:
    """Make a dataset readable as a table: local Parquet by DuckDB's own reader, anything else through Arrow."""
    import pyarrow.fs as pafs

    raw_name = RAW + name if schema == "main" else f"{RAW}{schema}_{name}"
    raw = quote(raw_name)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    files: list[str] = getattr(data, "files", None) or []
    parquet = files and data.format.default_extname == "parquet"
    folders = _folders(connection, data) if parquet else {}
    if parquet and folders is not None and isinstance(data.filesystem, pafs.LocalFileSystem):
        listed = ", ".join(text(file) for file in files)
        # Files of different age may have different columns.
        options = ", union_by_name = true" if len(files) > 1 else ""
        if folders:
            kinds = ", ".join(f"{quote(column)}: {kind}" for column, kind in folders.items())
            options += f", hive_partitioning = true, hive_types = {{{kinds}}}"
        connection.execute(f"CREATE VIEW {raw} AS SELECT * FROM read_parquet([{listed}]{options})")
    else:
        connection.register(raw_name, data)
    connection.execute(f"CREATE VIEW {schema}.{quote(name)} AS FROM {raw}")


def _folders(connection: duckdb.DuckDBPyConnection, data: pads.Dataset) -> dict[str, str] | None:
    """DuckDB's types of the columns that are folders; None where only Arrow can tell a folder's name from a value."""
    if getattr(data, "partitioning", None) is None or not len(data.partitioning.schema):
        return {}
    schema = data.partitioning.schema
    if any(len(re.findall(r"/[^/=]+=", file)) != len(schema) for file in data.files):
        return None
    connection.register("__folders", schema.empty_table())
    described = connection.execute("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM __folders)").fetchall()
    connection.unregister("__folders")
    return dict(described)


def one_row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The first row of a query's result, read to the end: DuckDB takes no other work while a result is unread."""
    rows = connection.execute(query).fetchall()
    return tuple(rows[0]) if rows else ()


def stream(relation: duckdb.DuckDBPyRelation) -> Stream:
    """A relation's rows as plain Arrow types."""
    from airflow_dataproducts.engine.staging import Stream

    reader: pa.RecordBatchReader = relation.to_arrow_reader(BATCH_ROWS)
    return Stream(reader.schema, iter(reader))


@contextmanager
def value_errors(place: str) -> Iterator[None]:
    """One line for a value of an input that is not of its type, without the value: it may be personal data.

    Raises:
        SourceChangedError: DuckDB could not read or cast it.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        line = without_values(str(error).strip().splitlines()[0])
        raise SourceChangedError(f"{place}: {line}") from None
