"""Rules on the table as a whole, on other tables, on data that is not what the contract says, and users' own expectations."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from airflow_dataproducts.contract.checks import compile_contract
from airflow_dataproducts.engine import duck, staging
from airflow_dataproducts.engine.storage import open_place
from airflow_dataproducts.engine.transforms.cast import to_contract
from airflow_dataproducts.engine.validation import Before, Tables, validate
from airflow_dataproducts.engine.validation import keys as keys_module
from airflow_dataproducts.engine.validation.keys import KeySearch
from airflow_dataproducts.exceptions import ConfigurationError
from airflow_dataproducts.manifest.outputs import Output
from airflow_dataproducts.manifest.types import PRIMITIVES
from airflow_dataproducts.plan import ValidateStep
from tests.integration.test_validation import check, column

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataproducts.engine.validation.results import CheckResult, Validation
    from airflow_dataproducts.settings import Settings

KINDS = [
    *(kind for kind in PRIMITIVES if kind != "decimal"), "varchar(3)", "decimal(5,2)", "array<string>", "array<uuid>", "array<array<json>>",
    "struct<a: integer, B: string>", "array<struct<sku: string, n: decimal(4,1)>>", "struct<t: timestamptz, f: float, u: uuid>",
]  # fmt: skip
NUMBERS = pa.table({"v": pa.array([1, 2, 3, 4, None], pa.int64())})


def only(found: Validation, name: str) -> CheckResult:
    (result,) = [each for each in found.results if each.check == name]
    return result


@pytest.mark.parametrize(
    ("measure", "good", "observed"),
    [
        ({"null_rate": {"max": "20%"}}, True, "0.2"),
        ({"null_rate": {"max": "19.9%"}}, False, "0.2"),
        ({"distinct_count": {"min": 4, "max": 4}}, True, "4"),
        ({"mean": {"min": 2.5, "max": 2.5}}, True, "2.5"),
        ({"mean": {"max": 2.4}}, False, "2.5"),
        ({"sum": {"min": 10}}, True, "10"),
        ({"stddev": {"max": 1.2}}, False, "1.2909944487358056"),
        ({"quantiles": {"p50": {"max": 2}}}, True, "2"),
        ({"quantiles": {"p75": {"max": 2}}}, False, "3"),
        ({"quantiles": {"p0": {"min": 1, "max": 1}}}, True, "1"),
    ],
)
def test_statistics(settings: Settings, measure: dict[str, Any], good: bool, observed: str) -> None:
    found = check(settings, NUMBERS, column("bigint"), rules=[{"name": "m", "column": "v", **measure}])
    result = only(found, "m")
    assert (result.success, result.observed, result.on_violation) == (good, observed, "warn")


def test_a_mean_of_cents_is_exact(settings: Settings) -> None:
    rows = pa.table({"v": pa.array([Decimal("0.10"), Decimal("0.20")], pa.decimal128(38, 2))})
    found = check(
        settings,
        rows,
        column("decimal(38,2)"),
        rules=[{"name": "m", "column": "v", "mean": {"min": 0.15, "max": 0.15}}],
    )
    assert only(found, "m").observed == "0.15"
    assert only(found, "m").success


def test_change_is_measured_against_published_runs(settings: Settings) -> None:
    rules = [{"name": "m", "column": "v", "mean": {"max_change": "10%", "window": 2}}]
    for past, holds in (((), True), (("2.5", "2.5"), True), (("2.5", "5"), False), (("2", "3", "99"), True)):
        assert only(check(settings, NUMBERS, column("bigint"), rules=rules, measured={"m": past}), "m").success is holds


def test_row_counts_of_several_runs(settings: Settings) -> None:
    rules = [{"name": "n", "row_count": {"max_change": "10%", "window": 3}}]
    for past, holds in ((("5", "5"), True), (("10", "1", "4"), True), (("10", "10"), False)):
        assert only(check(settings, NUMBERS, column("bigint"), rules=rules, measured={"n": past}), "n").success is holds


@pytest.mark.parametrize(
    ("kind", "newest", "old"),
    [
        ("timestamp", pa.array([dt.datetime(2020, 1, 1), None], pa.timestamp("us")), True),  # noqa: DTZ001 - no zone
        ("timestamptz", pa.array([dt.datetime.now(dt.UTC)], pa.timestamp("us", "UTC")), False),
        ("date", pa.array([dt.datetime.now(dt.UTC).date()], pa.date32()), False),
        ("date", pa.array([dt.datetime.now(dt.UTC).date() - dt.timedelta(days=3)], pa.date32()), True),
        ("date", pa.array([dt.date.max], pa.date32()), False),
        ("timestamp", pa.array([None], pa.timestamp("us")), True),
    ],
)
def test_freshness(settings: Settings, kind: str, newest: pa.Array, old: bool) -> None:
    found = check(
        settings, pa.table({"v": newest}), column(kind), rules=[{"name": "f", "column": "v", "freshness": "1h"}]
    )
    assert only(found, "f").success is not old


def test_what_is_there_already_keeps_a_table_fresh(settings: Settings) -> None:
    now = pa.table({"v": pa.array([dt.datetime.now(dt.UTC)], pa.timestamp("us", "UTC"))})
    before = pa.table({"v": pa.array([dt.datetime(2020, 1, 1, tzinfo=dt.UTC)], pa.timestamp("us", "UTC"))})
    rules = [{"name": "f", "column": "v", "freshness": "1h"}]
    for mode, holds in (("append", True), ("replace", False)):
        found = check(
            settings, before, column("timestamptz"), now, publish={"to": "parquet", "mode": mode}, rules=rules
        )
        assert only(found, "f").success is holds


def test_keys_of_the_whole_table(settings: Settings) -> None:
    new, there = pa.table({"v": [1, 2], "w": ["a", "b"]}), pa.table({"v": [2, 3], "w": ["c", "b"]})
    columns: list[dict[str, Any]] = [{"name": "v", "type": "bigint"}, {"name": "w", "type": "string", "unique": True}]

    def broken(mode: str, **more: Any) -> dict[str, int]:
        found = check(settings, new, columns, there, publish={"to": "parquet", "mode": mode}, **more)
        return {each.check: each.unexpected for each in found.failures}

    assert broken("replace", primary_key=["v"]) == {}
    assert broken("append", primary_key=["v"]) == {"primary_key": 1, "w.unique": 1}
    assert broken("merge", primary_key=["v"]) == {"w.unique": 1}  # the row with v=3 stays, and has w=b
    own = [{"name": "own", "columns": ["v", "w"], "unique": True, "scope": "run"}]
    assert "own" not in broken("append", rules=own)


def test_sql_over_the_whole_table(settings: Settings) -> None:
    new, there = pa.table({"v": [1, 2]}), pa.table({"v": [3, 4]})
    sql = "SELECT count(*) FROM t WHERE v > 1"
    for scope, mode, counted in (("run", "append", 1), ("table", "append", 3), ("table", "replace", 1)):
        rules = [{"name": "s", "sql": sql, "scope": scope}]
        found = check(settings, new, column("bigint"), there, publish={"to": "parquet", "mode": mode}, rules=rules)
        assert only(found, "s").unexpected == counted, (scope, mode)


def test_a_share_of_violations(settings: Settings) -> None:
    for share, holds in (("40%", True), ("39%", False)):
        rules = [{"name": "s", "sql": "SELECT count(*) FROM t WHERE v > 2", "threshold": share}]
        assert only(check(settings, NUMBERS, column("bigint"), rules=rules), "s").success is holds


def test_references_to_inputs(settings: Settings) -> None:
    known = {"known": pa.table({"id": [1, 2, None], "kind": ["a", "b", "c"]})}
    found = check(settings, NUMBERS, column("bigint", references="known.id", on_violation="quarantine"), inputs=known)
    result = only(found, "v.references")
    assert (result.unexpected, result.samples, found.quarantined) == (2, ("3", "4"), 2)
    pairs = pa.table({"v": [1, 2, None], "w": ["a", "a", "zz"]})
    columns = [{"name": "v", "type": "bigint"}, {"name": "w", "type": "string"}]
    rules = [{"name": "pair", "columns": ["v", "w"], "references": {"input": "known", "columns": ["id", "kind"]}}]
    assert only(check(settings, pairs, columns, inputs=known, rules=rules), "pair").unexpected == 1


FOREIGN: list[tuple[str, pa.Table, dict[str, Any], dict[str, str]]] = [
    # what, rows, the contract's column, the checks that break and their notes
    ("narrower", pa.table({"v": pa.array([1], pa.int8())}), {"type": "bigint"}, {}),
    ("wider and fits", pa.table({"v": pa.array([1.5])}), {"type": "float"}, {}),
    ("wider and does not fit", pa.table({"v": pa.array([2**40])}), {"type": "integer"}, {"v.type": ""}),
    ("text for a number", pa.table({"v": pa.array(["1"])}), {"type": "bigint"}, {"v.type": ""}),
    ("lost digits", pa.table({"v": pa.array([Decimal("0.123")], pa.decimal128(5, 3))}), {"type": "decimal(5,2)"}, {"v.type": ""}),
    ("nanoseconds", pa.table({"v": pa.array([1], pa.timestamp("ns"))}), {"type": "timestamp"}, {}),
    ("missing", pa.table({"w": [1]}), {"type": "bigint", "min": 1, "required": True}, {
        "columns": "", "v.type": "the data has no column v", "v.required": "the data has no column v", "v.range": "the data has no column v",
    }),
    ("extra", pa.table({"v": [1], "w": [1]}), {"type": "bigint"}, {"columns": ""}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "wanted", "broken"), [case[1:] for case in FOREIGN], ids=[case[0] for case in FOREIGN]
)
def test_data_that_is_not_what_the_contract_says(
    settings: Settings, rows: pa.Table, wanted: dict[str, Any], broken: dict[str, str]
) -> None:
    found = check(settings, rows, [{"name": "v", **wanted}])
    assert {each.check: each.note for each in found.failures} == broken


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_run_makes_is_of_its_contracts_types(settings: Settings, tmp_path: Path, kind: str) -> None:
    """Of every type, nested ones too, as the transform casts and staging keeps it."""
    output = Output.model_validate({"contract": {"columns": column(kind)}, "publish": {"to": "parquet"}})
    with duck.session(settings) as connection:
        made = to_contract(connection, "t", "(SELECT NULL AS v)", output.contract)
        staged = staging.write(open_place(str(tmp_path)), duck.stream(made))
    step = ValidateStep("t", output, compile_contract(output.contract))
    assert not validate(step, Tables({"t": staging.read(staged)}), settings).failures


def test_text_is_what_it_can_be_read_as(settings: Settings) -> None:
    output = Output.model_validate({"contract": {"columns": column("integer", min=2)}, "publish": {"to": "parquet"}})
    step = ValidateStep("t", output, compile_contract(output.contract))
    rows = pads.dataset(pa.table({"v": ["1", "2", "x", None]}))
    found = validate(step, Tables({"t": rows}), settings, Before(), says_types=False)
    assert {each.check: (each.unexpected, each.samples) for each in found.failures} == {
        "v.type": (1, ("x",)), "v.range": (1, ("1",)),
    }  # fmt: skip


@pytest.mark.filterwarnings(
    "ignore:.*row_condition.*:DeprecationWarning", "ignore:.*condition_parser.*:DeprecationWarning"
)
def test_what_the_scan_cannot_measure_runs_on_great_expectations(settings: Settings) -> None:
    rows = pa.table({"v": ["anna", "otto", "bob!"], "n": [1, 2, 30]})
    columns = [{"name": "v", "type": "string"}, {"name": "n", "type": "bigint"}]
    expectations = [
        {"type": "expect_column_median_to_be_between", "kwargs": {"column": "n", "max_value": 1}, "severity": "low"},
        {"type": "tests.integration.own_expectations:ExpectPalindromes", "kwargs": {"column": "v"}, "name": "mirror"},
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "n", "max_value": 9, "row_condition": "n < 20", "condition_parser": "pandas"}},
        {"type": "ExpectColumnValuesToBeInSet", "kwargs": {"column": "v", "value_set": ["anna"], "mostly": 0.3}, "name": "set"},
    ]  # fmt: skip
    found = check(settings, rows, columns, expectations=expectations)
    told = {
        each.check: (each.success, each.unexpected, each.on_violation)
        for each in found.results
        if each.check not in {"columns", "v.type", "n.type", "not_empty"}
    }
    assert told == {
        "n.expect_column_median_to_be_between": (False, 0, "warn"),
        "mirror": (False, 1, "fail"),
        "n.expect_column_values_to_be_between": (True, 0, "fail"),
        "set": (True, 2, "fail"),
    }  # fmt: skip
    assert only(found, "mirror").samples == ("bob!",)
    assert [len(document["results"]) for document in found.gx] == [5, 3]


def test_expectations_never_show_personal_data(settings: Settings) -> None:
    rows = pa.table({"v": ["anna", "bob"]})
    columns = [{"name": "v", "type": "string", "pii": "name"}]
    expectations = [
        {"type": "expect_column_distinct_values_to_be_in_set", "kwargs": {"column": "v", "value_set": ["x"]}},
        {"type": "expect_column_most_common_value_to_be_in_set", "kwargs": {"column": "v", "value_set": ["x"]}},
        {"type": "tests.integration.own_expectations:ExpectPalindromes", "kwargs": {"column": "v"}},
    ]
    found = check(settings, rows, columns, expectations=expectations)
    assert len(found.failures) == 2
    kept = json.dumps([found.gx, found.rows_as_dicts()], default=str)
    assert "anna" not in kept
    assert "bob" not in kept


@pytest.mark.parametrize(
    ("expectation", "message"),
    [
        ({"type": "no.such_module:Expect"}, "cannot be loaded: No module named"),
        ({"type": "tests.integration.own_expectations:Gone"}, "cannot be loaded"),
        (
            {"type": "expect_column_median_to_be_between", "kwargs": {"column": "v", "most": 1}},
            "does not take these kwargs",
        ),
    ],
)
def test_expectations_that_cannot_be(settings: Settings, expectation: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check(settings, NUMBERS, column("bigint"), expectations=[expectation])


def test_more_hashes_than_fit(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many hashes go to files by their highest bits; the answer is the same."""
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(keys_module, "KEPT_IN_MEMORY", 1_000)
    with duck.session(settings) as connection, ThreadPoolExecutor(1) as pool:
        connection.execute(
            "CREATE TABLE t AS SELECT CASE WHEN i % 1000 = 7 THEN i - 1 ELSE i END AS v FROM range(25_000) r(i)"
        )
        assert KeySearch(connection, "t", ["v"], "found").begin(pool).end() == 50
        sharing = keys_module.SHARING
        asked = f"SELECT count(*), min({sharing}), max({sharing}) FROM found"
        assert connection.execute(asked).fetchall() == [(25, 2, 2)]
