"""A folder of Parquet that always shows one whole version.

On a disk the location is a link, switched by one rename; the versions lie beside it in ``<location>.versions/``. In object
storage ``<location>/_current.json`` names the current version and is replaced by a conditional write. Each version
holds ``_version.json``, which says what it is made of.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import uuid
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import names
from airflow_dataproducts.engine import duck, targets
from airflow_dataproducts.engine.staging import Stream
from airflow_dataproducts.engine.storage import Place, is_full, s3_client
from airflow_dataproducts.engine.targets import Publication
from airflow_dataproducts.exceptions import PublishError, SourceChangedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import pyarrow as pa
    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.targets import Request
    from airflow_dataproducts.settings import Settings

_VERSION_FILE = "_version.json"
_CURRENT_FILE = "_current.json"
_STAMP = "%Y%m%dT%H%M%SZ"


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

    def __init__(self, place: Place, settings: Settings) -> None:
        self._place = place
        self._settings = settings
        self._pointer = _pointer(place)

    def published(self, run_id: str) -> Publication | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        current = self._current()
        return self._publication(current) if current and run_id in current.runs else None

    def publish(self, request: Request) -> Publication:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        try:
            with self._pointer.turn():
                return self._publish(request)
        except OSError as error:
            reason = "the disk is full" if is_full(error) else error.strerror or str(error)
            raise PublishError(f"output {request.name}: {self._place.uri} was not changed: {reason}") from None

    def _publish(self, request: Request) -> Publication:
        current = self._current()
        if current and request.run_id in current.runs:
            return self._publication(current)
        version = self._write(request, current)
        self._pointer.switch(current.name if current else None, version.name)
        self._forget(version)
        return self._publication(version)

    def current(self, _columns: tuple[str, ...]) -> pads.Dataset | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        return open_dataset(self._place) if self._pointer.current() else None

    def _current(self) -> Version | None:
        name = self._pointer.current()
        return read_version(self._versions / name) if name else None

    @property
    def _versions(self) -> Place:
        return self._place.beside(".versions")

    def _write(self, request: Request, current: Version | None) -> Version:
        """A new version's files, under a name that no earlier attempt used; nobody reads it yet."""
        import pyarrow as pa
        import pyarrow.dataset as pads

        stamp = datetime.now(UTC)
        run = hashlib.sha256(request.run_id.encode()).hexdigest()[:8]
        name = f"{stamp:{_STAMP}}-{run}-{uuid.uuid4().hex[:6]}"
        folder = (self._versions / name).make()
        partition_by = tuple(getattr(request.output.publish, "partition_by", ()))
        mode = request.output.publish.mode
        counted = _Counter()
        with duck.session(self._settings) as connection:
            before = None if mode == "replace" or current is None else _open_version(self._versions / current.name)
            stream = _content(connection, request, before)
            pads.write_dataset(
                pa.RecordBatchReader.from_batches(stream.schema, counted.over(stream)),
                folder.path,
                filesystem=folder.filesystem,
                format="parquet",
                partitioning=_partitioning(stream.schema, partition_by),
                existing_data_behavior="overwrite_or_ignore",
                basename_template=f"part-{{i}}-{run}.parquet",
                file_options=pads.ParquetFileFormat().make_write_options(compression="zstd"),
            )
        runs = (request.run_id,) if before is None or current is None else (*current.runs, request.run_id)
        version = Version(name, counted.rows, runs, request.version, partition_by, stamp.isoformat())
        described = {**asdict(version), "partition_types": _types(stream.schema, partition_by)}
        with folder.filesystem.open_output_stream(f"{folder.path}/{_VERSION_FILE}") as out:
            out.write(json.dumps(described).encode())
        return version

    def _publication(self, version: Version) -> Publication:
        return Publication("parquet", self._place.uri, version.name, version.rows)

    def _forget(self, version: Version) -> None:
        """Delete versions that nobody reads any more and what killed attempts left; the current one stays whatever its name."""
        import pyarrow.fs as pafs

        infos = self._place.filesystem.get_file_info(pafs.FileSelector(self._versions.path, allow_not_found=True))
        names = sorted((Path(info.path).name for info in infos if info.type == pafs.FileType.Directory), reverse=True)
        young = (
            f"{datetime.now(UTC) - targets.KEEP_FOR:{_STAMP}}"  # names begin with their time, so they compare as times
        )
        for name in [each for each in names if each != version.name][targets.KEEP_VERSIONS - 1 :]:
            if name < young:
                (self._versions / name).remove()


class _Counter:
    """Counts the rows of a stream as they pass."""

    def __init__(self) -> None:
        self.rows = 0

    def over(self, stream: Stream) -> Any:
        for batch in stream.batches:
            self.rows += batch.num_rows
            yield batch


def _content(connection: duckdb.DuckDBPyConnection, request: Request, before: pads.Dataset | None) -> Stream:
    """The rows of the new version: the run's own, after those before that it does not replace."""
    if before is None:
        batches = request.data.to_batches(batch_size=duck.BATCH_ROWS)
        return Stream(request.data.schema, (batch for batch in batches if batch.num_rows))
    duck.add_table(connection, "new_rows", request.data)
    connection.register("old_rows", before)
    keep = "old_rows"
    if request.output.publish.mode == "merge":
        keys = names(request.output.contract.primary_key)
        keep = f"old_rows ANTI JOIN new_rows USING ({keys})"
    columns = names(column.name for column in request.output.contract.columns)
    known = names(name for name in before.schema.names if name in request.data.schema.names)
    query = f"SELECT {columns} FROM (SELECT * FROM new_rows UNION ALL BY NAME SELECT {known} FROM {keep})"
    return duck.stream(connection.sql(query))


