"""Contracts compiled to checks, and checks' place in PostgreSQL's DDL."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from airflow_dataproducts.contract import ddl
from airflow_dataproducts.contract.checks import Check, compile_contract
from airflow_dataproducts.contract.formats import FORMATS
from airflow_dataproducts.contract.rules import (
    Between,
    ColumnSet,
    Fresh,
    GxExpectation,
    LengthBetween,
    Matches,
    MultipleOf,
    NotNull,
    OfType,
    OneOf,
    References,
    RowCount,
    SchemaOf,
    SetAside,
    Statistic,
    Unique,
    Violations,
)
from airflow_dataproducts.engine.validation.measures import bounds, row_bounds
from airflow_dataproducts.manifest.contract import Contract


def compiled(*columns: dict[str, Any], **contract: Any) -> dict[str, Check]:
    model = Contract.model_validate({"columns": columns, **contract})
    return {check.name: check for check in compile_contract(model)}


def test_every_rule_becomes_one_check() -> None:
    checks = compiled(
        {"name": "id", "type": "integer"},
        {"name": "a", "type": "varchar(9)", "required": True, "unique": True, "pattern": "^x", "format": "email", "enum": ["x@y.zz"], "min_length": 2},
        {"name": "b", "type": "decimal(12,2)", "min": 0.1, "exclusive_max": 10, "multiple_of": 0.5},
        {"name": "t", "type": "timestamp"},
        primary_key=["id"],
        rules=[
            {"name": "r", "sql": "SELECT 0;", "threshold": 2}, {"name": "n", "row_count": {"min": 1, "max_change": "50%"}},
            {"name": "s", "sql": "SELECT 1", "threshold": "1%"},
            {"name": "mixed", "column": "a", "pattern": "x", "min_length": 1},
            {"name": "known", "column": "a", "references": "customers.id", "severity": "low", "dimension": "accuracy", "owner": "team-x"},
            {"name": "pair", "columns": ["a", "b"], "unique": True, "mostly": "99%"},
            {"name": "pair_known", "columns": ["a", "b"], "references": {"input": "customers", "columns": ["x", "y"]}},
            {"name": "nulls", "column": "a", "null_rate": {"max": "5%"}},
            {"name": "spread", "column": "b", "mean": {"min": 1, "max_change": "20%", "window": 7}, "quantiles": {"p95": {"max": 3}}},
            {"name": "fresh", "column": "t", "freshness": "4h"},
            {"name": "same", "schema_drift": ["customers"]},
        ],
        expectations=[
            {"type": "expect_column_values_to_be_between", "kwargs": {"column": "a", "min_value": 3, "row_condition": "b > 1"}},
            {"type": "ExpectColumnValuesToBeBetween", "kwargs": {"column": "b", "min_value": 3}},
            {"type": "team.checks:ExpectSense", "name": "mine"},
        ],
        max_quarantine="5%",
    )  # fmt: skip
    structure = {name for name, check in checks.items() if isinstance(check.rule, OfType | ColumnSet)}
    assert structure == {"columns", "id.type", "a.type", "b.type", "t.type"}
    assert {name: check.rule for name, check in checks.items() if name not in structure} == {
        "id.required": NotNull(),
        "a.required": NotNull(),
        "a.unique": Unique(),
        "a.pattern": Matches("^x"),
        "a.format": Matches(FORMATS["email"]),
        "a.enum": OneOf(("x@y.zz",)),
        "a.length": LengthBetween(2, 9),
        "b.range": Between(low=Decimal("0.1")),
        "b.exclusive_range": Between(high=Decimal(10), strict_low=True, strict_high=True),
        "b.multiple_of": MultipleOf(Decimal("0.5")),
        "primary_key": Unique(),
        "r": Violations("SELECT 0", 2),
        "n": RowCount(1, None, Decimal("0.5")),
        "s": Violations("SELECT 1", 0, Decimal("0.01")),
        "mixed.pattern": Matches("x"),
        "mixed.length": LengthBetween(1, None),
        "known": References("customers", ("id",)),
        "pair": Unique(),
        "pair_known": References("customers", ("x", "y")),
        "nulls": Statistic("null_rate", None, Decimal("0.05")),
        "spread.mean": Statistic("mean", Decimal(1), None, Decimal("0.2"), 7),
        "spread.p95": Statistic("quantile", None, Decimal(3), quantile=Decimal("0.95")),
        "fresh": Fresh(timedelta(hours=4)),
        "same": SchemaOf("customers"),
        "a.expect_column_values_to_be_between": GxExpectation(
            "expect_column_values_to_be_between", (("column", "a"), ("min_value", 3), ("row_condition", "b > 1"))
        ),
        "b.ExpectColumnValuesToBeBetween": Between(low=Decimal(3)),
        "mine": GxExpectation("team.checks:ExpectSense", ()),
        "max_quarantine": SetAside(Decimal("0.05")),
    }
    assert (checks["pair"].columns, checks["pair"].scope, checks["pair"].mostly) == (
        ("a", "b"),
        "table",
        Decimal("0.99"),
    )
    assert (checks["known"].severity, checks["known"].dimension, checks["known"].owner) == ("low", "accuracy", "team-x")


def test_checks_of_one_name_are_told_apart() -> None:
    """An expectation that is named by itself, and a rule with a column's name, may come to a name that is taken."""
    expectation = {"type": "expect_column_max_to_be_between", "kwargs": {"column": "a", "max_value": 1}}
    checks = compiled(
        {"name": "a", "type": "string", "pattern": "x"},
        rules=[{"name": "a", "column": "a", "pattern": "y", "min_length": 1}],
        expectations=[expectation, expectation],
    )
    assert list(checks) == [
        "columns", "a.type", "a.pattern", "a.pattern_2", "a.length", "a.expect_column_max_to_be_between",
        "a.expect_column_max_to_be_between_2", "not_empty",
    ]  # fmt: skip


