"""DuckDB sessions with the site's limits."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import quote, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import pyarrow as pa
    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.staging import Stream
    from airflow_dataproducts.settings import Settings

BATCH_ROWS = 65_536


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


def add_table(connection: duckdb.DuckDBPyConnection, name: str, data: pads.Dataset) -> None:
    """Make a dataset readable as a table: local Parquet by DuckDB's own reader, anything else through Arrow."""
    import pyarrow.fs as pafs

    files = getattr(data, "files", None)
    if files and isinstance(data.filesystem, pafs.LocalFileSystem) and data.partitioning is None:
        listed = ", ".join(text(file) for file in files)
        connection.execute(f"CREATE VIEW {quote(name)} AS SELECT * FROM read_parquet([{listed}])")
    else:
        connection.register(name, data)


def one_row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The first row of a query's result, read to the end: DuckDB takes no other work while a result is unread."""
    rows = connection.execute(query).fetchall()
    return tuple(rows[0]) if rows else ()


def stream(relation: duckdb.DuckDBPyRelation) -> Stream:
    """A relation's rows as plain Arrow types."""
    from airflow_dataproducts.engine.staging import Stream

    reader: pa.RecordBatchReader = relation.to_arrow_reader(BATCH_ROWS)
    return Stream(reader.schema, iter(reader))
