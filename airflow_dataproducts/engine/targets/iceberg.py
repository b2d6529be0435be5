"""Iceberg tables, by PyIceberg. Each publication is one snapshot, committed by the catalog in one step.

The files of a version are written into the table's folder once, where no reader looks; a snapshot then takes them in and
the old ones out. What a run has published is a property of the table, set in the commit that makes it visible.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import tenacity

from airflow_dataproducts.engine import layout, staging
from airflow_dataproducts.engine.staging import Stream
from airflow_dataproducts.engine.storage import open_place
from airflow_dataproducts.engine.targets import PastVersion, Publication
from airflow_dataproducts.engine.targets.delta_actions import own_files
from airflow_dataproducts.engine.targets.failures import one_line
from airflow_dataproducts.engine.targets.iceberg_catalog import open_catalog
from airflow_dataproducts.engine.targets.iceberg_schema import adapt, optional, readable, rows_as
from airflow_dataproducts.engine.targets.merging import merged
from airflow_dataproducts.exceptions import PublishError, SourceChangedError, SourceError

if TYPE_CHECKING:
    import pyarrow.dataset as pads
    from pyiceberg.catalog import Catalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table, Transaction
    from pyiceberg.table.snapshots import Snapshot

    from airflow_dataproducts.engine.connections import ConnectionInfo
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.engine.targets import Keep, Request
    from airflow_dataproducts.settings import Settings

DATA = "data"
"""The folder below the table's that holds its files, one folder for each attempt of a run."""
_RUN = "dataproducts.run-id"
_SEEN = "dataproducts.published."
_ATTEMPTS = 10


