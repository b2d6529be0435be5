"""How rows lie in files: folders named after the values of columns (Hive's ``column=value``), and what the files say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    import pyarrow.dataset as pads
    from pyarrow.fs import FileSystem

    from airflow_dataproducts.engine.storage import Place

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""Hive's name for the folder of NULL."""
_ALIASES = {"date32[day]": "date32", "double": "float64", "float": "float32", "bool": "bool"}


def kinds(schema: pa.Schema, columns: Sequence[str]) -> dict[str, str]:
    """The Arrow types of the columns that are folders, as text, fit for JSON."""
    return {name: str(schema.field(name).type) for name in columns}


def partitioning(folders: Mapping[str, str]) -> pads.Partitioning | None:
    """What reads such folders with the types their values had; None where there are none.

    Args:
        folders: what :func:`kinds` gave.
    """
    import pyarrow as pa
    import pyarrow.dataset as pads

    if not folders:
        return None
    fields = [pa.field(name, _type(kind)) for name, kind in folders.items()]
    return pads.partitioning(pa.schema(fields), flavor="hive")


def _type(kind: str) -> pa.DataType:
    import re

    import pyarrow as pa

    sized = re.fullmatch(r"decimal128\((\d+), (\d+)\)", kind)
    if sized:
        return pa.decimal128(int(sized[1]), int(sized[2]))
    stamped = re.fullmatch(r"timestamp\[(\w+)(?:, tz=(.+))?\]", kind)
    if stamped:
        return pa.timestamp(stamped[1], stamped[2])
    return pa.type_for_alias(_ALIASES.get(kind, kind))


def open_files(folder: Place, folders: Mapping[str, str]) -> pads.Dataset:
    """The Parquet files under a folder as one table.

    Args:
        folder: the folder.
        folders: what :func:`kinds` gave when they were written.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    import pyarrow.dataset as pads

    return pads.dataset(folder.path, filesystem=folder.filesystem, format="parquet", partitioning=partitioning(folders))


def data_files(folder: Place) -> list[str]:
    """The paths of the Parquet files under a folder, in its file system, in order."""
    import pyarrow.fs as pafs

    selector = pafs.FileSelector(folder.path, recursive=True, allow_not_found=True)
    infos = folder.filesystem.get_file_info(selector)
    return sorted(info.path for info in infos if info.type == pafs.FileType.File and info.path.endswith(".parquet"))


def folder_values(path: str, columns: Sequence[str]) -> dict[str, str | None]:
    """The values that a file's folders name, as text.

    Args:
        path: the file's path below the table's folder.
        columns: those that are folders.
    """
    from urllib.parse import unquote

    found: dict[str, str | None] = dict.fromkeys(columns)
    for part in path.split("/")[:-1]:
        name, sign, value = part.partition("=")
        if sign and unquote(name) in found:
            found[unquote(name)] = None if value == NO_VALUE else unquote(value)
    return found


def folders_of(data: pads.Dataset) -> list[str]:
    """The columns of a dataset that are folders."""
    found = getattr(data, "partitioning", None)
    return [] if found is None else list(found.schema.names)


def root(data: pads.Dataset, folders: Sequence[str]) -> str:
    """The folder that the folders of a dataset's files begin in.

    Args:
        data: the files.
        folders: the columns that are folders, at least one.
    """
    from urllib.parse import unquote

    parts = data.files[0].split("/")[:-1]
    begin = next(
        (index for index, part in enumerate(parts) if unquote(part.partition("=")[0]) == folders[0] and "=" in part),
        len(parts),
    )
    return "/".join(parts[:begin])


def statistics(filesystem: FileSystem, path: str) -> tuple[int, dict[str, Any], dict[str, Any], dict[str, int]]:
    """What a Parquet file's footer tells: rows, and by column the least value, the greatest, and NULLs.

    Only what is exact is told: no floats (NaN is in no footer), nothing nested.
    """
    import pyarrow.parquet as pq

    with filesystem.open_input_file(path) as file:
        footer = pq.read_metadata(file)
    lows: dict[str, Any] = {}
    highs: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    unknown: set[str] = set()
    for group in range(footer.num_row_groups):
        row_group = footer.row_group(group)
        for index in range(row_group.num_columns):
            column = row_group.column(index)
            name, found = column.path_in_schema, column.statistics
            if "." in name or found is None or not found.has_null_count:
                unknown.add(name)
                continue
            nulls[name] = nulls.get(name, 0) + found.null_count
            if found.has_min_max:
                lows[name] = min(lows.get(name, found.min), found.min)
                highs[name] = max(highs.get(name, found.max), found.max)
            elif found.null_count < row_group.num_rows:
                unknown.add(name)
    for name in unknown:
        for each in (lows, highs, nulls):
            each.pop(name, None)
    return footer.num_rows, lows, highs, nulls
