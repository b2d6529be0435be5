"""Every rule of a contract, compiled once to an engine-neutral check.

The Great Expectations suite, the documentation line and the catalog entry are translations of these checks; nothing
else reads a contract's rules.

What they mean: NULL breaks ``NotNull`` alone, never a pattern, a range or uniqueness; NaN is outside every range;
infinities compare as numbers; a pattern is what Python's ``re.search`` finds; bounds are exact values of the column's
type.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from airflow_dataproducts.manifest.base import Severity
from airflow_dataproducts.manifest.literals import read_literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataproducts.manifest.contract import Column, Contract
    from airflow_dataproducts.manifest.contract import Rule as ManifestRule
    from airflow_dataproducts.manifest.literals import Literal as Value

Dimension = Literal["completeness", "validity", "uniqueness", "consistency", "timeliness", "accuracy"]
"""The quality dimensions of DAMA's working group, as far as rules on data can measure them."""


@dataclass(frozen=True, slots=True)
class NotNull:
    """No value is NULL."""


@dataclass(frozen=True, slots=True)
class Unique:
    """No two rows agree in all of the check's columns; rows with a NULL among them are not compared."""


@dataclass(frozen=True, slots=True)
class Matches:
    """``re.search(regex, value)`` finds something."""

    regex: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value is one of ``values``."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """The value is within bounds; ``strict_*`` leaves the bound itself out, None leaves that side open."""

    low: Value | None = None
    high: Value | None = None
    strict_low: bool = False
    strict_high: bool = False


@dataclass(frozen=True, slots=True)
class LengthBetween:
    """The text has so many characters (code points)."""

    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class RowCount:
    """The table has so many rows, and not too many more or fewer than the version before.

    Attributes:
        max_change: greatest relative change, as a share of the count before; None for no such bound.
    """

    low: int | None = None
    high: int | None = None
    max_change: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Violations:
    """``sql``, which counts violations over the outputs and inputs as tables, counts at most ``most``."""

    sql: str
    most: int = 0


Rule = NotNull | Unique | Matches | OneOf | Between | LengthBetween | RowCount | Violations


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
    """

    name: str
    rule: Rule
    columns: tuple[str, ...]
    severity: Severity
    on_violation: Literal["fail", "quarantine", "warn"]
    dimension: Dimension
    description: str


FORMATS = {
    "email": r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+$",
    "uuid": r"^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s]+$",
    "ipv4": r"^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)$",
    "ipv6": r"^(?=.*:)[0-9A-Fa-f:]{2,39}(?:\d{1,3}(?:\.\d{1,3}){3})?$",
    "hostname": r"^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$",
    "date": r"^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$",
    "time": r"^(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?$",
    "date-time": r"^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?$",
}
"""``format:`` as patterns, after the formats of JSON Schema (RFC 5321 without quoted names, 4122, 3986, 3339)."""

_FAILING = {Severity.CRITICAL, Severity.HIGH}


def compile_contract(contract: Contract, output: str) -> tuple[Check, ...]:
    """Every check of a contract, columns first, then the key, then the rules, each in the manifest's order.

    Args:
        contract: a valid contract.
        output: the output's name, which SQL rules use as the table's.
    """
    checks = [check for column in contract.columns for check in _column_checks(column, contract, output)]
    if contract.primary_key:
        key = ", ".join(contract.primary_key)
        checks.append(
            _check(
                "primary_key", Unique(), Severity.CRITICAL, contract.primary_key, "uniqueness", f"{key} names one row"
            )
        )
    checks.extend(_rule_check(rule) for rule in contract.rules)
    if not any(isinstance(check.rule, RowCount) and check.rule.low is not None for check in checks):
        # A source that is empty by accident must not replace good data. row_count: {min: 0} allows it.
        text = "the table is not empty; allow it with a rule row_count: {min: 0}"
        checks.append(_check("not_empty", RowCount(low=1), Severity.CRITICAL, (), "completeness", text))
    return tuple(checks)


def _column_checks(column: Column, contract: Contract, output: str) -> Iterator[Check]:
    for kind, rule, severity, dimension, text in _column_rules(column, contract, output):
        check = _check(f"{column.name}.{kind}", rule, column.severity or severity, (column.name,), dimension, text)
        if column.on_violation is not None:
            # What is counted by a query names no rows that could be set aside.
            countable = column.on_violation == "quarantine" and isinstance(rule, Violations)
            check = _with_consequence(check, "fail" if countable else column.on_violation)
        yield check


_ColumnRule = tuple[str, Rule, Severity, Dimension, str]


