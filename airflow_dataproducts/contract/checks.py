"""Every rule of a contract, compiled once to an engine-neutral check.

The Great Expectations suite, the scan's SQL, the documentation line and the catalog entry are translations of these
checks; nothing else reads a contract's rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.contract.expectations import as_rule
from airflow_dataproducts.contract.formats import FORMATS
from airflow_dataproducts.manifest.base import Severity
from airflow_dataproducts.manifest.constraints import Dimension  # noqa: TC001 - a dataclass field's type
from airflow_dataproducts.manifest.literals import read_literal
from airflow_dataproducts.manifest.units import format_duration, format_share

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_dataproducts.manifest.constraints import Bounds, Constraints, Judged, RowCount, ShareBounds
    from airflow_dataproducts.manifest.contract import Contract, Expectation
    from airflow_dataproducts.manifest.contract import Rule as ManifestRule
    from airflow_dataproducts.manifest.types import DataType

Consequence = Literal["fail", "quarantine", "warn"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold of an output.

    Attributes:
        name: unique in the output, as logs, messages and the catalog show it: ``total_amount.range``.
        rule: what must hold.
        columns: the columns it speaks of; empty for the table as a whole.
        severity: how bad a violation is.
        on_violation: what then happens: ``fail``, ``quarantine`` or ``warn``.
        dimension: the quality dimension it measures.
        description: a sentence for people.
        mostly: the share of rows that must hold a row rule, of those with a value (of all, for ``NotNull``).
        scope: whether it looks at this run's rows or at the whole table as consumers will see it.
        owner: who answers for it; empty where that is the product's owner.
    """

    name: str
    rule: r.Rule
    columns: tuple[str, ...]
    severity: Severity
    on_violation: Consequence
    dimension: Dimension
    description: str
    mostly: Decimal = Decimal(1)
    scope: r.Scope = "run"
    owner: str = ""

    @property
    def names_rows(self) -> bool:
        """Whether single rows break it."""
        return isinstance(self.rule, r.ROW_RULES)

    @property
    def sees_table(self) -> bool:
        """Whether rows that an earlier run published bear on it, where they stay."""
        return self.scope == "table" or isinstance(self.rule, r.Fresh)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A rule with what is usual for its kind, before the manifest's own words on severity and the like."""

    kind: str
    rule: r.Rule
    severity: Severity
    dimension: Dimension
    description: str


_FAILING = {Severity.CRITICAL, Severity.HIGH}


def compile_contract(contract: Contract) -> tuple[Check, ...]:
    """Every check of a contract: the columns there are, each column's, the key, the rules, the expectations.

    Args:
        contract: a valid contract.
    """
    names = tuple(column.name for column in contract.columns)
    same = _Draft("columns", r.ColumnSet(names), Severity.CRITICAL, "validity", "the table has the contract's columns")
    checks = [_check("columns", same, ())]
    for column in contract.columns:
        key = column.name in contract.primary_key
        for draft in _column_drafts(column.name, column.type, column, required=key):
            if draft.kind == "unique" and contract.primary_key == (column.name,):
                continue
            check = _check(f"{column.name}.{draft.kind}", draft, (column.name,))
            checks.append(check if draft.kind == "type" else _judged(check, column, column.mostly))
    if contract.primary_key:
        text = f"{', '.join(contract.primary_key)} names one row"
        key_rule = _Draft("primary_key", r.Unique(), Severity.CRITICAL, "uniqueness", text)
        checks.append(replace(_check("primary_key", key_rule, contract.primary_key), scope="table"))
    checks += [check for rule in contract.rules for check in _rule_checks(rule, contract)]
    checks += [_expectation_check(each, contract) for each in contract.expectations]
    if contract.max_quarantine is not None:
        text = f"at most {format_share(contract.max_quarantine)} of the rows are quarantined"
        most = _Draft("max_quarantine", r.SetAside(contract.max_quarantine), Severity.CRITICAL, "validity", text)
        checks.append(_check("max_quarantine", most, ()))
    if not any(isinstance(check.rule, r.RowCount) and check.rule.low is not None for check in checks):
        # A source that is empty by accident must not replace good data. row_count: {min: 0} allows it.
        text = "the table is not empty; allow it with a rule row_count: {min: 0}"
        draft = _Draft("not_empty", r.RowCount(low=1), Severity.CRITICAL, "completeness", text)
        checks.append(_check("not_empty", draft, ()))
    return tuple(_told_apart(checks))


def _told_apart(checks: Iterable[Check]) -> Iterator[Check]:
    """Checks that would share a name with a number after it: results are found by the name."""
    taken: set[str] = set()
    for check in checks:
        name, number = check.name, 2
        while name in taken:
            name, number = f"{check.name}_{number}", number + 1
        taken.add(name)
        yield check if name == check.name else replace(check, name=name)


