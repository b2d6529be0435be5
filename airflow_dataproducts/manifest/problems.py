"""Mistakes that only show when several fields are seen together.

Each function takes a valid piece of a manifest and lists what is wrong with it as places and messages. The models call
them from their validators, so that they stand beside the plain mistakes of the same file in one list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from airflow_dataproducts.manifest.engines import engine_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_dataproducts.manifest.nodes import Loc
    from airflow_dataproducts.manifest.outputs import Output

Problem = tuple["Loc", str]


def report(problems: Iterable[Problem]) -> None:
    """Raise all problems as one pydantic error; the loader takes it apart again."""
    found = list(problems)
    if found:
        raise PydanticCustomError("problems", "has problems", {"problems": found})


def output_problems(output: Output) -> Iterator[Problem]:
    """Ways of publishing that the contract or this release cannot serve."""
    yield from _unknown_columns(output)
    publish = output.publish
    if publish.to == "kafka":
        for name in ("mode", "partition_by", "order_by", "deleted"):
            if getattr(publish, name) not in ("append", (), None):
                yield ("publish", name), f"found {getattr(publish, name)!r}; messages are only appended to a topic"
    if publish.mode == "merge" and not output.contract.primary_key:
        yield ("publish", "mode"), "found 'merge', which needs contract.primary_key to know a row again"
    if publish.mode == "replace-partition" and not publish.partition_by:
        yield ("publish", "mode"), "found 'replace-partition', which needs partition_by to know what a partition is"
    for name in ("order_by", "deleted"):
        if getattr(publish, name) is not None and publish.mode != "merge":
            yield ("publish", name), f"is for mode merge; found mode {publish.mode!r}"
    yield from engine_problems(output)


def _unknown_columns(output: Output) -> Iterator[Problem]:
    """Columns that publishing names and the contract does not have, or not of a type that serves."""
    types = {column.name: column.type for column in output.contract.columns}
    publish = output.publish
    named: list[tuple[Loc, str]] = [(("partition_by", index), name) for index, name in enumerate(publish.partition_by)]
    named += [(("key", index), name) for index, name in enumerate(getattr(publish, "key", ()))]
    named += [((field,), name) for field in ("order_by", "deleted") if (name := getattr(publish, field)) is not None]
    for place, name in named:
        if name not in types:
            yield ("publish", *place), f"found {name!r}, which is no column (allowed: {', '.join(types)})"
    if publish.deleted in types and types[publish.deleted].name != "boolean":
        yield ("publish", "deleted"), f"found {publish.deleted!r}, a {types[publish.deleted]}; it must be boolean"
