"""Files: Parquet, CSV and JSON, on a disk or in object storage, one or by glob.

CSV has no types, and guessing them loses leading zeros and cents: a column arrives as text unless the manifest names its
type under ``types``. The contract's cast then reads the text exactly.
"""

from __future__ import annotations

import fnmatch
import re
import tempfile
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_dataproducts.contract.ddl import quote, text
from airflow_dataproducts.contract.types import duckdb_type
from airflow_dataproducts.engine import duck
from airflow_dataproducts.engine.staging import Stream, guarded
from airflow_dataproducts.engine.storage import open_place
from airflow_dataproducts.exceptions import SourceChangedError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.sources import Reading
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.manifest.inputs import FileInput

_ENDINGS = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json"}
_GLOB = re.compile(r"[*?\[]")


@contextmanager
def open_files(name: str, source: FileInput, reading: Reading) -> Iterator[Stream]:
    """Open the files of an input. See :func:`airflow_dataproducts.engine.sources.open_source`."""
    connection = reading.connections.get(source.connection) if source.connection else None
    place = open_place(source.path, connection)
    files = _find(name, place)
    kind = _format_of(name, source, files)
    if kind == "parquet":
        yield _parquet(name, place, files)
        return
    with ExitStack() as stack:
        local = files if place.is_local else _fetch(place, files, stack)
        connection_ = stack.enter_context(duck.session(reading.settings))
        listed = "[" + ", ".join(text(file) for file in local) + "]"
        query = _csv(source, listed) if kind == "csv" else f"SELECT * FROM read_json({listed}, union_by_name=true)"
        with _errors(name, place):
            relation = connection_.sql(query)
        _look_for(name, place, source.types, relation.columns)
        with _errors(name, place):
            stream = duck.stream(relation.project(_typed(source)) if kind == "csv" else relation)
        yield Stream(stream.schema, guarded(stream, partial(_errors, name, place)))


def format_of(name: str, source: FileInput) -> str:
    """``parquet``, ``csv`` or ``json``: what the manifest says, else what the files' endings tell.

    Raises:
        SourceChangedError: there is no such file, or its ending tells nothing.
    """
    return _format_of(name, source, _find(name, open_place(source.path)))


def _format_of(name: str, source: FileInput, files: list[str]) -> str:
    kind = source.format or _ENDINGS.get(Path(re.sub(r"\.(gz|zst)$", "", files[0])).suffix.lower())
    if kind is None:
        raise SourceChangedError(
            f"input {name}: the ending of {files[0]} tells no format; say format: parquet, csv or json"
        )
    return kind


def parquet_files(name: str, source: FileInput) -> pads.Dataset:
    """The Parquet files of an input as they are, without reading them.

    Raises:
        SourceChangedError: there is no such file, or it is no Parquet.
    """
    import pyarrow.dataset as pads

    place = open_place(source.path)
    with _errors(name, place):
        return pads.dataset(_find(name, place), filesystem=place.filesystem, format="parquet")


def _find(name: str, place: Place) -> list[str]:
    """The files a path names: itself, all data files of a folder, or those that match its glob; in order."""
    import pyarrow.fs as pafs

    if not _GLOB.search(place.path):
        info = place.filesystem.get_file_info(place.path)
        if info.type == pafs.FileType.File:
            return [place.path]
        pattern, base = f"{place.path}/*", place.path
    else:
        pattern = place.path
        base = _GLOB.split(pattern)[0].rpartition("/")[0]
    selector = pafs.FileSelector(base, recursive=True, allow_not_found=True)
    found = sorted(
        info.path
        for info in place.filesystem.get_file_info(selector)
        if info.type == pafs.FileType.File
        and fnmatch.fnmatchcase(info.path, pattern)
        and not Path(info.path).name.startswith((".", "_"))
    )
    if not found:
        raise SourceChangedError(f"input {name}: no file at {place.uri}")
    return found


def _parquet(name: str, place: Place, files: list[str]) -> Stream:
    import pyarrow as pa
    import pyarrow.dataset as pads
    import pyarrow.parquet as pq

    with _errors(name, place):
        # Files of different age may have different columns and widths: all of them count.
        schemas = [pq.read_schema(file, filesystem=place.filesystem) for file in files]
        schema = pa.unify_schemas([each.remove_metadata() for each in schemas], promote_options="permissive")
        dataset = pads.dataset(files, filesystem=place.filesystem, format="parquet", schema=schema)
        batches = dataset.to_batches(batch_size=duck.BATCH_ROWS)
    return Stream(dataset.schema, guarded(Stream(dataset.schema, batches), partial(_errors, name, place)))


def _csv(source: FileInput, listed: str) -> str:
    options = source.options
    nulls = ", ".join(text(value) for value in options.null_values)
    arguments = [
        listed, "all_varchar=true", "union_by_name=true", f"delim={text(options.delimiter)}",
        f"quote={text(options.quote)}", f"escape={text(options.quote)}", f"header={str(options.header).lower()}",
        f"nullstr=[{nulls}]", f"encoding={text(options.encoding)}", f"skip={options.skip}", "strict_mode=true",
        "auto_detect=true", "sample_size=-1",
    ]  # fmt: skip
    return f"SELECT * FROM read_csv({', '.join(arguments)})"


def _look_for(name: str, place: Place, wanted: Iterable[str], columns: list[str]) -> None:
    for column in wanted:
        if column not in columns:
            raise SourceChangedError(f"input {name}: {place.uri} has no column {column} (it has {', '.join(columns)})")


def _typed(source: FileInput) -> str:
    """The columns of a CSV file, those with a type in the manifest cast to it."""
    casts = (f"CAST({quote(name)} AS {duckdb_type(kind)}) AS {quote(name)}" for name, kind in source.types.items())
    return f"* REPLACE ({', '.join(casts)})" if source.types else "*"


def _fetch(place: Place, files: list[str], stack: ExitStack) -> list[str]:
    """Copies of remote files on the local disk, for readers that need one."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dataproducts-fetch-")))
    copies = []
    for index, file in enumerate(files):
        copy = folder / f"{index}-{Path(file).name}"
        with place.filesystem.open_input_stream(file) as remote, copy.open("wb") as local:
            while chunk := remote.read(1 << 20):
                local.write(chunk)
        copies.append(str(copy))
    return copies


@contextmanager
def _errors(name: str, place: Place) -> Iterator[None]:
    """One line for what the readers say. Their quotes of the file's own lines are left out: they may be personal data."""
    import duckdb
    import pyarrow as pa

    try:
        yield
    except (duckdb.Error, pa.ArrowException) as error:
        line = str(error).strip().splitlines()[0]
        found = re.search(r"[Ll]ine:? (\d+)", str(error))
        where = f" at line {found.group(1)}" if found else ""
        raise SourceChangedError(f"input {name}: {place.uri} cannot be read{where}: {_without_values(line)}") from None
    except OSError as error:
        raise SourceError(f"input {name}: {place.uri} cannot be read: {error.strerror or error}") from None


def _without_values(line: str) -> str:
    return re.sub(r'(["\']).*?\1', lambda match: match.group(0) if "/" in match.group(0) else "...", line)
