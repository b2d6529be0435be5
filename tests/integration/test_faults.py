"""Whatever happens to a publication: readers see a whole version, old or new, and trying again finishes the job."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import random
import signal
import threading
import time
from contextlib import closing, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest
from pyiceberg.table import snapshots

from airflow_dataproducts import runtime
from airflow_dataproducts.engine.targets import Keep, open_published, parquet
from airflow_dataproducts.exceptions import DataProductsError, PublishError, TransformError
from demo.shop import postgres
from tests.integration import unreliable_store
from tests.integration.conftest import KnownConnections, info_of
from tests.integration.dying import Attempt, publish
from tests.integration.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_dataproducts.settings import Settings
    from tests.integration.home import Home

KILLS = int(os.environ.get("DATAPRODUCTS_TEST_KILLS", "32"))
"""For each of seven targets."""
MODES = ("replace", "append", "merge", "replace-partition")
FEW = [
    "delta-partitioned",
    "parquet-partitioned",
    "postgres",
    "postgres-inside",
    "iceberg-partitioned",
    "s3-delta",
    "s3-parquet",
]
Rows = dict[int, str]


class Watched:
    """A shelf with a reader that looks at it all the time, and what may stand on it."""

    def __init__(self, shelf: Shelf) -> None:
        shelf.publish_to.setdefault("partition_by", ["p"])
        self.shelf = shelf
        self.now: Rows = {}
        self.torn: list[Any] = []
        self._allowed: list[Rows] = []
        self._stop = threading.Event()
        self._reader = threading.Thread(target=self._look)

    def __enter__(self) -> Watched:
        self.publish("r0", dict.fromkeys(range(20), "old"), "replace")
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._reader.join()
        assert self.torn == []

    def after(self, rows: Rows, mode: str) -> Rows:
        """What readers see once the rows are published; they may from now on."""
        partitions = {number % 2 for number in rows}
        stays = {
            "replace": {},
            "append": self.now,
            "merge": self.now,
            "replace-partition": {key: value for key, value in self.now.items() if key % 2 not in partitions},
        }[mode]
        found = {**stays, **rows}
        self._allowed.append(found)
        return found

    def publish(self, run: str, rows: Rows, mode: str) -> None:
        """Publish with nothing in the way, and see that it is what is there."""
        expected = self.after(rows, mode)
        self.shelf.publish(run, rows, mode)
        self.now = expected
        assert self.shelf.seen() == expected

    def whole(self, *states: Rows) -> None:
        assert self.shelf.seen() in states

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            try:
                found = self.shelf.seen()
            except (DataProductsError, OSError):  # the database is down, the store is slow
                continue
            if found not in self._allowed:
                self.torn.append(found)


def attempt(watched: Watched, run: str, rows: Rows, mode: str, **fault: Any) -> int | None:
    """Publish in another process; returns its exit code."""
    shelf = watched.shelf
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    infos = list(shelf.connections.infos)
    arguments = Attempt(type(shelf), shelf.publish_to, shelf.settings, infos, run, rows, mode, environment, **fault)
    process = CONTEXT.Process(target=publish, args=(arguments,))
    process.start()
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.integration.preload"])


@pytest.mark.slow
@pytest.mark.parametrize("shelf", FEW, indirect=True)
def test_killed_at_any_point_of_publishing(shelf: Shelf, tmp_path: Path) -> None:
    """SIGKILL at random calls and random moments of publish, in every mode; then the same run again."""
    dice, killed = random.Random(11), 0
    report = tmp_path / "calls"
    with Watched(shelf) as watched:
        lengths: dict[str, tuple[int, float]] = {}
        for number in range(1, KILLS + 1):
            mode = MODES[number % len(MODES)]
            rows = {1000 * number + each: f"r{number}" for each in range(dice.randint(1, 6))}
            if mode == "merge":
                rows |= dict.fromkeys(list(watched.now)[:2], f"r{number}")
            if mode not in lengths:
                begun = time.monotonic()
                watched.after(rows, mode)
                assert attempt(watched, f"r{number}", rows, mode, report=str(report)) == 0
                lengths[mode] = int(report.read_text()), time.monotonic() - begun
            else:
                calls, seconds = lengths[mode]
                at = {"at_call": dice.randint(1, calls)} if number % 3 else {"after": dice.uniform(0, seconds / 3)}
                before, after = watched.now, watched.after(rows, mode)
                killed += attempt(watched, f"r{number}", rows, mode, **at) == -9
                watched.whole(before, after)
            watched.publish(f"r{number}", rows, mode)
            watched.publish(f"r{number}", rows, mode)  # and again after it has succeeded
    assert killed > KILLS // 2, "publishing was too quick to be killed"


@pytest.mark.parametrize("shelf", ["delta-partitioned", "parquet-partitioned"], indirect=True)
@pytest.mark.parametrize("mode", MODES)
def test_a_full_disk(shelf: Shelf, mode: str) -> None:
    with Watched(shelf) as watched:
        rows = dict.fromkeys(range(100, 140), "new" * 50)
        before, after = watched.now, watched.after(rows, mode)
        assert attempt(watched, "r1", rows, mode, file_bytes=16) != 0
        watched.whole(before, after)
        assert watched.shelf.seen() == before
        watched.publish("r1", rows, mode)


def crash(uri: str) -> None:
    """Kill a process of the database: it throws everybody out, and recovers from its log."""
    with closing(psycopg.connect(uri, autocommit=True)) as connection:
        found = connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'").fetchone()
    if found:
        os.kill(found[0], signal.SIGKILL)


def wait_for(uri: str) -> None:
    for _ in range(200):
        try:
            psycopg.connect(uri).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the database does not come back")


def test_the_database_restarts(tmp_path: Path, settings: Settings) -> None:
    with postgres(tmp_path / "pg") as uri:
        with closing(psycopg.connect(uri)) as connection:
            shelf = Shelf({"to": "postgres", "connection": "db", "table": "mart.things"}, settings, info_of(connection))
        with Watched(shelf) as watched:
            failures: list[str] = []
            for number in range(1, 9):
                rows = {number * 100_000 + each: "x" * 20 for each in range(30_000)}
                before, after = watched.now, watched.after(rows, "append")
                timer = threading.Timer(random.Random(number).uniform(0, 0.6), crash, (uri,))
                timer.start()
                try:
                    shelf.publish(f"r{number}", rows, "append")
                except PublishError as error:
                    failures.append(str(error))
                timer.join()
                wait_for(uri)
                watched.whole(before, after)
                watched.publish(f"r{number}", rows, "append")
        assert failures
        assert all("connection db: " in failure for failure in failures)


@contextmanager
def unreliable(address: str) -> Iterator[str]:
    """A store in front of the store that fails; a process of its own, for delta-rs waits with Python's lock in its hand."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=unreliable_store.serve, args=(address, theirs))
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.kill()
        process.join()


