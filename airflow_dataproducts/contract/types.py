"""A contract's types in the words of each system."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_dataproducts.manifest.types import DataType

_DUCKDB = {
    "string": "VARCHAR", "integer": "INTEGER", "bigint": "BIGINT", "float": "REAL", "double": "DOUBLE",
    "boolean": "BOOLEAN", "date": "DATE", "time": "TIME", "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE", "uuid": "UUID", "json": "JSON", "binary": "BLOB",
}  # fmt: skip

_POSTGRES = {
    "string": "text", "integer": "integer", "bigint": "bigint", "float": "real", "double": "double precision",
    "boolean": "boolean", "date": "date", "time": "time", "timestamp": "timestamp", "timestamptz": "timestamptz",
    "uuid": "uuid", "json": "jsonb", "binary": "bytea", "struct": "jsonb",
}  # fmt: skip

_SPARK = {
    "string": "STRING", "integer": "INT", "bigint": "BIGINT", "float": "FLOAT", "double": "DOUBLE", "boolean": "BOOLEAN",
    "date": "DATE", "timestamp": "TIMESTAMP_NTZ", "timestamptz": "TIMESTAMP", "binary": "BINARY", "uuid": "STRING", "json": "STRING",
}  # fmt: skip

TEXT_IN_FILES = frozenset({"uuid", "json"})
"""Types that Parquet and Delta readers know best as text: the value is checked by a cast, then kept as its text."""


def duckdb_type(kind: DataType, *, in_files: bool = False) -> str:
    """The DuckDB type that holds ``kind``. Lengths are a check, not a type: DuckDB does not enforce them.

    Args:
        kind: the contract's type.
        in_files: the type with which files come back, where some types are text.
    """
    if in_files and kind.name in TEXT_IN_FILES:
        return "VARCHAR"
    if kind.name == "decimal":
        return f"DECIMAL({kind.precision},{kind.scale})"
    if kind.item is not None:
        return f"{duckdb_type(kind.item, in_files=in_files)}[]"
    if kind.name == "struct":
        fields = ", ".join(f'"{name}" {duckdb_type(field, in_files=in_files)}' for name, field in kind.fields)
        return f"STRUCT({fields})"
    return _DUCKDB[kind.name]


_NAMES: dict[str, tuple[str, ...]] = {
    "string": ("VARCHAR", "TEXT", "CHARACTER VARYING", "String", "str", "StringDtype", "StringType"),
    "integer": ("INTEGER", "Integer", "int32", "Int32Dtype", "IntegerType"),
    "bigint": ("BIGINT", "BigInteger", "int64", "Int64Dtype", "LongType"),
    "decimal": ("DECIMAL", "NUMERIC", "Numeric", "Decimal", "DecimalType"),
    "float": ("REAL", "FLOAT", "float32", "Float32Dtype", "FloatType"),
    "double": ("DOUBLE", "DOUBLE PRECISION", "DOUBLE_PRECISION", "Double", "float64", "Float64Dtype", "DoubleType"),
    "boolean": ("BOOLEAN", "Boolean", "bool", "BooleanDtype", "BooleanType"),
    "date": ("DATE", "Date", "date", "DateType"),
    "time": ("TIME", "TIME WITHOUT TIME ZONE", "Time", "time"),
    "timestamp": (
        "TIMESTAMP", "TIMESTAMP WITHOUT TIME ZONE", "DateTime", "datetime64[us]", "datetime64[ns]",
        "TimestampNTZType",
    ),
    "timestamptz": ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP", "DateTime", "DatetimeTZDtype", "TimestampType"),
    "uuid": ("UUID", "Uuid", "VARCHAR", "TEXT", "String", "str", "StringDtype", "StringType"),
    "json": ("JSON", "JSONB", "VARCHAR", "TEXT", "String", "str", "StringDtype", "StringType"),
    "binary": ("BLOB", "BYTEA", "LargeBinary", "bytes", "BinaryType"),
    "array": ("ARRAY", "list", "ArrayType"),
    "struct": ("STRUCT", "JSONB", "dict", "StructType"),
}  # fmt: skip


def type_names(kind: DataType) -> tuple[str, ...]:
    """The names of ``kind`` in databases, SQLAlchemy, pandas and Spark, as Great Expectations compares them."""
    return _NAMES[kind.name]


def sized_names(kind: DataType) -> tuple[str, ...]:
    """The names of ``kind`` with its digits or length, as databases spell them; the plain names where it has none."""
    names = _NAMES[kind.name]
    if kind.name == "decimal":
        sized = (f"{base}({kind.precision}{comma}{kind.scale})" for base in names[:2] for comma in (", ", ","))
        return (*names, *sized)
    if kind.length is not None:
        return (*names, f"VARCHAR({kind.length})", f"CHARACTER VARYING({kind.length})")
    return (*names, postgres_type(kind).upper())


def spark_type(kind: DataType) -> str:
    """The Spark type that holds ``kind`` in files; of the types that a manifest allows with ``engine: spark``."""
    if kind.name == "decimal":
        return f"DECIMAL({kind.precision},{kind.scale})"
    return f"ARRAY<{spark_type(kind.item)}>" if kind.item is not None else _SPARK[kind.name]


def postgres_type(kind: DataType) -> str:
    """The PostgreSQL type that holds ``kind``; structs, and arrays of them, become jsonb."""
    if kind.name == "decimal":
        return f"numeric({kind.precision},{kind.scale})"
    if kind.length is not None:
        return f"varchar({kind.length})"
    if kind.item is not None:
        inner = postgres_type(kind.item)
        return "jsonb" if inner == "jsonb" else f"{inner}[]"
    return _POSTGRES[kind.name]
