"""Files that a command is pointed at, as tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_dataproducts.engine.duck import LocalParquet
from airflow_dataproducts.exceptions import ConfigurationError

if TYPE_CHECKING:
    import pyarrow.dataset as pads

    from airflow_dataproducts.settings import Settings


def open_data(
    name: str, files: list[str], settings: Settings, folder: Path
) -> tuple[pads.Dataset | LocalParquet, bool]:
    """Files as one table, and whether they say their columns' types.

    Args:
        name: what messages call it.
        files: files, folders or globs; or one Delta table, with ``@v3`` after it for a version that is not the current one.
        settings: limits for reading text.
        folder: where rows of text files go as Parquet; it must live as long as the table is read.

    Raises:
        SourceChangedError: there is no such file, or it cannot be read.
    """
    if all(Path(file).suffix == ".parquet" and Path(file).is_file() for file in files):
        return LocalParquet(tuple(files)), True
    import pyarrow.dataset as pads

    from airflow_dataproducts.engine import staging
    from airflow_dataproducts.engine.sources import Reading
    from airflow_dataproducts.engine.sources.files import format_of, open_files, parquet_files
    from airflow_dataproducts.engine.storage import open_place
    from airflow_dataproducts.manifest.inputs import FileInput

    if len(files) == 1 and (table := _delta(files[0])) is not None:
        return table, True
    sources = [FileInput(path=file) for file in files]
    if all(format_of(name, source) == "parquet" for source in sources):
        listed = [file for source in sources for file in parquet_files(name, source).files]
        return pads.dataset(listed, filesystem=open_place(files[0]).filesystem, format="parquet"), True
    reading = Reading(_NoConnections(), settings, no_products)
    place = open_place(str(folder)) / name
    for index, source in enumerate(sources):
        with open_files(name, source, reading) as stream:
            staging.write(place / str(index), stream)
    return parquet_files(name, FileInput(path=place.path, format="parquet")), False


def _delta(path: str) -> pads.Dataset | None:
    """The version of a Delta table that a path names; None where there is no Delta table."""
    import pyarrow.fs as pafs

    from airflow_dataproducts.engine.storage import open_place
    from airflow_dataproducts.engine.targets import delta

    folder, _, version = path.partition("@v") if re.search(r"@v\d+$", path) else (path, "", "")
    place = open_place(folder)
    log = place.filesystem.get_file_info(f"{place.path}/_delta_log")
    if log.type == pafs.FileType.NotFound:
        return None
    return delta.open_dataset(place, int(version) if version else None)


class _NoConnections:
    """Files need none."""

    def get(self, connection_id: str) -> NoReturn:
        """Always an error."""
        raise ConfigurationError(f"connection {connection_id}: files only are read here")

    http = dbapi = get


def no_products(_source: Any) -> Any:
    """Other products are not read here."""
    raise ConfigurationError("files only are read here")
