"""Any contract over any rows: the scan against plain Python, and against Great Expectations on pandas where that is right."""

from __future__ import annotations

import datetime as dt
import math
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.contract.checks import compile_contract
from airflow_dataproducts.engine.validation import Tables, validate
from airflow_dataproducts.engine.validation.gx import import_gx, new_context, run_on_rows
from airflow_dataproducts.engine.validation.suite import build_suite
from airflow_dataproducts.manifest.outputs import Output
from airflow_dataproducts.plan import ValidateStep
from airflow_dataproducts.settings import Settings

if TYPE_CHECKING:
    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.engine.validation.results import Validation

pytestmark = pytest.mark.slow
LIMITS = Settings("", "", "", "200MB", 2)
MOMENTS = st.datetimes(min_value=dt.datetime(1, 1, 2), max_value=dt.datetime(9999, 12, 30))  # noqa: DTZ001 - no zone
WORDS = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=5)


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    top = 10**precision - 1
    edges = st.sampled_from([0, 1, -1, top, -top, 10 ** (precision // 2)])
    return (edges | st.integers(-top, top)).map(lambda digits: Decimal(f"{digits}E-{scale}"))


BIG = st.sampled_from([0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]) | st.integers(
    -(2**63), 2**63 - 1
)
SMALL = st.integers(-3, 3) | st.sampled_from([2**31 - 1, -(2**31)])
FLOATS = st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 0.1, 1e300]) | st.floats()


@dataclass(frozen=True)
class Kind:
    """A column type with its Arrow type, its values, and which rules it may have."""

    name: str
    arrow: pa.DataType
    values: st.SearchStrategy[Any]
    bounded: bool = True
    listed: bool = True


KINDS = [
    Kind("string", pa.string(), st.sampled_from(["a", "b", "ab", "A", "é", "a\n", ""]) | WORDS, bounded=False),
    Kind("integer", pa.int32(), SMALL),
    Kind("bigint", pa.int64(), BIG),
    Kind("decimal(5,2)", pa.decimal128(5, 2), decimals(5, 2)),
    Kind("decimal(38,0)", pa.decimal128(38, 0), decimals(38, 0)),
    Kind("decimal(38,38)", pa.decimal128(38, 38), decimals(38, 38)),
    Kind("double", pa.float64(), FLOATS),
    Kind("boolean", pa.bool_(), st.booleans(), bounded=False),
    Kind("date", pa.date32(), st.dates()),
    Kind("timestamp", pa.timestamp("us"), MOMENTS),
    Kind("timestamptz", pa.timestamp("us", "UTC"), MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.UTC))),
    Kind("time", pa.time64("us"), st.times()),
]
PATTERNS = st.sampled_from(["a", "^a$", r"^\w*$", r"\d", "^[ab]+", r"\Aa\Z", "(?i)A", "a(?=b)", r"^.?$", "b|é$"])


def written(value: Any) -> Any:
    """A value as a manifest writes it."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value


@st.composite
def columns(draw: st.DrawFn, name: str, rows: int) -> tuple[dict[str, Any], pa.Array]:
    """A column's contract and its values, dirty in every way the type allows."""
    kind = draw(st.sampled_from(KINDS))
    some = draw(st.lists(kind.values, min_size=1, max_size=4))
    values = draw(st.lists(st.none() | st.sampled_from(some) | kind.values, min_size=rows, max_size=rows))
    usable = [value for value in some if not (isinstance(value, float) and not math.isfinite(value))]
    rules: dict[str, Any] = {}
    for rule in ("required", "unique"):
        if draw(st.booleans()):
            rules[rule] = True
    if usable and kind.listed and draw(st.booleans()):
        rules["enum"] = [written(value) for value in usable]
    if usable and kind.bounded and draw(st.booleans()):
        low, high = sorted((draw(st.sampled_from(usable)), draw(st.sampled_from(usable))))
        sides = draw(st.sampled_from([("min", "max"), ("exclusive_min", "max"), ("min", "exclusive_max"), ("min", None), (None, "exclusive_max")]))  # fmt: skip
        rules.update({side: written(bound) for side, bound in zip(sides, (low, high), strict=True) if side})
    if kind.name == "string":
        if draw(st.booleans()):
            rules["pattern"] = draw(PATTERNS)
        if draw(st.booleans()):
            rules["min_length"], rules["max_length"] = sorted((draw(st.integers(0, 3)), draw(st.integers(0, 4))))
    if kind.name in {"integer", "bigint", "decimal(5,2)"} and draw(st.booleans()):
        rules["multiple_of"] = draw(st.sampled_from([1, 2, 7, 0.5, 0.25] if kind.name.startswith("dec") else [1, 2, 7]))
    if draw(st.booleans()):
        rules["mostly"] = draw(st.sampled_from(["50%", "90%", "33.4%"]))
    return {"name": name, "type": kind.name, **rules}, pa.array(values, kind.arrow)


@st.composite
def cases(draw: st.DrawFn) -> tuple[ValidateStep, pa.Table]:
    """A contract and rows for it."""
    rows = draw(st.sampled_from([0, 1, 2, 3, 8, 25]))
    names = ["a", "b", "c c"][: draw(st.integers(1, 2))]
    drawn = [draw(columns(name, rows)) for name in names]
    contract: dict[str, Any] = {
        "columns": [column for column, _ in drawn],
        "rules": [{"name": "n", "row_count": {"min": 0}}],
    }
    if len(names) > 1:
        contract["rules"].append({"name": "pair", "columns": names, "unique": True})
    if draw(st.booleans()):
        contract["primary_key"] = names[:1]
    try:
        output = Output.model_validate({"contract": contract, "publish": {"to": "parquet"}})
    except ValidationError:
        assume(False)
        raise
    table = pa.table({name: values for name, (_, values) in zip(names, drawn, strict=True)})
    return ValidateStep("t", output, compile_contract(output.contract)), table


