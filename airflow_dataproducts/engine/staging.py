"""Data on its way between two tasks: Parquet files that are written once, under a name of their own, and then named.

Every attempt writes to a fresh folder; only a finished attempt's reference reaches the next task. A task killed half-way
therefore leaves nothing that anyone reads, and trying again needs no clean-up.
"""

from __future__ import annotations

import errno
import shutil
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine import layout
from airflow_dataproducts.engine.duck import LocalParquet
from airflow_dataproducts.engine.storage import Place, is_full, open_place
from airflow_dataproducts.exceptions import StagingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    import duckdb
    import pyarrow as pa
    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.connections import Connections

_FILE_BYTES = "512MB"
"""About the size at which another file begins: large enough to be read well, small enough to be read in parallel."""
_DICTIONARY_BYTES = 64 * 2**10
"""The largest dictionary of a column's values: a column with more of them is smaller, and written faster, without."""
COPY_OF = "by-"
"""How the names of folders begin whose columns are in the files, too: no column's does."""
_HELD_BYTES = 64 * 2**20
"""Rows held in memory until they are parted into folders."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows as they arrive.

    Attributes:
        schema: of every batch.
        batches: read once; whoever reads it to the end has all rows.
        reached: how far it was read, once it was, for sources that know no cursor column; None for others.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    reached: Callable[[], str] | None = None


@dataclass(frozen=True, slots=True)
class Staged:
    """A reference to staged rows, small enough for XCom.

    Attributes:
        uri: the folder that holds the Parquet files of exactly these rows.
        rows: how many.
        bytes: size of the files.
        watermark: the greatest cursor value among the rows, as ISO text or digits; None without cursor or rows.
        folders: the columns that are folders, with their types (see :func:`layout.kinds`).
        connection: the Airflow connection that reaches the folder; None for a disk or the machine's own credentials.
    """

    uri: str
    rows: int
    bytes: int
    watermark: str | None = None
    folders: Mapping[str, str] = field(default_factory=dict)
    connection: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for XCom."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Staged:
        """What ``to_dict`` gave."""
        return cls(**data)


def guarded(stream: Stream, errors: Callable[[], AbstractContextManager[None]]) -> Iterator[pa.RecordBatch]:
    """The stream's batches, each read within a context that turns the source's errors into ours."""
    while True:
        with errors():
            try:
                batch = next(stream.batches)
            except StopIteration:
                return
        yield batch


def new_folder(run: Place, *names: str) -> Place:
    """A folder under the run's staging that no other attempt writes to."""
    place = run
    for name in (*names, uuid.uuid4().hex[:12]):
        place /= name
    return place


def write(folder: Place, stream: Stream, partition_by: Sequence[str] = (), *, in_files: bool = False) -> Staged:
    """Write a stream as Parquet, in bounded memory.

    Args:
        folder: an empty one.
        stream: the rows.
        partition_by: columns that become folders.
        in_files: whether these columns are in the files, too.

    Raises:
        StagingError: the folder's file system is full or cannot be written. Errors of the stream itself pass through as
            they are.
    """
    with _errors(folder):
        folder.make()
        writer = _Writer(folder, stream.schema, partition_by, in_files=in_files)
    try:
        with ThreadPoolExecutor(1) as pool:
            # One batch is written while the next one is read; reading stays in the thread that opened the source.
            writing: Future[None] | None = None
            for batch in stream.batches:
                with _errors(folder):
                    _wait(writing)
                writing = pool.submit(writer.write, batch)
            with _errors(folder):
                _wait(writing)
                writer.close()
    except BaseException:
        _abandon(writer, folder)
        raise
    size = _size(folder, layout.data_files(folder))
    return Staged(folder.uri, writer.rows, size, folders=layout.kinds(stream.schema, () if in_files else partition_by))


def _wait(writing: Future[None] | None) -> None:
    if writing is not None:
        writing.result()


def save(
    folder: Place, relation: duckdb.DuckDBPyRelation, partition_by: Sequence[str] = (), *, in_files: bool = False
) -> Staged:
    """Write what DuckDB computes as Parquet: on a disk by all of its threads, to object storage as a stream.

    Args:
        folder: an empty one.
        relation: the rows.
        partition_by: columns that become folders.
        in_files: whether these columns are in the files, too.

    Raises:
        StagingError: as of :func:`write`. DuckDB's errors about the data pass through as they are.
    """
    import duckdb

    from airflow_dataproducts.engine.duck import stream

    if not folder.is_local:
        return write(folder, stream(relation), partition_by, in_files=in_files)
    schema = stream(relation.limit(0)).schema
    parted: dict[str, Any] = {"file_size_bytes": _FILE_BYTES}
    if partition_by:
        parted = {"partition_by": list(partition_by), "write_partition_columns": in_files}
    with _errors(folder):
        Path(folder.path).parent.mkdir(parents=True, exist_ok=True)
    try:
        relation.write_parquet(folder.path, compression="zstd", filename_pattern=f"part-{_token()}-{{i}}", **parted)
        return _saved(folder, schema, () if in_files else partition_by)
    except duckdb.IOException as error:
        _abandon(None, folder)
        raise staging_error(folder, duck_os_error(error)) from error
    except BaseException:
        _abandon(None, folder)
        raise


def _saved(folder: Place, schema: pa.Schema, partition_by: Sequence[str]) -> Staged:
    found = written(folder, layout.kinds(schema, partition_by))
    return found if found.bytes else write(folder, Stream(schema, iter(())), partition_by)


