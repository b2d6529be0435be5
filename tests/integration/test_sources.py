"""Inputs read from real places, exactly."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sqlite3
import threading
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from airflow_dataproducts.engine.connections import ConnectionInfo
from airflow_dataproducts.engine.sources import Published, Reading, open_source, postgres
from airflow_dataproducts.engine.sources.side_by_side import side_by_side
from airflow_dataproducts.exceptions import ConfigurationError, SourceChangedError, SourceError
from airflow_dataproducts.manifest.inputs import Input
from tests.integration.conftest import KnownConnections, info_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import psycopg

    from airflow_dataproducts.settings import Settings


def source(**fields: Any) -> Input:
    found: Input = TypeAdapter(Input).validate_python(fields)
    return found


def nothing(_source: object) -> Published:
    raise AssertionError


def read(settings: Settings, given: Input, *infos: ConnectionInfo, watermark: str | None = None) -> pa.Table:
    reading = Reading(KnownConnections(*infos), settings, nothing, watermark)
    with open_source("i", given, reading) as stream:
        return pa.Table.from_batches(list(stream.batches), stream.schema)


PG_TYPES: list[tuple[str, str, pa.DataType, Any]] = [
    ("smallint", "3", pa.int16(), 3),
    ("integer", "-2147483648", pa.int32(), -(2**31)),
    ("bigint", "9223372036854775807", pa.int64(), 2**63 - 1),
    ("numeric(12,2)", "1.10", pa.decimal128(12, 2), Decimal("1.10")),
    ("numeric(38,38)", "0.00000000000000000000000000000000000001", pa.decimal128(38, 38), Decimal(1).scaleb(-38)),
    (
        "numeric",
        "1.234567890123456789012345678901234567890123",
        pa.string(),
        "1.234567890123456789012345678901234567890123",
    ),
    ("numeric(50,2)", "1.10", pa.string(), "1.10"),
    ("real", "1.5", pa.float32(), 1.5),
    ("double precision", "'infinity'", pa.float64(), float("inf")),
    ("boolean", "true", pa.bool_(), True),
    ("text", "'Zürich 😀'", pa.string(), "Zürich 😀"),
    ("varchar(5)", "'ab'", pa.string(), "ab"),
    ("bytea", "'\\x00ff'", pa.binary(), b"\x00\xff"),
    ("date", "'0001-01-01'", pa.date32(), dt.date(1, 1, 1)),
    ("time", "'23:59:59.999999'", pa.time64("us"), dt.time(23, 59, 59, 999999)),
    ("timestamp", "'9999-12-31 23:59:59.999999'", pa.timestamp("us"), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)),  # noqa: DTZ001
    ("timestamptz", "'2026-01-01 10:00+02'", pa.timestamp("us", "UTC"), dt.datetime(2026, 1, 1, 8, tzinfo=dt.UTC)),
    ("uuid", "'6ecd8c99-4036-403d-bf84-cf8400f67836'", pa.string(), "6ecd8c99-4036-403d-bf84-cf8400f67836"),
    ("jsonb", "'{\"a\": 1}'", pa.string(), '{"a": 1}'),
    ("mood", "'ok'", pa.string(), "ok"),
    ("inet", "'10.0.0.1'", pa.string(), "10.0.0.1/32"),
    ("interval", "'1 day'", pa.string(), "1 day"),
    ("positive", "5", pa.int32(), 5),
    ("integer[]", "'{1,2}'", pa.list_(pa.int32()), [1, 2]),
]


@pytest.mark.parametrize(
    ("kind", "literal", "expected", "value"), PG_TYPES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_postgres_types_are_exact(
    database: psycopg.Connection, settings: Settings, kind: str, literal: str, expected: pa.DataType, value: Any
) -> None:
    database.execute("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS integer CHECK (value > 0)")
    database.execute(f"CREATE TABLE t (v {kind}); INSERT INTO t VALUES ({literal}), (NULL)".encode())
    table = read(settings, source(connection="db", table="public.t"), info_of(database))
    field = table.schema.field("v").type
    assert field == expected or (pa.types.is_list(field) and field.value_type == expected.value_type)
    assert table["v"].to_pylist() == [value, None]


def test_postgres_query_and_watermark(database: psycopg.Connection, settings: Settings) -> None:
    database.execute(
        "CREATE TABLE t AS SELECT i, timestamptz '2026-01-01 00:00+00' + i * interval '1 s' AS at FROM generate_series(1, 9) i"
    )
    by_query = source(connection="db", query="SELECT i FROM t WHERE i > 3 -- the last ones;", cursor="i")
    assert read(settings, by_query, info_of(database))["i"].to_pylist() == [4, 5, 6, 7, 8, 9]
    assert read(settings, by_query, info_of(database), watermark="7")["i"].to_pylist() == [8, 9]
    by_table = source(connection="db", table="t", cursor="at")
    assert read(settings, by_table, info_of(database), watermark="2026-01-01T00:00:07+00:00")["i"].to_pylist() == [8, 9]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"table": "gone"}, 'relation "gone" does not exist'),
        ({"query": "SELECT nope FROM t"}, 'column "nope" does not exist'),
        ({"query": "SELEKT"}, "syntax error"),
        ({"query": "SELECT 'NaN'::numeric(5,2) AS n"}, "column n holds NaN or infinity, which no decimal can"),
    ],
)
def test_a_source_that_is_not_what_it_was(
    database: psycopg.Connection, settings: Settings, given: dict[str, str], message: str
) -> None:
    database.execute("CREATE TABLE t (a integer)")
    with pytest.raises(SourceChangedError) as caught:
        read(settings, source(connection="db", **given), info_of(database))
    assert str(caught.value).startswith("input i: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_large_table_is_read_in_parts(
    database: psycopg.Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row once, all of one moment, whatever is written meanwhile."""
    monkeypatch.setattr(postgres, "PART_PAGES", 5)
    settings = dataclasses.replace(settings, threads=3)
    database.execute(
        "CREATE TABLE many AS SELECT i AS id, (i / 100.0)::numeric(12,2) AS x, repeat('a', 100) AS t FROM generate_series(1, 20000) i"
    )
    given = source(connection="db", table="many", cursor="id")
    reading = Reading(KnownConnections(info_of(database)), settings, nothing, "10")
    parts: list[int] = []

    def counted(given: Sequence[Callable[[], Iterator[pa.RecordBatch]]]) -> Iterator[pa.RecordBatch]:
        parts.append(len(given))
        return side_by_side(given)

    monkeypatch.setattr(postgres, "side_by_side", counted)
    before = set(threading.enumerate())
    with open_source("i", given, reading) as stream:
        first = next(stream.batches)
        database.execute("DELETE FROM many WHERE id % 2 = 0")
        database.execute("INSERT INTO many VALUES (99999, 1, 'new')")
        assert parts == [3]
        rows = pa.Table.from_batches([first, *stream.batches])
    assert sorted(rows["id"].to_pylist()) == list(range(11, 20001))
    assert rows.schema.field("x").type == pa.decimal128(12, 2)
    with open_source("i", given, reading) as stream:
        next(stream.batches)
        stream.batches.close()  # type: ignore[attr-defined]
    assert not set(threading.enumerate()) - before, "something reads on"


