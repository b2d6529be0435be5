"""Outputs made from staged inputs."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from airflow_dataproducts.engine import lineage, staging
from airflow_dataproducts.engine.masking import shape
from airflow_dataproducts.engine.moment import Moment
from airflow_dataproducts.engine.storage import open_place
from airflow_dataproducts.engine.transforms import transform
from airflow_dataproducts.exceptions import TransformError
from airflow_dataproducts.manifest.outputs import Output
from airflow_dataproducts.plan import TransformStep

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataproducts.settings import Settings

THINGS = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int64()),
        "amount": ["1.10", "2.20", None],
        "day": ["2026-01-01", "2026-01-02", "2026-01-03"],
        "email": ["bob@example.com", None, "x"],
    }
)


class Bench:
    """Runs transforms in a folder of the test's own."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings

    def run(
        self, columns: dict[str, str], sql: str | None = None, function: str | None = None, **tables: pa.Table
    ) -> pa.Table:
        contract = {"columns": [{"name": name, "type": kind} for name, kind in columns.items()]}
        step = TransformStep("out", Output.model_validate({"contract": contract}), sql, function, str(self.folder))
        place = open_place(str(self.folder / "staged")) / "out"
        inputs = {name: pads.dataset(table) for name, table in (tables or {"things": THINGS}).items()}
        return staging.read(transform(step, inputs, partial(staging.save, place), self.settings, NOON)).to_table()


NOON = Moment("r1", *[dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)] * 3)


@pytest.fixture
def bench(tmp_path: Path, settings: Settings) -> Bench:
    return Bench(tmp_path, settings)


def test_text_becomes_the_contracts_types(bench: Bench) -> None:
    table = bench.run({"day": "date", "amount": "decimal(12,2)", "id": "integer"}, "SELECT * FROM things")
    assert table.schema.names == ["day", "amount", "id"]
    assert table.schema.types == [pa.date32(), pa.decimal128(12, 2), pa.int32()]
    assert table["amount"].to_pylist() == [Decimal("1.10"), Decimal("2.20"), None]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("string", pa.string()), ("integer", pa.int32()), ("bigint", pa.int64()), ("decimal(38,0)", pa.decimal128(38, 0)),
        ("float", pa.float32()), ("double", pa.float64()), ("boolean", pa.bool_()), ("date", pa.date32()), ("time", pa.time64("us")),
        ("timestamp", pa.timestamp("us")), ("timestamptz", pa.timestamp("us", "UTC")), ("uuid", pa.string()), ("json", pa.string()),
        ("binary", pa.binary()),
    ],
)  # fmt: skip
def test_every_type_has_its_arrow(bench: Bench, kind: str, expected: pa.DataType) -> None:
    assert bench.run({"v": kind}, "SELECT NULL AS v").schema.field("v").type == expected


def test_nested_types(bench: Bench) -> None:
    table = bench.run({"v": "array<struct<a: integer, b: string>>"}, "SELECT [{'a': 1, 'b': 'x'}] AS v")
    assert table["v"].to_pylist() == [[{"a": 1, "b": "x"}]]


