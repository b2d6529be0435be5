"""Publishing: whole versions only, once per run, in every mode and to every target."""

from __future__ import annotations

import datetime as dt
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from airflow_dataproducts.engine import layout, staging, storage
from airflow_dataproducts.engine.storage import open_place
from airflow_dataproducts.engine.targets import Keep, open_published
from airflow_dataproducts.exceptions import PublishError, SourceChangedError, SourceError
from tests.integration.conftest import info_of
from tests.integration.shelf import COLUMNS, Shelf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_dataproducts.settings import Settings

NOTHING_THERE = "http://127.0.0.1:1"  # port 1 is tcpmux's, that nobody serves
AT_ONCE = Keep(3, dt.timedelta(seconds=-5))
"""Three versions, however young the others are."""


def test_replace(shelf: Shelf) -> None:
    assert shelf.publish("r1", {1: "a", 2: "b"}).rows == 2
    assert shelf.seen() == {1: "a", 2: "b"}
    assert shelf.publish("r2", {3: "c"}).rows == 1
    assert shelf.seen() == {3: "c"}


def test_append(shelf: Shelf) -> None:
    shelf.publish("r1", {1: "a"}, "append")
    assert shelf.publish("r2", {2: "b"}, "append").rows == 2
    assert shelf.seen() == {1: "a", 2: "b"}


def test_merge(shelf: Shelf) -> None:
    shelf.publish("r1", {1: "a", 2: "b"}, "merge")
    assert shelf.publish("r2", {2: "B", 3: "c"}, "merge").rows == 3
    assert shelf.seen() == {1: "a", 2: "B", 3: "c"}


def test_replace_partition(shelf: Shelf) -> None:
    shelf.publish_to["partition_by"] = ["p"]
    shelf.publish("r1", {1: "a", 2: "b", 3: "c"}, "replace-partition")
    assert shelf.publish("r2", {5: "e"}, "replace-partition").rows == 2
    assert shelf.seen() == {2: "b", 5: "e"}
    assert shelf.publish("r3", {}, "replace-partition").rows == 2
    shelf.publish("r4", {}, "replace-partition", table=things([(7, "g", None)]))
    shelf.publish("r5", {}, "replace-partition", table=things([(8, "h", None)]))
    assert shelf.seen() == {2: "b", 5: "e", 8: "h"}


def things(rows: list[tuple[int, str, int | None]]) -> pa.Table:
    ids, values, parts = zip(*rows, strict=True)
    return pa.table({"id": pa.array(ids, pa.int64()), "v": list(values), "p": pa.array(parts, pa.int32())})


MOVING = [*COLUMNS, {"name": "seen", "type": "timestamp"}, {"name": "gone", "type": "boolean"}]


def moves(rows: list[tuple[int, str, int | None, bool | None]]) -> pa.Table:
    ids, values, seen, gone = zip(*rows, strict=True)
    moments = [None if day is None else dt.datetime(2026, 1, day) for day in seen]  # noqa: DTZ001
    return pa.table({
        "id": pa.array(ids, pa.int64()), "v": list(values), "p": pa.array([1] * len(ids), pa.int32()),
        "seen": pa.array(moments, pa.timestamp("us")), "gone": pa.array(gone, pa.bool_()),
    })  # fmt: skip


def test_merging_knows_late_rows_and_deleted_ones(shelf: Shelf) -> None:
    shelf.publish_to.update(order_by="seen", deleted="gone")

    def merge(run: str, rows: list[tuple[int, str, int | None, bool | None]]) -> int:
        return shelf.publish(run, {}, "merge", columns=MOVING, table=moves(rows)).rows

    assert merge("r1", [(1, "a", 5, False), (2, "b", 5, None), (3, "c", 5, False), (9, "never", 5, True)]) == 3
    # Late, newer, deleted, deleted but late, without a moment.
    assert merge("r2", [(1, "late", 4, False), (2, "newer", 6, False), (3, "", 6, True), (4, "d", None, False)]) == 3
    assert shelf.seen() == {1: "a", 2: "newer", 4: "d"}
    assert merge("r3", [(2, "", 5, True), (4, "D", 1, None)]) == 3
    assert shelf.seen() == {1: "a", 2: "newer", 4: "D"}