def _check(name: str, draft: _Draft, columns: tuple[str, ...]) -> Check:
    scope: r.Scope = "table" if isinstance(draft.rule, r.Unique | r.RowCount) else "run"
    return Check(
        name,
        draft.rule,
        columns,
        draft.severity,
        _usual(draft.severity),
        draft.dimension,
        draft.description,
        scope=scope,
    )


def _usual(severity: Severity) -> Consequence:
    return "fail" if severity in _FAILING else "warn"


def _judged(check: Check, said: Judged, mostly: Decimal | None = None) -> Check:
    """The check with what the manifest says on how bad it is."""
    severity = said.severity or check.severity
    consequence = said.on_violation or _usual(severity)
    if consequence == "quarantine" and not check.names_rows:
        consequence = "fail"
    return replace(
        check,
        severity=severity,
        on_violation=consequence,
        dimension=said.dimension or check.dimension,
        owner=said.owner,
        mostly=mostly if mostly is not None else check.mostly,
    )


def _column_drafts(name: str, kind: DataType, rules: Constraints, *, required: bool) -> Iterator[_Draft]:
    yield _Draft("type", r.OfType(kind), Severity.CRITICAL, "validity", f"{name} is of type {kind}")
    if required or rules.required:
        yield _Draft("required", r.NotNull(), Severity.CRITICAL, "completeness", f"{name} is never NULL")
    yield from _value_drafts(name, kind, rules)


def _value_drafts(name: str, kind: DataType, rules: Constraints) -> Iterator[_Draft]:
    if rules.unique:
        yield _Draft("unique", r.Unique(), Severity.CRITICAL, "uniqueness", f"no two rows share a {name}")
    if rules.pattern is not None:
        text = f"{name} matches {rules.pattern}"
        yield _Draft("pattern", r.Matches(rules.pattern), Severity.HIGH, "validity", text)
    if rules.format is not None:
        text = f"{name} is a well-formed {rules.format}"
        yield _Draft("format", r.Matches(FORMATS[rules.format]), Severity.HIGH, "validity", text)
    if rules.enum is not None:
        values = tuple(read_literal(kind, value) for value in rules.enum)
        text = f"{name} is one of {', '.join(str(value) for value in rules.enum)}"
        yield _Draft("enum", r.OneOf(values), Severity.HIGH, "validity", text)
    yield from _bound_drafts(name, kind, rules)
    longest = _least(rules.max_length, kind.length)
    if rules.min_length is not None or longest is not None:
        text = f"{name} has {_span(rules.min_length, longest)} characters"
        yield _Draft("length", r.LengthBetween(rules.min_length, longest), Severity.HIGH, "validity", text)
    if rules.multiple_of is not None:
        number = Decimal(repr(rules.multiple_of))
        text = f"{name} is a multiple of {rules.multiple_of}"
        yield _Draft("multiple_of", r.MultipleOf(number), Severity.HIGH, "validity", text)
    if rules.references is not None:
        to = rules.references
        text = f"{name} is found in {to.input}.{', '.join(to.columns)}"
        rule = r.References(to.input, to.columns)
        yield _Draft("references", rule, Severity.HIGH, "consistency", text)


def _bound_drafts(name: str, kind: DataType, rules: Constraints) -> Iterator[_Draft]:
    given = {rule: getattr(rules, rule) for rule in ("min", "exclusive_min", "max", "exclusive_max")}
    read = {rule: read_literal(kind, value) for rule, value in given.items() if value is not None}
    # With both an inclusive and an exclusive bound on one side, each is a check of its own: neither is lost.
    for check, low, high in (("range", "min", "max"), ("exclusive_range", "exclusive_min", "exclusive_max")):
        if low in read or high in read:
            strict = check == "exclusive_range"
            signs = ((low, ">" if strict else ">="), (high, "<" if strict else "<="))
            words = " and ".join(f"{sign} {read[side]}" for side, sign in signs if side in read)
            rule = r.Between(read.get(low), read.get(high), strict, strict)
            yield _Draft(check, rule, Severity.HIGH, "validity", f"{name} is {words}")


def _rule_checks(rule: ManifestRule, contract: Contract) -> Iterator[Check]:
    drafts = list(_rule_drafts(rule, contract))
    columns = rule.columns or ((rule.column,) if rule.column else ())
    for draft in drafts:
        name = rule.name if len(drafts) == 1 else f"{rule.name}.{draft.kind}"
        check = _judged(_check(name, draft, columns), rule, rule.mostly)
        yield replace(check, scope=rule.scope or check.scope, description=rule.description or check.description)