def _column_rules(column: Column, contract: Contract, output: str) -> Iterator[_ColumnRule]:
    name = column.name
    if column.required or name in contract.primary_key:
        yield "required", NotNull(), Severity.CRITICAL, "completeness", f"{name} is never NULL"
    if column.unique and contract.primary_key != (name,):
        yield "unique", Unique(), Severity.CRITICAL, "uniqueness", f"no two rows share a {name}"
    if column.pattern is not None:
        yield "pattern", Matches(column.pattern), Severity.HIGH, "validity", f"{name} matches {column.pattern}"
    if column.format is not None:
        yield (
            "format",
            Matches(FORMATS[column.format]),
            Severity.HIGH,
            "validity",
            f"{name} is a well-formed {column.format}",
        )
    if column.enum is not None:
        values = tuple(read_literal(column.type, value) for value in column.enum)
        shown = ", ".join(str(value) for value in column.enum)
        yield "enum", OneOf(values), Severity.HIGH, "validity", f"{name} is one of {shown}"
    yield from _bound_rules(column, output)
    longest = _least(column.max_length, column.type.length)
    if column.min_length is not None or longest is not None:
        rule = LengthBetween(column.min_length, longest)
        yield "length", rule, Severity.HIGH, "validity", f"{name} has {_span(column.min_length, longest)} characters"
    if column.multiple_of is not None:
        sql = f'SELECT count(*) FROM "{output}" WHERE "{name}" % {column.multiple_of!r} <> 0'
        yield "multiple_of", Violations(sql), Severity.HIGH, "validity", f"{name} is a multiple of {column.multiple_of}"


def _bound_rules(column: Column, output: str) -> Iterator[_ColumnRule]:
    given = {rule: getattr(column, rule) for rule in ("min", "exclusive_min", "max", "exclusive_max")}
    read = {rule: read_literal(column.type, value) for rule, value in given.items() if value is not None}
    if not read:
        return
    # With both an inclusive and an exclusive bound on one side, each is a check of its own: neither is lost.
    for kind, low, high in (("range", "min", "max"), ("exclusive_range", "exclusive_min", "exclusive_max")):
        if low in read or high in read:
            strict = kind == "exclusive_range"
            rule = _between(column.name, output, read.get(low), read.get(high), strict=strict)
            words = " and ".join(
                f"{sign} {read[side]}" for side, sign in ((low, ">" if strict else ">="), (high, "<" if strict else "<="))
                if side in read
            )  # fmt: skip
            yield kind, rule, Severity.HIGH, "validity", f"{column.name} is {words}"


def _between(column: str, output: str, low: Value | None, high: Value | None, *, strict: bool) -> Rule:
    """The bounds as a range, or as a query where a bound has more digits than the floats in GX's arguments can carry."""
    if all(_survives_float(bound) for bound in (low, high)):
        return Between(low, high, strict_low=strict, strict_high=strict)
    signs = ("<=", ">=") if strict else ("<", ">")
    outside = [
        f'"{column}" {sign} {bound}' for sign, bound in zip(signs, (low, high), strict=True) if bound is not None
    ]
    return Violations(f'SELECT count(*) FROM "{output}" WHERE {" OR ".join(outside)}')


def _survives_float(value: Value | None) -> bool:
    if isinstance(value, int):
        return int(float(value)) == value
    return not isinstance(value, Decimal) or Decimal(repr(float(value))) == value


def _rule_check(rule: ManifestRule) -> Check:
    compiled: Rule
    if rule.sql is not None:
        compiled = Violations(rule.sql.strip().rstrip(";"), rule.threshold)
        dimension: Dimension = "consistency"
        text = rule.description or f"the rule's query counts at most {rule.threshold} violations"
    else:
        count = rule.row_count
        assert count is not None  # noqa: S101 - the model allows no rule with neither
        compiled = RowCount(count.min, count.max, count.max_change)
        dimension = "completeness"
        text = rule.description or f"the table has {_span(count.min, count.max)} rows"
        if count.max_change is not None:
            text += f", at most {count.max_change:.0%} more or fewer than before"
    check = _check(rule.name, compiled, rule.severity or Severity.CRITICAL, (), dimension, text)
    return check if rule.on_violation is None else _with_consequence(check, rule.on_violation)


def _check(
    name: str, rule: Rule, severity: Severity, columns: tuple[str, ...], dimension: Dimension, text: str
) -> Check:
    consequence: Literal["fail", "warn"] = "fail" if severity in _FAILING else "warn"
    return Check(name, rule, columns, severity, consequence, dimension, text)


def _with_consequence(check: Check, consequence: Literal["fail", "quarantine", "warn"]) -> Check:
    return replace(check, on_violation=consequence)


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _span(low: int | None, high: int | None) -> str:
    if low is None:
        return "any number of" if high is None else f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"