def test_back_to_an_old_version(shelf: Shelf) -> None:
    shelf.publish("r1", {1: "a"}, "append")
    shelf.publish("r2", {2: "b"}, "append")
    shelf.publish("r3", {3: "c"}, "append")
    target = shelf.target("append")
    newest = target.versions()
    assert [each.run_id for each in newest] == ["r3", "r2", "r1"]
    assert [each.current for each in newest] == [True, False, False]
    assert target.rollback(newest[1].revision).rows == 2
    assert shelf.seen() == {1: "a", 2: "b"}
    assert target.published("r3") is None
    assert target.published("r2") is not None
    # A run that was undone can be published again; one that was not cannot.
    shelf.publish("r2", {2: "b"}, "append")
    shelf.publish("r3", {3: "C"}, "append")
    assert shelf.seen() == {1: "a", 2: "b", 3: "C"}
    assert target.published("r3") is not None


def test_back_and_forth(shelf: Shelf) -> None:
    shelf.publish("r1", {1: "a"})
    shelf.publish("r2", {2: "b"})
    target = shelf.target()
    second, first = (version.revision for version in target.versions())
    target.rollback(first)
    target.rollback(second)
    assert shelf.seen() == {2: "b"}
    assert target.published("r2") is not None
    assert target.rollback(second).rows == 1  # where it is already
    with pytest.raises(PublishError, match=r"has no version nowhere \(it has "):
        target.rollback("nowhere")


def test_what_can_be_gone_back_to_stays(shelf: Shelf) -> None:
    for run in range(4):
        shelf.publish(f"r{run}", {run: "x"})
    target = shelf.target()
    target.rollback(target.versions()[-1].revision)
    target.tidy(Keep(2, dt.timedelta(seconds=-5)))
    assert shelf.seen() == {0: "x"}
    for version in target.versions():
        if version.run_id == "r3":
            target.rollback(version.revision)
    assert shelf.seen() in ({3: "x"}, {0: "x"})


def test_files_of_a_draft_are_published_as_they_are(shelf: Shelf) -> None:
    """The files are written once: neither moved nor copied, however many rows they have."""
    shelf.publish_to["partition_by"] = ["v"]
    target = shelf.target("replace-partition")
    draft = target.draft("r1")
    if draft is None:
        pytest.skip("this target does not publish files")
    odd = things([(1, "a/b c=ü%", 1), (2, "it's", 2)])
    stream = staging.Stream(odd.schema, iter(odd.to_batches()))
    staged = staging.write(draft, stream, ["v"], in_files=target.columns_in_files)
    before = set(layout.data_files(draft))
    shelf.publish("r1", {}, "replace-partition", table=layout.open_files(draft, staged.folders))
    assert shelf.seen() == {1: "a/b c=ü%", 2: "it's"}
    assert set(layout.data_files(draft)) == before
    location = open_place(shelf.publish_to["location"])
    everywhere = layout.data_files(location.beside(".versions")) + layout.data_files(location / "data")
    assert set(everywhere) == before


@pytest.mark.parametrize("mode", ["replace", "append", "merge"])
def test_a_run_publishes_once(shelf: Shelf, mode: str) -> None:
    first = shelf.publish("r1", {1: "a"}, mode)
    assert shelf.publish("r1", {9: "other"}, mode).rows == first.rows
    assert shelf.seen() == {1: "a"}
    found = shelf.target(mode).published("r1")
    assert found is not None
    assert (found.kind, found.rows) == (shelf.publish_to["to"], 1)
    assert shelf.target(mode).published("r2") is None


def test_a_run_from_before_does_not_come_back(shelf: Shelf) -> None:
    shelf.publish("r1", {1: "a"}, "append")
    shelf.publish("r2", {2: "b"}, "append")
    shelf.publish("r1", {1: "a"}, "append")
    assert shelf.seen() == {1: "a", 2: "b"}