class IcebergTarget:
    """A table of a catalog."""

    columns_in_files = True

    def __init__(self, table: str, info: ConnectionInfo, place: Place, settings: Settings) -> None:
        self._name = table
        self._info = info
        self._place = place
        self._settings = settings

    def draft(self, run: str) -> Place:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        return staging.new_folder(self._place / DATA, run)

    def published(self, run_id: str) -> Publication | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._errors():
            return self._published(self._load(), run_id)

    def publish(self, request: Request) -> Publication:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError, ValidationException

        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(
                (CommitFailedException, ValidationException, TableAlreadyExistsError)
            ),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
            reraise=True,
        )
        with self._errors(f"output {request.name}: "):
            return again(self._publish, request)

    def current(self, _columns: tuple[str, ...]) -> pads.Dataset | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._errors():
            table = self._load()
            return None if table is None or table.current_snapshot() is None else readable(table, self._place)

    def versions(self) -> list[PastVersion]:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._errors():
            table = self._load()
            return [] if table is None else _versions(table)

    def rollback(self, revision: str) -> Publication:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        from pyiceberg.table.update.snapshot import ManageSnapshots

        with self._errors():
            table = self._table()
            known = {version.revision: version for version in _versions(table)}
            if revision not in known:
                raise PublishError(f"{self._name} has no version {revision} (it has {', '.join(known)})")
            if not known[revision].current:
                changes = self._transaction(table)
                with ManageSnapshots(changes) as refs:
                    refs.set_current_snapshot(int(revision))
                _remember(changes, table, int(revision))
                changes.commit_transaction()
                table = self._table()
            return self._publication(table)

    def tidy(self, keep: Keep) -> int:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._errors():
            table = self._load()
            if table is None or table.current_snapshot() is None:
                return 0
            young = datetime.now(UTC) - keep.duration
            old = [
                int(each.revision)
                for each in _versions(table)[keep.versions :]
                if not each.current and each.published_at < young
            ]
            if old:
                table.maintenance.expire_snapshots().by_ids(old).commit()
                table = self._table()
            return self._sweep(table, young)

    def _sweep(self, table: Table, young: datetime) -> int:
        """Delete the files that no snapshot names: those of old versions, and what killed attempts left."""
        named = {
            _path(entry.data_file.file_path)
            for snapshot in table.metadata.snapshots
            for manifest in snapshot.manifests(table.io)
            for entry in manifest.fetch_manifest_entry(table.io)
        }
        files = [file for file in layout.data_files(self._place / DATA) if file not in named]
        gone = [info for info in self._place.filesystem.get_file_info(files) if info.mtime and info.mtime < young]
        for info in gone:
            self._place.filesystem.delete_file(info.path)
        return len(gone)

    def _publish(self, request: Request) -> Publication:
        table = self._load()
        done = self._published(table, request.run_id)
        if done is not None:
            return done
        changes = self._transaction(table) if table is not None else self._new_table(request)
        adapt(changes, request)
        self._snapshot(changes, table, request)
        changes.commit_transaction()
        return self._publication(self._table())

    def _snapshot(self, changes: Transaction, table: Table | None, request: Request) -> None:
        """Take the run's files in, and out what they replace."""
        from pyiceberg.io import load_file_io
        from pyiceberg.io.pyarrow import parquet_file_to_data_file

        files = [f"{self._scheme}{file}" for file in self._files(changes, table, request)]
        io = load_file_io(self._catalog.properties, self._place.uri)
        new = [parquet_file_to_data_file(io, changes.table_metadata, file) for file in files]
        new = [file for file in new if file.record_count]
        gone = [] if table is None else self._leaving(table, request, new)
        said = {_RUN: request.run_id, "dataproducts.product": request.product, "dataproducts.version": request.version}
        with changes.update_snapshot(snapshot_properties=said).overwrite() as snapshot:
            for file in new:
                snapshot.append_data_file(file)
            for file in gone:
                snapshot.delete_data_file(file)
        seen: dict[str, Any] = {_key(request.run_id): str(changes.table_metadata.current_snapshot_id)}
        changes.set_properties(**seen)

    def _leaving(self, table: Table, request: Request, new: list[DataFile]) -> list[DataFile]:
        mode = request.output.publish.mode
        if mode == "append":
            return []
        there = [task.file for task in table.scan().plan_files()]
        if mode != "replace-partition":
            return there
        brought = {_partition(file) for file in new}
        return [file for file in there if _partition(file) in brought]

    def _files(self, changes: Transaction, table: Table | None, request: Request) -> list[str]:
        """The rows' files: the draft's own, or new ones where a merge or the table's types ask for others."""
        publish, data = request.output.publish, request.dataset
        before = readable(table, self._place) if table is not None and table.current_snapshot() is not None else None
        if publish.mode == "merge" and (before is not None or publish.deleted is not None):
            folder = self.draft("merged")
            merged(request, before, self._settings, folder, in_files=True)
            data = layout.open_files(folder, {})
        own = own_files(self._place, data)
        wanted = rows_as(changes.table_metadata, data.schema)
        if own is not None and wanted is None:
            return own
        folder = self.draft("copied")
        schema = wanted or data.schema
        stream = Stream(schema, (batch.cast(schema) for batch in data.to_batches() if batch.num_rows))
        staging.write(folder, stream, publish.partition_by, in_files=True)
        return layout.data_files(folder)

    def _new_table(self, request: Request) -> Transaction:
        catalog = self._catalog
        catalog.create_namespace_if_not_exists(self._name.rpartition(".")[0])
        self._place.make()
        output = request.output
        made = catalog.create_table_transaction(
            self._name, optional(request.dataset.schema, output), location=f"{self._scheme}{self._place.path}"
        )
        with made.update_spec() as spec:
            for column in output.publish.partition_by:
                spec.add_identity(column)
        mapping = made.table_metadata.schema().name_mapping.model_dump_json()
        # Files know their columns by name; PyIceberg keeps the mapping when columns are added.
        properties: dict[str, Any] = {"schema.name-mapping.default": mapping}
        if output.description:
            properties["comment"] = output.description
        made.set_properties(**properties)
        return made

    def _transaction(self, table: Table) -> Transaction:
        # In this process only: a commit that meets another must not be tried again on top of it, but begin anew.
        table.metadata.properties["commit.retry.num-retries"] = "0"
        return table.transaction()

    def _published(self, table: Table | None, run_id: str) -> Publication | None:
        if table is None or _key(run_id) not in table.properties:
            return None
        return self._publication(table, table.properties[_key(run_id)])

    def _publication(self, table: Table, revision: str | None = None) -> Publication:
        current = table.current_snapshot()
        assert current is not None  # noqa: S101 - something was published
        return Publication("iceberg", self._name, revision or str(current.snapshot_id), _rows(current) or 0)

    def _load(self) -> Table | None:
        return load(self._catalog, self._name)

    def _table(self) -> Table:
        table = self._load()
        if table is None:
            raise PublishError(f"there is no Iceberg table {self._name} in {self._info.id}")
        return table

    @cached_property
    def _catalog(self) -> Catalog:
        return open_catalog(self._info)

    def _errors(self, subject: str = "") -> Any:
        return one_line(f"{subject}the Iceberg table {self._name} in {self._info.id} was not changed")

    @property
    def _scheme(self) -> str:
        return "file://" if self._place.is_local else "s3://"


