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
from airflow_dataproducts.contract.ddl_checks import check_constraints
from airflow_dataproducts.contract.modes import NEW, OLD, comes, stays
from airflow_dataproducts.contract.types import postgres_type
from airflow_dataproducts.engine.sources.postgres import reason
from airflow_dataproducts.engine.targets import PastVersion, Publication
from airflow_dataproducts.exceptions import PublishError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.connections import ConnectionInfo
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.engine.targets import Keep, Request
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

    def draft(self, _run: str) -> Place | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`. Files are not what is published here."""
        return None

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
            contract = request.output.contract
            columns = [column.name for column in contract.columns]
            done_by = [*ddl.comments(contract, self._view, "VIEW"), self._note_published(request.run_id)]
            self._switch_with_patience(table, columns, done_by)
        return Publication("postgres", self._name, table, rows)

    def versions(self) -> list[PastVersion]:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._session() as cursor:
            if not _exists(cursor, self._ledger):
                return []
            current = self._relation(cursor)
            cursor.execute(
                f"SELECT relation, published_at, run_id, rows, undone_at IS NOT NULL FROM {self._ledger} WHERE target = {text(self._view_name)} "
                f"AND published_at IS NOT NULL AND to_regclass(format('%I.%I', {text(self._schema)}, relation)) IS NOT NULL "
                "ORDER BY published_at DESC"
            )
            return [
                PastVersion(relation, published_at, run_id, rows, relation == current, undone and relation != current)
                for relation, published_at, run_id, rows, undone in cursor.fetchall()
            ]

    def rollback(self, revision: str) -> Publication:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        known = {version.revision: version for version in self.versions()}
        if revision not in known:
            raise PublishError(f"{self._name} has no version {revision} (it has {', '.join(known)})")
        publication = Publication("postgres", self._name, revision, known[revision].rows or 0)
        if known[revision].current:
            return publication
        this = f"target = {text(self._view_name)}"
        then = f"(SELECT published_at FROM {self._ledger} WHERE {this} AND relation = {text(revision)})"
        undone = [
            # What was in the version is visible again; what came after it is not.
            f"UPDATE {self._ledger} SET undone_at = NULL WHERE {this} AND published_at <= {then} AND undone_at > {then}",
            f"UPDATE {self._ledger} SET undone_at = clock_timestamp() WHERE {this} AND published_at > {then} AND undone_at IS NULL",
        ]
        with self._turn():
            with self._session() as cursor:
                columns = [name for name, _ in self._columns(cursor, f"{quote(self._schema)}.{quote(revision)}")]
            self._switch_with_patience(revision, columns, undone)
        return publication

    def tidy(self, keep: Keep) -> int:
        """See :class:`airflow_dataproducts.engine.targets.Target`. The ledger's rows stay: they are what makes retries safe."""
        with suppress(_LockedError), self._turn(), self._session() as cursor:  # what is still read goes another time
            if not _exists(cursor, self._ledger):
                return 0
            cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            this = f"target = {text(self._view_name)}"
            young = f"clock_timestamp() - interval '{keep.duration.total_seconds()} s'"
            newest = f"SELECT relation FROM {self._ledger} WHERE {this} AND published_at IS NOT NULL ORDER BY published_at DESC LIMIT {keep.versions}"
            cursor.execute(
                f"SELECT relation FROM {self._ledger} WHERE {this} AND greatest(built_at, published_at, undone_at) < {young} "
                f"AND relation NOT IN ({newest}) AND relation IS DISTINCT FROM {text(self._relation(cursor) or '')} "
                f"AND to_regclass(format('%I.%I', {text(self._schema)}, relation)) IS NOT NULL"
            )
            gone = [name for (name,) in cursor.fetchall()]
            for name in gone:
                cursor.execute(f"DROP TABLE {quote(self._schema)}.{quote(name)}")
            return len(gone)
        return 0

    def _published(self, cursor: Any, run_id: str) -> Publication | None:
        if not _exists(cursor, self._ledger):
            return None
        cursor.execute(
            f"SELECT relation, rows FROM {self._ledger} WHERE target = {text(self._view_name)} AND run_id = {text(run_id)} "
            "AND published_at IS NOT NULL AND undone_at IS NULL"
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
            "rows bigint NOT NULL, version text NOT NULL, built_at timestamptz NOT NULL DEFAULT clock_timestamp(), "
            "published_at timestamptz, undone_at timestamptz, PRIMARY KEY (target, run_id))"
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
        self._join(cursor, table, request)
        key = ddl.primary_key(contract, table)
        if key:
            cursor.execute(key)
        for statement in (*check_constraints(contract, table), *ddl.comments(contract, table)):
            cursor.execute(statement)
        rows = int(_one(cursor, f"SELECT count(*) FROM {table}"))
        values = ", ".join(text(each) for each in (self._view_name, request.run_id, name, request.version))
        cursor.execute(
            f"INSERT INTO {self._ledger} (target, run_id, relation, version, rows) VALUES ({values}, {rows}) "
            "ON CONFLICT (target, run_id) DO UPDATE SET (relation, version, rows, built_at, published_at, undone_at) "
            "= (excluded.relation, excluded.version, excluded.rows, clock_timestamp(), NULL, NULL)"
        )
        return rows, name

    def _join(self, cursor: Any, table: str, request: Request) -> None:
        """Copy the rows before that stay, then take out the run's rows that do not come."""
        output = request.output
        there = {name for name, _ in self._columns(cursor, self._view)}
        if there and output.publish.mode != "replace":
            shared = names(column.name for column in output.contract.columns if column.name in there)
            kept = f"SELECT {shared} FROM {self._view} {OLD} WHERE {stays(output, table)}"
            cursor.execute(f"INSERT INTO {table} ({shared}) {kept}")
        coming = comes(output, self._view if there else None)
        if coming != "true":
            cursor.execute(f"DELETE FROM {table} {NEW} WHERE NOT ({coming})")

    def _switch_with_patience(self, table: str, columns: list[str], statements: list[str]) -> None:
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_LockedError),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=10),
            reraise=True,
        )
        try:
            retry(self._switch, table, columns, statements)
        except _LockedError:
            raise PublishError(
                f"{self._name} is locked by a long reader; it was not changed, try again later"
            ) from None

    def _switch(self, table: str, columns: list[str], statements: list[str]) -> None:
        """Repoint the view and write the ledger, in one transaction."""
        select = f"SELECT {names(columns)} FROM {quote(self._schema)}.{quote(table)}"
        with self._session() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            self._repoint(cursor, table, select)
            for statement in statements:
                cursor.execute(statement)

    def _note_published(self, run_id: str) -> str:
        key = f"target = {text(self._view_name)} AND run_id = {text(run_id)}"
        # Whatever the clock says: what comes later is later.
        newest = (
            f"SELECT max(published_at) + interval '1 us' FROM {self._ledger} WHERE target = {text(self._view_name)}"
        )
        return f"UPDATE {self._ledger} SET published_at = greatest(clock_timestamp(), ({newest})), undone_at = NULL WHERE {key}"

    def _repoint(self, cursor: Any, table: str, select: str) -> None:
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
                f"the columns of {self._name} change, but other views depend on it; drop them first, "
                "or only add columns at the end"
            )
        grants = self._grants(cursor)
        cursor.execute(f"DROP VIEW {self._view}")
        cursor.execute(f"CREATE VIEW {self._view} AS {select}")
        for grant in grants:
            cursor.execute(grant)

    def _relation(self, cursor: Any) -> str | None:
        """The table that the view shows now."""
        found = _one(
            cursor,
            "SELECT c.relname::text FROM pg_rewrite r JOIN pg_depend d ON d.objid = r.oid AND d.classid = 'pg_rewrite'::regclass "
            "JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'r' "
            f"WHERE r.ev_class = to_regclass({text(self._view)}) LIMIT 1",
        )
        return None if found is None else str(found)

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
