"""Spark, for what it runs of a product: a session, the staged files as tables in it, and its errors in one line."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine import layout
from airflow_dataproducts.engine.masking import without_values
from airflow_dataproducts.exceptions import ConfigurationError, TransformError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    import pyarrow.dataset as pads

_CONFIGURATION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # a value that does not fit is an error, never NULL
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
}
_LOCAL = {
    "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "FATAL",  # its errors quote values, and come as ours without them
}  # fmt: skip


@contextmanager
def session(remote: str) -> Iterator[Any]:
    """A session of its own, with exact types and no local clock.

    Args:
        remote: Spark Connect's address (sc://host:port), or a master such as local[*].

    Raises:
        ConfigurationError: PySpark is not installed, or Spark cannot be reached.
    """
    with warnings.catch_warnings():  # of pandas being newer than it knows, which Airflow would print among results
        warnings.simplefilter("ignore", FutureWarning)
        spark = _opened(remote)
    try:
        yield spark
    finally:
        spark.stop()


def _opened(remote: str) -> Any:
    try:
        from pyspark.logger import PySparkLogger
        from pyspark.sql import SparkSession
    except ImportError:
        raise ConfigurationError("engine: spark needs PySpark: pip install 'airflow-dataproducts[spark]'") from None
    for talker in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(talker).disabled = True  # they write every error with its values to the log
    builder = SparkSession.builder.appName("airflow-dataproducts")
    if remote.startswith("sc://"):
        builder = builder.remote(remote)
    else:
        builder = builder.master(remote)
        for name, value in _LOCAL.items():
            builder = builder.config(name, value)
    try:
        spark = builder.getOrCreate()
        for name, value in _CONFIGURATION.items():
            spark.conf.set(name, value)
    except Exception as error:  # noqa: BLE001 - Java, gRPC and Spark have errors of their own
        raise ConfigurationError(f"Spark at {remote} cannot be reached: {_line(error)}") from None
    return spark


@contextmanager
def errors(output: str) -> Iterator[None]:
    """One line for what Spark says, without the values it quotes.

    Raises:
        TransformError: that line.
    """
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        raise TransformError(f"output {output}: {without_values(_line(error))}") from None


def _line(error: Exception) -> str:
    """Spark's message without its error class, hints and stack."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def table(spark: Any, data: pads.Dataset) -> Any:
    """Parquet files, wherever Spark must reach them, as a ``pyspark.sql.DataFrame`` with the dataset's columns in its types.

    Args:
        spark: the session.
        data: the files, and the columns that are their folders.
    """
    if not data.files:
        return spark.createDataFrame(data.schema.empty_table())
    files, folders = [uri(file, data.filesystem) for file in data.files], layout.folders_of(data)
    if not folders:
        return spark.read.parquet(*files)
    from pyspark.sql.functions import lit

    # Without it Spark leaves out the columns that are folders.
    rows = spark.read.option("basePath", uri(layout.root(data, folders), data.filesystem)).parquet(*files)
    found = {name: rows[name] if name in rows.columns else lit(None) for name in folders}  # no rows, no folders
    return rows.withColumns({name: each.cast(_type(data.schema.field(name).type)) for name, each in found.items()})


def uri(path: str, filesystem: Any) -> str:
    """A path in a file system as Spark names it."""
    import pyarrow.fs as pafs

    return f"{'file' if isinstance(filesystem, pafs.LocalFileSystem) else 's3a'}://{path}"


def _type(kind: pa.DataType) -> Any:
    from pyspark.sql.pandas.types import from_arrow_type

    return from_arrow_type(kind, prefer_timestamp_ntz=True)