@pytest.mark.parametrize(
    ("columns", "sql", "message"),
    [
        ({"idd": "integer"}, "SELECT * FROM things", "the contract's column idd is not in the result; did you mean id? (it has id, amount, day, email)"),
        ({"amount": "integer", "email": "double"}, "SELECT * FROM things", "column email, a VARCHAR, has 2 value(s) that are no double, such as one shaped 'xxx@xxxxxxx.xxx'"),
        ({"id": "date"}, "SELECT * FROM things", "column id, a BIGINT, has 3 value(s) that are no date, such as one shaped '9'"),
        ({"id": "struct<b: integer>"}, "SELECT {'a': 1} AS id", "column id is STRUCT(a INTEGER), which cannot become the contract's struct<b: integer>"),
        ({"id": "uuid"}, "SELECT email AS id FROM things", "column id, a VARCHAR, has 2 value(s) that are no uuid"),
        ({"id": "integer"}, "SELECT * FROM thngs", "Table with name thngs does not exist! Did you mean"),
        ({"id": "integer"}, "SELECT idd FROM things", "column \"idd\" not found"),
        ({"id": "integer"}, "SELECT 1 AS id; SELECT 2 AS id", "a transform is one SELECT; found 2 statement(s)"),
        ({"id": "integer"}, "DROP TABLE things", "a transform is one SELECT; found 1 statement(s)"),
        ({"id": "integer"}, "SELEC 1", "syntax error"),
        ({"id": "integer"}, "SELECT CAST(email AS INTEGER) AS id FROM things", "'xxx@xxxxxxx.xxx'"),
        ({"id": "integer"}, "SELECT id FROM things WHERE amount > 1.5", "(line 1 of the SQL); columns of CSV files arrive as text: cast"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_one_line_without_values(
    bench: Bench, columns: dict[str, str], sql: str, message: str
) -> None:
    with pytest.raises(TransformError) as caught:
        bench.run(columns, sql)
    text = str(caught.value)
    assert text.startswith("output out: ")
    assert message in text
    assert "\n" not in text
    assert "bob" not in text


FUNCTIONS = """
import pandas as pd
import polars as pl
import pyarrow as pa

def arrow(things: pa.Table) -> pa.Table: return things
def plain(things): return things.slice(0, 1)
def reader(things: pa.RecordBatchReader): return things
def frame(things: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame: return things.merge(others, on="id")
def fast(things: pl.DataFrame) -> pl.DataFrame: return things.filter(pl.col("id") > 1)
def lazy(things: "pl.LazyFrame"): return things.filter(pl.col("id") > 2)
def wrong(gone): return gone
def kind(things: int): return things
def number(things): return 5
def broken(things):
    raise ValueError("bob@example.com is bad")
"""


@pytest.mark.parametrize(
    ("name", "ids"),
    [("arrow", [1, 2, 3]), ("plain", [1]), ("reader", [1, 2, 3]), ("frame", [2]), ("fast", [2, 3]), ("lazy", [3])],
)
def test_functions_take_and_return_what_they_are_annotated_with(bench: Bench, name: str, ids: list[int]) -> None:
    (bench.folder / "own.py").write_text(FUNCTIONS)
    tables: dict[str, Any] = {"things": THINGS, "others": pa.table({"id": pa.array([2], pa.int64())})}
    table = bench.run({"id": "bigint", "amount": "decimal(12,2)"}, function=f"own:{name}", **tables)
    assert table["id"].to_pylist() == ids
    assert table.schema.field("amount").type == pa.decimal128(12, 2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own:wrong", "own:wrong asks for 'gone', which is no input (there are things)"),
        ("own:kind", "asks for a builtins.int; a parameter is a pyarrow.Table"),
        ("own:number", "returned a int; return a pyarrow, pandas or polars table"),
        ("own:broken", "own:broken failed with ValueError at line 16 of own.py"),
        ("own:none", "the module has no function none"),
        ("nowhere.to_be:found", "put nowhere.to_be.py beside the manifest or install it"),
    ],
)
def test_functions_that_do_not_fit(bench: Bench, name: str, message: str) -> None:
    (bench.folder / "own.py").write_text(FUNCTIONS)
    with pytest.raises(TransformError) as caught:
        bench.run({"id": "bigint"}, function=name)
    assert message in str(caught.value)
    assert "bob" not in str(caught.value)


def test_shapes_tell_nothing() -> None:
    assert shape("Zoë 1985-02-03") == "xxx 9999-99-99"
    assert shape(None) == "NULL"
    assert len(shape("y" * 500)) == 40


@pytest.mark.parametrize(
    ("sql", "links"),
    [
        ("SELECT id, upper(word) AS word FROM things", {("id", "things", "id"), ("word", "things", "word")}),
        ("SELECT * FROM things", {("id", "things", "id"), ("word", "things", "word")}),
        (
            "WITH w AS (SELECT id, word || other AS word FROM things JOIN more USING (id)) SELECT * FROM w",
            {("id", "things", "id"), ("id", "more", "id"), ("word", "things", "word"), ("word", "more", "other")},
        ),
        ("SELECT 1 AS id, 'x' AS word FROM things WHERE day = $run_date", set()),
        ("SELECT id, word FROM things UNION ALL SELECT id, other FROM more", {
            ("id", "things", "id"), ("id", "more", "id"), ("word", "things", "word"), ("word", "more", "other")}),
        ("FROM things PIVOT nonsense", set()),
    ],
)  # fmt: skip
def test_columns_are_traced(sql: str, links: set[tuple[str, str, str]]) -> None:
    contract = {"columns": [{"name": "id", "type": "integer"}, {"name": "word", "type": "string"}]}
    step = TransformStep("out", Output.model_validate({"contract": contract}), sql, None, ".")
    tables = {"things": ["id", "word", "day"], "more": ["id", "other"]}
    found = lineage.links(step, tables)
    assert {(each.output_column, each.table, each.column) for each in found if each.output_column} == links
    named = {each.table for each in found if not each.output_column}
    assert named == {name for name in tables if f" {name}" in sql}
