"""The tables behind a published view: how they are called, and how the next one is built before anyone sees it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract import ddl
from airflow_dataproducts.contract.ddl import names, quote, text
from airflow_dataproducts.contract.ddl_checks import check_constraints
from airflow_dataproducts.contract.modes import NEW, OLD, comes, stays
from airflow_dataproducts.contract.types import postgres_type
from airflow_dataproducts.engine.kept import Kept
from airflow_dataproducts.exceptions import PublishError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.targets import Request
    from airflow_dataproducts.manifest.contract import Contract
    from airflow_dataproducts.manifest.outputs import Output

LEDGER = "dataproducts_publications"
DRAFT = "__new"
"""How the name of a table ends that holds a run's rows alone, while the version's table holds others, too."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the parts of a published view are called.

    Attributes:
        schema: of all of them.
        name: the view's, without the schema.
    """

    schema: str
    name: str

    @classmethod
    def of(cls, table: str) -> Names:
        """For a view's name, with or without its schema."""
        schema, _, name = table.rpartition(".")
        return cls(schema or "public", name)

    @property
    def view(self) -> str:
        """The view, quoted."""
        return self.within(self.name)

    @property
    def ledger(self) -> str:
        """The schema's table of publications, quoted."""
        return self.within(LEDGER)

    def within(self, table: str) -> str:
        """A table of the schema, quoted."""
        return f"{quote(self.schema)}.{quote(table)}"

    def version(self, run_id: str) -> str:
        """The table of a run's version, without the schema."""
        # The whole name is in the digest: two views of one schema may begin with the same 40 letters.
        digest = hashlib.sha256(f"{self.name} {run_id}".encode()).hexdigest()
        return f"{self.name[:40]}__{digest[:12]}"


def prepare(cursor: Any, own: Names) -> None:
    """See to it that the schema and its ledger are there, and nothing else under the view's name.

    Raises:
        PublishError: a table is.
    """
    kind = one(cursor, f"SELECT relkind::text FROM pg_class WHERE oid = to_regclass({text(own.view)})")
    if kind not in (None, "v"):
        raise PublishError(f"{own.schema}.{own.name} is there already and is no published output; name another table")
    if not one(cursor, f"SELECT to_regnamespace({text(quote(own.schema))}) IS NOT NULL"):
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(own.schema)}")
    cursor.execute(
        f"CREATE TABLE IF NOT EXISTS {own.ledger} (target text, run_id text, relation text NOT NULL, "
        "rows bigint NOT NULL, version text NOT NULL, built_at timestamptz NOT NULL DEFAULT clock_timestamp(), "
        "published_at timestamptz, undone_at timestamptz, PRIMARY KEY (target, run_id))"
    )


def visible(cursor: Any, own: Names, run_id: str) -> tuple[str, int] | None:
    """The table and rows of the version that a run has published; None if it has not."""
    if not exists(cursor, own.ledger):
        return None
    cursor.execute(
        f"SELECT relation, rows FROM {own.ledger} WHERE target = {text(own.name)} AND run_id = {text(run_id)} "
        "AND published_at IS NOT NULL AND undone_at IS NULL"
    )
    found = cursor.fetchone()
    return (found[0], found[1]) if found else None


def draft(cursor: Any, own: Names, output: Output, run: tuple[str, str], query: str) -> tuple[str, int]:
    """Make a table of a run's rows, in place of one that an earlier attempt has made.

    Args:
        cursor: within a transaction.
        own: the view's names.
        output: its manifest.
        run: the run's id, and the product's version.
        query: the rows, with the contract's columns.

    Returns:
        The table, without the schema, and its rows.
    """
    run_id, version = run
    name = own.version(run_id)
    table = name if output.publish.mode == "replace" else f"{name}{DRAFT}"
    for each in (name, f"{name}{DRAFT}"):
        cursor.execute(f"DROP TABLE IF EXISTS {own.within(each)}")
    cursor.execute(f"CREATE TABLE {own.within(table)} AS {query}")
    rows = int(one(cursor, f"SELECT count(*) FROM {own.within(table)}"))
    _note_built(cursor, own, (run_id, version), (name, rows))
    return table, rows


def whole(cursor: Any, own: Names, output: Output, new: str) -> str | None:
    """A query that gives the rows as consumers will see them once a draft is published; None where they are the draft's.

    Args:
        cursor: of a connection.
        own: the view's names.
        output: its manifest.
        new: the draft, quoted.
    """
    if output.publish.mode == "replace":
        return None
    there = {name for name, _ in columns_of(cursor, own.view)}
    columns = [column.name for column in output.contract.columns]
    come = f"SELECT {names(columns)} FROM {new} {NEW} WHERE {comes(output, own.view if there else None)}"
    if not there:
        return come
    before = ", ".join(quote(name) if name in there else f"NULL AS {quote(name)}" for name in columns)
    return f"SELECT {before} FROM {own.view} {OLD} WHERE {stays(output, new)} UNION ALL {come}"


