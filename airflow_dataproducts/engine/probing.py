"""Opening published outputs as a consumer would, and timing a consumer's query over them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_dataproducts.engine import duck
from airflow_dataproducts.engine.dialect import in_postgres
from airflow_dataproducts.engine.masking import without_values
from airflow_dataproducts.engine.sources import sql
from airflow_dataproducts.engine.targets import open_published
from airflow_dataproducts.engine.targets.failures import one_line
from airflow_dataproducts.exceptions import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataproducts.engine.connections import Connections
    from airflow_dataproducts.settings import Settings

Place = tuple[str, str, str | None]
"""A published output: its kind, location and connection."""
_UNREAD = {"kafka"}
"""Kinds that are no tables."""


def probe(outputs: Mapping[str, Place], query: str | None, connections: Connections, settings: Settings) -> float:
    """Read a row of every output, or run a query over them; returns the seconds it took.

    Args:
        outputs: the published outputs, by name.
        query: the query, in DuckDB's SQL; None to read a row of each.
        connections: Airflow's.
        settings: the site's.

    Raises:
        SourceError: an output cannot be read.
        TransformError: the query cannot be said in the database's words.
    """
    tables = {name: place for name, place in outputs.items() if place[0] not in _UNREAD}
    homes = {place[2] for place in tables.values()}
    begun = time.perf_counter()
    if tables and len(homes) == 1 and all(place[0] == "postgres" for place in tables.values()):
        _in_postgres(tables, query, connections)
    else:
        _in_duckdb(tables, query, connections, settings)
    return time.perf_counter() - begun


def _in_postgres(tables: Mapping[str, Place], query: str | None, connections: Connections) -> None:
    """By the database itself: that is where its consumers' queries run."""
    import adbc_driver_manager as adbc
    import adbc_driver_postgresql.dbapi as postgres

    from airflow_dataproducts.engine.sources.postgres import reason

    (home,) = {place[2] for place in tables.values()}
    views = {name: f"SELECT * FROM {sql.table(place[1])}" for name, place in tables.items()}
    asked = (
        [f"{view} LIMIT 1" for view in views.values()]
        if query is None
        else [f"SELECT * FROM {in_postgres(query, views)} AS asked"]
    )
    try:
        with postgres.connect(connections.get(home or "").postgres_uri()) as connection, connection.cursor() as cursor:
            for each in asked:
                cursor.execute(each)
                cursor.fetchall()
    except (adbc.Error, OSError) as error:
        raise SourceError(f"connection {home}: {without_values(reason(error))}") from None


def _in_duckdb(tables: Mapping[str, Place], query: str | None, connections: Connections, settings: Settings) -> None:
    import duckdb

    with duck.session(settings) as session:
        for name, (kind, location, connection) in tables.items():
            data = open_published(kind, location, connection, connections)
            if query is None:
                with one_line(f"{location} cannot be read", SourceError):
                    data.head(1)
            else:
                duck.add_table(session, name, data)
        if query is not None:
            try:
                session.execute(query).fetchall()
            except duckdb.Error as error:
                raise SourceError(f"the query failed: {without_values(str(error).strip().splitlines()[0])}") from None
