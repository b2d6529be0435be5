"""Casting a result to its contract: these columns, these types, in this order."""

from __future__ import annotations

import difflib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_dataproducts.contract.ddl import quote
from airflow_dataproducts.contract.types import TEXT_IN_FILES, duckdb_type
from airflow_dataproducts.engine import duck
from airflow_dataproducts.engine.masking import shape
from airflow_dataproducts.engine.transforms.sql import explain
from airflow_dataproducts.exceptions import TransformError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import duckdb

    from airflow_dataproducts.manifest.contract import Column, Contract


def to_contract(
    connection: duckdb.DuckDBPyConnection, output: str, source: str, contract: Contract
) -> duckdb.DuckDBPyRelation:
    """``source`` with the contract's columns and types.

    Args:
        connection: the session that ``source`` can be read in.
        output: the output's name, for messages.
        source: a table's name or a query in brackets.
        contract: the contract.

    Raises:
        TransformError: a column is missing, or its type can never become the contract's.
    """
    import duckdb

    given = dict(
        connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {source})").fetchall()
    )
    for column in contract.columns:
        if column.name not in given:
            raise TransformError(_missing(output, column.name, list(given)))
    try:
        return connection.sql(f"SELECT {', '.join(_cast(column) for column in contract.columns)} FROM {source}")
    except duckdb.Error as error:
        raise TransformError(
            _impossible(connection, output, source, contract, given) or f"output {output}: {explain(error)}"
        ) from None


@contextmanager
def errors(connection: duckdb.DuckDBPyConnection, output: str, source: str, contract: Contract) -> Iterator[None]:
    """Says which column's values do not fit when reading ``source`` fails on the way."""
    import duckdb
    import pyarrow as pa

    try:
        yield
    except (duckdb.Error, pa.ArrowException) as error:
        raise TransformError(
            _unfit(connection, output, source, contract) or f"output {output}: {explain(error)}"
        ) from None


def _cast(column: Column) -> str:
    name, kind = quote(column.name), duckdb_type(column.type)
    value = f"CAST({name} AS {kind})"
    return f"CAST({value} AS VARCHAR) AS {name}" if column.type.name in TEXT_IN_FILES else f"{value} AS {name}"


def _missing(output: str, name: str, given: list[str]) -> str:
    near = difflib.get_close_matches(name.lower(), [each.lower() for each in given], n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"output {output}: the contract's column {name} is not in the result{hint} (it has {', '.join(given)})"


def _impossible(
    connection: duckdb.DuckDBPyConnection, output: str, source: str, contract: Contract, given: Mapping[str, str]
) -> str | None:
    """The first column whose type can never become the contract's; None when the failure has another reason."""
    import duckdb

    for column in contract.columns:
        try:
            connection.execute(f"SELECT {_cast(column)} FROM {source} LIMIT 0").fetchall()
        except duckdb.Error:
            return (
                f"output {output}: column {column.name} is {given[column.name]}, which cannot become the contract's "
                f"{column.type}; convert it in the SQL or change the contract"
            )
    return None


def _unfit(connection: duckdb.DuckDBPyConnection, output: str, source: str, contract: Contract) -> str | None:
    """The first column with values that its type cannot hold; None when the failure has another reason."""
    import duckdb

    for column in contract.columns:
        name, kind = quote(column.name), duckdb_type(column.type)
        query = (
            f"SELECT count(*), min(CAST({name} AS VARCHAR)), any_value(typeof({name})) FROM {source} "
            f"WHERE {name} IS NOT NULL AND TRY_CAST({name} AS {kind}) IS NULL"
        )
        try:
            found = duck.one_row(connection, query)
        except duckdb.Error:
            return None
        if found and found[0]:
            return (
                f"output {output}: column {column.name}, a {found[2]}, has {found[0]} value(s) that are no {column.type}, such as one "
                f"shaped {shape(found[1])!r} (9 a digit, x a letter); mend the source or convert it in the SQL"
            )
    return None
