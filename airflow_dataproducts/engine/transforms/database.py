"""A transform that the database runs to which its output is published: no row leaves it.

The same SQL, in the database's words, makes the table of the run's rows, cast to the contract's types. That table is
checked where it is, and becomes a version when it is published.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import draft_type, names, quote, text
from airflow_dataproducts.engine.dialect import in_postgres
from airflow_dataproducts.engine.kept import Kept
from airflow_dataproducts.engine.masking import shape, without_values
from airflow_dataproducts.engine.sources.postgres import reason
from airflow_dataproducts.engine.targets import postgres_tables
from airflow_dataproducts.engine.targets.postgres_tables import Names, draft, prepare, visible
from airflow_dataproducts.exceptions import ConfigurationError, SourceError, TransformError
from airflow_dataproducts.manifest.sql import tables_among

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_dataproducts.engine.connections import ConnectionInfo
    from airflow_dataproducts.engine.moment import Moment
    from airflow_dataproducts.manifest.outputs import Output
    from airflow_dataproducts.plan import TransformStep

_VALUES = "22"
"""SQLSTATE class: data exception."""
_PASSING = ("08", "40", "53", "55", "57", "58")
"""SQLSTATE classes of what may pass: connections, conflicts, resources, locks, operators, the system."""
_CAN_ASK = 160_000  # PostgreSQL 16 release notes: pg_input_is_valid()


@dataclass(frozen=True, slots=True)
class _Making:
    """What is made: the output, the query that gives its rows before they are cast, and the view it is for."""

    step: TransformStep
    query: str
    own: Names

    @property
    def cast(self) -> str:
        """The rows with the contract's columns and types."""
        columns = (
            f"CAST({quote(column.name)} AS {draft_type(column.type)}) AS {quote(column.name)}"
            for column in self.step.output.contract.columns
        )
        return f"SELECT {', '.join(columns)} FROM {self.query}"


def transform(step: TransformStep, tables: Mapping[str, Kept], info: ConnectionInfo, run: tuple[str, Moment]) -> Kept:
    """Make one output in its database with exactly the contract's columns and types.

    Args:
        step: what to make; it is published to PostgreSQL.
        tables: the inputs and the outputs it uses, by name.
        info: the database's connection.
        run: the product's version, and when the run runs.

    Raises:
        TransformError: the SQL cannot be said in the database's words, fails, misses a column, or gives a value its type
            cannot hold.
        ConfigurationError: a table is in another database.
        SourceError: the database cannot be reached, or ends the query.
    """
    version, moment = run
    for name, each in tables.items():
        if each.connection != info.id:
            raise ConfigurationError(
                f"output {step.name}: {info.id} makes it, but {name} is in {each.connection}; use engine: duckdb"
            )
    made = _Making(step, _query(step, tables, moment), Names.of(step.output.publish.table))  # type: ignore[union-attr]
    columns = tuple(column.name for column in step.output.contract.columns)
    with _session(made, info) as cursor:
        prepare(cursor, made.own)
        there = visible(cursor, made.own, moment.run_id)
        if there is not None:  # a run tried again from the start; its table is what readers see
            return Kept(info.id, made.own.within(there[0]), columns, there[1])
        _check_columns(cursor, made)
        table, rows = draft(cursor, made.own, step.output, (moment.run_id, version), made.cast)
    return Kept(info.id, made.own.within(table), columns, rows)


def whole(output: Output, kept: Kept, info: ConnectionInfo) -> str | None:
    """A query that gives the rows as consumers will see them once a draft is published; None where they are the draft's.

    Raises:
        SourceError: the database cannot be reached.
    """
    with _reading(info) as cursor:
        return postgres_tables.whole(cursor, Names.of(output.publish.table), output, kept.relation)  # type: ignore[union-attr]


def metrics(kept: Kept, expressions: str, info: ConnectionInfo) -> tuple[Any, ...]:
    """One row of aggregates over rows that their database keeps.

    Raises:
        SourceError: the database cannot be reached.
    """
    with _reading(info) as cursor:
        cursor.execute(f"SELECT {expressions} FROM {kept.relation}")
        return tuple(cursor.fetchone())


@contextmanager
def _reading(info: ConnectionInfo) -> Iterator[Any]:
    import adbc_driver_manager as adbc

    try:
        with _connected(info) as cursor:
            yield cursor
    except adbc.Error as error:
        raise SourceError(f"connection {info.id}: {without_values(reason(error))}") from None


def _query(step: TransformStep, tables: Mapping[str, Kept], moment: Moment) -> str:
    """The SQL in PostgreSQL's words, as a relation."""
    sql = step.sql or ""
    read = {
        name: f"SELECT {names(tables[name].columns)} FROM {tables[name].relation}" for name in tables_among(sql, tables)
    }
    try:
        return f"{in_postgres(moment.fill(sql), read)} AS made"
    except TransformError as error:
        raise TransformError(f"output {step.name}: {error}") from None


def _check_columns(cursor: Any, made: _Making) -> None:
    cursor.execute(f"SELECT * FROM {made.query} LIMIT 0")
    given = cursor.fetch_arrow_table().schema.names
    for column in made.step.output.contract.columns:
        if column.name not in given:
            raise TransformError(
                f"output {made.step.name}: the contract's column {column.name} is not in the result (it has {', '.join(given)})"
            )


@contextmanager
def _session(made: _Making, info: ConnectionInfo) -> Iterator[Any]:
    """One transaction; what the database says becomes one line without values."""
    import adbc_driver_manager as adbc

    try:
        with _connected(info) as cursor:
            yield cursor
    except adbc.Error as error:
        state = getattr(error, "sqlstate", None) or ""
        line = f"output {made.step.name}: connection {info.id}: {_told(reason(error), state)}"
        if not state or state.startswith(_PASSING):
            raise SourceError(line) from None
        unfit = _unfit(made, info) if state.startswith(_VALUES) else None
        raise TransformError(unfit or line) from None


@contextmanager
def _connected(info: ConnectionInfo) -> Iterator[Any]:
    import adbc_driver_postgresql.dbapi as postgres

    with postgres.connect(info.postgres_uri()) as connection, connection.cursor() as cursor:
        yield cursor
        connection.commit()


def _told(line: str, state: str) -> str:
    """The database's words; a data exception quotes the value itself, in the quotes that are names' elsewhere."""
    if state.startswith(_VALUES):
        return re.sub(r'"([^"]*)"', lambda match: f'"{shape(match[1])}"', line)
    return without_values(line)


def _unfit(made: _Making, info: ConnectionInfo) -> str | None:
    """The first column with values that its type cannot hold; None where the failure has another reason."""
    import adbc_driver_manager as adbc

    try:
        with _connected(info) as cursor:
            cursor.execute("SELECT current_setting('server_version_num')::int")
            if cursor.fetchone()[0] < _CAN_ASK:
                return None
            for column in made.step.output.contract.columns:
                name, kind = quote(column.name), draft_type(column.type)
                cursor.execute(
                    f"SELECT count(*), min({name}::text) FROM {made.query} "
                    f"WHERE {name} IS NOT NULL AND NOT pg_input_is_valid({name}::text, {text(kind)})"
                )
                rows, sample = cursor.fetchone()
                if rows:
                    return (
                        f"output {made.step.name}: column {column.name} has {rows} value(s) that are no {column.type}, such as one "
                        f"shaped {shape(sample)!r} (9 a digit, x a letter); mend the source or convert it in the SQL"
                    )
    except adbc.Error:
        return None
    return None