def test_a_key_of_one_column_is_not_checked_twice() -> None:
    assert list(compiled({"name": "id", "type": "integer", "unique": True, "required": True}, primary_key=["id"])) == [
        "columns", "id.type", "id.required", "primary_key", "not_empty",
    ]  # fmt: skip


def test_severity_decides_the_consequence_unless_it_is_said() -> None:
    checks = compiled(
        {"name": "a", "type": "string", "pattern": "x"},
        {"name": "b", "type": "string", "pattern": "x", "severity": "warning"},
        {"name": "c", "type": "string", "pattern": "x", "on_violation": "quarantine"},
        {"name": "d", "type": "integer", "multiple_of": 2, "on_violation": "quarantine"},
        rules=[{"name": "r", "sql": "SELECT 0", "severity": "low", "on_violation": "fail"}],
    )
    found = {
        name: (str(check.severity), check.on_violation)
        for name, check in checks.items()
        if not isinstance(check.rule, OfType | ColumnSet)
    }
    assert found == {
        "a.pattern": ("high", "fail"),
        "b.pattern": ("low", "warn"),
        "c.pattern": ("high", "quarantine"),
        "d.multiple_of": ("high", "quarantine"),
        "r": ("low", "fail"),
        "not_empty": ("critical", "fail"),
    }


def test_an_empty_table_is_allowed_only_when_said() -> None:
    assert "not_empty" in compiled({"name": "a", "type": "string"})
    assert "not_empty" not in compiled({"name": "a", "type": "string"}, rules=[{"name": "n", "row_count": {"min": 0}}])
    assert "not_empty" in compiled({"name": "a", "type": "string"}, rules=[{"name": "n", "row_count": {"max": 9}}])


@pytest.mark.parametrize(
    ("rule", "before", "wanted"),
    [
        (Statistic("mean", Decimal(1), Decimal(9)), (), (1, 9)),
        (Statistic("mean", max_change=Decimal("0.5")), (), (None, None)),
        (Statistic("mean", max_change=Decimal("0.5")), ("10", "1"), (5, 15)),
        (Statistic("mean", Decimal(7), None, Decimal("0.5"), 2), ("10", "20"), (Decimal("7.5"), Decimal("22.5"))),
        (Statistic("mean", max_change=Decimal("0.5")), ("-10",), (-15, -5)),
    ],
)
def test_bounds_of_a_number(rule: Statistic, before: tuple[str, ...], wanted: tuple[Any, Any]) -> None:
    assert bounds(rule, before) == wanted


