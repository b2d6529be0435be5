"""A folder of Parquet that always shows one whole version.

On a disk the location is a link, switched by one rename; the versions lie beside it in ``<location>.versions/``. In object
storage ``<location>/_current.json`` names the current version and is replaced by a conditional write. Each version
holds ``_version.json``, which says what it is made of.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine import duck, layout, staging
from airflow_dataproducts.engine.staging import Stream
from airflow_dataproducts.engine.targets import PastVersion, Publication
from airflow_dataproducts.engine.targets.failures import one_line
from airflow_dataproducts.engine.targets.merging import merged
from airflow_dataproducts.engine.targets.pointer import open_pointer
from airflow_dataproducts.exceptions import PublishError, SourceChangedError, SourceError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.engine.targets import Keep, Request
    from airflow_dataproducts.settings import Settings

_VERSION_FILE = "_version.json"
_UNDONE_FILE = "_undone.json"
_STAMP = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True, slots=True)
class Version:
    """What ``_version.json`` holds.

    Attributes:
        name: the version's folder.
        rows: rows in it.
        runs: the runs whose rows are in it, newest last; one for mode replace.
        contract: semantic version of the contract.
        partition_by: the columns that are folders.
        published_at: when it was written, ISO 8601 in UTC.
    """

    name: str
    rows: int
    runs: tuple[str, ...]
    contract: str
    partition_by: tuple[str, ...]
    published_at: str


class ParquetTarget:
    """A location of Parquet files."""

    columns_in_files = False

    def __init__(self, place: Place, settings: Settings) -> None:
        self._place = place
        self._settings = settings
        self._pointer = open_pointer(place)

    def draft(self, run: str) -> Place:
        """See :class:`airflow_dataproducts.engine.targets.Target`. A version's folder, that lacks what makes it one."""
        digest = hashlib.sha256(run.encode()).hexdigest()[:8]
        return self._versions / f"{datetime.now(UTC):{_STAMP}}-{digest}-{uuid.uuid4().hex[:6]}"

    def published(self, run_id: str) -> Publication | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._reading():
            current = self._current()
        return self._publication(current) if current and run_id in current.runs else None

    def publish(self, request: Request) -> Publication:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._changing(f"output {request.name}: "), self._pointer.turn():
            current = self._current()
            if current and request.run_id in current.runs:
                return self._publication(current)
            version = self._complete(request, current)
            self._pointer.switch(current.name if current else None, version.name)
            return self._publication(version)

    def current(self, _columns: tuple[str, ...]) -> pads.Dataset | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._reading():
            return open_dataset(self._place) if self._pointer.current() else None

    def versions(self) -> list[PastVersion]:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._reading():
            current, undone = self._pointer.current(), self._undone()
            found = [read_version(self._versions / name) for name in self._folders() if self._is_whole(name)]
        return [
            PastVersion(
                each.name,
                datetime.fromisoformat(each.published_at),
                each.runs[-1],
                each.rows,
                each.name == current,
                each.name in undone and each.name != current,
            )
            for each in sorted(found, key=lambda each: each.published_at, reverse=True)
        ]

    def rollback(self, revision: str) -> Publication:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        known = [version.revision for version in self.versions()]
        if revision not in known:
            raise PublishError(f"{self._place.uri} has no version {revision} (it has {', '.join(known)})")
        with self._changing(), self._pointer.turn():
            current = self._pointer.current()
            if current != revision:
                taken_back = known[: known.index(revision)]
                undone = sorted((self._undone() - {revision}) | set(taken_back))
                (self._versions / _UNDONE_FILE).write_text(json.dumps(undone))
                self._pointer.switch(current, revision)
            return self._publication(read_version(self._versions / revision))

    def tidy(self, keep: Keep) -> int:
        """See :class:`airflow_dataproducts.engine.targets.Target`. The current version stays whatever its name."""
        # Names begin with their time, so they compare as times.
        young = f"{datetime.now(UTC) - keep.duration:{_STAMP}}"
        with one_line(f"{self._place.uri} was not tidied"):
            current = self._pointer.current()
            others = [name for name in sorted(self._folders(), reverse=True) if name != current]
            newer = [name for name in others if self._is_whole(name)][: max(keep.versions - 1, 0)]
            gone = [name for name in others if name < young and name not in newer]
            for name in gone:
                (self._versions / name).remove()
        return len(gone)

    @property
    def _versions(self) -> Place:
        return self._place.beside(".versions")

    def _current(self) -> Version | None:
        name = self._pointer.current()
        return read_version(self._versions / name) if name else None

    def _undone(self) -> set[str]:
        """The versions that were taken back."""
        return set(json.loads((self._versions / _UNDONE_FILE).read_text() or "[]"))

    def _folders(self) -> list[str]:
        import pyarrow.fs as pafs

        infos = self._place.filesystem.get_file_info(pafs.FileSelector(self._versions.path, allow_not_found=True))
        return [Path(info.path).name for info in infos if info.type == pafs.FileType.Directory]

    def _is_whole(self, name: str) -> bool:
        """Whether a folder became a version, and is no attempt that was killed."""
        import pyarrow.fs as pafs

        info = self._place.filesystem.get_file_info(f"{self._versions.path}/{name}/{_VERSION_FILE}")
        return bool(info.type == pafs.FileType.File)

    def _complete(self, request: Request, current: Version | None) -> Version:
        """A new version: the draft's own folder, or a new one with its files and those before that stay."""
        output = request.output
        before = None if output.publish.mode == "replace" else current
        if output.publish.mode == "merge" and (before is not None or output.publish.deleted is not None):
            folder = self._merged(request, before)
        else:
            folder = self._own_draft(request.dataset) or self._copied(request)
            if before is not None:
                folder = self._joined(request, folder, before)
        return self._seal(request, folder, (before.runs if before else (), current))

    def _own_draft(self, data: pads.Dataset) -> Place | None:
        """The draft that holds exactly these rows; None where they lie elsewhere."""
        names = {
            file.removeprefix(f"{self._versions.path}/").split("/")[0] for file in getattr(data, "files", None) or [""]
        }
        name = names.pop()
        return None if names or not name or name.startswith("/") or not self._is_folder(name) else self._versions / name

    def _is_folder(self, name: str) -> bool:
        import pyarrow.fs as pafs

        info = self._place.filesystem.get_file_info(f"{self._versions.path}/{name}")
        return bool(info.type == pafs.FileType.Directory)

    def _copied(self, request: Request) -> Place:
        folder = self.draft(request.run_id)
        batches = (batch for batch in request.dataset.to_batches(batch_size=duck.BATCH_ROWS) if batch.num_rows)
        staging.write(folder, Stream(request.dataset.schema, batches), request.output.publish.partition_by)
        return folder

    def _merged(self, request: Request, before: Version | None) -> Place:
        """The rows that come, beside those before that stay, written anew."""
        old = None if before is None else _open_version(self._versions / before.name)
        folder = self.draft(request.run_id)
        merged(request, old, self._settings, folder)
        return folder

    def _joined(self, request: Request, draft: Place, before: Version) -> Place:
        """A folder with a draft's files and those of the version before that stay: linked on a disk, copied within a store.

        The draft stays what it was, so that an attempt after a killed one starts from the same.
        """
        folder = self.draft(request.run_id)
        partitions = request.output.publish.partition_by if request.output.publish.mode == "replace-partition" else ()
        own = self._versions / before.name
        new = [file.removeprefix(f"{draft.path}/") for file in layout.data_files(draft)]
        brought = {tuple(layout.folder_values(file, partitions).values()) for file in new}
        old = [file.removeprefix(f"{own.path}/") for file in layout.data_files(own)]
        if partitions:
            old = [file for file in old if tuple(layout.folder_values(file, partitions).values()) not in brought]
        files = [(draft, file) for file in new] + [(own, file) for file in old]
        # A file beside the folders of its partitions has columns and no rows; one such is enough where there is nothing else.
        parted = request.output.publish.partition_by
        full = [(source, file) for source, file in files if not parted or "/" in file]
        for source, file in full or files[:1]:
            _link(source, folder, file)
        return folder

    def _seal(self, request: Request, folder: Place, since: tuple[tuple[str, ...], Version | None]) -> Version:
        """Say what a folder is made of, which makes it a version.

        Args:
            request: what is published.
            folder: the files.
            since: the runs whose rows are in it beside this one's, and the version that is current until now.
        """
        import pyarrow as pa

        partition_by = tuple(request.output.publish.partition_by)
        kinds = layout.kinds(request.dataset.schema, partition_by)
        known = [column.name for column in request.output.contract.columns]
        schema = pa.schema(
            [request.dataset.schema.field(name) for name in known if name in request.dataset.schema.names]
        )
        rows = layout.open_files(folder, kinds).count_rows()
        runs, current = (*since[0], request.run_id), since[1]
        stamp = datetime.now(UTC)
        if current is not None:  # whatever the clock says: what comes later is later
            stamp = max(stamp, datetime.fromisoformat(current.published_at) + timedelta(microseconds=1))
        version = Version(Path(folder.path).name, rows, runs, request.version, partition_by, stamp.isoformat())
        described = {**asdict(version), "partition_types": kinds, "schema": b64encode(schema.serialize()).decode()}
        (folder / _VERSION_FILE).write_text(json.dumps(described))
        return version

    def _publication(self, version: Version) -> Publication:
        return Publication("parquet", self._place.uri, version.name, version.rows)

    def _changing(self, subject: str = "") -> AbstractContextManager[None]:
        return one_line(f"{subject}{self._place.uri} was not changed")

    def _reading(self) -> AbstractContextManager[None]:
        return one_line(f"{self._place.uri} cannot be read")