def written(folder: Place, folders: Mapping[str, str]) -> Staged:
    """A reference to the Parquet files that somebody has written to a folder.

    Args:
        folder: the folder.
        folders: the columns that are folders, with their types.
    """
    import pyarrow.parquet as pq

    files = layout.data_files(folder)
    rows = sum(pq.read_metadata(file, filesystem=folder.filesystem).num_rows for file in files)
    return Staged(folder.uri, rows, _size(folder, files), folders=folders)


def duck_os_error(error: Exception) -> OSError:
    """DuckDB's complaint about a disk as the error that Python would have given."""
    line = str(error).strip().splitlines()[0]
    full = "No space left" in line or "Disk quota" in line or "File too large" in line
    return OSError(errno.ENOSPC if full else errno.EIO, line)


class _Writer:
    """One Parquet file, or one for each value of the columns that are folders."""

    def __init__(self, folder: Place, schema: pa.Schema, partition_by: Sequence[str], *, in_files: bool) -> None:
        import pyarrow.parquet as pq

        self.rows = 0
        self._folder = folder
        self._by = tuple(partition_by)
        # Arrow takes the columns of folders out of the files: those that are to stay go there as copies.
        self._copies = {name: f"{COPY_OF}{name}" for name in self._by} if in_files else {}
        self._schema = schema
        self._name = f"part-{_token()}"
        self._parts = 0
        self._one = None
        if not self._by:
            self._one = pq.ParquetWriter(
                f"{folder.path}/{self._name}-0.parquet", schema, filesystem=folder.filesystem, compression="zstd",
                dictionary_pagesize_limit=_DICTIONARY_BYTES,
            )  # fmt: skip
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        if self._one is not None:
            self._one.write_batch(batch)
            return
        self._held.append(batch)
        self._held_bytes += batch.nbytes
        if self._held_bytes >= _HELD_BYTES:
            self._flush()

    def close(self) -> None:
        if self._one is not None:
            self._one.close()
        elif self._held:
            self._flush()
        elif not self.rows:  # no rows made no folder; what reads this must find the columns all the same
            write(self._folder, Stream(self._schema, iter(())))

    def _flush(self) -> None:
        """Write what was held as one file per value: many small batches would make many small files."""
        import pyarrow as pa
        import pyarrow.dataset as pads

        rows = pa.Table.from_batches(self._held, self._schema)
        for name, copy in self._copies.items():
            rows = rows.append_column(copy, rows[name])
        pads.write_dataset(
            rows,
            self._folder.path,
            filesystem=self._folder.filesystem,
            format="parquet",
            partitioning=layout.partitioning(
                layout.kinds(rows.schema, [self._copies.get(name, name) for name in self._by])
            ),
            existing_data_behavior="overwrite_or_ignore",
            basename_template=f"{self._name}-{self._parts}-{{i}}.parquet",
            file_options=pads.ParquetFileFormat().make_write_options(compression="zstd"),
        )
        self._parts += 1
        self._held, self._held_bytes = [], 0


def _token() -> str:
    """What tells an attempt's files from those of any other, even in one folder."""
    return uuid.uuid4().hex[:12]


def _size(folder: Place, files: list[str]) -> int:
    return int(sum(info.size for info in folder.filesystem.get_file_info(files)))


def read(staged: Staged, connections: Connections | None = None) -> pads.Dataset:
    """The staged rows.

    Args:
        staged: the reference.
        connections: Airflow's; only needed where the reference names one.

    Raises:
        StagingError: they are gone.
    """
    info = connections.get(staged.connection) if connections and staged.connection else None
    place = open_place(staged.uri, info)
    try:
        return layout.open_files(place, staged.folders)
    except FileNotFoundError:
        raise StagingError(
            f"the staged data {staged.uri} is gone; clear this run's extract tasks to make it again"
        ) from None


def on_this_machine(data: pads.Dataset | LocalParquet, folder: Path) -> pads.Dataset | LocalParquet:
    """Parquet files that are read several times, fetched once where they are far away.

    Args:
        data: the rows.
        folder: an empty folder for the copies; it must live as long as they are read.

    Raises:
        StagingError: the folder cannot be written.
    """
    if isinstance(data, LocalParquet):
        return data
    import pyarrow.dataset as pads
    import pyarrow.fs as pafs

    files: list[str] = getattr(data, "files", None) or []
    if not files or isinstance(data.filesystem, pafs.LocalFileSystem) or layout.folders_of(data):
        return data
    copies = [str(folder / f"{number}.parquet") for number in range(len(files))]
    with _errors(open_place(str(folder))):
        for file, copy in zip(files, copies, strict=True):
            pafs.copy_files(
                file, copy, source_filesystem=data.filesystem, destination_filesystem=pafs.LocalFileSystem()
            )
    return pads.dataset(copies, format="parquet")


class _errors:  # noqa: N801 - used as a context manager, like contextlib's
    """Turns the file system's errors into one line that says what to do."""

    def __init__(self, folder: Place) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, OSError):
            raise staging_error(self._folder, error) from error


def staging_error(folder: Place, error: OSError) -> StagingError:
    """A file system's error as a line that says where and what to do."""
    if is_full(error):
        free = ""
        if folder.is_local:
            existing = next(each for each in (Path(folder.path), *Path(folder.path).parents) if each.exists())
            free = f" ({shutil.disk_usage(existing).free / 2**20:.0f} MiB free)"
        return StagingError(
            f"{folder.uri} is full{free}; free some space, or set [dataproducts] staging (for outputs, storage) to a larger place"
        )
    reason = error.strerror or str(error).splitlines()[0]
    return StagingError(f"{folder.uri} cannot be written: {reason}")


def _abandon(writer: Any, folder: Place) -> None:
    """Close and delete an attempt that failed; that this may fail too must not hide why."""
    for undo in ([writer.close] if writer else []) + [folder.remove]:
        try:
            undo()
        except OSError:
            continue