def load(catalog: Catalog, name: str) -> Table | None:
    """A table; None where there is none."""
    from pyiceberg.exceptions import NoSuchTableError

    try:
        return catalog.load_table(name)
    except NoSuchTableError:
        return None


def open_dataset(name: str, info: ConnectionInfo) -> pads.Dataset:
    """The current version of a table, fixed for as long as the dataset is used.

    Raises:
        SourceError: it cannot be read.
        SourceChangedError: there is no table, or nothing in it.
    """
    with one_line(f"the Iceberg table {name} in {info.id} cannot be read", SourceError):
        table = load(open_catalog(info), name)
        if table is None or table.current_snapshot() is None:
            raise SourceChangedError(f"there is no Iceberg table {name} in {info.id}")
        return readable(table, open_place(table.location(), info))


def _versions(table: Table) -> list[PastVersion]:
    """What runs have made of a table, newest first."""
    line = _line_of(table)
    found = sorted(table.metadata.snapshots, key=lambda each: each.sequence_number or 0, reverse=True)
    return [
        PastVersion(
            str(each.snapshot_id), datetime.fromtimestamp(each.timestamp_ms / 1000, UTC), _said(each, _RUN),
            _rows(each), each.snapshot_id == line[0], each.snapshot_id not in line,
        )
        for each in found
        if _said(each, _RUN)
    ]  # fmt: skip


def _remember(changes: Transaction, table: Table, revision: int) -> None:
    """Say which runs' rows are visible once a version is current again. Of versions that are gone nothing changes."""
    line = _line_of(table, revision)
    snapshots = {run: each.snapshot_id for each in table.metadata.snapshots if (run := _said(each, _RUN))}
    inside: dict[str, Any] = {_key(run): str(each) for run, each in snapshots.items() if each in line}
    outside = [_key(run) for run, each in snapshots.items() if each not in line]
    changes.remove_properties(*(key for key in outside if key in table.properties))
    changes.set_properties(**inside)


def _line_of(table: Table, end: int | None = None) -> list[int]:
    """The snapshots that led to one, which is the first of them; without those that were taken back."""
    line: list[int] = []
    current = end if end is not None else getattr(table.current_snapshot(), "snapshot_id", None)
    while current is not None:
        line.append(current)
        found = table.metadata.snapshot_by_id(current)
        current = found.parent_snapshot_id if found else None
    return line


def _partition(file: DataFile) -> tuple[Any, ...]:
    return tuple(file.partition[index] for index in range(len(file.partition)))


def _said(snapshot: Snapshot, name: str) -> str | None:
    return snapshot.summary.additional_properties.get(name) if snapshot.summary else None


def _rows(snapshot: Snapshot) -> int | None:
    rows = _said(snapshot, "total-records")
    return None if rows is None else int(rows)


def _key(run_id: str) -> str:
    return f"{_SEEN}{hashlib.sha256(run_id.encode()).hexdigest()[:16]}"


def _path(uri: str) -> str:
    """A file's path in pyarrow's file system."""
    return uri.partition("://")[2] if "://" in uri else uri
