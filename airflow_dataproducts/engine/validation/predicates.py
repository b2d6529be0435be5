"""Row rules as DuckDB conditions that are true for the rows that break them, and never NULL."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.contract.ddl import all_given, names, quote, text
from airflow_dataproducts.contract.types import duckdb_type
from airflow_dataproducts.engine.validation.regex import to_re2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.manifest.literals import Literal as Value
    from airflow_dataproducts.manifest.types import DataType

NEVER = "false"
DUPLICATES = "__duplicates_of_"
"""Start of the name of the table that holds the keys of a ``Unique`` check which more than one row has."""


@dataclass(frozen=True, slots=True)
class PythonPattern:
    """A pattern that DuckDB must ask Python about, and the name of the function that does."""

    name: str
    regex: str


def python_pattern(check: Check) -> PythonPattern | None:
    """The function that a check's condition calls; None where DuckDB's own search is exact."""
    if isinstance(check.rule, r.Matches) and to_re2(check.rule.regex) is None:
        return PythonPattern(f"__search_{check.name}", check.rule.regex)
    return None


def breaks(check: Check, types: Mapping[str, DataType], batch: str | None = None) -> str:  # noqa: PLR0911 - one per rule
    """The condition under which a row breaks a check.

    Args:
        check: one that names rows.
        types: the contract's type of each column.
        batch: the table to look for other rows of the same key; None where the scan has made a table of such keys.
    """
    rule = check.rule
    name = quote(check.columns[0])
    kind = types[check.columns[0]]
    given = all_given(check.columns)
    match rule:
        case r.NotNull():
            return f"{name} IS NULL"
        case r.Unique():
            key = names(check.columns)
            again = f"{batch} GROUP BY {key} HAVING count(*) > 1" if batch else quote(DUPLICATES + check.name)
            return f"({given} AND ({key}) IN (SELECT ({key}) FROM {again}))"
        case r.Matches(regex):
            return f"({given} AND NOT {_search(check, regex, name)})"
        case r.OneOf(values):
            listed = ", ".join(literal(value, kind) for value in values if _fits(value, kind))
            return f"({given} AND {name} NOT IN ({listed}))" if listed else f"({given})"
        case r.Between():
            return f"({given} AND ({_outside(name, kind, rule)}))"
        case r.LengthBetween(low, high):
            sides = [f"length({name}) < {low}"] * bool(low) + [f"length({name}) > {high}"] * (high is not None)
            return f"({given} AND ({' OR '.join(sides) or NEVER}))"
        case r.MultipleOf(number):
            # A remainder of NaN (of NaN itself and of infinities) is none.
            return f"({given} AND {name} % {_number(number, kind)} <> 0)"
        case r.References(table, columns):
            key = names(check.columns)
            known = names(columns)
            there = all_given(columns)
            return f"({given} AND ({key}) NOT IN (SELECT ({known}) FROM {quote(table)} WHERE {there}))"
    raise TypeError(f"{type(rule).__name__} names no rows")


def _search(check: Check, regex: str, name: str) -> str:
    by_python = python_pattern(check)
    if by_python is not None:
        return f"{quote(by_python.name)}({name})"
    return f"regexp_matches({name}, {text(to_re2(regex) or '')})"


def _outside(name: str, kind: DataType, rule: r.Between) -> str:
    sides = []
    if rule.low is not None:
        bound, strict = _bound(rule.low, kind, strict=rule.strict_low, low=True)
        sides.append(f"{name} {'<=' if strict else '<'} {bound}" if bound else "true")
    if rule.high is not None:
        bound, strict = _bound(rule.high, kind, strict=rule.strict_high, low=False)
        sides.append(f"{name} {'>=' if strict else '>'} {bound}" if bound else "true")
    if kind.name in {"float", "double"}:
        sides.append(f"isnan({name})")
    return " OR ".join(dict.fromkeys(sides)) or NEVER


def within(rule: r.Between, least: Any, greatest: Any) -> bool:
    """Whether a range holds for all values between two of the column's own; also where there are none (both None)."""
    if least is None or greatest is None:
        return True
    above = rule.low is None or (least > rule.low if rule.strict_low else least >= rule.low)
    below = rule.high is None or (greatest < rule.high if rule.strict_high else greatest <= rule.high)
    return bool(above and below)


def _bound(value: Value, kind: DataType, *, strict: bool, low: bool) -> tuple[str, bool]:
    """A bound as a literal of the column's own type, and whether it is left out itself.

    A decimal bound with more digits than the column keeps moves to the next value that the column can hold. Empty text:
    no value of the column is within.
    """
    if kind.name != "decimal" or not isinstance(value, Decimal):
        return literal(value, kind), strict
    precision, scale = kind.precision or 38, kind.scale or 0
    with localcontext(prec=200):
        step = Decimal(1).scaleb(-scale)
        moved = value.quantize(step, rounding=ROUND_CEILING if low else ROUND_FLOOR)
        most = Decimal(10) ** (precision - scale) - step
        if moved > most or moved < -most:
            nothing = moved > most if low else moved < -most
            # Beyond the type on the harmless side, every value is within.
            return ("", strict) if nothing else (literal(-most if low else most, kind), False)
        return literal(moved, kind), strict and moved == value


def _fits(value: Value, kind: DataType) -> bool:
    """Whether the column's type can hold a value of a set; one that it cannot is in no row."""
    if kind.name != "decimal" or not isinstance(value, Decimal):
        return True
    with localcontext(prec=200):
        scale = kind.scale or 0
        return value == value.quantize(Decimal(1).scaleb(-scale)) and abs(value) < Decimal(10) ** (
            (kind.precision or 38) - scale
        )


def literal(value: Value, kind: DataType) -> str:
    """A value as DuckDB's literal of a column's type."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # A float's own width; beyond its range it is compared as a double.
        narrow = kind.name == "float" and _is_float32(value)
        return f"CAST('{value!r}' AS {'REAL' if narrow else 'DOUBLE'})"
    if isinstance(value, Decimal):
        return f"CAST('{value:f}' AS {duckdb_type(kind)})"
    if isinstance(value, int):
        return f"CAST({value} AS {duckdb_type(kind)})"
    if isinstance(value, datetime | date | time):
        return f"CAST({text(value.isoformat())} AS {duckdb_type(kind)})"
    return text(value)


def _is_float32(value: float) -> bool:
    try:
        struct.pack("f", value)
    except OverflowError:
        return False
    return True


def _number(value: Decimal, kind: DataType) -> str:
    return f"CAST('{value:f}' AS DOUBLE)" if kind.name in {"float", "double"} else f"{value:f}"
