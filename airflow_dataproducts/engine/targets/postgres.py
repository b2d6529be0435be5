"""A view in PostgreSQL that is repointed to the next version's table.

The table of each version is built aside and filled; then, in one short transaction, the view is repointed and a ledger
row is written that says which run did it. Grants on the view and views that depend on it stay; a lock is waited for
only briefly, so that a long reader delays the switch and not the readers behind it.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import tenacity

from airflow_dataproducts.contract import ddl
from airflow_dataproducts.contract.ddl import names, quote, text
from airflow_dataproducts.engine.sources import sql
from airflow_dataproducts.engine.sources.postgres import reason
from airflow_dataproducts.engine.targets import PastVersion, Publication
from airflow_dataproducts.engine.targets.postgres_tables import (
    DRAFT,
    Names,
    build,
    columns_of,
    exists,
    one,
    prepare,
    visible,
)
from airflow_dataproducts.exceptions import PublishError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.connections import ConnectionInfo
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.engine.targets import Keep, Request

_LOCK_TIMEOUT = "3s"
_ATTEMPTS = 20
_NO_LOCK = "55P03"


class _LockedError(Exception):
    """The view's lock was not free in time."""


class PostgresTarget:
    """A view, with its schema's ledger of publications."""

    columns_in_files = False

    def __init__(self, table: str, info: ConnectionInfo) -> None:
        self._info = info
        self._name = table
        self._own = Names.of(table)

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
            there = exists(cursor, self._own.view)
        return open_dataset(self._name, self._info, columns) if there else None

    def publish(self, request: Request) -> Publication:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._turn():
            with self._session() as cursor:
                prepare(cursor, self._own)
                done = self._published(cursor, request.run_id)
                if done is not None:
                    return done
                rows, table = build(cursor, self._own, request)
            contract = request.output.contract
            columns = [column.name for column in contract.columns]
            done_by = [*ddl.comments(contract, self._own.view, "VIEW"), self._note_published(request.run_id)]
            self._switch_with_patience(table, columns, done_by)
        return Publication("postgres", self._name, table, rows)

    def versions(self) -> list[PastVersion]:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._session() as cursor:
            if not exists(cursor, self._own.ledger):
                return []
            current = self._relation(cursor)
            cursor.execute(
                f"SELECT relation, published_at, run_id, rows, undone_at IS NOT NULL FROM {self._own.ledger} WHERE target = {text(self._own.name)} "
                f"AND published_at IS NOT NULL AND to_regclass(format('%I.%I', {text(self._own.schema)}, relation)) IS NOT NULL "
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
        this = f"target = {text(self._own.name)}"
        then = f"(SELECT published_at FROM {self._own.ledger} WHERE {this} AND relation = {text(revision)})"
        undone = [
            # What was in the version is visible again; what came after it is not.
            f"UPDATE {self._own.ledger} SET undone_at = NULL WHERE {this} AND published_at <= {then} AND undone_at > {then}",
            f"UPDATE {self._own.ledger} SET undone_at = clock_timestamp() WHERE {this} AND published_at > {then} AND undone_at IS NULL",
        ]
        with self._turn():
            with self._session() as cursor:
                columns = [name for name, _ in columns_of(cursor, self._own.within(revision))]
            self._switch_with_patience(revision, columns, undone)
        return publication

    def tidy(self, keep: Keep) -> int:
        """See :class:`airflow_dataproducts.engine.targets.Target`. The ledger's rows stay: they are what makes retries safe."""
        with suppress(_LockedError), self._turn(), self._session() as cursor:  # what is still read goes another time
            if not exists(cursor, self._own.ledger):
                return 0
            cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            gone = self._outlived(cursor, keep)
            for name in gone:
                cursor.execute(f"DROP TABLE {self._own.within(name)}")
            return len(gone)
        return 0

    def _outlived(self, cursor: Any, keep: Keep) -> list[str]:
        """The tables that are not kept: old versions, drafts of what is published, and what killed attempts left."""
        this = f"target = {text(self._own.name)}"
        young = f"clock_timestamp() - interval '{keep.duration.total_seconds()} s'"
        newest = f"SELECT relation FROM {self._own.ledger} WHERE {this} AND published_at IS NOT NULL ORDER BY published_at DESC LIMIT {keep.versions}"
        old = (
            f"greatest(built_at, published_at, undone_at) < {young} "
            f"AND relation NOT IN ({newest}) AND relation IS DISTINCT FROM {text(self._relation(cursor) or '')}"
        )
        there = f"to_regclass(format('%I.%I', {text(self._own.schema)}, name)) IS NOT NULL"
        cursor.execute(
            f"SELECT name FROM {self._own.ledger}, LATERAL (VALUES (relation, {old}), "
            f"(relation || '{DRAFT}', published_at IS NOT NULL OR ({old}))) AS tables(name, goes) WHERE {this} AND goes AND {there}"
        )
        return [name for (name,) in cursor.fetchall()]

    def _published(self, cursor: Any, run_id: str) -> Publication | None:
        found = visible(cursor, self._own, run_id)
        return Publication("postgres", self._name, *found) if found else None

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
        select = f"SELECT {names(columns)} FROM {self._own.within(table)}"
        with self._session() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            self._repoint(cursor, table, select)
            for statement in statements:
                cursor.execute(statement)

    def _note_published(self, run_id: str) -> str:
        key = f"target = {text(self._own.name)} AND run_id = {text(run_id)}"
        # Whatever the clock says: what comes later is later.
        newest = (
            f"SELECT max(published_at) + interval '1 us' FROM {self._own.ledger} WHERE target = {text(self._own.name)}"
        )
        return f"UPDATE {self._own.ledger} SET published_at = greatest(clock_timestamp(), ({newest})), undone_at = NULL WHERE {key}"

    def _repoint(self, cursor: Any, table: str, select: str) -> None:
        """CREATE OR REPLACE where the columns allow it, else drop and create with the same grants."""
        before, after = (
            columns_of(cursor, self._own.view),
            columns_of(cursor, self._own.within(table)),
        )
        if after[: len(before)] == before:
            cursor.execute(f"CREATE OR REPLACE VIEW {self._own.view} AS {select}")
            return
        if self._has_dependents(cursor):
            raise PublishError(
                f"the columns of {self._name} change, but other views depend on it; drop them first, "
                "or only add columns at the end"
            )
        grants = self._grants(cursor)
        cursor.execute(f"DROP VIEW {self._own.view}")
        cursor.execute(f"CREATE VIEW {self._own.view} AS {select}")
        for grant in grants:
            cursor.execute(grant)

    def _relation(self, cursor: Any) -> str | None:
        """The table that the view shows now."""
        found = one(
            cursor,
            "SELECT c.relname::text FROM pg_rewrite r JOIN pg_depend d ON d.objid = r.oid AND d.classid = 'pg_rewrite'::regclass "
            "JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'r' "
            f"WHERE r.ev_class = to_regclass({text(self._own.view)}) LIMIT 1",
        )
        return None if found is None else str(found)

    def _has_dependents(self, cursor: Any) -> bool:
        """Whether another view or rule reads the view (PostgreSQL keeps that as a dependency of the reader's rule)."""
        query = (
            "SELECT EXISTS (SELECT FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass "
            f"WHERE d.refobjid = to_regclass({text(self._own.view)}) AND r.ev_class <> d.refobjid)"
        )
        return bool(one(cursor, query))

    def _grants(self, cursor: Any) -> list[str]:
        cursor.execute(
            "SELECT privilege_type, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END "
            f"FROM pg_class c, aclexplode(c.relacl) WHERE c.oid = to_regclass({text(self._own.view)}) AND grantee <> c.relowner"
        )
        return [f"GRANT {privilege} ON {self._own.view} TO {grantee}" for privilege, grantee in cursor.fetchall()]

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Waits until no other process publishes here: a run that adds to a version must add to the newest.

        The lock is the connection's: the database frees it when this process dies.
        """
        with self._session() as cursor:
            cursor.execute(f"SELECT pg_advisory_lock(hashtext({text(self._own.view)}))")
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

    name = sql.table(table)
    try:
        with postgres.connect(info.postgres_uri()) as connection, connection.cursor() as cursor:
            stream = read_all(cursor, f"(SELECT {', '.join(map(quote, columns)) or '*'} FROM {name}) AS q")
            return pads.dataset(pa.Table.from_batches(stream.batches, stream.schema))
    except (adbc.Error, OSError) as error:
        raise SourceError(f"{table}: connection {info.id}: {reason(error)}") from None