def build(cursor: Any, own: Names, request: Request) -> tuple[int, str]:
    """The next version's table, filled and indexed, in one transaction.

    Returns:
        Its rows, and its name without the schema.
    """
    name = own.version(request.run_id)
    if isinstance(request.data, Kept) and request.output.publish.mode == "replace":
        _finish(cursor, own.within(name), request.output.contract)
    else:
        _fill(cursor, own, name, request)
    rows = int(one(cursor, f"SELECT count(*) FROM {own.within(name)}"))
    _note_built(cursor, own, (request.run_id, request.version), (name, rows))
    return rows, name


def _fill(cursor: Any, own: Names, name: str, request: Request) -> None:
    contract, table = request.output.contract, own.within(name)
    cursor.execute(f"DROP TABLE IF EXISTS {table}")
    if isinstance(request.data, Kept):
        cursor.execute(ddl.create_table(contract, table))
        columns = names(column.name for column in contract.columns)
        cursor.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {request.data.relation}")
    else:
        cursor.execute(ddl.create_table(contract, table, loading=True))
        _load(cursor, own.schema, name, (contract, request.dataset))
        for statement in ddl.finish_loading(contract, table):
            cursor.execute(statement)
    _join(cursor, own, table, request.output)
    for statement in _constraints(contract, table):
        cursor.execute(statement)


def _finish(cursor: Any, table: str, contract: Contract) -> None:
    """Make a draft what its contract says of it. The comment comes last: where it is, an earlier attempt has done all."""
    if one(cursor, f"SELECT obj_description(to_regclass({text(table)}), 'pg_class') IS NOT NULL"):
        return
    for statement in (*ddl.settle(contract, table), *_constraints(contract, table)):
        cursor.execute(statement)


def _constraints(contract: Contract, table: str) -> Iterator[str]:
    key = ddl.primary_key(contract, table)
    if key:
        yield key
    yield from check_constraints(contract, table)
    yield from ddl.comments(contract, table)


def _note_built(cursor: Any, own: Names, run: tuple[str, str], built: tuple[str, int]) -> None:
    values = ", ".join(text(each) for each in (own.name, *run, built[0]))
    cursor.execute(
        f"INSERT INTO {own.ledger} (target, run_id, version, relation, rows) VALUES ({values}, {built[1]}) "
        "ON CONFLICT (target, run_id) DO UPDATE SET (relation, version, rows, built_at, published_at, undone_at) "
        "= (excluded.relation, excluded.version, excluded.rows, clock_timestamp(), NULL, NULL)"
    )


def _join(cursor: Any, own: Names, table: str, output: Output) -> None:
    """Copy the rows before that stay, then take out the run's rows that do not come."""
    there = {name for name, _ in columns_of(cursor, own.view)}
    if there and output.publish.mode != "replace":
        shared = names(column.name for column in output.contract.columns if column.name in there)
        kept = f"SELECT {shared} FROM {own.view} {OLD} WHERE {stays(output, table)}"
        cursor.execute(f"INSERT INTO {table} ({shared}) {kept}")
    coming = comes(output, own.view if there else None)
    if coming != "true":
        cursor.execute(f"DELETE FROM {table} {NEW} WHERE NOT ({coming})")


def _load(cursor: Any, schema: str, table: str, rows: tuple[Contract, pads.Dataset]) -> None:
    """Copy the rows in, in PostgreSQL's binary format. What it has no binary writer for travels as text."""
    import pyarrow as pa

    contract, data = rows
    as_json = [
        column.name
        for column in contract.columns
        if postgres_type(column.type) == "jsonb" and column.type.name != "json"
    ]
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


def columns_of(cursor: Any, relation: str) -> list[tuple[str, str]]:
    """Names and types of a relation's columns; empty if it is not there."""
    cursor.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped "
        f"AND attrelid = to_regclass({text(relation)}) ORDER BY attnum"
    )
    return [(str(name), str(kind)) for name, kind in cursor.fetchall()]


def exists(cursor: Any, relation: str) -> bool:
    """Whether there is a table or view of that quoted name."""
    return bool(one(cursor, f"SELECT to_regclass({text(relation)}) IS NOT NULL"))


def one(cursor: Any, query: str) -> Any:
    """The first value of a query's first row; None where there is none."""
    cursor.execute(query)
    row = cursor.fetchone()
    return row[0] if row else None
