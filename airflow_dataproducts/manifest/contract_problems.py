"""Mistakes in a contract that only show when several fields are seen together: rules that cannot be meant, or met.

Each function takes a valid piece of a contract and lists what is wrong with it as places and messages.
"""

from __future__ import annotations

import difflib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_dataproducts.manifest.constraints import Constraints, Statistics
from airflow_dataproducts.manifest.literals import read_literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_dataproducts.manifest.contract import Column, Contract, Expectation, Rule
    from airflow_dataproducts.manifest.nodes import Loc
    from airflow_dataproducts.manifest.problems import Problem
    from airflow_dataproducts.manifest.types import DataType

RESERVED = ("columns", "primary_key", "not_empty", "max_quarantine")
"""Names of the checks that every contract may have; a rule cannot take them."""

_BOUNDS = ("min", "max", "exclusive_min", "exclusive_max")
_TEXT_RULES = ("pattern", "format", "min_length", "max_length")
_STATISTICS = tuple(Statistics.model_fields)
_NUMERIC_STATISTICS = ("mean", "sum", "stddev", "quantiles")
_VALUE_RULES = (
    "required", "unique", *_TEXT_RULES, "enum", *_BOUNDS, "multiple_of", "references",
)  # fmt: skip
_TABLE_RULES = ("sql", "row_count", "schema_drift")
_MODULE_CLASS = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


def column_problems(column: Column) -> Iterator[Problem]:
    """Rules of a column that its type cannot have, or that no value can meet."""
    yield from _constraint_problems(column, column.name, column.type)
    if column.mask is not None and column.pii is None:
        yield ("mask",), "masks a column that is not marked as personal data; say pii: <kind> too"


def _constraint_problems(rules: Constraints, name: str, kind: DataType) -> Iterator[Problem]:
    for rule in _TEXT_RULES:
        if getattr(rules, rule) is not None and kind.name != "string":
            yield (rule,), f"is a rule for text, but {name} is a {kind}"
    if rules.multiple_of is not None and not kind.is_numeric:
        yield ("multiple_of",), f"is a rule for numbers, but {name} is a {kind}"
    if rules.pattern is not None:
        try:
            re.compile(rules.pattern)
        except re.error as error:
            yield ("pattern",), f"found {rules.pattern!r}, which is no regular expression: {error}"
    if (rules.min_length or 0) > (rules.max_length if rules.max_length is not None else 2**62):
        yield ("min_length",), f"found {rules.min_length}, which is greater than max_length {rules.max_length}"
    if rules.references is not None and len(rules.references.columns) > 1:
        yield ("references",), f"names {len(rules.references.columns)} columns for one; use a rule with columns"
    bounds, problems = _read_bounds(rules, name, kind)
    yield from problems
    yield from _contradictions(bounds)
    yield from _enum_problems(rules, kind, bounds)


def _read_bounds(rules: Constraints, name: str, kind: DataType) -> tuple[dict[str, object], list[Problem]]:
    read: dict[str, object] = {}
    problems: list[Problem] = []
    for rule in _BOUNDS:
        value = getattr(rules, rule)
        if value is None:
            continue
        if not (kind.is_numeric or kind.is_temporal):
            problems.append(((rule,), f"is a bound, but {name} is a {kind}, which has no order worth promising"))
            continue
        try:
            read[rule] = read_literal(kind, value)
        except ValueError as error:
            problems.append(((rule,), str(error)))
    return read, problems


def _contradictions(bounds: dict[str, object]) -> Iterator[Problem]:
    for low in ("min", "exclusive_min"):
        for high in ("max", "exclusive_max"):
            if low not in bounds or high not in bounds:
                continue
            strict = "exclusive" in low + high
            if bounds[low] > bounds[high] or (strict and bounds[low] == bounds[high]):  # type: ignore[operator]
                yield (low,), f"found {bounds[low]}, which leaves no value below {high} {bounds[high]}"


def _enum_problems(rules: Constraints, kind: DataType, bounds: dict[str, object]) -> Iterator[Problem]:
    """Values of the wrong type, and values that another rule of the same column forbids."""
    for index, given in enumerate(rules.enum or ()):
        loc: Loc = ("enum", index)
        try:
            value = read_literal(kind, given)
        except ValueError as error:
            yield loc, str(error)
            continue
        other = _forbidden_by(rules, value, bounds)
        if other:
            yield loc, f"found {given!r}, which {other} forbids"


def _forbidden_by(rules: Constraints, value: object, bounds: dict[str, object]) -> str | None:
    outside = {
        "min": lambda bound: value < bound, "max": lambda bound: value > bound,
        "exclusive_min": lambda bound: value <= bound, "exclusive_max": lambda bound: value >= bound,
    }  # fmt: skip
    for name, bound in bounds.items():
        if outside[name](bound):
            return f"{name} {bound}"
    if isinstance(value, str):
        if rules.min_length is not None and len(value) < rules.min_length:
            return f"min_length {rules.min_length}"
        if rules.max_length is not None and len(value) > rules.max_length:
            return f"max_length {rules.max_length}"
        if rules.pattern is not None and _compiles(rules.pattern) and not re.search(rules.pattern, value):
            return f"pattern {rules.pattern}"
    return None


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def rule_problems(rule: Rule) -> Iterator[Problem]:
    """Rules that say nothing, or several things at once."""
    table = _given(rule, _TABLE_RULES)
    values = _given(rule, _VALUE_RULES)
    measures = _given(rule, (*_STATISTICS, "freshness"))
    if rule.column is not None and rule.columns:
        yield ("columns",), "stands beside column; a rule speaks of one column or of several together"
    elif table and (len(table) > 1 or values or measures or rule.column or rule.columns):
        others = [
            *table[1:],
            *values,
            *measures,
            *(["column"] if rule.column else []),
            *(["columns"] if rule.columns else []),
        ]
        yield (others[0],), f"stands beside {table[0]}; write a rule of its own for each"
    elif rule.columns:
        for name in [*measures, *(each for each in values if each not in {"unique", "references"})]:
            yield (name,), "is a rule for one column; say column: instead of columns:"
        if not values:
            yield (), "says nothing of its columns; add unique: true or references"
        yield from _reference_problems(rule)
    elif rule.column is None and (values or measures):
        yield ((values or measures)[0],), "needs the column it speaks of; add column: <name>"
    elif not (table or values or measures):
        yield (), "says nothing; a rule has sql, row_count, schema_drift, or a column and what must hold of it"
    yield from _consequence_problems(rule, bool(table or measures))