def test_nothing_new_leaves_what_is_there(shelf: Shelf) -> None:
    shelf.publish("r1", {1: "a"}, "merge")
    assert shelf.publish("r2", {}, "merge").rows == 1
    assert shelf.seen() == {1: "a"}


def test_before_the_first_version(shelf: Shelf) -> None:
    assert shelf.target().current(("id",)) is None
    assert shelf.target().published("r1") is None


def test_the_current_version_for_checks(shelf: Shelf) -> None:
    shelf.publish("r1", {1: "a", 2: "b"})
    current = shelf.target().current(("id",))
    assert current is not None
    assert sorted(current.to_table(columns=["id"])["id"].to_pylist()) == [1, 2]


def test_a_column_more(shelf: Shelf) -> None:
    shelf.publish("r1", {1: "a"}, "merge")
    wider = [*COLUMNS, {"name": "extra", "type": "string"}]
    row = {"id": 2, "v": "b", "p": 0, "extra": "new"}
    table = pa.table({"id": pa.array([2], pa.int64()), "v": ["b"], "p": pa.array([0], pa.int32()), "extra": ["new"]})
    shelf.publish("r2", {}, "merge", columns=wider, table=table)
    location = shelf.publish_to.get("table") or shelf.publish_to["location"]
    data = open_published(shelf.publish_to["to"], location, shelf.publish_to.get("connection"), shelf.connections)
    assert sorted(data.to_table().to_pylist(), key=lambda each: each["id"]) == [
        {"id": 1, "v": "a", "p": 1, "extra": None},
        row,
    ]


def test_readers_only_see_whole_versions(shelf: Shelf) -> None:
    """A reader counts while versions of 100 and 200 rows follow each other."""
    shelf.publish("r0", dict.fromkeys(range(100), "x"))
    stop, seen, errors = threading.Event(), set[int](), list[str]()

    def look() -> None:
        while not stop.is_set():
            try:
                seen.add(len(shelf.seen()))
            except Exception as error:  # noqa: BLE001 - any error a reader meets is what is looked for
                errors.append(f"{type(error).__name__}: {error}")

    reader = threading.Thread(target=look)
    reader.start()
    for run in range(1, 7):
        shelf.publish(f"r{run}", dict.fromkeys(range(100 + 100 * (run % 2)), "x"))
    stop.set()
    reader.join()
    assert errors == []
    assert seen <= {100, 200}


