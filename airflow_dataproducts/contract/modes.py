"""What stays and what comes when a run's rows meet the rows before: one meaning of each mode, for every target.

``replace``: nothing stays. ``append``: everything stays. ``replace-partition``: rows stay whose partition the run brings no
row of. ``merge``: rows stay whose key the run does not bring; with ``order_by``, also those that are newer than what the
run brings for their key, which is late then and does not come; with ``deleted``, a row that says so takes its key away
and does not come itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.contract.ddl import quote

if TYPE_CHECKING:
    from airflow_dataproducts.manifest.outputs import Output

NEW, OLD = "n", "o"
"""The aliases under which conditions name the run's rows and the rows before."""


def stays(output: Output, new: str) -> str:
    """The condition under which a row of ``o``, the rows before, stays.

    Args:
        output: the output's manifest.
        new: the run's rows: a table's quoted name.
    """
    publish = output.publish
    if publish.mode == "replace":
        return "false"
    if publish.mode == "append":
        return "true"
    if publish.mode == "replace-partition":
        return f"NOT EXISTS (SELECT 1 FROM {new} {NEW} WHERE {same_partition(output)})"
    return f"NOT EXISTS (SELECT 1 FROM {new} {NEW} WHERE {same_key(output)}{_and(not_late(output))})"


def comes(output: Output, old: str | None) -> str:
    """The condition under which a row of ``n``, the run's rows, comes.

    Args:
        output: the output's manifest.
        old: the rows before: a table's quoted name; None where there are none.
    """
    if output.publish.mode != "merge":
        return "true"
    parts = []
    if output.publish.deleted is not None:
        parts.append(f"{NEW}.{quote(output.publish.deleted)} IS NOT TRUE")
    if output.publish.order_by is not None and old is not None:
        newer = _is_newer(output.publish.order_by)
        parts.append(f"NOT EXISTS (SELECT 1 FROM {old} {OLD} WHERE {same_key(output)} AND {newer})")
    return " AND ".join(parts) or "true"


def same_key(output: Output) -> str:
    """The condition that a row of ``n`` and one of ``o`` have one primary key."""
    return " AND ".join(f"{NEW}.{quote(key)} = {OLD}.{quote(key)}" for key in output.contract.primary_key)


def same_partition(output: Output) -> str:
    """The condition that a row of ``n`` and one of ``o`` are of one partition; NULL is one too."""
    names = output.publish.partition_by
    return " AND ".join(f"{NEW}.{quote(name)} IS NOT DISTINCT FROM {OLD}.{quote(name)}" for name in names)


def not_late(output: Output) -> str | None:
    """The condition that ``n`` is not older than ``o``; None where nothing orders them. A missing moment is no reason to wait."""
    if output.publish.order_by is None:
        return None
    return f"({_is_newer(output.publish.order_by)}) IS NOT TRUE"


def _is_newer(order_by: str) -> str:
    """The condition that ``o`` is newer than ``n``."""
    return f"{OLD}.{quote(order_by)} > {NEW}.{quote(order_by)}"


def _and(condition: str | None) -> str:
    return f" AND {condition}" if condition else ""