def test_a_source_that_breaks_off_is_worth_trying_again(database: psycopg.Connection, settings: Settings) -> None:
    database.execute("CREATE TABLE t AS SELECT i FROM generate_series(1, 200000) i")
    given = source(connection="db", query="SELECT 1 / (i - 150000) AS v FROM t")
    with pytest.raises(SourceError, match="input i: connection db: division by zero") as caught:
        read(settings, given, info_of(database))
    assert not isinstance(caught.value, SourceChangedError)


def test_a_server_that_is_down(settings: Settings, tmp_path: Path) -> None:
    info = ConnectionInfo("db", "postgres", host=str(tmp_path), login="me", password="hunter2", schema="x")
    with pytest.raises(SourceError) as caught:
        read(settings, source(connection="db", table="t"), info)
    assert "connection db" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(info)


def test_an_unknown_connection(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="no Airflow connection 'gone'"):
        read(settings, source(connection="gone", table="t"))


def sqlite(path: Path, script: str) -> ConnectionInfo:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return ConnectionInfo("lite", "sqlite", host=str(path))


def test_any_other_database_by_its_hook(settings: Settings, tmp_path: Path) -> None:
    info = sqlite(tmp_path / "x.db", "CREATE TABLE t (i integer, s text, f real, b blob); INSERT INTO t VALUES (1, 'a', 1.5, x'00'), (NULL, NULL, NULL, NULL), (3, 'c', 2, x'01')")  # fmt: skip
    table = read(settings, source(connection="lite", table="t", cursor="i"), info)
    assert table.schema.types == [pa.int64(), pa.string(), pa.float64(), pa.binary()]
    assert table.to_pylist()[1] == {"i": None, "s": None, "f": None, "b": None}
    assert read(settings, source(connection="lite", table="t", cursor="i"), info, watermark="1")["i"].to_pylist() == [3]


