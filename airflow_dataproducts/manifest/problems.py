"""Mistakes that only show when several fields are seen together.

Each function takes a valid piece of a manifest and lists what is wrong with it as places and messages. The models call
them from their validators, so that they stand beside the plain mistakes of the same file in one list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

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
    names = [column.name for column in output.contract.columns]
    for index, name in enumerate(getattr(output.publish, "partition_by", ())):
        if name not in names:
            yield (
                ("publish", "partition_by", index),
                f"found {name!r}, which is no column (allowed: {', '.join(names)})",
            )
    if output.publish.mode == "merge" and not output.contract.primary_key:
        yield ("publish", "mode"), "found 'merge', which needs contract.primary_key to know a row again"
    if output.engine != "duckdb":
        yield ("engine",), f"found {output.engine!r}; this release runs transforms in duckdb"
