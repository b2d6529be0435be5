"""Outputs checked by Great Expectations, with the contract's meaning."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from airflow_dataproducts.contract.checks import compile_contract
from airflow_dataproducts.engine.validation import Before, Tables, validate
from airflow_dataproducts.exceptions import ContractViolation
from airflow_dataproducts.manifest.outputs import Output
from airflow_dataproducts.plan import ValidateStep

if TYPE_CHECKING:
    from airflow_dataproducts.engine.validation.results import Validation
    from airflow_dataproducts.settings import Settings

D = Decimal


def check(
    settings: Settings, rows: pa.Table, columns: list[dict[str, Any]], current: pa.Table | None = None, **more: Any
) -> Validation:
    inputs = more.pop("inputs", {})
    measured = more.pop("measured", {})
    publish = more.pop("publish", {"to": "parquet"})
    output = Output.model_validate({"contract": {"columns": columns, **more}, "publish": publish})
    step = ValidateStep("t", output, compile_contract(output.contract))
    tables = Tables({"t": pads.dataset(rows)}, {name: pads.dataset(table) for name, table in inputs.items()})
    before = Before(None if current is None else pads.dataset(current), measured)
    return validate(step, tables, settings, before)


def column(kind: str, **rules: Any) -> list[dict[str, Any]]:
    return [{"name": "v", "type": kind, **rules}]


CASES: list[tuple[str, pa.Array, dict[str, Any], str, int]] = [
    # name, values, rule, check, rows that break it
    ("null breaks required", pa.array(["a", None]), {"type": "string", "required": True}, "v.required", 1),
    ("null breaks no pattern", pa.array([None, "b"]), {"type": "string", "pattern": "a"}, "v.pattern", 1),
    ("null breaks no uniqueness", pa.array([None, None, "a", "a"]), {"type": "string", "unique": True}, "v.unique", 2),
    ("patterns search", pa.array(["xay", "b"]), {"type": "string", "pattern": "a"}, "v.pattern", 1),
    (
        "patterns are Python's",
        pa.array(["foobar", "foobaz"]),
        {"type": "string", "pattern": "foo(?=bar)"},
        "v.pattern",
        1,
    ),
    ("formats", pa.array(["a@b.co", "a@b"]), {"type": "string", "format": "email"}, "v.format", 1),
    ("texts in a set", pa.array(["x", "y", None]), {"type": "string", "enum": ["x"]}, "v.enum", 1),
    (
        "dates in a set",
        pa.array([dt.date(2026, 1, 1), dt.date(2026, 1, 2)]),
        {"type": "date", "enum": [dt.date(2026, 1, 1)]},
        "v.enum",
        1,
    ),
    (
        "decimals in a set",
        pa.array([D("0.10"), D("0.11")], pa.decimal128(5, 2)),
        {"type": "decimal(5,2)", "enum": [0.1]},
        "v.enum",
        1,
    ),
    (
        "decimal bounds are exact",
        pa.array([D("0.10"), D("0.09")], pa.decimal128(5, 2)),
        {"type": "decimal(5,2)", "min": 0.1},
        "v.range",
        1,
    ),
    (
        "64-bit bounds are exact",
        pa.array([2**53 + 1, 2**53], pa.int64()),
        {"type": "bigint", "min": 2**53 + 1},
        "v.range",
        1,
    ),
    (
        "38 digits are exact",
        pa.array([D(10**37 + 1), D(10**37)], pa.decimal128(38, 0)),
        {"type": "decimal(38,0)", "max": str(10**37)},
        "v.range",
        1,
    ),
    (
        "strict bounds",
        pa.array([1, 2, 3], pa.int32()),
        {"type": "integer", "exclusive_min": 1, "exclusive_max": 3},
        "v.exclusive_range",
        2,
    ),
    ("nan is outside every range", pa.array([float("nan"), 1.0]), {"type": "double", "max": 5}, "v.range", 1),
    ("infinities are numbers", pa.array([float("inf"), 1.0]), {"type": "double", "min": 0}, "v.range", 0),
    (
        "dates in a range",
        pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
        {"type": "date", "min": dt.date(2, 1, 1)},
        "v.range",
        1,
    ),
    (
        "date bound on a timestamp",
        pa.array([dt.datetime(2026, 1, 1), dt.datetime(2025, 12, 31, 23)]),  # noqa: DTZ001 - the column has no zone
        {"type": "timestamp", "min": dt.date(2026, 1, 1)},
        "v.range",
        1,
    ),
    (
        "bounds with zones",
        pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
        {"type": "timestamptz", "min": "2026-01-01T01:00:00+01:00"},
        "v.range",
        0,
    ),
    ("lengths count characters", pa.array(["😀😀", "abc"]), {"type": "varchar(2)"}, "v.length", 1),
    ("multiples", pa.array([4, 5, None], pa.int32()), {"type": "integer", "multiple_of": 2}, "v.multiple_of", 1),
]


@pytest.mark.parametrize(
    ("values", "rule", "name", "broken"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_meaning(settings: Settings, values: pa.Array, rule: dict[str, Any], name: str, broken: int) -> None:
    found = check(settings, pa.table({"v": values}), [{"name": "v", **rule}])
    (result,) = [each for each in found.results if each.check == name]
    assert (result.success, result.unexpected) == (broken == 0, broken)


def test_composite_keys(settings: Settings) -> None:
    rows = pa.table({"a": [1, 1, 1, None], "b": ["x", "x", "y", "z"]})
    columns = [{"name": "a", "type": "bigint"}, {"name": "b", "type": "string"}]
    found = check(settings, rows, columns, primary_key=["a", "b"])
    assert {each.check: each.unexpected for each in found.failures} == {"a.required": 1, "primary_key": 2}


def test_repeated_keys_are_shown_in_one_order_whatever_their_column_is_called(settings: Settings) -> None:
    rows = pa.table({"n": [9, 8, 9, 7, 8, 8, 7, 1]})
    (failure,) = check(settings, rows, [{"name": "n", "type": "bigint"}], primary_key=["n"]).failures
    assert (failure.unexpected, failure.samples) == (7, ("8", "7", "9"))


def test_rules_see_inputs_and_the_threshold_counts(settings: Settings) -> None:
    sql = "SELECT count(*) FROM t ANTI JOIN known USING (v)"
    inputs = {"known": pa.table({"v": [1]})}
    rows = pa.table({"v": [1, 2, 3]})
    for threshold, holds in ((1, False), (2, True)):
        found = check(
            settings, rows, column("bigint"), inputs=inputs, rules=[{"name": "r", "sql": sql, "threshold": threshold}]
        )
        (result,) = [each for each in found.results if each.check == "r"]
        assert (result.success, result.unexpected) == (holds, 2)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT count(*) FROM gone", "Table with name gone does not exist"),
        ("SELECT 1, 2", "one number"),
        ("SELECT 'x'", "one number"),
    ],
)
def test_rules_that_cannot_be_asked(settings: Settings, sql: str, message: str) -> None:
    with pytest.raises(ContractViolation) as caught:
        check(settings, pa.table({"v": [1]}), column("bigint"), rules=[{"name": "r", "sql": sql}])
    assert str(caught.value).startswith("output t: rule r: ")
    assert message in str(caught.value)


def test_row_counts_speak_of_what_consumers_will_see(settings: Settings) -> None:
    before, rows = pa.table({"v": range(100)}), pa.table({"v": range(95, 105)})
    rules = {"rules": [{"name": "n", "row_count": {"min": 103, "max_change": "10%"}}], "primary_key": ["v"]}

    def counted(mode: str, current: pa.Table | None) -> tuple[bool, int]:
        found = check(settings, rows, column("bigint"), current, publish={"to": "parquet", "mode": mode}, **rules)
        (result,) = [each for each in found.results if each.check == "n"]
        return result.success, result.unexpected

    assert counted("replace", before) == (False, 10)
    assert counted("append", before) == (True, 0)
    assert counted("merge", before) == (True, 0)
    assert counted("merge", None) == (False, 10)


def test_empty_tables(settings: Settings) -> None:
    empty = pa.table({"v": pa.array([], pa.int64())})
    assert [each.check for each in check(settings, empty, column("bigint")).failures] == ["not_empty"]
    allowed = [{"name": "n", "row_count": {"min": 0}}]
    assert not check(settings, empty, column("bigint", required=True, min=1), rules=allowed).failures


def test_quarantined_rows_are_counted(settings: Settings) -> None:
    rows = pa.table({"v": ["a", "bad", "b", None, "bad2"]})
    found = check(settings, rows, column("string", pattern="^.$", on_violation="quarantine"))
    assert found.quarantined == 2
    assert not found.failures
    assert found.warnings[0].samples == ("bad", "bad2")


@pytest.mark.parametrize(("most", "holds"), [("40%", True), ("39%", False)])
def test_too_many_quarantined_rows_fail(settings: Settings, most: str, holds: bool) -> None:
    rows = pa.table({"v": ["a", "bad", "b", None, "bad2"]})
    columns = column("string", pattern="^.$", on_violation="quarantine")
    found = check(settings, rows, columns, max_quarantine=most)
    assert [each.check for each in found.failures] == ([] if holds else ["max_quarantine"])


def test_quarantined_rows_are_not_among_those_counted(settings: Settings) -> None:
    rows = pa.table({"v": ["bad", "bad2"]})
    found = check(settings, rows, column("string", pattern="^.$", on_violation="quarantine"))
    assert [each.check for each in found.failures] == ["not_empty"]


def test_personal_data_never_shows(settings: Settings) -> None:
    rows = pa.table({"v": ["bob@example.com", "zoltan"], "w": ["open", "secret"]})
    columns: list[dict[str, Any]] = [
        {"name": "v", "type": "string", "pii": "email", "pattern": "^$", "unique": True},
        {"name": "w", "type": "string", "enum": ["open"]},
    ]
    found = check(settings, rows, columns, primary_key=["v"])
    kept = json.dumps([found.gx, found.rows_as_dicts(), found.summary()], default=str)
    assert "bob" not in kept
    assert "zoltan" not in kept
    assert "xxx@xxxxxxx.xxx" in kept
    assert "secret" in kept  # what is not marked as personal data helps to mend it


def test_the_result_is_great_expectations_own(settings: Settings) -> None:
    found = check(settings, pa.table({"v": [1, 5]}), column("bigint", max=3, description="x"))
    (rows,) = found.gx
    assert rows["statistics"] == {
        "evaluated_expectations": 4,
        "successful_expectations": 3,
        "unsuccessful_expectations": 1,
        "success_percent": 75.0,
    }
    (broken,) = [each for each in rows["results"] if not each["success"]]
    config = broken["expectation_config"]
    assert config["type"] == "expect_column_values_to_be_between"
    assert config["meta"] == {
        "check": "v.range", "severity": "high", "dimension": "validity", "on_violation": "fail", "scope": "run",
    }  # fmt: skip
    assert broken["result"] == {
        "element_count": 2, "unexpected_count": 1, "unexpected_percent": 50.0, "missing_count": 0, "missing_percent": 0.0,
        "unexpected_percent_total": 50.0, "unexpected_percent_nonmissing": 50.0, "partial_unexpected_list": [5],
    }  # fmt: skip


def test_an_expectation_outside_a_judgement_may_change(settings: Settings) -> None:
    check(settings, pa.table({"v": ["a"]}), column("string", required=True))  # configurations are remembered within
    import great_expectations.expectations as gxe

    expectation = gxe.ExpectColumnValuesToBeBetween(column="v", max_value=1)
    assert expectation.configuration.kwargs["max_value"] == 1
    expectation.max_value = 2
    assert expectation.configuration.kwargs["max_value"] == 2
