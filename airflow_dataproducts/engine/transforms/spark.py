"""A transform that Spark runs: the same SQL, in Spark's words, from the same staged files to the same draft.

The rows are read and written by Spark itself, wherever its workers are; what it wrote is validated and published like any
other draft.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.types import spark_type
from airflow_dataproducts.engine import layout, spark, staging
from airflow_dataproducts.engine.masking import without_values
from airflow_dataproducts.exceptions import TransformError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.moment import Moment
    from airflow_dataproducts.engine.staging import Staged
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.manifest.contract import Column
    from airflow_dataproducts.manifest.types import DataType
    from airflow_dataproducts.plan import TransformStep

_UUID = "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$"


def transform(
    step: TransformStep,
    tables: Mapping[str, pads.Dataset],
    draft: tuple[Place, tuple[str, ...], bool],
    run: tuple[str, Moment],
) -> Staged:
    """Make one output in Spark with exactly the contract's columns and types.

    Args:
        step: what to make.
        tables: the staged inputs and the outputs it uses, by name; Spark must reach their files.
        draft: an empty folder that Spark can write, the columns that become folders, and whether they are in the files, too.
        run: Spark Connect's address (sc://host:port), or a master such as local[*]; and when the run runs.

    Raises:
        TransformError: the SQL cannot be said in Spark's words, fails, misses a column, or gives a value its type cannot hold.
        ConfigurationError: PySpark is not installed, or Spark cannot be reached.
    """
    (folder, partition_by, in_files), (remote, moment) = draft, run
    query = _in_spark(step, moment)
    with spark.session(remote) as session, spark.errors(step.name):
        for name, table in tables.items():
            spark.table(session, table).createOrReplaceTempView(name)
        made = session.sql(query)
        found = {column.lower(): column for column in made.columns}
        for column in step.output.contract.columns:
            if column.name.lower() not in found:
                raise TransformError(
                    f"output {step.name}: the contract's column {column.name} is not in the result (it has {', '.join(made.columns)})"
                )
        casts = [f"{_cast(column)} AS `{column.name}`" for column in step.output.contract.columns]
        rows, folders = made.selectExpr(*casts), list(partition_by)
        if in_files:  # Spark takes the columns of folders out of the files: those that are to stay go there as copies
            folders = [f"{staging.COPY_OF}{name}" for name in partition_by]
            rows = rows.withColumns({copy: rows[name] for copy, name in zip(folders, partition_by, strict=True)})
        writer = rows.write.mode("error")
        if folders:
            writer = writer.partitionBy(*folders)
        uri = spark.uri(folder.path, folder.filesystem)
        writer.parquet(uri)
        if not layout.data_files(folder):  # no rows, no folders; the columns must be told all the same
            rows.drop(*folders).write.mode("append").parquet(uri)
    kinds = {
        column.name: str(_arrow(column.type))
        for column in step.output.contract.columns
        if column.name in partition_by and not in_files
    }
    return staging.written(folder, kinds)


def _in_spark(step: TransformStep, moment: Moment) -> str:
    import sqlglot

    try:
        (query,) = sqlglot.transpile(
            moment.fill(step.sql or ""), read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE
        )
    except (sqlglot.errors.SqlglotError, ValueError) as error:
        line = str(error).strip().splitlines()[0]
        raise TransformError(
            f"output {step.name}: the SQL cannot be said in Spark's words: {without_values(line)}"
        ) from None
    return query


def _cast(column: Column) -> str:
    """A column's value in the contract's type. Some are text in files: it is seen to that the text is one of those."""
    name, text = f"`{column.name}`", f"CAST(`{column.name}` AS STRING)"
    if column.type.name == "uuid":
        return _checked(column, f"lower({text})", f"lower({text}) RLIKE '{_UUID}'")
    if column.type.name == "json":
        return _checked(column, text, f"try_parse_json({text}) IS NOT NULL")
    return f"CAST({name} AS {spark_type(column.type)})"


def _checked(column: Column, value: str, condition: str) -> str:
    error = f"column {column.name}: a value is no {column.type}"
    return f"CASE WHEN `{column.name}` IS NULL OR {condition} THEN {value} ELSE raise_error('{error}') END"


def _arrow(kind: DataType) -> Any:
    import pyarrow as pa

    plain = {
        "integer": pa.int32(), "bigint": pa.int64(), "float": pa.float32(), "double": pa.float64(), "boolean": pa.bool_(),
        "date": pa.date32(), "timestamp": pa.timestamp("us"), "timestamptz": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    if kind.name == "decimal":
        return pa.decimal128(kind.precision or 38, kind.scale or 0)
    return plain.get(kind.name, pa.string())