def stored(table: pa.Table, folder: Path, files: int, groups: int) -> pads.Dataset:
    """The rows in several Parquet files of several row groups."""
    size = max(1, math.ceil(table.num_rows / files))
    for number in range(files):
        pq.write_table(
            table.slice(number * size, size), folder / f"{number}.parquet", row_group_size=max(1, size // groups)
        )
    return pads.dataset(sorted(str(file) for file in folder.iterdir()), format="parquet")


def checked(step: ValidateStep, table: pa.Table, files: int = 1, groups: int = 1) -> Validation:
    with tempfile.TemporaryDirectory(prefix="dp-parity-") as name:
        return validate(step, Tables({"t": stored(table, Path(name), files, groups)}), LIMITS)


def key(value: Any) -> Any:
    """A value as keys compare it: NaN is itself, and both zeros are one."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    return value


def oracle(check: Check, table: pa.Table) -> tuple[bool, int]:
    """Whether a row rule holds, and how many rows break it, in plain Python."""
    values = [tuple(row[name] for name in check.columns) for row in table.to_pylist()]
    given_ = [row for row in values if None not in row]
    rule = check.rule
    if isinstance(rule, r.NotNull):
        broken, base = len(values) - len(given_), len(values)
    elif isinstance(rule, r.Unique):
        counts = Counter(tuple(map(key, row)) for row in given_)
        broken, base = sum(count for count in counts.values() if count > 1), len(given_)
    else:
        broken, base = sum(not holds(rule, row[0]) for row in given_), len(given_)
    return broken == 0 or Decimal(base - broken) >= check.mostly * base, broken


def holds(rule: r.Rule, value: Any) -> bool:
    match rule:
        case r.Matches(regex):
            return re.search(regex, value) is not None
        case r.OneOf(values):
            return any(value == each for each in values)
        case r.LengthBetween(low, high):
            return (low or 0) <= len(value) and (high is None or len(value) <= high)
        case r.MultipleOf(number):
            return Decimal(value) % number == 0
        case r.Between(low, high, strict_low, strict_high):
            above = low is None or (value > low if strict_low else value >= low)
            below = high is None or (value < high if strict_high else value <= high)
            return bool(above and below) and value == value  # noqa: PLR0124 - NaN is in no range
    raise TypeError(rule)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(case=cases(), files=st.integers(1, 3), groups=st.integers(1, 3))
def test_against_plain_python(case: tuple[ValidateStep, pa.Table], files: int, groups: int) -> None:
    step, table = case
    found = {each.check: each for each in checked(step, table, files, groups).results}
    for check in step.checks:
        if check.names_rows:
            result = found[check.name]
            assert (result.success, result.unexpected) == oracle(check, table), check
            assert not result.note
        else:
            assert found[check.name].success, check


PLAIN = {"string", "integer", "boolean"}
"""Types that GX on pandas compares as contracts mean it."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(case=cases())
def test_against_gx_on_pandas(case: tuple[ValidateStep, pa.Table]) -> None:
    step, table = case
    kinds = {column.name: column.type.name for column in step.output.contract.columns}
    same = [check for check in step.checks if check.names_rows and {kinds[name] for name in check.columns} <= PLAIN and not isinstance(check.rule, r.MultipleOf)]  # fmt: skip
    assume(same and table.num_rows)
    import_gx()
    judged = run_on_rows(new_context(), build_suite(step, same), table.to_pandas(types_mapper=pd.ArrowDtype))
    ours = {each.check: each for each in checked(step, table).results}
    for each in judged.results:
        name = each.expectation_config.meta["check"]
        assert not each.exception_info.get("raised_exception"), each.exception_info
        stock = (bool(each.success), each.result["unexpected_count"])
        assert (ours[name].success, ours[name].unexpected) == stock, name


WRONG = [
    # what, arrow values, column, rows that break it by the contract's meaning
    (
        "a decimal on its bound",
        pa.array([Decimal("0.10")], pa.decimal128(5, 2)),
        {"type": "decimal(5,2)", "min": 0.1},
        0,
    ),
    ("an integer above 2^53", pa.array([2**53], pa.int64()), {"type": "bigint", "min": 2**53 + 1}, 1),
]


@pytest.mark.parametrize(("values", "column", "broken"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_where_gx_on_pandas_is_wrong(values: pa.Array, column: dict[str, Any], broken: int) -> None:
    """The contract's meaning wins; docs/validation.md tells these cases."""
    output = Output.model_validate({"contract": {"columns": [{"name": "v", **column}]}, "publish": {"to": "parquet"}})
    step = ValidateStep("t", output, compile_contract(output.contract))
    (check,) = [check for check in step.checks if check.names_rows]
    table = pa.table({"v": values})
    ours = next(each for each in checked(step, table).results if each.check == check.name)
    assert ours.unexpected == broken
    import_gx()
    (stock,) = run_on_rows(
        new_context(), build_suite(step, [check]), table.to_pandas(types_mapper=pd.ArrowDtype)
    ).results
    assert stock.result.get("unexpected_count") != broken, "GX has mended this: take it out of the page"
