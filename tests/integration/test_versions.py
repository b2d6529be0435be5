"""What may be asked of a run, and going back to what was published before."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_dataproducts import runtime
from airflow_dataproducts.catalog import tables
from airflow_dataproducts.engine.targets import open_published
from airflow_dataproducts.exceptions import ConfigurationError
from airflow_dataproducts.runtime import Options, lifecycle
from tests.conftest import MINIMAL
from tests.integration.conftest import info_of
from tests.integration.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    Write = Callable[..., Path]


MOVES = """
apiVersion: dataproducts/v1
kind: DataProduct
name: moves
domain: test
version: 1.0.0
description: Things that change.
owner: {team: core}
schedule: manual
inputs:
  things: {connection: db, table: things, cursor: moved}
outputs:
  things:
    publish: {to: delta, mode: merge, order_by: moved}
    contract:
      primary_key: [id]
      columns: [{name: id, type: bigint}, {name: moved, type: timestamp}, {name: v, type: string}]
  daily:
    transform: SELECT CAST(moved AS DATE) AS day, count(*) AS n, $run_date AS made FROM things GROUP BY day
    publish: {to: parquet, mode: replace-partition, partition_by: [day]}
    contract: {columns: [{name: day, type: date}, {name: n, type: bigint}, {name: made, type: date}]}
"""


@pytest.fixture
def moves(tmp_path: Path, write: Write, database: psycopg.Connection) -> Iterator[Home]:
    database.execute("CREATE TABLE things (id bigint, moved timestamp, v text)")
    found = Home(tmp_path / "home", write(MOVES, folder="product"), info_of(database))
    yield found
    found.close()


def put(database: psycopg.Connection, *rows: tuple[int, str, str]) -> None:
    database.cursor().executemany("INSERT INTO things VALUES (%s, %s, %s)", rows)


def there(home: Home, output: str = "things") -> dict[Any, Any]:
    rows = open_published(
        "parquet" if output == "daily" else "delta",
        str(home.data / "moves" / output),
        None,
        home.open("reader").connections,
    )
    return {
        row["day" if output == "daily" else "id"]: row["n" if output == "daily" else "v"]
        for row in rows.to_table().to_pylist()
    }


def test_a_full_run_replaces_everything(moves: Home, database: psycopg.Connection) -> None:
    put(database, (1, "2026-01-01", "a"), (2, "2026-01-02", "b"))
    moves.run("r1")
    database.execute("DELETE FROM things WHERE id = 1")
    put(database, (3, "2026-01-03", "c"))
    assert moves.run("r2") == {"things": 3, "daily": 3}
    assert moves.run("r3", Options(full=True)) == {"things": 2, "daily": 2}
    assert there(moves) == {2: "b", 3: "c"}
    put(database, (4, "2026-01-04", "d"))
    moves.run("r4")  # the watermark went on
    assert moves.open("reader").catalog.rows(tables.extracts)[0]["rows"] == 1
    assert there(moves) == {2: "b", 3: "c", 4: "d"}


def test_a_range_is_read_and_published_again(moves: Home, database: psycopg.Connection) -> None:
    put(database, (1, "2026-01-01", "a"), (2, "2026-01-02", "b"), (3, "2026-01-03", "c"))
    moves.run("r1")
    database.execute("UPDATE things SET v = 'B' WHERE id = 2")
    put(database, (9, "2026-01-02", "i"), (8, "2026-01-04", "h"))
    moves.run("back", Options(start="2026-01-02", end="2026-01-03"))
    assert there(moves) == {1: "a", 2: "B", 3: "c", 9: "i"}
    assert there(moves, "daily")[dt.date(2026, 1, 2)] == 2
    moves.run("r2")
    assert there(moves) == {1: "a", 2: "B", 3: "c", 9: "i", 8: "h"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Options(start="2026-01-02"), "both --from and --to"),
        (Options(full=True, start="2026-01-02", end="2026-01-03"), "without --full"),
        (Options(start="2026-01-03", end="2026-01-03"), "holds nothing"),
        (Options(start="soon", end="2026-01-03"), "found 'soon'"),
    ],
)
def test_ranges_that_are_none(moves: Home, asked: Options, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        moves.open("r1", asked)


def test_a_range_never_loses_rows(home: Home) -> None:
    with pytest.raises(ConfigurationError, match="its mode is replace, with which it would hold these rows alone"):
        home.open("r1", Options(start="2026-01-02", end="2026-01-03"))


def test_looking_back_finds_late_rows(moves: Home, database: psycopg.Connection) -> None:
    text = moves.manifest.read_text().replace("cursor: moved}", "cursor: moved, lookback: 36h}")
    moves.manifest.write_text(text)
    put(database, (1, "2026-01-03", "a"))
    moves.run("r1")
    put(database, (2, "2026-01-01 13:00", "late"), (3, "2026-01-01 11:00", "too late"))
    moves.run("r2")
    assert there(moves) == {1: "a", 2: "late"}


def test_back_to_an_old_version_and_on(moves: Home, database: psycopg.Connection) -> None:
    put(database, (1, "2026-01-01", "a"))
    moves.run("r1")
    put(database, (2, "2026-01-02", "wrong"))
    moves.run("r2")
    undoing = moves.open("rollback__1")
    assert set(runtime.rollback(undoing)) == {"things", "daily"}
    assert there(moves) == {1: "a"}
    assert there(moves, "daily") == {dt.date(2026, 1, 1): 1}
    states = {each.run_id: each.state for each in runtime.versions(undoing, undoing.plan.publications[0])}
    assert states == {"r2": "undone", "r1": "current"}
    current = undoing.catalog.current("test.moves")
    assert {row["rows"] for row in current} == {1}
    database.execute("UPDATE things SET v = 'right' WHERE id = 2")
    moves.run("r3")  # reads again what was taken back
    assert there(moves) == {1: "a", 2: "right"}
    with pytest.raises(ConfigurationError, match=r"no version 'never' \(there are "):
        runtime.rollback(undoing, "never")
    runtime.rollback(moves.open("rollback__2"), "r1")
    assert there(moves) == {1: "a"}


def test_what_is_old_goes(moves: Home, database: psycopg.Connection) -> None:
    put(database, (1, "2026-01-01", "a"))
    run = moves.open("r1")
    extracted = runtime.extract(run, run.plan.extracts[0])
    runtime.transform(run, run.plan.transforms[0], {"things": extracted}, {})  # and then it was killed
    for number in range(2, 6):
        put(database, (number, f"2026-01-0{number}", "x"))
        moves.run(f"r{number}")
    reader = moves.open("tidy")
    old = dataclasses.replace(reader.settings, keep_versions=2, keep_for=dt.timedelta(seconds=-5))
    gone = runtime.tidy(dataclasses.replace(reader, settings=old))
    assert gone["daily"] == 2 + 3  # old versions, and drafts whose files have a second name in a version
    assert gone["things"] > 0
    assert gone["staging"] == 1
    assert there(moves) == {1: "a", **dict.fromkeys(range(2, 6), "x")}
    assert runtime.rollback(moves.open("rollback__1"))["daily"]


def test_an_output_made_from_another(home: Home) -> None:
    both = (
        MINIMAL
        + """  second:
    transform: SELECT count(*) AS n, '$run_date' AS t FROM things_out
    publish: {to: parquet}
    contract: {columns: [{name: n, type: bigint}, {name: t, type: string}]}
