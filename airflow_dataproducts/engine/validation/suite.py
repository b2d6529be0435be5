"""Checks as a Great Expectations suite: GX's own expectations, readable, and runnable by GX alone."""

from __future__ import annotations

import importlib
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.contract.ddl import all_given, quote
from airflow_dataproducts.contract.ddl import text as sql_text
from airflow_dataproducts.contract.types import type_names
from airflow_dataproducts.engine.validation.found import INPUTS
from airflow_dataproducts.engine.validation.predicates import breaks
from airflow_dataproducts.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation

    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.engine.validation.found import Found
    from airflow_dataproducts.manifest.types import DataType
    from airflow_dataproducts.plan import ValidateStep

_SEVERITY = {"critical": "critical", "high": "critical", "medium": "warning", "low": "warning", "info": "info"}
_STATISTICS = {
    "null_rate": "ExpectColumnProportionOfNonNullValuesToBeBetween",
    "distinct_count": "ExpectColumnUniqueValueCountToBeBetween",
    "mean": "ExpectColumnMeanToBeBetween",
    "sum": "ExpectColumnSumToBeBetween",
    "stddev": "ExpectColumnStdevToBeBetween",
}
BATCH = "__batch__"
"""What queries call GX's batch until they are done."""
_WIDEST = 1.7976931348623157e308
"""What bounds a number that nothing bounds yet, in the first run of a rule that only knows ``max_change``."""


def build_suite(
    step: ValidateStep, checks: Iterable[Check], suffix: str = "", found: Mapping[str, Found] | None = None
) -> ExpectationSuite:
    """The suite of an output's checks.

    Args:
        step: the output.
        checks: those of its checks that are wanted.
        suffix: what comes after the output's name in the suite's.
        found: what was measured, for the bounds that depend on what was before; None for a suite to read and export.

    Raises:
        ConfigurationError: an expectation of the user's cannot be loaded, or does not take its arguments.
    """
    types = {column.name: column.type for column in step.output.contract.columns}
    return SuiteMaker(step.name, types, tuple(checks), found or {}).suite(f"{step.name}{suffix}")


class SuiteMaker:
    """Makes the expectations of one output's checks.

    Args:
        name: the output's, which rules use as the table's.
        types: the contract's type of each column.
        checks: all of the output's.
        found: what was measured, by check.
    """

    def __init__(
        self, name: str, types: Mapping[str, DataType], checks: tuple[Check, ...], found: Mapping[str, Found]
    ) -> None:
        self._name = name
        self._types = types
        self._checks = checks
        self._found = found

    def suite(self, name: str) -> ExpectationSuite:
        """All of them."""
        from great_expectations import ExpectationSuite

        return ExpectationSuite(name=name, expectations=[self.expectation(check) for check in self._checks])

    def as_query(self, check: Check) -> bool:  # noqa: ARG002 - for engines whose own comparison is not exact
        """Whether a check becomes a query even where GX has an expectation for it."""
        return False

    def type_names(self, kind: DataType) -> tuple[str, ...]:
        """What GX may find as a column's type."""
        return type_names(kind)

    def finish(self, query: str) -> str:
        """A query in the words of the engine that is to run it; GX's batch is called ``__batch__`` in it."""
        return query

    def expectation(self, check: Check) -> Expectation:
        """A check as GX's expectation, with what people want to know in its notes."""
        kind, arguments = self._translate(check)
        meta = {
            "check": check.name, "severity": str(check.severity), "dimension": check.dimension,
            "on_violation": check.on_violation, "scope": check.scope,
        }  # fmt: skip
        if check.owner:
            meta["owner"] = check.owner
        try:
            made: Expectation = _class(kind)(
                **arguments,
                meta=meta,
                notes=_notes(check),
                description=check.description,
                severity=_SEVERITY[check.severity],
            )
        except (TypeError, ValueError) as error:
            if not isinstance(check.rule, r.GxExpectation):
                raise
            reason = " ".join(str(error).split())
            raise ConfigurationError(f"expectation {check.name}: {kind} does not take these kwargs: {reason}") from None
        return made

    def _translate(self, check: Check) -> tuple[str, dict[str, Any]]:
        """The expectation's class and arguments for a check."""
        found = self._found.get(check.name)
        made = None
        if not self.as_query(check):
            made = _on_values(check, self._types) if check.names_rows else _on_table(check, found, self.type_names)
        return made or ("UnexpectedRowsExpectation", {"unexpected_rows_query": self._query(check)})

    def _query(self, check: Check) -> str | dict[str, str]:
        """A rule that GX has no expectation for, as a query that gives a row where it is broken; ``{batch}`` is the table."""
        rule, found, types = check.rule, self._found.get(check.name), self._types
        batch = quote(self._name)
        if isinstance(rule, r.Violations):
            allowed = str(rule.most) if rule.share is None else f"{rule.share} * (SELECT count(*) FROM {batch})"
            text = f"SELECT violations FROM (\n{rule.sql}\n) AS counted(violations) WHERE violations > {allowed}"
        elif isinstance(rule, r.SchemaOf):
            if found is None or found.bounds is None:
                return {"$PARAMETER": f"{check.name}_query"}
            text = _schema_query(rule.input, json.loads(found.bounds[0]))
        elif isinstance(rule, r.SetAside):
            aside = [each for each in self._checks if each.names_rows and each.on_violation == "quarantine"]
            broken = " OR ".join(breaks(each, types, batch) for each in aside) or "false"
            count = f"count(*) FILTER (WHERE {broken})"
            text = f"SELECT {count} FROM {batch} HAVING {count} > {rule.share} * count(*)"
        elif check.mostly == 1:
            text = f"SELECT * FROM {batch} WHERE {breaks(check, types, batch)}"
        else:
            given = all_given(check.columns)
            broken = f"count(*) FILTER (WHERE {breaks(check, types, batch)})"
            share = f"{broken} > {1 - check.mostly} * count(*) FILTER (WHERE {given})"
            text = f"SELECT count(*) FROM {batch} HAVING {share}"
        # The table gets its own name first: GX may give the batch one that a rule's SQL does not know.
        whole = self.finish(f"WITH {batch} AS (SELECT * FROM {BATCH}) {text}")
        return whole.replace("{", "{{").replace("}", "}}").replace(BATCH, "{batch}")


