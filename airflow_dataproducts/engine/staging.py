"""Data on its way between two tasks: Parquet files that are written once, under a name of their own, and then named.

Every attempt writes to a fresh folder; only a finished attempt's reference reaches the next task. A task killed half-way
therefore leaves nothing that anyone reads, and trying again needs no clean-up.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine.storage import Place, is_full, open_place
from airflow_dataproducts.exceptions import StagingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import pyarrow as pa
    import pyarrow.dataset as pads

FILE_NAME = "part-0.parquet"


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows as they arrive.

    Attributes:
        schema: of every batch.
        batches: read once; whoever reads it to the end has all rows.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


@dataclass(frozen=True, slots=True)
class Staged:
    """A reference to staged rows, small enough for XCom.

    Attributes:
        uri: the folder that holds the Parquet files of exactly these rows.
        rows: how many.
        bytes: size of the files.
        watermark: the greatest cursor value among the rows, as ISO text or digits; None without cursor or rows.
    """

    uri: str
    rows: int
    bytes: int
    watermark: str | None = None

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


def write(folder: Place, stream: Stream) -> Staged:
    """Write a stream as Parquet, in bounded memory.

    Raises:
        StagingError: the staging area is full or cannot be written. Errors of the stream itself pass through as they are.
    """
    import pyarrow.parquet as pq

    rows = 0
    with _errors(folder):
        folder.make()
        writer = pq.ParquetWriter(
            f"{folder.path}/{FILE_NAME}", stream.schema, filesystem=folder.filesystem, compression="zstd"
        )
    try:
        for batch in stream.batches:
            with _errors(folder):
                writer.write_batch(batch)
            rows += batch.num_rows
        with _errors(folder):
            writer.close()
            size = folder.filesystem.get_file_info(f"{folder.path}/{FILE_NAME}").size
    except BaseException:
        _abandon(writer, folder)
        raise
    return Staged(folder.uri, rows, size)


def read(staged: Staged, connection: Any = None) -> pads.Dataset:
    """The staged rows.

    Raises:
        StagingError: they are gone.
    """
    import pyarrow.dataset as pads

    place = open_place(staged.uri, connection)
    try:
        return pads.dataset(place.path, filesystem=place.filesystem, format="parquet")
    except FileNotFoundError:
        raise StagingError(
            f"the staged data {staged.uri} is gone; clear this run's extract tasks to make it again"
        ) from None


def on_this_machine(data: pads.Dataset, folder: Path) -> pads.Dataset:
    """Parquet files that are read several times, fetched once where they are far away.

    Args:
        data: the rows.
        folder: an empty folder for the copies; it must live as long as they are read.

    Raises:
        StagingError: the folder cannot be written.
    """
    import pyarrow.dataset as pads
    import pyarrow.fs as pafs

    files: list[str] = getattr(data, "files", None) or []
    if not files or isinstance(data.filesystem, pafs.LocalFileSystem) or len(data.partitioning.schema):
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
            f"the staging area {folder.uri} is full{free}; free some space or set [dataproducts] staging to a larger one"
        )
    reason = error.strerror or str(error).splitlines()[0]
    return StagingError(f"the staging area {folder.uri} cannot be written: {reason}")


def _abandon(writer: Any, folder: Place) -> None:
    """Close and delete an attempt that failed; that this may fail too must not hide why."""
    for undo in (writer.close, folder.remove):
        try:
            undo()
        except OSError:
            continue
