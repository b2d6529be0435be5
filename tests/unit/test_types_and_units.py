"""The small languages inside a manifest: types, durations, shares, versions, literals."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_dataproducts.contract.types import duckdb_type, postgres_type
from airflow_dataproducts.manifest.literals import read_literal
from airflow_dataproducts.manifest.types import ALIASES, PRIMITIVES, DataType, parse_type
from airflow_dataproducts.manifest.units import (
    VersionRange,
    format_duration,
    format_share,
    parse_duration,
    parse_share,
    parse_version,
)

simple = st.sampled_from([name for name in PRIMITIVES if name != "decimal"]).map(DataType)
decimals = st.integers(1, 38).flatmap(
    lambda p: st.integers(0, p).map(lambda s: DataType("decimal", precision=p, scale=s))
)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
types = st.recursive(
    simple | decimals | st.integers(1, 999).map(lambda n: DataType("string", length=n)),
    lambda inner: (
        inner.map(lambda t: DataType("array", item=t))
        | st.lists(st.tuples(names, inner), min_size=1, max_size=3).map(lambda f: DataType("struct", fields=tuple(f)))
    ),
    max_leaves=5,
)


@given(types)
def test_a_type_reads_back_as_itself(kind: DataType) -> None:
    assert parse_type(str(kind)) == kind
    assert duckdb_type(kind)
    assert postgres_type(kind)


@pytest.mark.parametrize("alias", ALIASES)
def test_every_alias_means_one_of_ours(alias: str) -> None:
    text = f"{alias}(10,2)" if ALIASES[alias] == "decimal" else alias
    assert parse_type(text.upper()).name == ALIASES[alias]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strng", "did you mean string?"),
        ("decimal(40,2)", "needs 1 <= p <= 38"),
        ("decimal(4,5)", "s <= p"),
        ("decimal(1,2,3)", "')' should stand where ',' does"),
        ("varchar(x)", "'x' should be a number"),
        ("array<string", "it ends where '>' should stand"),
        ("string string", "nothing may follow the type"),
        ("struct<a string>", "':' should stand where 'string' does"),
        ("tä", "a type is a word"),
        (5, "a type is a word"),
    ],
)
def test_a_wrong_type_says_what_is_wrong(text: Any, message: str) -> None:
    with pytest.raises(ValueError, match="found") as caught:
        parse_type(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4h", 14400),
        ("30m", 1800),
        ("90 min", 5400),
        ("1_hour", 3600),
        ("2 weeks", 1209600),
        ("1.5 days", 129600),
        ("7 years", 7 * 31556952),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@given(st.integers(1, 10**8))
def test_a_duration_reads_back_as_itself(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["4", "h", "4 fortnights", "-1h", 4, None])
def test_no_durations(text: Any) -> None:
    with pytest.raises(ValueError, match="a duration is a number and a unit"):
        parse_duration(text)


def test_shares_are_exact() -> None:
    assert parse_share("99.9%") == Decimal("0.999")
    assert format_share(Decimal("0.999")) == "99.9%"
    for wrong in ("99.9", 99.9, "x%"):
        with pytest.raises(ValueError, match="percent sign"):
            parse_share(wrong)


@pytest.mark.parametrize(
    ("range_", "inside", "outside"),
    [
        ("^2", ["2.0.0", "2.9.9"], ["1.9.9", "3.0.0"]),
        ("^2.1", ["2.1.0", "2.10.0"], ["2.0.9", "3.0.0"]),
        ("~2.1", ["2.1.0", "2.1.9"], ["2.2.0"]),
        (">=2.0.0", ["2.0.0", "10.0.0"], ["1.99.99"]),
        ("2.1.0", ["2.1.0"], ["2.1.1"]),
        ("2", ["2.0.0", "2.5.0"], ["3.0.0"]),
    ],
)
def test_version_ranges(range_: str, inside: list[str], outside: list[str]) -> None:
    accepted = VersionRange(range_)
    assert all(version in accepted for version in inside)
    assert not any(version in accepted for version in outside)


@pytest.mark.parametrize("text", ["2.1", "v2.1.0", "2.1.0-rc1", "02.1.0", 2.1])
def test_no_versions(text: Any) -> None:
    with pytest.raises(ValueError, match="three numbers"):
        parse_version(text)
    with pytest.raises(ValueError, match="a version range is"):
        VersionRange("latest")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("decimal(12,2)", 0.1, Decimal("0.1")),
        ("decimal(38,0)", 2**100, Decimal(2**100)),
        ("bigint", 2**53 + 1, 2**53 + 1),
        ("integer", 3.0, 3),
        ("double", 1, 1.0),
        ("date", "2026-01-31", date(2026, 1, 31)),
        ("date", date(1, 1, 1), date(1, 1, 1)),
        ("timestamp", date(2026, 1, 31), datetime(2026, 1, 31)),  # noqa: DTZ001
        ("timestamptz", "2026-01-31T06:00:00+01:00", datetime(2026, 1, 31, 5, tzinfo=UTC)),
        ("boolean", False, False),
        ("string", "x", "x"),
        ("uuid", "6ECD8C99-4036-403D-BF84-CF8400F67836", "6ecd8c99-4036-403d-bf84-cf8400f67836"),
    ],
)
def test_literals_are_read_exactly(kind: str, value: Any, expected: Any) -> None:
    read = read_literal(parse_type(kind), value)
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", 2**31), ("integer", True), ("integer", "1"), ("integer", 1.5), ("bigint", 2**63), ("decimal(3,1)", "x"),
        ("decimal(3,1)", float("nan")), ("double", "1"), ("double", float("nan")), ("boolean", 1), ("string", 1),
        ("date", "31.1.2026"), ("date", datetime(2026, 1, 1)), ("timestamp", "2026-01-01T00:00:00+01:00"), ("json", "{}"),  # noqa: DTZ001
        ("uuid", "nope"), ("time", 5),
    ],
)  # fmt: skip
def test_no_literals(kind: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"which is no|has no values"):
        read_literal(parse_type(kind), value)