def _notes(check: Check) -> str:
    parts = [check.description[:1].upper() + check.description[1:] + "."]
    if check.scope == "table":
        parts.append("Holds for the whole table as consumers will see it.")
    if isinstance(check.rule, r.Between):
        bounds = [
            f"{word} {bound}"
            for word, bound in (("at least", check.rule.low), ("at most", check.rule.high))
            if bound is not None
        ]
        parts.append(f"The bounds are exactly: {', '.join(bounds)}.")
    return " ".join(parts)


def _class(kind: str) -> Any:
    """GX's class of that name in either spelling, or ``package.module:ClassName``."""
    import great_expectations.expectations as gxe

    module, _, name = kind.rpartition(":")
    if not module:
        camel = kind if kind[:1].isupper() else "".join(part.capitalize() for part in kind.split("_"))
        return getattr(gxe, camel)
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"expectation {kind} cannot be loaded: {error}") from None


_Translation = tuple[str, dict[str, Any]]


def _on_values(check: Check, types: Mapping[str, DataType]) -> _Translation | None:  # noqa: PLR0911 - one per rule
    """The expectation of a rule that single rows break; None where GX has none."""
    rule = check.rule
    column = {"column": check.columns[0]}
    mostly = {} if check.mostly == 1 else {"mostly": float(check.mostly)}
    match rule:
        case r.NotNull():
            return "ExpectColumnValuesToNotBeNull", {**column, **mostly}
        case r.Unique() if len(check.columns) == 1:
            return "ExpectColumnValuesToBeUnique", {**column, **mostly}
        case r.Unique():
            columns = {"column_list": list(check.columns), "ignore_row_if": "any_value_is_missing"}
            return "ExpectCompoundColumnsToBeUnique", {**columns, **mostly}
        case r.Matches(regex):
            return "ExpectColumnValuesToMatchRegex", {**column, "regex": regex, **mostly}
        case r.OneOf(values):
            return "ExpectColumnValuesToBeInSet", {**column, "value_set": [_plain(value) for value in values], **mostly}
        case r.Between(low, high, strict_low, strict_high) if types[check.columns[0]].name != "time":
            bounds = {"min_value": _plain(low), "max_value": _plain(high)}
            strict = {"strict_min": strict_low, "strict_max": strict_high}
            return "ExpectColumnValuesToBeBetween", {**column, **bounds, **strict, **mostly}
        case r.LengthBetween(low, high):
            lengths = {"min_value": low, "max_value": high}
            return "ExpectColumnValueLengthsToBeBetween", {**column, **lengths, **mostly}
    return None


def _on_table(  # noqa: PLR0911 - one per rule
    check: Check, found: Found | None, names_of: Callable[[DataType], tuple[str, ...]]
) -> _Translation | None:
    """The expectation of a rule on the table as a whole; None where GX has none."""
    rule = check.rule
    bounds = found.bounds if found else None
    match rule:
        case r.OfType(kind):
            return "ExpectColumnValuesToBeInTypeList", {"column": check.columns[0], "type_list": list(names_of(kind))}
        case r.ColumnSet(names):
            return "ExpectTableColumnsToMatchSet", {"column_set": list(names), "exact_match": True}
        case r.RowCount(low, high):
            low, high = bounds or (low or 0, high)
            return "ExpectTableRowCountToBeBetween", {"min_value": low, "max_value": high}
        case r.Statistic():
            return _statistic(rule, check.columns[0], bounds)
        case r.Fresh():
            oldest = bounds[0] if bounds else {"$PARAMETER": f"{check.name.replace('.', '_')}_oldest"}
            return "ExpectColumnMaxToBeBetween", {"column": check.columns[0], "min_value": oldest}
        case r.GxExpectation(kind, kwargs):
            return kind, dict(kwargs)
    return None


def _statistic(rule: r.Statistic, column: str, bounds: tuple[Any, Any] | None) -> _Translation:
    low, high = (_plain(bound) for bound in bounds or (rule.low, rule.high))
    if rule.measure == "null_rate":
        low, high = (None if high is None else 1 - high), (None if low is None else 1 - low)
    if low is None and high is None:
        low = -_WIDEST
    if rule.measure == "quantile":
        ranges = {"quantiles": [float(rule.quantile or 0)], "value_ranges": [[low, high]]}
        return "ExpectColumnQuantileValuesToBeBetween", {"column": column, "quantile_ranges": ranges}
    return _STATISTICS[rule.measure], {"column": column, "min_value": low, "max_value": high}


def _schema_query(name: str, before: Mapping[str, str]) -> str:
    now = f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {INPUTS}.{quote(name)})"
    past = ", ".join(f"({sql_text(column)}, {sql_text(kind)})" for column, kind in before.items())
    was = f"SELECT * FROM (VALUES {past}) AS before(column_name, column_type)"
    return f"({now} EXCEPT {was}) UNION ALL ({was} EXCEPT {now})"


def _plain(value: Any) -> Any:
    """A value as GX's JSON can hold it; a decimal becomes the float whose repr reads back as it."""
    return float(value) if isinstance(value, Decimal) else value
