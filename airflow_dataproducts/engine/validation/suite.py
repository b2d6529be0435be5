"""Checks as a Great Expectations suite."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.checks import (
    Between,
    Check,
    LengthBetween,
    Matches,
    NotNull,
    OneOf,
    RowCount,
    Unique,
    Violations,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation

MEASURES = (RowCount, Violations)
"""Rules about one number of the whole table; their expectations read the table of measures, not the rows."""

_SEVERITY = {"critical": "critical", "high": "critical", "medium": "warning", "low": "warning", "info": "info"}
ROW_COUNT = "row_count"


def row_suite(name: str, checks: Iterable[Check]) -> ExpectationSuite:
    """The suite of the checks on single rows and keys."""
    return _suite(name, [check for check in checks if not isinstance(check.rule, MEASURES)], None)


def measure_suite(name: str, checks: Iterable[Check], rows_before: int | None) -> ExpectationSuite:
    """The suite of the checks on the table's measures: one column per SQL rule, and the row count.

    Args:
        name: the suite's.
        checks: all of the output's.
        rows_before: rows of the version published before; None for the first, which has nothing to change against.
    """
    return _suite(name, [check for check in checks if isinstance(check.rule, MEASURES)], rows_before)


def _suite(name: str, checks: list[Check], rows_before: int | None) -> ExpectationSuite:
    from great_expectations import ExpectationSuite

    return ExpectationSuite(name=name, expectations=[_expectation(check, rows_before) for check in checks])


def _expectation(check: Check, rows_before: int | None) -> Expectation:
    import great_expectations.expectations as gxe

    kind, arguments = _translate(check, rows_before)
    meta = {"check": check.name, "severity": str(check.severity), "dimension": check.dimension}
    description = check.description
    expectation: Expectation = getattr(gxe, kind)(
        **arguments, meta=meta, description=description, severity=_SEVERITY[check.severity]
    )
    return expectation


def _translate(check: Check, rows_before: int | None) -> tuple[str, dict[str, Any]]:  # noqa: PLR0911 - one per rule
    """The expectation's class and arguments for a check."""
    rule = check.rule
    column = {"column": check.columns[0]} if check.columns else {}
    match rule:
        case NotNull():
            return "ExpectColumnValuesToNotBeNull", column
        case Unique() if len(check.columns) == 1:
            return "ExpectColumnValuesToBeUnique", column
        case Unique():
            columns = {"column_list": list(check.columns), "ignore_row_if": "any_value_is_missing"}
            return "ExpectCompoundColumnsToBeUnique", columns
        case Matches(regex):
            return "ExpectColumnValuesToMatchRegex", {**column, "regex": regex}
        case OneOf(values):
            return "ExpectColumnValuesToBeInSet", {**column, "value_set": [_plain(value) for value in values]}
        case Between(low, high, strict_low, strict_high):
            bounds = {"min_value": _plain(low), "max_value": _plain(high)}
            strict = {"strict_min": strict_low, "strict_max": strict_high}
            return "ExpectColumnValuesToBeBetween", {**column, **bounds, **strict}
        case LengthBetween(low, high):
            return "ExpectColumnValueLengthsToBeBetween", {**column, "min_value": low, "max_value": high}
        case RowCount():
            low, high = row_bounds(rule, rows_before)
            return "ExpectColumnValuesToBeBetween", {"column": ROW_COUNT, "min_value": low, "max_value": high}
        case Violations(_, most):
            return "ExpectColumnValuesToBeBetween", {"column": check.name, "min_value": 0, "max_value": most}


def row_bounds(rule: RowCount, rows_before: int | None) -> tuple[int | None, int | None]:
    """The fewest and most rows a rule allows, given how many there were before."""
    lows = [rule.low]
    highs = [rule.high]
    if rule.max_change is not None and rows_before is not None:
        lows.append(math.ceil(rows_before * (1 - rule.max_change)))
        highs.append(int(rows_before * (1 + rule.max_change)))
    known_lows = [low for low in lows if low is not None]
    known_highs = [high for high in highs if high is not None]
    return max(known_lows, default=0), min(known_highs, default=None)


def _plain(value: Any) -> Any:
    """A value as GX's JSON can hold it; a decimal becomes the float whose repr reads back as it."""
    return float(value) if isinstance(value, Decimal) else value
