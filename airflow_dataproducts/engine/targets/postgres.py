"""A view in PostgreSQL that is repointed to the next version's table.

The table of each version is built aside and filled; then, in one short transaction, the view is repointed and a ledger
row is written that says which run did it. Grants on the view and views that depend on it stay; a lock is waited for
only briefly, so that a long reader delays the switch and not the readers behind it.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import tenacity

from airflow_dataproducts.contract import ddl
from airflow_dataproducts.contract.ddl import names, quote, text
from airflow_dataproducts.contract.types import postgres_type
from airflow_dataproducts.engine import targets
from airflow_dataproducts.engine.sources.postgres import reason
from airflow_dataproducts.engine.targets import Publication
from airflow_dataproducts.exceptions import PublishError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.connections import ConnectionInfo
    from airflow_dataproducts.engine.targets import Request
    from airflow_dataproducts.manifest.contract import Contract

LEDGER = "dataproducts_publications"
_LOCK_TIMEOUT = "3s"
_ATTEMPTS = 20
_NO_LOCK = "55P03"


class _LockedError(Exception):
    """The view's lock was not free in time."""


class PostgresTarget:
    """A view, with its schema's ledger of publications."""

    def __init__(self, table: str, info: ConnectionInfo) -> None:
        self._info = info
        self._name = table
        schema, _, view = table.rpartition(".")
        self._schema = schema or "public"
        self._view_name = view
        self._view = f"{quote(self._schema)}.{quote(view)}"
        self._ledger = f"{quote(self._schema)}.{quote(LEDGER)}"

    def published(self, run_id: str) -> Publication | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._session() as cursor:
            return self._published(cursor, run_id)

    def current(self, columns: tuple[str, ...]) -> pads.Dataset | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._session() as cursor:
            there = _exists(cursor, self._view)
        return open_dataset(self._name, self._info, columns) if there else None

    def publish(self, request: Request) -> Publication:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._turn():
            with self._session() as cursor:
                self._prepare(cursor)
                done = self._published(cursor, request.run_id)
                if done is not None:
                    return done
                rows, table = self._build(cursor, request)
            self._switch_with_patience(request, table, rows)
            with suppress(_LockedError), self._session() as cursor:  # what is still read goes with the next run
                self._forget(cursor)
        return Publication("postgres", self._name, table, rows)

    def _published(self, cursor: Any, run_id: str) -> Publication | None:
        if not _exists(cursor, self._ledger):
            return None
        cursor.execute(
            f"SELECT relation, rows FROM {self._ledger} WHERE target = {text(self._view_name)} AND run_id = {text(run_id)}"
        )
        found = cursor.fetchone()
        return Publication("postgres", self._name, found[0], found[1]) if found else None

    def _prepare(self, cursor: Any) -> None:
        kind = _one(cursor, f"SELECT relkind::text FROM pg_class WHERE oid = to_regclass({text(self._view)})")
        if kind not in (None, "v"):
            raise PublishError(f"{self._name} is there already and is no published output; name another table")
        if not _one(cursor, f"SELECT to_regnamespace({text(quote(self._schema))}) IS NOT NULL"):
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(self._schema)}")
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS {self._ledger} (target text, run_id text, relation text NOT NULL, "
            "rows bigint NOT NULL, version text NOT NULL, published_at timestamptz NOT NULL DEFAULT clock_timestamp(), "
            "PRIMARY KEY (target, run_id))"
        )

    def _build(self, cursor: Any, request: Request) -> tuple[int, str]:
        """The next version's table, filled and indexed, in one transaction."""
        contract = request.output.contract
        # The whole name is in the digest: two views of one schema may begin with the same 40 letters.
        digest = hashlib.sha256(f"{self._view_name} {request.run_id}".encode()).hexdigest()
        name = f"{self._view_name[:40]}__{digest[:12]}"
        table = f"{quote(self._schema)}.{quote(name)}"
        cursor.execute(f"DROP TABLE IF EXISTS {table}")
        cursor.execute(ddl.create_table(contract, table, loading=True))
        _load(cursor, self._schema, name, request)
        for statement in ddl.finish_loading(contract, table):
            cursor.execute(statement)
        if request.output.publish.mode != "replace":
            self._carry_over(cursor, table, request)
        key = ddl.primary_key(contract, table)
        if key:
            cursor.execute(key)
        for statement in ddl.comments(contract, table):
            cursor.execute(statement)
        rows = _one(cursor, f"SELECT count(*) FROM {table}")
        return int(rows), name

    def _carry_over(self, cursor: Any, table: str, request: Request) -> None:
        """Copy the rows before that this run does not replace."""
        there = {name for name, _ in self._columns(cursor, self._view)}
        if not there:
            return
        contract = request.output.contract
        shared = names(column.name for column in contract.columns if column.name in there)
        condition = ""
        if request.output.publish.mode == "merge":
            same = " AND ".join(f"n.{quote(key)} = o.{quote(key)}" for key in contract.primary_key)
            condition = f" WHERE NOT EXISTS (SELECT 1 FROM {table} n WHERE {same})"
        cursor.execute(f"INSERT INTO {table} ({shared}) SELECT {shared} FROM {self._view} o{condition}")

    def _switch_with_patience(self, request: Request, table: str, rows: int) -> None:
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_LockedError),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=10),
            reraise=True,
        )
        try:
            retry(self._switch, request, table, rows)
        except _LockedError:
            raise PublishError(
                f"output {request.name}: {self._name} is locked by a long reader; it was not changed, try again later"
            ) from None

    def _switch(self, request: Request, table: str, rows: int) -> None:
        """Repoint the view and write the ledger, in one transaction."""
        contract = request.output.contract
        columns = names(column.name for column in contract.columns)
        select = f"SELECT {columns} FROM {quote(self._schema)}.{quote(table)}"
        with self._session() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            self._repoint(cursor, request, table, select)
            for statement in ddl.comments(contract, self._view, "VIEW"):
                cursor.execute(statement)
            values = ", ".join(text(each) for each in (self._view_name, request.run_id, table, request.version))
            cursor.execute(
                f"INSERT INTO {self._ledger} (target, run_id, relation, version, rows) VALUES ({values}, {rows})"
            )

    def _repoint(self, cursor: Any, request: Request, table: str, select: str) -> None:
        """CREATE OR REPLACE where the columns allow it, else drop and create with the same grants."""
        before, after = (
            self._columns(cursor, self._view),
            self._columns(cursor, f"{quote(self._schema)}.{quote(table)}"),
        )
        if after[: len(before)] == before:
            cursor.execute(f"CREATE OR REPLACE VIEW {self._view} AS {select}")
            return
        if self._has_dependents(cursor):
            raise PublishError(
                f"output {request.name}: the columns of {self._name} change, but other views depend on it; drop them first, "
                "or only add columns at the end"
            )
        grants = self._grants(cursor)
        cursor.execute(f"DROP VIEW {self._view}")
        cursor.execute(f"CREATE VIEW {self._view} AS {select}")
        for grant in grants:
            cursor.execute(grant)

    def _columns(self, cursor: Any, relation: str) -> list[tuple[str, str]]:
        """Names and types of a relation's columns; empty if it is not there."""
        cursor.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped "
            f"AND attrelid = to_regclass({text(relation)}) ORDER BY attnum"
        )
        return [(str(name), str(kind)) for name, kind in cursor.fetchall()]

    def _has_dependents(self, cursor: Any) -> bool:
        """Whether another view or rule reads the view (PostgreSQL keeps that as a dependency of the reader's rule)."""
        query = (
            "SELECT EXISTS (SELECT FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass "
            f"WHERE d.refobjid = to_regclass({text(self._view)}) AND r.ev_class <> d.refobjid)"
        )
        return bool(_one(cursor, query))

    def _grants(self, cursor: Any) -> list[str]:
        cursor.execute(
            "SELECT privilege_type, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END "
            f"FROM pg_class c, aclexplode(c.relacl) WHERE c.oid = to_regclass({text(self._view)}) AND grantee <> c.relowner"
        )
        return [f"GRANT {privilege} ON {self._view} TO {grantee}" for privilege, grantee in cursor.fetchall()]

    def _forget(self, cursor: Any) -> None:
        """Drop the tables that nobody reads any more; the ledger's rows stay, they are what makes retries safe."""
        cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        cursor.execute(
            f"SELECT relation FROM (SELECT relation, published_at FROM {self._ledger} WHERE target = {text(self._view_name)} "
            f"ORDER BY published_at DESC OFFSET {targets.KEEP_VERSIONS}) AS old "
            f"WHERE published_at < clock_timestamp() - interval '{targets.KEEP_FOR.total_seconds()} s'"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE IF EXISTS {quote(self._schema)}.{quote(name)}")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Waits until no other process publishes here: a run that adds to a version must add to the newest.

        The lock is the connection's: the database frees it when this process dies.
        """
        with self._session() as cursor:
            cursor.execute(f"SELECT pg_advisory_lock(hashtext({text(self._view)}))")
            yield

    @contextmanager
    def _session(self) -> Iterator[Any]:
        """One transaction. Whatever the database says becomes one line."""
        import adbc_driver_manager as adbc
        import adbc_driver_postgresql.dbapi as postgres

        try:
            connection = postgres.connect(self._info.postgres_uri())
        except (adbc.Error, OSError) as error:
            raise PublishError(f"connection {self._info.id}: {reason(error)}") from None
        try:
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
        except (adbc.Error, OSError) as error:
            if getattr(error, "sqlstate", None) == _NO_LOCK:
                raise _LockedError from None
            raise PublishError(f"{self._name} was not changed: connection {self._info.id}: {reason(error)}") from None
        finally:
            connection.close()


def open_dataset(table: str, info: ConnectionInfo, columns: tuple[str, ...] = ()) -> pads.Dataset:
    """The rows of a published view, read in one snapshot into memory.

    Args:
        table: the view's name.
        info: the connection.
        columns: those wanted; empty for all.

    Raises:
        SourceError: it cannot be read.
    """
    import adbc_driver_manager as adbc
    import adbc_driver_postgresql.dbapi as postgres
    import pyarrow as pa
    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.sources.postgres import read_all

    name = ".".join(quote(part) for part in table.split("."))
    try:
        with postgres.connect(info.postgres_uri()) as connection, connection.cursor() as cursor:
            stream = read_all(cursor, f"(SELECT {', '.join(map(quote, columns)) or '*'} FROM {name}) AS q")
            return pads.dataset(pa.Table.from_batches(stream.batches, stream.schema))
    except (adbc.Error, OSError) as error:
        raise SourceError(f"{table}: connection {info.id}: {reason(error)}") from None


def _load(cursor: Any, schema: str, table: str, request: Request) -> None:
    """Copy the rows in, in PostgreSQL's binary format. What it has no binary writer for travels as text."""
    import pyarrow as pa

    contract: Contract = request.output.contract
    as_json = [
        column.name
        for column in contract.columns
        if postgres_type(column.type) == "jsonb" and column.type.name != "json"
    ]
    data = request.data
    schema_ = pa.schema([pa.field(f.name, pa.string()) if f.name in as_json else f for f in data.schema])

    def batches() -> Iterator[pa.RecordBatch]:
        import json

        for batch in data.to_batches():
            columns = [
                pa.array([None if v is None else json.dumps(v, default=str) for v in column.to_pylist()], pa.string())
                if name in as_json
                else column
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema_)

    reader = pa.RecordBatchReader.from_batches(schema_, batches())
    cursor.adbc_ingest(table, reader, mode="append", db_schema_name=schema)


def _exists(cursor: Any, relation: str) -> bool:
    return bool(_one(cursor, f"SELECT to_regclass({text(relation)}) IS NOT NULL"))


def _one(cursor: Any, query: str) -> Any:
    cursor.execute(query)
    row = cursor.fetchone()
    return row[0] if row else None
