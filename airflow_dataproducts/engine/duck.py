"""DuckDB sessions with the site's limits."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import quote, text
from airflow_dataproducts.engine import layout
from airflow_dataproducts.engine.masking import without_values
from airflow_dataproducts.exceptions import ConfigurationError, SourceChangedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb
    import pyarrow as pa
    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.staging import Stream
    from airflow_dataproducts.settings import Settings

BATCH_ROWS = 65_536
_MAGIC = b"PAR1"
"""The end of every Parquet file."""
RAW = "__raw_"
"""Start of the name under which a table stands as it came; the view of its own name may be replaced by one that casts."""


@dataclass(frozen=True, slots=True)
class LocalParquet:
    """Parquet files on this machine, which DuckDB reads without Arrow: importing that takes longer than finding them.

    Attributes:
        files: their paths.
    """

    files: tuple[str, ...]


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


def add_table(
    connection: duckdb.DuckDBPyConnection, name: str, data: pads.Dataset | LocalParquet, schema: str = "main"
) -> None:
    """Make a dataset readable as a table: local Parquet by DuckDB's own reader, anything else through Arrow.

    Raises:
        SourceChangedError: a file is no Parquet.
    """
    raw_name = RAW + name if schema == "main" else f"{RAW}{schema}_{name}"
    raw = quote(raw_name)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    files, folders = _read_by_duckdb(connection, data)
    if files:
        listed = ", ".join(text(file) for file in files)
        # Files of different age may have different columns.
        options = ", union_by_name = true" if len(files) > 1 else ""
        if folders:
            kinds = ", ".join(f"{quote(column)}: {kind}" for column, kind in folders.items())
            options += f", hive_partitioning = true, hive_types = {{{kinds}}}"
        with _parquet_errors(files):
            connection.execute(f"CREATE VIEW {raw} AS SELECT * FROM read_parquet([{listed}]{options})")
    else:
        connection.register(raw_name, data)
    connection.execute(f"CREATE VIEW {schema}.{quote(name)} AS FROM {raw}")


@contextmanager
def _parquet_errors(files: Sequence[str]) -> Iterator[None]:
    """Names the file that is no Parquet."""
    import duckdb

    try:
        yield
    except duckdb.Error:
        broken = next((file for file in files if not _ends_as_parquet(file)), files[0])
        raise SourceChangedError(f"{broken} cannot be read as Parquet") from None


def _ends_as_parquet(file: str) -> bool:
    """Whether a file is there and ends as Parquet does; large ones are not read for that."""
    try:
        with Path(file).open("rb") as opened:
            opened.seek(-len(_MAGIC), os.SEEK_END)
            return opened.read() == _MAGIC
    except OSError:  # it has gone, or is too short
        return False


def _read_by_duckdb(
    connection: duckdb.DuckDBPyConnection, data: pads.Dataset | LocalParquet
) -> tuple[Sequence[str], Mapping[str, str]]:
    """The files that DuckDB reads itself, none where Arrow must; and its types of the columns that are folders."""
    if isinstance(data, LocalParquet):
        return data.files, {}
    import pyarrow.fs as pafs

    files: list[str] = getattr(data, "files", None) or []
    if not files or data.format.default_extname != "parquet" or not isinstance(data.filesystem, pafs.LocalFileSystem):
        return (), {}
    folders = _folders(connection, data)
    return ((), {}) if folders is None else (files, folders)


def _folders(connection: duckdb.DuckDBPyConnection, data: pads.Dataset) -> dict[str, str] | None:
    """DuckDB's types of the columns that are folders; None where only Arrow can tell a folder's name from a value."""
    if not layout.folders_of(data):
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
def resource_errors(place: str) -> Iterator[None]:
    """One line for memory that does not do and files that cannot be read any more.

    Raises:
        ConfigurationError: the memory limit is too low.
        SourceChangedError: a file has gone, or is broken.
    """
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException:
        raise ConfigurationError(
            f"{place}: DuckDB needs more memory than its limit; raise [dataproducts] memory_limit"
        ) from None
    except duckdb.IOException as error:
        raise SourceChangedError(f"{place}: {without_values(str(error).strip().splitlines()[0])}") from None


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