"""
    )
    text = both.replace("  things:\n    publish", "  second_first:\n    publish").replace("things_out", "second_first")
    home.manifest.write_text(text)
    run = home.open("r1")
    assert [step.name for step in run.plan.transforms] == ["second_first", "second"]
    assert run.plan.transforms[1].uses == ("second_first",)
    assert home.run("r1")["second"] == 1


def test_lifecycle_rules_join_those_of_others(tmp_path: Path, write: Write, bucket: str, s3_server: str) -> None:
    client = boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1")
    other: Any = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}}
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [other]})
    text = MINIMAL.replace("{to: parquet}", f"{{to: parquet, location: 's3://{bucket}/lake/things'}}")
    site = Home(tmp_path / "home", write(text, folder="product"))
    run = site.open("retention")
    for _ in range(2):
        lifecycle.apply(run, lifecycle.proposed(run))
    rules = {
        rule["Filter"]["Prefix"]: rule for rule in client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    }
    assert {prefix: rule["Expiration"]["Days"] for prefix, rule in rules.items()} == {
        "logs/": 3, "lake/things.quarantine/": 30,
    }  # fmt: skip
    site.close()


def dataproducts(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AIRFLOW_HOME": str(home.folder)}
    command = [str(Path(sys.executable).parent / "dataproducts"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_commands(home: Home) -> None:
    product = str(home.manifest.parent)
    for run_id in ("r1", "r2"):
        assert dataproducts(home, "run", product, "--run-id", run_id).returncode == 0
        (home.manifest.parent / "things.csv").write_text("id,label\n3,c\n")
    listed = json.loads(dataproducts(home, "versions", product, "--format", "json").stdout)
    assert [(each["run_id"], each["rows"], each["state"], each["version"]) for each in listed] == [
        ("r2", 1, "current", "1.0.0"), ("r1", 2, "old", "1.0.0"),
    ]  # fmt: skip
    done = dataproducts(home, "rollback", product)
    assert done.stdout == f"test.things.things: consumers see {listed[1]['revision']} now\n"
    shown = dataproducts(home, "versions", product).stdout
    assert "undone" in shown
    assert "current" in shown
    wrong = dataproducts(home, "rollback", product, "--to", "r9")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "no version 'r9' (there are" in wrong.stderr
    assert dataproducts(home, "rollback", product, "--to", "r2").returncode == 0
    kept = json.loads(dataproducts(home, "retention", product, "--format", "json").stdout)
    assert kept == {
        "product": "test.things",
        "gone": {"quarantine": 0, "staging": 0, "things": 0},
        "lifecycle": {},
        "applied": False,
    }
    ranged = dataproducts(home, "run", product, "--from", "2026-01-01", "--to", "2026-01-02")
    assert (ranged.returncode, "a range needs merge or replace-partition" in ranged.stderr) == (2, True)