def test_two_runs_at_once_lose_nothing(shelf: Shelf) -> None:
    """Both runs append; one that comes too late says so and succeeds when tried again."""
    shelf.publish("r0", {0: "x"}, "append")
    tried: list[str] = []

    def add(number: int) -> None:
        for attempt in range(10):
            try:
                shelf.publish(f"r{number}", {number: "x"}, "append")
            except PublishError as error:
                tried.append(f"{attempt} {error}")
                continue
            return

    workers = [threading.Thread(target=add, args=(number,)) for number in (1, 2, 3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert shelf.seen() == {0: "x", 1: "x", 2: "x", 3: "x"}, tried


class TestParquetOnDisk:
    """What only a folder on a disk can show."""

    def test_plain_readers_find_the_current_version_alone(self, tmp_path: Path, settings: Settings) -> None:
        shelf = Shelf({"to": "parquet", "location": str(tmp_path / "things")}, settings)
        shelf.publish("r1", {1: "a"})
        shelf.publish("r2", {2: "b"})
        assert (tmp_path / "things").is_symlink()
        assert pads.dataset(tmp_path / "things").to_table()["id"].to_pylist() == [2]

    def test_a_dataset_stays_what_it_was(self, tmp_path: Path, settings: Settings) -> None:
        shelf = Shelf({"to": "parquet", "location": str(tmp_path / "things")}, settings)
        shelf.publish("r1", {1: "a"})
        old = open_published("parquet", str(tmp_path / "things"), None, shelf.connections)
        shelf.publish("r2", {2: "b"})
        assert old.to_table()["id"].to_pylist() == [1]

    def test_old_versions_are_few(self, tmp_path: Path, settings: Settings) -> None:
        shelf = Shelf({"to": "parquet", "location": str(tmp_path / "things")}, settings)
        for run in range(6):
            shelf.publish(f"r{run}", {run: "x"})
        assert shelf.target().tidy(AT_ONCE) == 3
        assert len([each for each in (tmp_path / "things.versions").iterdir() if each.is_dir()]) == 3
        assert shelf.seen() == {5: "x"}

    def test_what_may_still_be_read_is_kept(self, tmp_path: Path, settings: Settings) -> None:
        shelf = Shelf({"to": "parquet", "location": str(tmp_path / "things")}, settings)
        shelf.publish("r0", {0: "x"})
        old = open_published("parquet", str(tmp_path / "things"), None, shelf.connections)
        for run in range(1, 6):
            shelf.publish(f"r{run}", {run: "x"})
        assert shelf.target().tidy(Keep(1, dt.timedelta(hours=1))) == 0
        assert old.to_table()["id"].to_pylist() == [0]

    def test_a_folder_of_somebody_else_is_left_alone(self, tmp_path: Path, settings: Settings) -> None:
        (tmp_path / "things").mkdir()
        (tmp_path / "things" / "precious.txt").write_text("x")
        shelf = Shelf({"to": "parquet", "location": str(tmp_path / "things")}, settings)
        with pytest.raises(PublishError, match="is there already and is no published output"):
            shelf.publish("r1", {1: "a"})
        assert (tmp_path / "things" / "precious.txt").exists()

    def test_nothing_published(self, tmp_path: Path, settings: Settings) -> None:
        shelf = Shelf({"to": "parquet", "location": str(tmp_path / "none")}, settings)
        for kind in ("parquet", "delta"):
            with pytest.raises(SourceChangedError):
                open_published(kind, str(tmp_path / "none"), None, shelf.connections)


class TestPostgres:
    """What only a database can show."""

    @pytest.fixture
    def shelf(self, database: psycopg.Connection, settings: Settings) -> Shelf:
        return Shelf({"to": "postgres", "connection": "db", "table": "mart.things"}, settings, info_of(database))

    def test_types_key_and_comments_come_from_the_contract(self, shelf: Shelf, database: psycopg.Connection) -> None:
        columns = [
            {"name": "id", "type": "bigint", "description": "the id"}, {"name": "u", "type": "uuid"}, {"name": "j", "type": "json"},
            {"name": "d", "type": "decimal(12,2)"}, {"name": "t", "type": "timestamptz"}, {"name": "c", "type": "time"},
            {"name": "l", "type": "array<string>"}, {"name": "s", "type": "struct<a: integer>"}, {"name": "b", "type": "binary"},
        ]  # fmt: skip
        from decimal import Decimal

        row: dict[str, Any] = {
            "id": 1, "u": "6ecd8c99-4036-403d-bf84-cf8400f67836", "j": '{"a": 1}', "d": Decimal("1.10"),
            "t": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "c": dt.time(1, 2, 3), "l": ["x", "y"], "s": {"a": 1}, "b": b"\x00",
        }  # fmt: skip
        kinds = [pa.int64(), pa.string(), pa.string(), pa.decimal128(12, 2), pa.timestamp("us", "UTC"), pa.time64("us"), pa.list_(pa.string()), pa.struct([("a", pa.int32())]), pa.binary()]  # fmt: skip
        schema = pa.schema(list(zip(row, kinds, strict=True)))
        nulls = {**dict.fromkeys(row), "id": 2}
        shelf.publish("r1", {}, columns=columns, table=pa.Table.from_pylist([row, nulls], schema))
        found = database.execute("SELECT id, u::text, j, d, t, c, l, s, b FROM mart.things ORDER BY id").fetchall()
        assert found[0] == (1, row["u"], {"a": 1}, row["d"], row["t"], row["c"], ["x", "y"], {"a": 1}, b"\x00")
        assert found[1] == (2, *[None] * 8)
        types = database.execute(
            "SELECT attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum) FROM pg_attribute "
            "WHERE attrelid = 'mart.things'::regclass AND attnum > 0"
        ).fetchall()
        assert [kind for _, kind, _ in types] == [
            "bigint", "uuid", "jsonb", "numeric(12,2)", "timestamp with time zone", "time without time zone", "text[]", "jsonb", "bytea",
        ]  # fmt: skip
        assert types[0][2] == "the id"
        keys = database.execute(
            "SELECT count(*) FROM pg_index WHERE indisprimary AND indrelid::regclass::text LIKE 'mart.things\\_\\_%'"
        )
        assert keys.fetchone() == (1,)

    def test_checks_that_stop_a_run_are_the_tables_own(self, shelf: Shelf, database: psycopg.Connection) -> None:
        columns = [
            {"name": "id", "type": "bigint", "min": 1, "exclusive_max": 10},
            {"name": "v", "type": "string", "enum": ["a", "it's"], "max_length": 4},
            {"name": "p", "type": "integer", "min": 0, "on_violation": "warn"},
        ]
        shelf.publish("r1", {1: "a", 2: "it's"}, columns=columns)
        found = database.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND connamespace = 'mart'::regnamespace ORDER BY conname"
        ).fetchall()
        assert [name for name, _ in found] == ["id.exclusive_range", "id.range", "v.enum", "v.length"]
        assert all("NOT VALID" in text for _, text in found)
        (table,) = database.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'mart' AND tablename LIKE 'things\\_\\_%'"
        ).fetchall()[0]
        with pytest.raises(psycopg.errors.CheckViolation):
            database.execute(f"INSERT INTO mart.\"{table}\" VALUES (10, 'a', 1)")

    def test_grants_and_dependents_stay(self, shelf: Shelf, database: psycopg.Connection) -> None:
        shelf.publish("r1", {1: "a"})
        database.execute(
            "DROP ROLE IF EXISTS reader_of_things; CREATE ROLE reader_of_things; GRANT SELECT ON mart.things TO reader_of_things"
        )
        database.execute("CREATE VIEW above AS SELECT v FROM mart.things")
        shelf.publish("r2", {2: "b"})
        assert database.execute("SELECT * FROM above").fetchall() == [("b",)]
        granted = "SELECT has_table_privilege('reader_of_things', 'mart.things', 'SELECT')"
        assert database.execute(granted).fetchone() == (True,)
        other = [{"name": "id", "type": "string"}]
        with pytest.raises(PublishError, match="other views depend on it"):
            shelf.publish("r3", {}, columns=other, table=pa.table({"id": ["x"]}))
        assert shelf.seen() == {2: "b"}
        database.execute("DROP VIEW above")
        shelf.publish("r3", {}, columns=other, table=pa.table({"id": ["x"]}))
        assert database.execute("SELECT * FROM mart.things").fetchall() == [("x",)]
        assert database.execute(granted).fetchone() == (True,)
        database.execute("DROP OWNED BY reader_of_things; DROP ROLE reader_of_things")

    def test_a_table_of_somebody_else_is_left_alone(self, shelf: Shelf, database: psycopg.Connection) -> None:
        database.execute("CREATE SCHEMA mart; CREATE TABLE mart.things AS SELECT 1 AS precious")
        with pytest.raises(PublishError, match="is there already and is no published output"):
            shelf.publish("r1", {1: "a"})
        assert database.execute("SELECT precious FROM mart.things").fetchall() == [(1,)]

    def test_a_long_reader_delays_the_switch_only(
        self, shelf: Shelf, database: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from airflow_dataproducts.engine.targets import postgres

        monkeypatch.setattr(postgres, "_LOCK_TIMEOUT", "100ms")
        shelf.publish("r1", {1: "a"})
        uri = f"host={database.info.host} user={database.info.user} dbname={database.info.dbname}"
        with psycopg.connect(uri) as reader:
            reader.execute("SELECT * FROM mart.things")  # keeps its lock until its transaction ends
            publishing = threading.Thread(target=shelf.publish, args=("r2", {2: "b"}))
            publishing.start()
            publishing.join(1.5)
            assert publishing.is_alive()
            assert shelf.seen() == {1: "a"}  # other readers are not held up
        publishing.join(60)
        assert shelf.seen() == {2: "b"}

    def test_names_that_begin_alike_stay_apart(self, shelf: Shelf) -> None:
        """Two outputs of one run whose names share more letters than a table's name has room for."""
        long = "mart." + "monthly_revenue_by_customer_segment_and_region"
        shelves = [Shelf({**shelf.publish_to, "table": f"{long}_{end}"}, shelf.settings) for end in ("eu", "us")]
        for number, each in enumerate(shelves):
            each.connections = shelf.connections
            each.publish("r1", {number: "x"})
        assert [each.seen() for each in shelves] == [{0: "x"}, {1: "x"}]

    def test_old_tables_are_few(self, shelf: Shelf, database: psycopg.Connection) -> None:
        for run in range(6):
            shelf.publish(f"r{run}", {run: "x"})
        assert shelf.target().tidy(AT_ONCE) == 3
        tables = database.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'mart' AND tablename LIKE 'things\\_\\_%'"
        )
        assert tables.fetchone() == (3,)
        assert shelf.target().published("r0") is not None

    def test_an_unreachable_database(self, settings: Settings, tmp_path: Path) -> None:
        from airflow_dataproducts.engine.connections import ConnectionInfo

        info = ConnectionInfo("db", "postgres", host=str(tmp_path), login="me", password="hunter2", schema="x")
        shelf = Shelf({"to": "postgres", "connection": "db", "table": "t"}, settings, info)
        with pytest.raises(PublishError) as caught:
            shelf.publish("r1", {1: "a"})
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("shelf", ["s3-delta", "s3-parquet", "s3-iceberg"], indirect=True)
def test_a_store_that_cannot_be_reached_is_told_of_in_one_line(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.publish("r1", {1: "a"})
    revision = shelf.target().versions()[0].revision
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOTHING_THERE)
    monkeypatch.setattr(storage, "S3_TRIES", 2)
    target = shelf.target()
    ways: dict[str, Callable[[], Any]] = {
        "published": lambda: target.published("r1"),
        "current": lambda: target.current(("id",)),
        "versions": target.versions,
        "rollback": lambda: target.rollback(revision),
        "tidy": lambda: target.tidy(AT_ONCE),
        "publish": lambda: shelf.publish("r2", {2: "b"}),
        "read": shelf.seen,
    }
    for name, way in ways.items():
        with pytest.raises(SourceError if name == "read" else PublishError) as found:
            way()
        told = str(found.value)
        assert "things" in told, name
        assert "\n" not in told and "\x1b" not in told and "secret" not in told, name  # noqa: PT018 - one rule


def test_a_version_whose_files_are_gone_is_not_one_without_rows(tmp_path: Path, settings: Settings) -> None:
    shelf = Shelf({"to": "parquet", "location": str(tmp_path / "things")}, settings)
    shelf.publish("r1", {1: "a"})
    for file in tmp_path.rglob("*.parquet"):
        file.unlink()
    with pytest.raises(SourceError, match="are gone"):
        shelf.seen()


def test_a_value_that_does_not_fit_the_table_is_not_quoted(tmp_path: Path, settings: Settings) -> None:
    shelf = Shelf({"to": "delta", "location": str(tmp_path / "things")}, settings)
    shelf.publish("r1", {1: "a"}, "append")
    wider = pa.table({"id": pa.array([2], pa.int64()), "v": ["b"], "p": pa.array([2**40 + 7], pa.int64())})
    columns = [*COLUMNS[:2], {"name": "p", "type": "bigint"}]
    with pytest.raises(PublishError, match="was not changed: the rows do not fit it") as found:
        shelf.publish("r2", {}, "append", table=wider, columns=columns)
    assert str(2**40 + 7) not in str(found.value)
    assert shelf.seen() == {1: "a"}