def test_a_column_that_changes_its_type_among_the_rows(settings: Settings, tmp_path: Path) -> None:
    rows = ", ".join(f"({i})" for i in range(25_000))
    info = sqlite(tmp_path / "x.db", f"CREATE TABLE t (v); INSERT INTO t VALUES {rows}, ('word')")
    with pytest.raises(SourceChangedError, match='column "v" changes its type among the rows; it began as int64'):
        read(settings, source(connection="lite", query="SELECT v FROM t ORDER BY rowid"), info)
    with pytest.raises(SourceChangedError, match="no such table: gone"):
        read(settings, source(connection="lite", table="gone"), info)


def test_csv_is_text_exactly_as_written_unless_typed(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('id;amount;note\n007;1.10;"a;b"\n008;NA;\n')
    options = {"delimiter": ";", "null_values": ["", "NA"]}
    table = read(settings, source(path=str(path), options=options))
    assert table.to_pylist() == [
        {"id": "007", "amount": "1.10", "note": "a;b"},
        {"id": "008", "amount": None, "note": None},
    ]
    typed = read(settings, source(path=str(path), options=options, types={"amount": "decimal(12,2)"}))
    assert typed.schema.field("amount").type == pa.decimal128(12, 2)
    with pytest.raises(SourceChangedError, match="has no column amnt \\(it has id, amount, note\\)"):
        read(settings, source(path=str(path), options=options, types={"amnt": "integer"}))
    path.write_text("id;amount;note\n1;bob@example.com;x\n")
    with pytest.raises(SourceChangedError) as caught:
        read(settings, source(path=str(path), options=options, types={"amount": "integer"}))
    assert "bob" not in str(caught.value)


def test_json_lines_and_arrays(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1, "b": {"c": [1, 2]}}\n{"a": null}\n')
    (tmp_path / "b.json").write_text(json.dumps([{"a": 2, "d": "x"}]))
    assert read(settings, source(path=str(tmp_path / "a.jsonl"))).to_pylist() == [
        {"a": 1, "b": {"c": [1, 2]}},
        {"a": None, "b": None},
    ]
    assert read(settings, source(path=str(tmp_path / "b.json"))).to_pylist() == [{"a": 2, "d": "x"}]


def test_parquet_files_of_different_age(settings: Settings, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([1], pa.int32())}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": pa.array([2], pa.int64()), "b": ["x"]}), tmp_path / "2.parquet")
    for path in (tmp_path, tmp_path / "*.parquet"):
        table = read(settings, source(path=str(path), format="parquet"))
        assert table.to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


@pytest.mark.parametrize(
    ("name", "content", "given", "message"),
    [
        ("x.parquet", b"not parquet", {}, "cannot be read"),
        ("x.json", b'{"a": ', {}, "cannot be read"),
        ("x.bin", b"", {}, "tells no format; say format: parquet, csv or json"),
        ("y.csv", b"a\n1\n", {"path": "z.csv"}, "no file at"),
    ],
)
def test_files_that_cannot_be_read(
    settings: Settings, tmp_path: Path, name: str, content: bytes, given: dict[str, str], message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read(settings, source(path=str(tmp_path / given.get("path", name))))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_in_object_storage(settings: Settings, tmp_path: Path, bucket: str, s3_server: str) -> None:
    client = boto3.client("s3", endpoint_url=s3_server)
    client.put_object(Bucket=bucket, Key="raw/a.csv", Body=b"id,v\n1,NA\n")
    client.put_object(Bucket=bucket, Key="raw/b.csv", Body=b"id,v\n2,x\n")
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "x.parquet")
    client.upload_file(str(tmp_path / "x.parquet"), bucket, "tables/x.parquet")
    table = read(settings, source(path=f"s3://{bucket}/raw/*.csv", options={"null_values": "NA"}))
    assert table.to_pylist() == [{"id": "1", "v": None}, {"id": "2", "v": "x"}]
    assert read(settings, source(path=f"s3://{bucket}/tables/x.parquet"))["a"].to_pylist() == [1, 2]
    info = ConnectionInfo("aws", "aws", login="key", password="secret", extra={"endpoint_url": s3_server})
    assert read(settings, source(path=f"s3://{bucket}/tables/", connection="aws"), info).num_rows == 2
    with pytest.raises(SourceChangedError, match="no file at s3://"):
        read(settings, source(path=f"s3://{bucket}/gone/*.csv"))