@pytest.mark.parametrize(
    ("rule", "before", "wanted"),
    [
        (RowCount(1, 10), [], (1, 10)),
        (RowCount(None, None, Decimal("0.5")), [], (0, None)),
        (RowCount(None, None, Decimal("0.5")), [101], (51, 151)),
        (RowCount(60, 120, Decimal("0.5")), [100], (60, 120)),
        (RowCount(10, 999, Decimal("0.1")), [100], (90, 110)),
        (RowCount(None, None, Decimal("0.5"), 2), [100, 300, 900], (100, 300)),
    ],
)
def test_row_bounds(rule: RowCount, before: list[int], wanted: tuple[int, int | None]) -> None:
    assert row_bounds(rule, before) == wanted


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("email", ["a@b.co", "first.last+tag@sub.example.org"], ["a@b", "@b.co", "a b@c.de", "a@-b.co", "a@b..co"]),
        ("uuid", ["6ecd8c99-4036-403d-bf84-cf8400f67836"], ["6ecd8c99", "6ecd8c99-4036-403d-bf84-cf8400f6783g"]),
        ("uri", ["https://x.org/a?b#c", "urn:isbn:1"], ["x.org", "http://a b"]),
        ("ipv4", ["10.0.0.1", "255.255.255.255"], ["10.0.0.256", "10.0.0", "10.0.0.1.2"]),
        (
            "ipv6",
            ["::1", "::", "2001:db8::ff00:42:8329", "1:2:3:4:5:6:7:8", "::ffff:10.0.0.1", "1::"],
            ["10.0.0.1", "2001:db8::zz", "1:2", ":::", "1:2:3:4:5:6:7:8:9"],
        ),
        ("hostname", ["example.org", "a-b.c"], ["-a.b", "a_b.c", "a..b"]),
        ("date", ["2026-01-31"], ["2026-13-01", "31.1.2026"]),
        ("time", ["23:59:59", "00:00:00.5Z"], ["24:00:00", "1:00"]),
        (
            "date-time",
            ["2026-01-31T06:00:00Z", "2026-01-31 06:00:00.123+01:00"],
            ["2026-01-31", "2026-01-31T25:00:00Z"],
        ),
    ],
)
def test_formats(name: str, good: list[str], bad: list[str]) -> None:
    import re

    assert all(re.search(FORMATS[name], value) for value in good)
    assert not any(re.search(FORMATS[name], value) for value in bad)


def test_every_format_is_tested() -> None:
    marks = test_formats.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == set(FORMATS)


def test_ddl() -> None:
    contract = Contract.model_validate(
        {
            "columns": [
                {"name": "id", "type": "uuid", "description": "it's the id"},
                {"name": "n", "type": "decimal(12,2)", "required": True},
                {"name": "w", "type": "varchar(3)", "required": True, "severity": "low"},
                {"name": "s", "type": "struct<a: integer>"},
                {"name": "l", "type": "array<string>"},
            ],
            "primary_key": ["id"],
        }
    )
    assert ddl.create_table(contract, "t") == (
        'CREATE TABLE t (\n  "id" uuid NOT NULL,\n  "n" numeric(12,2) NOT NULL,\n  "w" varchar(3),\n  "s" jsonb,\n  "l" text[]\n)'
    )
    assert '"id" text NOT NULL' in ddl.create_table(contract, "t", loading=True)
    assert list(ddl.finish_loading(contract, "t")) == [
        'ALTER TABLE t ALTER COLUMN "id" TYPE uuid USING "id"::uuid',
        'ALTER TABLE t ALTER COLUMN "s" TYPE jsonb USING "s"::jsonb',
    ]
    assert ddl.primary_key(contract, "t") == 'ALTER TABLE t ADD PRIMARY KEY ("id")'
    assert next(ddl.comments(contract, "t")) == "COMMENT ON COLUMN t.\"id\" IS 'it''s the id'"
    assert ddl.quote('a"b') == '"a""b"'