def _link(source: Place, folder: Place, file: str) -> None:
    """Give a file a second name."""
    path = f"{folder.path}/{file}"
    if source.is_local:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).hardlink_to(f"{source.path}/{file}")
    else:
        source.filesystem.copy_file(f"{source.path}/{file}", path)


def open_dataset(place: Place) -> pads.Dataset:
    """The current version of a location; a later switch does not touch it.

    Raises:
        SourceError: it cannot be read.
        SourceChangedError: nothing has been published there.
    """
    with one_line(f"{place.uri} cannot be read", SourceError):
        name = open_pointer(place).current()
        if name is None:
            raise SourceChangedError(f"nothing has been published at {place.uri}")
        return _open_version(place.beside(".versions") / name)


def _open_version(folder: Place) -> pads.Dataset:
    """The rows of one version, with the columns and types it was sealed with: some of its files may be older."""
    import pyarrow as pa
    import pyarrow.dataset as pads

    described = _read_json(folder)
    schema = pa.ipc.read_schema(pa.py_buffer(b64decode(described["schema"])))
    found = pads.dataset(
        folder.path, filesystem=folder.filesystem, format="parquet", schema=schema,
        partitioning=layout.partitioning(described["partition_types"]),
    )  # fmt: skip
    if described["rows"] and not found.files:  # a folder without files would read as a version without rows
        raise FileNotFoundError(f"the files of version {described['name']} are gone")
    return found


def read_version(folder: Place) -> Version:
    """What a version's folder says of itself."""
    found = _read_json(folder)
    known = {field.name: found[field.name] for field in fields(Version)}
    return Version(**{**known, "runs": tuple(found["runs"]), "partition_by": tuple(found["partition_by"])})


def _read_json(folder: Place) -> dict[str, Any]:
    with folder.filesystem.open_input_stream(f"{folder.path}/{_VERSION_FILE}") as file:
        return json.loads(file.read())  # type: ignore[no-any-return]