def open_dataset(place: Place) -> pads.Dataset:
    """The current version of a location; a later switch does not touch it.

    Raises:
        SourceChangedError: nothing has been published there.
    """
    name = _pointer(place).current()
    if name is None:
        raise SourceChangedError(f"nothing has been published at {place.uri}")
    return _open_version(place.beside(".versions") / name)


def _open_version(folder: Place) -> pads.Dataset:
    """The rows of one version, its partition columns with the types they were written with."""
    import pyarrow.dataset as pads

    kinds = _read_json(folder).get("partition_types", {})
    return pads.dataset(
        folder.path,
        filesystem=folder.filesystem,
        format="parquet",
        partitioning=_partitioning_of(kinds) if kinds else None,
    )


def read_version(folder: Place) -> Version:
    """What a version's folder says of itself."""
    found = _read_json(folder)
    found.pop("partition_types", None)
    return Version(**{**found, "runs": tuple(found["runs"]), "partition_by": tuple(found["partition_by"])})


def _read_json(folder: Place) -> dict[str, Any]:
    with folder.filesystem.open_input_stream(f"{folder.path}/{_VERSION_FILE}") as file:
        return json.loads(file.read())  # type: ignore[no-any-return]


def _partitioning(schema: pa.Schema, columns: tuple[str, ...]) -> pads.Partitioning | None:
    import pyarrow as pa
    import pyarrow.dataset as pads

    fields = [schema.field(name) for name in columns]
    return pads.partitioning(pa.schema(fields), flavor="hive") if fields else None


def _types(schema: pa.Schema, columns: tuple[str, ...]) -> dict[str, str]:
    return {name: str(schema.field(name).type) for name in columns}


def _partitioning_of(kinds: dict[str, str]) -> pads.Partitioning:
    import pyarrow as pa
    import pyarrow.dataset as pads

    plain = {"date32[day]": "date32", "double": "float64", "float": "float32", "bool": "bool"}
    fields = [pa.field(name, pa.type_for_alias(plain.get(kind, kind))) for name, kind in kinds.items()]
    return pads.partitioning(pa.schema(fields), flavor="hive")


def _pointer(place: Place) -> LinkPointer | ObjectPointer:
    return LinkPointer(place) if place.is_local else ObjectPointer(place)


class LinkPointer:
    """The current version as a symbolic link on a disk."""

    def __init__(self, place: Place) -> None:
        self._link = Path(place.path)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Waits until no other process publishes here: a run that adds to a version must add to the newest."""
        folder = self._link.with_name(f"{self._link.name}.versions")
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def current(self) -> str | None:
        """The current version's name; None before the first."""
        return self._link.readlink().name if self._link.is_symlink() else None

    def switch(self, _seen: str | None, name: str) -> None:
        """Point at another version by one rename (POSIX rename(2): readers see the old or the new link).

        Raises:
            PublishError: the location is a folder that somebody else made.
        """
        if self._link.exists() and not self._link.is_symlink():
            raise PublishError(
                f"{self._link} is there already and is no published output; move it or choose another location"
            )
        temporary = self._link.with_name(f".{self._link.name}.{uuid.uuid4().hex[:8]}")
        temporary.symlink_to(Path(f"{self._link.name}.versions") / name)
        temporary.replace(self._link)
        _sync(self._link.parent)


class ObjectPointer:
    """The current version as an object whose replacement is conditional on what was seen (If-Match, If-None-Match)."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._bucket, _, key = place.path.partition("/")
        self._key = f"{key}/{_CURRENT_FILE}"
        self._tag: str | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody waits in an object store: the conditional write finds out who came first."""
        yield

    def current(self) -> str | None:
        """The current version's name; None before the first."""
        from botocore.exceptions import ClientError

        try:
            found = s3_client(self._place).get_object(Bucket=self._bucket, Key=self._key)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise OSError(f"{self._place.uri}: {error.response['Error']['Code']}") from None
        self._tag = found["ETag"]
        return str(json.loads(found["Body"].read())["version"])

    def switch(self, seen: str | None, name: str) -> None:
        """Point at another version, unless somebody else did so since ``seen`` was read.

        Raises:
            PublishError: another run published meanwhile; trying again starts from its version.
        """
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if seen is None else {"IfMatch": self._tag}
        body = json.dumps({"version": name, "path": f"{self._place.uri}.versions/{name}"}).encode()
        try:
            s3_client(self._place).put_object(Bucket=self._bucket, Key=self._key, Body=body, **condition)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in {"PreconditionFailed", "412", "ConditionalRequestConflict"}:
                raise PublishError(f"{self._place.uri}: another run published meanwhile; trying again") from None
            raise OSError(f"{self._place.uri}: {code}") from None


def _sync(folder: Path) -> None:
    """Make a rename survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