@pytest.mark.slow
@pytest.mark.parametrize("shelf", ["s3-delta", "s3-parquet"], indirect=True)
def test_an_object_store_that_fails(shelf: Shelf, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The reader ends before the server that it asks.
    with unreliable(s3_server) as address, Watched(shelf) as watched:
        for number, mode in enumerate(("append", "replace-partition"), 1):
            rows = {number * 100 + each: "new" for each in range(4)}
            before, after = watched.now, watched.after(rows, mode)
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            for _ in range(5):  # as a task's retries would
                try:
                    shelf.publish(f"r{number}", rows, mode)
                    break
                except DataProductsError:
                    watched.whole(before, after)
            monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
            watched.whole(before, after)
            watched.publish(f"r{number}", rows, mode)


@pytest.mark.parametrize("shelf", FEW, indirect=True)
def test_a_clock_that_goes_backwards(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    with Watched(shelf) as watched:
        watched.publish("r1", {101: "a"}, "append")
        if shelf.publish_to["to"] == "parquet":
            monkeypatch.setattr(parquet, "datetime", Yesterday)
        elif shelf.publish_to["to"] == "iceberg":
            monkeypatch.setattr(snapshots, "time", SimpleNamespace(time=lambda: time.time() - 86_400))
        watched.publish("r2", {102: "b"}, "append")
        target = shelf.target("append")
        assert [version.run_id for version in target.versions()] == ["r2", "r1", "r0"]
        r1 = target.versions()[1]
        target.rollback(r1.revision)
        assert [version.undone for version in target.versions()] == [True, False, False]
        # Not taken out of what readers may have seen: one of them may have looked just before.
        watched.whole({key: value for key, value in watched.now.items() if key != 102})


@pytest.mark.parametrize("shelf", FEW, indirect=True)
def test_a_reader_that_takes_its_time(shelf: Shelf) -> None:
    """It began before two publications and reads on after them: what it began with."""
    with Watched(shelf) as watched, long_reader(shelf) as read_on:
        begun = watched.now
        publishing = threading.Thread(target=lambda: watched.publish("r1", {100: "new"}, "replace"))
        publishing.start()
        if shelf.publish_to["to"] != "postgres":  # where it waits for the reader
            publishing.join()
            watched.publish("r2", {101: "newer"}, "replace")
            shelf.target().tidy(Keep(1, dt.timedelta(hours=1)))
        assert read_on() == begun
        publishing.join()
    assert shelf.seen() == watched.now != begun


@contextmanager
def long_reader(shelf: Shelf) -> Iterator[Any]:
    """A reader that has begun; gives what reads the rest."""
    to = shelf.publish_to
    if to["to"] == "postgres":
        uri = shelf.connections.get("db").postgres_uri()
        with psycopg.connect(uri) as connection, connection.cursor("slowly") as cursor:
            cursor.execute(f"SELECT id, v FROM {to['table']}")
            first = cursor.fetchmany(3)

            def rest() -> Rows:
                time.sleep(1)
                found: Rows = dict(first + cursor.fetchall())
                connection.commit()
                return found

            yield rest
        return
    data = open_published(to["to"], to.get("table", to["location"]), to.get("connection"), shelf.connections)
    batches = data.to_batches(batch_size=3, fragment_readahead=0, batch_readahead=0)
    begun = [next(batches)]

    def all_of_it() -> Rows:
        rows = pa.Table.from_batches([*begun, *batches])
        return dict(zip(rows["id"].to_pylist(), rows["v"].to_pylist(), strict=True))

    yield all_of_it


def test_a_source_whose_schema_changes_between_extract_and_retry(home: Home, database: psycopg.Connection) -> None:
    """What was staged is what is published; a run that reads again says what has changed, and goes on once it is mended."""
    manifest = home.manifest.read_text().replace("{path: things.csv}", "{connection: db, table: public.things}")
    assert "public.things" in manifest
    home.manifest.write_text(manifest)
    home.infos.append(info_of(database))
    database.execute("CREATE TABLE things (id int, label text)")
    database.execute("INSERT INTO things VALUES (1, 'a'), (2, 'b')")
    home.run("r1")
    database.execute("INSERT INTO things VALUES (3, 'c')")
    run = home.open("r2")
    inputs = {step.name: runtime.extract(run, step) for step in run.plan.extracts}
    database.execute("ALTER TABLE things RENAME label TO name")
    outputs = {step.name: runtime.transform(run, step, inputs, {}) for step in run.plan.transforms}
    assert outputs["things"]["rows"] == 3, "its own extract's rows"
    with pytest.raises(TransformError, match="the contract's column label is not in the result"):
        home.run("r2")
    assert len(seen_in(home)) == 2
    database.execute("ALTER TABLE things RENAME name TO label")
    database.execute("ALTER TABLE things ALTER id TYPE text")
    home.run("r2")
    assert seen_in(home) == {1: "a", 2: "b", 3: "c"}


def seen_in(home: Home) -> Rows:
    rows = open_published("parquet", str(home.data / "things" / "things"), None, KnownConnections()).to_table()
    return dict(zip(rows["id"].to_pylist(), rows["label"].to_pylist(), strict=True))


class Yesterday(dt.datetime):
    """A clock that somebody has set back."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Yesterday:
        found = super().now(tz)
        return found - dt.timedelta(days=1)


@pytest.mark.parametrize("shelf", FEW, indirect=True)
@pytest.mark.parametrize("mode", MODES)
def test_two_runs_of_one_product_at_once(shelf: Shelf, mode: str) -> None:
    with Watched(shelf) as watched:
        first, second = {100: "a", 101: "a"}, {102: "b", 103: "b"}
        start = watched.now
        one, other = watched.after(first, mode), watched.after(second, mode)
        watched.now = one
        both = watched.after(second, mode)
        watched.now = other
        both_else = watched.after(first, mode)
        failed: list[tuple[str, Rows]] = []

        def run(name: str, rows: Rows) -> None:
            try:
                shelf.publish(name, rows, mode)
            except PublishError:
                failed.append((name, rows))

        threads = [threading.Thread(target=run, args=each) for each in (("r1", first), ("r2", second))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, rows in failed:
            shelf.publish(name, rows, mode)
        assert start != shelf.seen()
        watched.whole(both, both_else)
