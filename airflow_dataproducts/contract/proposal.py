"""A contract proposed from what data looks like, with the evidence beside each rule."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_VALUES = 20
"""Different values that are counted one by one."""
_PII = (
    (re.compile(r"e[-_]?mail", re.IGNORECASE), "email"),
    (re.compile(r"phone|mobile|fax", re.IGNORECASE), "phone"),
    (re.compile(r"birth|dob$", re.IGNORECASE), "birth_date"),
    (re.compile(r"(first|last|full|sur|middle|maiden)_?name|^name$", re.IGNORECASE), "name"),
    (re.compile(r"street|address|postcode|zip(_?code)?$", re.IGNORECASE), "address"),
    (re.compile(r"ssn|passport|national_id|tax_id", re.IGNORECASE), "national_id"),
    (re.compile(r"(^|_)ip(_|$|_?address)", re.IGNORECASE), "ip_address"),
    (re.compile(r"iban|card_?number|account_?number", re.IGNORECASE), "financial"),
)
"""Names that usually hold personal data, and its kind."""
_NAMING = {"string", "integer", "bigint", "uuid"}
"""Types of columns that name things; that no two timestamps are the same is chance."""
_REPEATED = 10
"""A set of values is proposed where each comes so often on average."""
_SHAPED = 30
"""A pattern is proposed from so many values on."""
_LONGEST_SHAPE = 40


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What one column's values are like.

    Attributes:
        name: the column.
        type: the contract's type that holds them.
        nulls: rows without a value.
        distinct: different values.
        low, high: the least and greatest value, as text.
        shortest, longest: characters of the shortest and longest text; 0 for what is no text.
        values: how often each value comes, the most frequent first; empty where there are more than ``MOST_VALUES``.
        formats: the formats that every value has.
        shapes: up to two shapes of the values (9 a digit, A and a letters), the most frequent first.
    """

    name: str
    type: str
    nulls: int
    distinct: int
    low: str | None = None
    high: str | None = None
    shortest: int = 0
    longest: int = 0
    values: tuple[tuple[str, int], ...] = ()
    formats: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What a table is like.

    Attributes:
        rows: how many.
        columns: its columns in order.
        keys: sets of columns that name one row, without NULLs; short ones first.
    """

    rows: int
    columns: tuple[ColumnFacts, ...]
    keys: tuple[tuple[str, ...], ...] = ()


def propose(table: TableFacts) -> str:
    """The ``contract:`` of a manifest as YAML, for a person to go over."""
    rows, keys = table.rows, table.keys
    key = _best(keys)
    lines = [
        f"# Proposed from {rows:,} rows. A rule holds for what was seen; whether it is meant is yours to say.",
        "contract:",
    ]
    if key:
        others = [" + ".join(each) for each in keys if each != key]
        note = f"no two rows share {' and '.join(key)}" + (f"; so it is for {', '.join(others)}" if others else "")
        lines.append(f"  primary_key: {_flow(list(key))}  # {note}")
    lines.append("  columns:")
    for each in table.columns:
        proposed = _column(each, rows, key, (each.name,) in keys)
        lines.append(f"    - {_flow(proposed)}  # {_evidence(each, rows, private='pii' in proposed)}")
    lines += [
        "  rules:",
        f"    - {{name: volume, row_count: {{min: 1, max_change: 50%}}, severity: warning}}  # {rows:,} rows",
    ]
    return "\n".join(lines) + "\n"


def _best(keys: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The key that looks most like one: by its name, then by its place."""
    named = [each for each in keys if all(re.search(r"(^|_)(id|key|uuid|code|no|number)$", name) for name in each)]
    return (named or list(keys) or [()])[0]


def _column(facts: ColumnFacts, rows: int, key: tuple[str, ...], own: bool) -> dict[str, Any]:  # noqa: FBT001 - a fact
    found: dict[str, Any] = {"name": facts.name, "type": facts.type, "description": ""}
    if rows and not facts.nulls:
        found["required"] = True
    if own and key != (facts.name,) and facts.type in _NAMING:
        found["unique"] = True
    pii = next((kind for look, kind in _PII if look.search(facts.name)), None)
    if pii or "email" in facts.formats:
        found["pii"] = pii or "email"
    if facts.formats:
        found["format"] = facts.formats[0]
    elif facts.type == "string" and facts.values and not pii and rows >= _REPEATED * facts.distinct:
        found["enum"] = sorted(value for value, _ in facts.values)
    elif facts.type == "string":
        pattern = _pattern(facts)
        if pattern:
            found["pattern"] = pattern
    if _is_number(facts.type) and facts.low is not None and not facts.low.startswith("-") and facts.low != "nan":
        found["min"] = 0
    return found


def _is_number(kind: str) -> bool:
    return kind in {"integer", "bigint", "float", "double"} or kind.startswith("decimal")


def _pattern(facts: ColumnFacts) -> str | None:
    """A pattern where all values have one shape, such as ``ORD-9999``; what comes before its first digit is kept as it is."""
    if len(facts.shapes) != 1 or facts.distinct < _SHAPED or len(facts.shapes[0]) > _LONGEST_SHAPE:
        return None
    shape, low, high = facts.shapes[0], facts.low or "", facts.high or ""
    same = 0
    while same < min(len(low), len(high)) and low[same] == high[same] and not low[same].isdigit():
        same += 1
    classes = {"9": "[0-9]", "A": "[A-Z]", "a": "[a-z]"}
    parts = [re.escape(low[:same]).replace(r"\-", "-")]
    for run in re.finditer(r"(.)\1*", shape[same:]):
        letter, count = run.group(1), len(run.group(0))
        one = classes.get(letter, re.escape(letter).replace(r"\-", "-"))
        parts.append(one if count == 1 else f"{one}{{{count}}}")
    return f"^{''.join(parts)}$"


def _evidence(facts: ColumnFacts, rows: int, *, private: bool) -> str:
    """What was seen; of personal data only counts."""
    share = f"{100 * facts.nulls / rows:.3g}% NULL" if facts.nulls else "no NULL"
    parts = [share, f"{facts.distinct:,} different"]
    if private:
        return ", ".join(parts)
    if facts.values and facts.type == "string":
        shown = ", ".join(f"{value} {100 * count / rows:.0f}%" for value, count in facts.values[:5])
        parts.append(shown)
    elif facts.low is not None and facts.type != "string":
        parts.append(f"{facts.low} to {facts.high}")
    elif facts.longest:
        parts.append(f"{facts.shortest} to {facts.longest} characters")
    return ", ".join(parts).replace("\n", " ")


def _flow(value: Any) -> str:
    return str(
        yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
    ).strip()
