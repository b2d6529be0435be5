"""Mistakes that only show when several fields are seen together.

Each function takes a valid piece of a manifest and lists what is wrong with it as places and messages. The models call
them from their validators, so that they stand beside the plain mistakes of the same file in one list.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from airflow_dataproducts.manifest.literals import read_literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_dataproducts.manifest.contract import Column, Contract
    from airflow_dataproducts.manifest.nodes import Loc
    from airflow_dataproducts.manifest.outputs import Output

Problem = tuple["Loc", str]

_BOUNDS = ("min", "max", "exclusive_min", "exclusive_max")
_TEXT_RULES = ("pattern", "format", "min_length", "max_length")


def report(problems: Iterable[Problem]) -> None:
    """Raise all problems as one pydantic error; the loader takes it apart again."""
    found = list(problems)
    if found:
        raise PydanticCustomError("problems", "has problems", {"problems": found})


def column_problems(column: Column) -> Iterator[Problem]:
    """Rules of a column that its type cannot have, or that no value can meet."""
    kind = column.type
    for rule in _TEXT_RULES:
        if getattr(column, rule) is not None and kind.name != "string":
            yield (rule,), f"is a rule for text, but {column.name} is a {kind}"
    if column.multiple_of is not None and not kind.is_numeric:
        yield ("multiple_of",), f"is a rule for numbers, but {column.name} is a {kind}"
    if column.pattern is not None:
        try:
            re.compile(column.pattern)
        except re.error as error:
            yield ("pattern",), f"found {column.pattern!r}, which is no regular expression: {error}"
    for index, value in enumerate(column.enum or ()):
        yield from _literal_problem(column, ("enum", index), value)
    yield from _bound_problems(column)
    if (column.min_length or 0) > (column.max_length if column.max_length is not None else 2**62):
        yield ("min_length",), f"found {column.min_length}, which is greater than max_length {column.max_length}"
    if column.mask is not None and column.pii is None:
        yield ("mask",), "masks a column that is not marked as personal data; say pii: <kind> too"


def _bound_problems(column: Column) -> Iterator[Problem]:
    kind = column.type
    read = {}
    for rule in _BOUNDS:
        value = getattr(column, rule)
        if value is None:
            continue
        if not (kind.is_numeric or kind.is_temporal):
            yield (rule,), f"is a bound, but {column.name} is a {kind}, which has no order worth promising"
            continue
        problems = list(_literal_problem(column, (rule,), value))
        yield from problems
        if not problems:
            read[rule] = read_literal(kind, value)
    for low in ("min", "exclusive_min"):
        for high in ("max", "exclusive_max"):
            if low not in read or high not in read:
                continue
            strict = "exclusive" in low + high
            if read[low] > read[high] or (strict and read[low] == read[high]):  # type: ignore[operator]
                yield (low,), f"found {read[low]}, which leaves no value below {high} {read[high]}"


def _literal_problem(column: Column, loc: Loc, value: object) -> Iterator[Problem]:
    try:
        read_literal(column.type, value)
    except ValueError as error:
        yield loc, str(error)


def contract_problems(contract: Contract) -> Iterator[Problem]:
    """Columns named twice, or spoken of but not there."""
    names = [column.name for column in contract.columns]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield ("columns", index, "name"), f"found {name!r} a second time; a column is listed once"
    for index, key in enumerate(contract.primary_key):
        if key not in names:
            yield ("primary_key", index), f"found {key!r}, which is no column (allowed: {', '.join(names)})"
    rules = [rule.name for rule in contract.rules]
    for index, name in enumerate(rules):
        if name in rules[:index]:
            yield ("rules", index, "name"), f"found {name!r} a second time; a rule's name is its own"


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