def _rule_drafts(rule: ManifestRule, contract: Contract) -> Iterator[_Draft]:
    if rule.sql is not None:
        yield _sql_draft(rule)
    elif rule.row_count is not None:
        yield _count_draft(rule.row_count)
    elif rule.columns:
        yield from _value_drafts(f"({', '.join(rule.columns)})", _unbounded(contract, rule.columns[0]), rule)
    elif rule.column is not None:
        drafts = _column_drafts(rule.column, _unbounded(contract, rule.column), rule, required=False)
        yield from (draft for draft in drafts if draft.kind != "type")
        yield from _measure_drafts(rule, rule.column)
    for name in rule.schema_drift:
        text = f"the columns and types of the input {name} are what they were"
        yield _Draft(name, r.SchemaOf(name), Severity.MEDIUM, "consistency", text)


def _unbounded(contract: Contract, name: str) -> DataType:
    """The type of a column without its length, which is checked once, with the column."""
    return replace(contract.column(name).type, length=None)


def _sql_draft(rule: ManifestRule) -> _Draft:
    assert rule.sql is not None  # noqa: S101 - the caller has looked
    query = rule.sql.strip().rstrip(";")
    most = f"{rule.threshold}" if isinstance(rule.threshold, int) else f"{format_share(rule.threshold)} of the rows as"
    compiled = (
        r.Violations(query, rule.threshold)
        if isinstance(rule.threshold, int)
        else r.Violations(query, 0, rule.threshold)
    )
    return _Draft(
        "sql", compiled, Severity.CRITICAL, "consistency", f"the rule's query counts at most {most} violations"
    )


def _count_draft(count: RowCount) -> _Draft:
    text = f"the table has {_span(count.min, count.max)} rows{_change(count)}"
    rule = r.RowCount(count.min, count.max, count.max_change, count.window)
    return _Draft("row_count", rule, Severity.CRITICAL, "completeness", text)


def _measure_drafts(rule: ManifestRule, column: str) -> Iterator[_Draft]:
    dimensions: dict[str, Dimension] = {"null_rate": "completeness", "distinct_count": "uniqueness"}
    measures: tuple[r.Measure, ...] = ("null_rate", "distinct_count", "mean", "sum", "stddev")
    for measure in measures:
        bounds: Bounds | ShareBounds | None = getattr(rule, measure)
        if bounds is not None:
            yield _statistic(measure, bounds, f"the {measure.replace('_', ' ')} of {column}", dimensions.get(measure))
    for name, bounds in (rule.quantiles or {}).items():
        draft = _statistic("quantile", bounds, f"the quantile {name} of {column}", None)
        assert isinstance(draft.rule, r.Statistic)  # noqa: S101 - made so
        share = Decimal(name.removeprefix("p")) / 100
        yield replace(draft, kind=name.replace(".", "_"), rule=replace(draft.rule, quantile=share))
    if rule.freshness is not None:
        text = f"the newest {column} is at most {format_duration(rule.freshness)} old"
        yield _Draft("freshness", r.Fresh(rule.freshness), Severity.HIGH, "timeliness", text)


def _statistic(measure: r.Measure, bounds: Bounds | ShareBounds, what: str, dimension: Dimension | None) -> _Draft:
    low, high = (None if bound is None else Decimal(str(bound)) for bound in (bounds.min, bounds.max))
    rule = r.Statistic(measure, low, high, bounds.max_change, bounds.window)
    words = [f"{sign} {bound}" for sign, bound in ((">=", low), ("<=", high)) if bound is not None]
    text = f"{what} is {' and '.join(words) or 'steady'}{_change(bounds)}"
    return _Draft(measure, rule, Severity.MEDIUM, dimension or "accuracy", text)


def _change(bounds: Bounds | ShareBounds | RowCount) -> str:
    if bounds.max_change is None:
        return ""
    before = "before" if bounds.window == 1 else f"the mean of {bounds.window} runs before"
    return f", at most {format_share(bounds.max_change)} more or less than {before}"


def _expectation_check(each: Expectation, contract: Contract) -> Check:
    named = [each.kwargs.get(key) for key in ("column", "column_A", "column_B")]
    columns = tuple(_strings([*named, *(each.kwargs.get("column_list") or ())]))
    short = each.type.rpartition(":")[2]
    name = each.name or ".".join([*columns[:1], short])
    text = each.description or f"{short} {', '.join(f'{key}={value}' for key, value in each.kwargs.items())}".strip()
    known = as_rule(each.type, each.kwargs, contract)
    rule, mostly = known or (r.GxExpectation(each.type, tuple(sorted(each.kwargs.items()))), Decimal(1))
    draft = _Draft(short, rule, Severity.HIGH, "validity", text)
    return _judged(replace(_check(name, draft, columns), scope="run"), each, mostly)


def _strings(values: Iterable[Any]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _span(low: int | None, high: int | None) -> str:
    if low is None:
        return "any number of" if high is None else f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"