def _reference_problems(rule: Rule) -> Iterator[Problem]:
    if rule.references is not None and len(rule.references.columns) != len(rule.columns):
        yield (
            ("references",),
            f"names {len(rule.references.columns)} column(s) for the rule's {len(rule.columns)}; give as many",
        )


def _consequence_problems(rule: Rule, names_no_rows: bool) -> Iterator[Problem]:  # noqa: FBT001 - a fact, not a mode
    if names_no_rows and rule.on_violation == "quarantine":
        yield ("on_violation",), "found 'quarantine', but this rule names no rows to set aside (allowed: fail, warn)"
    if names_no_rows and rule.mostly is not None:
        yield ("mostly",), "is a share of rows, but this rule looks at the table as a whole"
    if rule.scope is not None and not (rule.unique or rule.sql is not None):
        yield ("scope",), "is for unique and sql rules"
    if rule.threshold and rule.sql is None:
        yield ("threshold",), "is for sql rules"


def contract_problems(contract: Contract) -> Iterator[Problem]:
    """Columns named twice, or spoken of but not there, and rules that do not fit their column."""
    names = [column.name for column in contract.columns]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield ("columns", index, "name"), f"found {name!r} a second time; a column is listed once"
    for index, key in enumerate(contract.primary_key):
        if key not in names:
            yield ("primary_key", index), f"found {key!r}, which is no column (allowed: {', '.join(names)})"
    for index, rule in enumerate(contract.rules):
        yield from _within(("rules", index), _rule_in_contract(rule, contract, names))
    for index, expectation in enumerate(contract.expectations):
        yield from _within(("expectations", index), _expectation_problems(expectation, names))
    given = [(("rules", index, "name"), rule.name) for index, rule in enumerate(contract.rules)]
    given += [
        (("expectations", index, "name"), each.name) for index, each in enumerate(contract.expectations) if each.name
    ]
    seen: set[str] = set()
    for loc, name in given:
        if name in seen:
            yield loc, f"found {name!r} a second time; a rule's name is its own"
        if name in RESERVED:
            yield loc, f"found {name!r}, which is the name of a check that contracts have anyway; choose another"
        seen.add(name)


def _rule_in_contract(rule: Rule, contract: Contract, names: list[str]) -> Iterator[Problem]:
    for loc, name in (*((("columns", i), each) for i, each in enumerate(rule.columns)), (("column",), rule.column)):
        if name is not None and name not in names:
            yield loc, f"found {name!r}, which is no column (allowed: {', '.join(names)})"
    if rule.column in names:
        kind = contract.column(rule.column).type
        yield from _constraint_problems(rule, rule.column, kind)
        for statistic in _given(rule, _NUMERIC_STATISTICS):
            if not kind.is_numeric:
                yield (statistic,), f"is measured over numbers, but {rule.column} is a {kind}"
        if rule.freshness is not None and kind.name not in {"date", "timestamp", "timestamptz"}:
            yield ("freshness",), f"is a rule for dates and timestamps, but {rule.column} is a {kind}"


def _expectation_problems(expectation: Expectation, names: list[str]) -> Iterator[Problem]:
    if expectation.on_violation == "quarantine":
        yield ("on_violation",), "found 'quarantine', which expectations do not offer (allowed: fail, warn)"
    column = expectation.kwargs.get("column")
    if isinstance(column, str) and column not in names:
        yield ("kwargs", "column"), f"found {column!r}, which is no column (allowed: {', '.join(names)})"
    if _MODULE_CLASS.match(expectation.type):
        return
    known = known_expectations()
    if known and snake_case(expectation.type) not in known:
        near = difflib.get_close_matches(snake_case(expectation.type), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield (
            ("type",),
            f"found {expectation.type!r}, which Great Expectations does not have{hint} (your own: package.module:ClassName)",
        )


def known_expectations() -> tuple[str, ...]:
    """The names of GX's own expectations, read from its folder: importing it would take seconds."""
    spec = find_spec("great_expectations")
    if spec is None or spec.origin is None:
        return ()
    folder = Path(spec.origin).parent / "expectations" / "core"
    return tuple(sorted(file.stem for file in folder.glob("*expect*.py") if file.stem != "__init__"))


def snake_case(name: str) -> str:
    """``ExpectColumnMaxToBeBetween`` as ``expect_column_max_to_be_between``, GX's other spelling."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _within(prefix: Loc, problems: Iterable[Problem]) -> Iterator[Problem]:
    for loc, message in problems:
        yield (*prefix, *loc), message


def _given(rule: Rule, fields: Iterable[str]) -> list[str]:
    return [name for name in fields if getattr(rule, name) not in (None, False, ())]
