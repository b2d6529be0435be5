"""Delta's actions: which files a commit adds to a table and which it takes away (Delta protocol, section Actions)."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine import layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    import pyarrow.dataset as pads
    from deltalake import DeltaTable
    from deltalake.transaction import AddAction, RemoveAction

    from airflow_dataproducts.engine.storage import Place

_LONGEST_TEXT = 64
"""Longer texts are left out of the statistics: every reader loads them all."""
_EXACT_DIGITS = 15
"""Digits that survive in readers which take a JSON number for a double."""


def own_files(place: Place, data: pads.Dataset) -> list[str] | None:
    """The files of a dataset that lies in a table's folder, in its file system; None where it lies elsewhere."""
    files: list[str] | None = getattr(data, "files", None)
    if files is None or not all(file.startswith(f"{place.path}/") for file in files):
        return None
    return files


def additions(place: Place, files: Sequence[str], partitions: Sequence[str], schema: pa.Schema) -> list[AddAction]:
    """The actions that add files to a table.

    Args:
        place: the table's folder.
        files: paths in its file system.
        partitions: the table's partition columns.
        schema: of the rows.
    """
    from deltalake.transaction import AddAction

    found = []
    for file in files:
        rows, lows, highs, nulls = layout.statistics(place.filesystem, file)
        if not rows:
            continue
        info = place.filesystem.get_file_info(file)
        below = file.removeprefix(f"{place.path}/")
        statistics = {
            "numRecords": rows,
            "minValues": _told(lows, schema),
            "maxValues": _told(highs, schema),
            "nullCount": {name: count for name, count in nulls.items() if name in schema.names},
        }
        values = layout.folder_values(below, partitions)
        found.append(
            AddAction(
                below, info.size, values, int(info.mtime.timestamp() * 1000), True,  # noqa: FBT003 - delta-rs's own order
                json.dumps(statistics),
            )
        )  # fmt: skip
    return found


def removals(table: DeltaTable, adds: Sequence[AddAction], partitions: Sequence[str]) -> list[RemoveAction]:
    """The actions that take away a table's files in the partitions that new files bring rows of.

    Args:
        table: the table.
        adds: the new files.
        partitions: the table's partition columns.
    """
    import time

    import pyarrow as pa
    from deltalake.transaction import RemoveAction

    there = pa.table(table.get_add_actions(flatten=True))
    columns = [there[f"partition.{name}"] for name in partitions]
    brought = [pa.array([each.partition_values[name] for each in adds], pa.string()) for name in partitions]
    # As values, not as text: two engines may spell one moment differently.
    new = set(
        zip(*(texts.cast(column.type).to_pylist() for texts, column in zip(brought, columns, strict=True)), strict=True)
    )
    now = int(time.time() * 1000)
    found = zip(there["path"].to_pylist(), *(column.to_pylist() for column in columns), strict=True)
    return [RemoveAction(path, True, now) for path, *values in found if tuple(values) in new]  # noqa: FBT003 - delta-rs's own order


def _told(values: Mapping[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """The least or greatest values in Delta's JSON; only those that every reader takes for what they are."""
    found = {}
    for name, value in values.items():
        if name in schema.names and (text := _json(value)) is not None:
            found[name] = text
    return found


def _json(value: Any) -> Any:
    found: Any = None
    match value:
        case bool() | float() | bytes():
            found = None
        case int():
            found = value
        case str() if len(value) <= _LONGEST_TEXT:
            found = value
        case Decimal() if len(value.as_tuple().digits) <= _EXACT_DIGITS:
            found = float(value)
        case datetime():
            stamp = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            found = f"{stamp.isoformat(timespec='microseconds')}{'Z' if value.tzinfo else ''}"
        case date():
            found = value.isoformat()
    return found
