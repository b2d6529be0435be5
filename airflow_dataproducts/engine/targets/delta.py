"""Delta tables, by delta-rs. A commit is atomic, and carries the run's id as an application transaction.

The files of a version are written into the table's folder once, where no reader looks, and become visible when a commit
names them: its cost is that of a few files' footers, however many rows there are.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract import modes
from airflow_dataproducts.contract.ddl import quote
from airflow_dataproducts.engine import layout, staging, storage
from airflow_dataproducts.engine.staging import Stream
from airflow_dataproducts.engine.targets import PastVersion, Publication
from airflow_dataproducts.engine.targets.delta_actions import additions, own_files, removals
from airflow_dataproducts.engine.targets.failures import one_line
from airflow_dataproducts.exceptions import PublishError, SourceChangedError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import pyarrow as pa
    import pyarrow.dataset as pads
    from deltalake import DeltaTable

    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.engine.targets import Keep, Request
    from airflow_dataproducts.manifest.outputs import Output

DATA = "data"
"""The folder below the table's that holds its files, one folder for each attempt of a run."""
_PREFIX = "dataproducts:"
_RECENT = 50
"""Commits among which a run's own is looked for."""


class DeltaTarget:
    """A Delta table at a place."""

    columns_in_files = False

    def __init__(self, place: Place) -> None:
        self._place = place

    def draft(self, run: str) -> Place:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        return staging.new_folder(self._place / DATA, run)

    def published(self, run_id: str) -> Publication | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._reading():
            table = _open(self._place)
            if table is None or not _is_visible(table, run_id):
                return None
            own = (str(each["version"]) for each in table.history(_RECENT) if each.get("run_id") == run_id)
            return self._publication(table, next(own, None))

    def publish(self, request: Request) -> Publication:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        done = self.published(request.run_id)
        if done is not None:
            return done
        with one_line(f"output {request.name}: the Delta table {self._place.uri} was not changed"):
            self._commit(request)
        with self._reading():
            return self._publication(self._table())

    def current(self, _columns: tuple[str, ...]) -> pads.Dataset | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._reading():
            return open_dataset(self._place) if _open(self._place) is not None else None

    def versions(self) -> list[PastVersion]:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        from datetime import UTC, datetime

        with self._reading():
            table = _open(self._place)
            commits = [] if table is None else table.history()
        if not commits:
            return []
        line = _line_of_versions(commits)
        return [
            PastVersion(
                str(each["version"]), datetime.fromtimestamp(each["timestamp"] / 1000, UTC), each["run_id"], None,
                each["version"] == line[-1], each["version"] not in line,
            )
            for each in commits
            if "run_id" in each
        ]  # fmt: skip

    def rollback(self, revision: str) -> Publication:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        known = {version.revision: version for version in self.versions()}
        if revision not in known:
            raise PublishError(f"{self._place.uri} has no version {revision} (it has {', '.join(known)})")
        runs = {version.run_id for version in known.values() if version.run_id is not None}
        with one_line(f"{self._place.uri} was not rolled back"):
            table = self._table()
            if known[revision].current:
                return self._publication(table, revision)
            then = self._table(int(revision))
            changed = [run for run in sorted(runs) if _is_visible(then, run) != _is_visible(table, run)]
            # A commit that removes files and adds others back, and says of each run whether its rows are visible now.
            table.restore(int(revision), commit_properties=_properties(table, changed, {"rollback_to": revision}))
        with self._reading():
            return self._publication(self._table(), revision)

    def tidy(self, keep: Keep) -> int:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        newest = [int(version.revision) for version in self.versions()[: keep.versions]]
        hours = max(int(keep.duration.total_seconds() // 3600), 0)
        with one_line(f"{self._place.uri} was not tidied"):
            table = _open(self._place)
            if table is None:
                return 0
            # The full listing finds what killed attempts left, too; neither is touched before its time.
            vacuum = partial(table.vacuum, hours, enforce_retention_duration=False, full=True, keep_versions=newest)
            gone = vacuum(dry_run=True)
            if gone:  # it leaves commits of its own in the log
                vacuum(dry_run=False)
        return len(gone)

    def _commit(self, request: Request) -> None:
        """One commit with all of the run's rows."""
        from deltalake import Schema
        from deltalake.transaction import create_table_with_add_actions

        output = request.output
        table = _open(self._place)
        details = {"product": request.product, "version": request.version, "run_id": request.run_id}
        properties = _properties(table, [request.run_id], details)
        if output.publish.mode == "merge" and table is not None:
            _merge(table, request.dataset, output, properties)
            return
        columns = [column.name for column in output.contract.columns]
        partitions = list(output.publish.partition_by)
        data, files = self._files(request, table)
        schema = data.schema
        adds = additions(self._place, files, partitions, schema)
        as_delta = Schema.from_arrow(_ordered(schema, columns))
        if table is None:
            create_table_with_add_actions(
                self._place.uri, as_delta, adds, partition_by=partitions, description=output.description or None,
                storage_options=_options(self._place), commit_properties=properties,
            )  # fmt: skip
        elif output.publish.mode == "replace":
            table.create_write_transaction(adds, "overwrite", as_delta, partitions, commit_properties=properties)
        else:
            _widen(table, schema)
            gone = removals(table, adds, partitions) if output.publish.mode == "replace-partition" else []
            table.create_write_transaction(
                [*gone, *adds], "append", table.schema(), partitions, commit_properties=properties
            )

    def _files(self, request: Request, table: DeltaTable | None) -> tuple[pads.Dataset, list[str]]:
        """The rows and their files: the draft's own, or copies of rows that lie elsewhere or have other types than the table."""
        data = request.dataset
        wanted = _types_of(data.schema, table if request.output.publish.mode != "replace" else None)
        deleted = request.output.publish.deleted
        files = own_files(self._place, data)
        if files is not None and wanted == data.schema and deleted is None:
            return data, files
        self._place.make()
        folder = staging.new_folder(self._place / DATA, "copied")
        staged = staging.write(
            folder, Stream(wanted, _cast(data, wanted, deleted)), request.output.publish.partition_by
        )
        copied = layout.open_files(folder, staged.folders)
        return copied, own_files(self._place, copied) or []

    def _reading(self) -> AbstractContextManager[None]:
        return one_line(f"the Delta table {self._place.uri} cannot be read")

    def _publication(self, table: DeltaTable, revision: str | None = None) -> Publication:
        return Publication("delta", self._place.uri, revision or str(table.version()), _count(table))

    def _table(self, version: int | None = None) -> DeltaTable:
        table = _open(self._place)
        if table is None:
            raise PublishError(f"there is no Delta table at {self._place.uri}")
        if version is not None:
            table.load_as_version(version)
        return table


def open_dataset(place: Place, version: int | None = None) -> pads.Dataset:
    """A version of a table, fixed for as long as the dataset is used.

    Args:
        place: the table's folder.
        version: Delta's number of it; None for the current one.

    Raises:
        SourceError: it cannot be read.
        SourceChangedError: there is no table, or no such version.
    """
    import pyarrow.dataset as pads
    from deltalake.exceptions import DeltaError

    with one_line(f"the Delta table {place.uri} cannot be read", SourceError):
        table = _open(place)
        if table is None:
            raise SourceChangedError(f"there is no Delta table at {place.uri}")
        if version is not None:
            try:
                table.load_as_version(version)
            except DeltaError:
                raise SourceChangedError(f"the Delta table at {place.uri} has no version {version}") from None
        found = table.to_pyarrow_dataset()
        files = table.file_uris()
        if place.is_local and files and not table.metadata().partition_columns:
            # As plain files, DuckDB reads them itself, and knows their statistics.
            return pads.dataset(files, schema=found.schema, format="parquet")
        return found


def _open(place: Place) -> DeltaTable | None:
    from deltalake import DeltaTable

    options = _options(place)
    return DeltaTable(place.uri, storage_options=options) if DeltaTable.is_deltatable(place.uri, options) else None


def _options(place: Place) -> dict[str, str]:
    return {**place.options, "max_retries": str(storage.S3_TRIES)}


def _line_of_versions(commits: list[dict[str, Any]]) -> list[int]:
    """The versions that led to the current one, which is the last; without those that were taken back.

    Args:
        commits: the table's, newest first.
    """
    line: list[int] = []
    for commit in reversed(commits):
        if "run_id" in commit:
            line.append(commit["version"])
        elif "rollback_to" in commit:
            to = int(commit["rollback_to"])
            line = [*line[: line.index(to)], to] if to in line else [*line, to]
    return line


def _is_visible(table: DeltaTable, run_id: str) -> bool:
    """Whether a run's rows are in the table: its transaction's number is odd then, and even once they were rolled back."""
    return (table.transaction_version(f"{_PREFIX}{run_id}") or 0) % 2 == 1


def _properties(table: DeltaTable | None, runs: list[str], details: dict[str, str]) -> Any:
    """What a commit says beside its files: whatever is known of it, and that some runs' rows come or go."""
    from deltalake import CommitProperties, Transaction

    names = [f"{_PREFIX}{run}" for run in runs]
    numbers = {name: (table.transaction_version(name) or 0) if table is not None else 0 for name in names}
    return CommitProperties(
        custom_metadata=details,
        app_transactions=[Transaction(name, number + 1) for name, number in numbers.items()],
    )


def _count(table: DeltaTable) -> int:
    """The table's rows, as its log knows them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    counts = pa.table(table.get_add_actions(flatten=True))["num_records"]
    return int(pc.sum(counts).as_py() or 0) if not counts.null_count else table.to_pyarrow_dataset().count_rows()


def _ordered(schema: pa.Schema, columns: list[str]) -> pa.Schema:
    """The schema in the contract's order; columns that are folders come last in a dataset."""
    import pyarrow as pa

    return pa.schema([schema.field(name) for name in columns if name in schema.names])


def _types_of(schema: pa.Schema, table: DeltaTable | None) -> pa.Schema:
    """The schema with which rows can stand in a table: its columns keep the types they have there."""
    import pyarrow as pa

    if table is None:
        return schema
    there = pa.schema(table.schema().to_arrow())
    fields = []
    for field in schema:
        kind = there.field(field.name).type if field.name in there.names else field.type
        fields.append(field if _plain(kind) == _plain(field.type) else pa.field(field.name, kind))
    return pa.schema(fields)


def _plain(kind: pa.DataType) -> str:
    """A type's name without what makes no difference in files: the width of offsets, and views."""
    return str(kind).replace("large_", "").replace("_view", "")


def _cast(data: pads.Dataset, schema: pa.Schema, deleted: str | None) -> Iterator[pa.RecordBatch]:
    """The rows with the schema's types, but for those that say they are deleted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kept = None if deleted is None else ~pc.coalesce(pc.field(deleted), False)
    for batch in data.to_batches(filter=kept):
        if batch.num_rows:
            yield from pa.Table.from_batches([batch]).select(schema.names).cast(schema).to_batches()


def _widen(table: DeltaTable, schema: pa.Schema) -> None:
    """Add the columns that a table does not have yet; its rows have no values in them, so readers may see this first."""
    from deltalake import Schema

    known = {field.name for field in table.schema().fields}
    new = [field for field in Schema.from_arrow(schema).fields if field.name not in known]
    if new:
        table.alter.add_columns(new)


def _merge(table: DeltaTable, data: pads.Dataset, output: Output, properties: Any) -> None:
    """Update the rows whose key is there, insert the others; late rows and those that say deleted as modes.py has it."""
    merger = table.merge(
        source=data.scanner().to_reader(),
        predicate=modes.same_key(output),
        source_alias=modes.NEW,
        target_alias=modes.OLD,
        merge_schema=True,
        commit_properties=properties,
    )
    current = modes.not_late(output)
    gone = None if output.publish.deleted is None else f"{modes.NEW}.{quote(output.publish.deleted)} IS TRUE"
    if gone is not None:
        merger = merger.when_matched_delete(" AND ".join(each for each in (gone, current) if each))
    merger = merger.when_matched_update_all(current)
    merger.when_not_matched_insert_all(None if gone is None else f"({gone}) IS NOT TRUE").execute()
