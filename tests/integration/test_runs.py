"""Whole runs: incremental, broken off, killed, refused; each leaves readers with whole data and can be tried again."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.dataset as pads
import pytest
from deltalake import DeltaTable

from airflow_dataproducts import runtime
from airflow_dataproducts.catalog import tables
from airflow_dataproducts.exceptions import (
    ContractViolation,
    SourceChangedError,
    SourceError,
    StagingError,
    TransformError,
)
from tests.conftest import MINIMAL
from tests.integration import product_run
from tests.integration.conftest import info_of
from tests.integration.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    Write = Callable[..., Path]

THREE_TARGETS = """\
apiVersion: dataproducts/v1
kind: DataProduct
name: orders
domain: test
version: 1.0.0
description: Orders to three targets.
owner: {team: testers}
schedule: manual
inputs:
  orders: {connection: db, table: public.orders, cursor: id}
outputs:
  lake: &output
    publish: {to: delta, mode: append}
    contract:
      primary_key: [id]
      columns: [{name: id, type: bigint}, {name: label, type: string}]
  files: {<<: *output, publish: {to: parquet, mode: append}}
  mart: {<<: *output, publish: {to: postgres, mode: append, connection: db, table: mart.orders}}
"""


def test_a_run_leaves_its_story_in_the_catalog(home: Home) -> None:
    assert home.run("r1") == {"things": 2}
    (run,) = home.rows(tables.runs)
    assert (run["state"], run["version"], run["error"]) == ("success", "1.0.0", None)
    (validation,) = home.rows(tables.validations)
    assert (validation["success"], validation["rows"], validation["checks"], validation["failed"]) == (True, 2, 6, 0)
    assert validation["gx"][0]["statistics"]["evaluated_expectations"] == 6
    (publication,) = home.rows(tables.publications)
    assert (publication["kind"], publication["rows"], publication["version"]) == ("parquet", 2, "1.0.0")
    assert {row["column_name"]: row["distinct_values"] for row in home.rows(tables.column_metrics)} == {
        "id": 2,
        "label": 2,
    }
    assert [(row["input"], row["rows"]) for row in home.rows(tables.extracts)] == [("things", 2)]
    (product,) = home.rows(tables.products)
    assert (product["product_id"], product["owner"]["team"]) == ("test.things", "testers")
    assert home.rows(tables.product_versions)[0]["manifest"]["outputs"]["things"]["contract"]["primary_key"] == ["id"]
    assert not home.open("r1").staging.path or not Path(home.open("r1").staging.path).exists()


def test_a_run_again_changes_nothing(home: Home) -> None:
    home.run("r1")
    before = (home.data / "things" / "things").readlink()
    assert home.run("r1") == {"things": 2}
    assert (home.data / "things" / "things").readlink() == before
    assert len(home.rows(tables.publications)) == 1


def test_a_product_reads_another(home: Home, tmp_path: Path, write: Write) -> None:
    text = MINIMAL.replace("name: things\n", "name: more\n").replace(
        "{path: things.csv}", "{product: test.things, version: ^1}"
    )
    reader = Home(home.folder, write(text, folder="more"))
    with pytest.raises(SourceChangedError, match=r"product test\.things has published nothing yet; run it first"):
        reader.run("m0")
    home.run("r1")
    assert reader.run("m1") == {"things": 2}
    reader.manifest.write_text(text.replace("^1", "^2"))
    with pytest.raises(SourceChangedError, match=r"has published version 1\.0\.0, but this product reads \^2"):
        reader.run("m2")
    reader.manifest.write_text(text.replace("version: ^1", "output: others"))
    with pytest.raises(SourceChangedError, match=r"has no output others \(it has things\)"):
        reader.run("m3")
    reader.close()


def test_data_that_breaks_its_contract_is_not_published(home: Home) -> None:
    home.run("r1")
    (home.manifest.parent / "things.csv").write_text("id,label\n1,a\n1,b\n")
    with pytest.raises(ContractViolation) as caught:
        home.run("r2")
    assert (
        str(caught.value)
        == "output things breaks its contract, nothing was published: 1 of 6 checks failed: primary_key (2)"
    )
    assert pads.dataset(home.data / "things" / "things").to_table()["label"].to_pylist() == ["a", "b"]
    assert [row["success"] for row in home.rows(tables.validations)] == [False, True]


def test_an_empty_source_replaces_nothing(home: Home) -> None:
    home.run("r1")
    (home.manifest.parent / "things.csv").write_text("id,label\n")
    with pytest.raises(ContractViolation, match=r"not_empty \(0\); the inputs gave things 0 rows"):
        home.run("r2")
    assert pads.dataset(home.data / "things" / "things").count_rows() == 2


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("id,lable\n1,a\n", TransformError, "the contract's column label is not in the result; did you mean lable?"),
        ("id,label\none,a\n", TransformError, "column id, a VARCHAR, has 1 value(s) that are no integer"),
        (None, SourceChangedError, "no file at"),
    ],
)
def test_a_source_that_is_not_what_the_contract_says(
    home: Home, content: str | None, error: type[Exception], message: str
) -> None:
    home.run("r1")
    file = home.manifest.parent / "things.csv"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(error) as caught:
        home.run("r2")
    assert message in str(caught.value)
    assert pads.dataset(home.data / "things" / "things").count_rows() == 2


def test_a_source_that_breaks_off_leaves_no_trace(home: Home, database: psycopg.Connection) -> None:
    database.execute("CREATE TABLE t AS SELECT i AS id, 'x' AS label FROM generate_series(1, 200000) i")
    home.infos.append(info_of(database))
    query = 'query: "SELECT id / (CASE WHEN id = 199999 THEN 0 ELSE 1 END) AS id, label FROM t"'
    home.manifest.write_text(MINIMAL.replace("path: things.csv", f"connection: db, {query}"))
    run = home.open("r1")
    with pytest.raises(SourceError, match="division by zero"):
        runtime.extract(run, run.plan.extracts[0])
    assert not list(Path(run.staging.path).rglob("*.parquet"))
    database.execute("DELETE FROM t WHERE id = 199999")
    assert home.run("r1") == {"things": 199_999}


def _fill_the_disk(manifest: str, home: str, queue: Any) -> None:
    """In a process of its own: no file may grow beyond 64 KiB, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    run = product_run.open_run(manifest, "r1", home, [])
    run.catalog.watermark("x", "y")  # the catalog's own file is there before the disk is full
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
    try:
        from airflow_dataproducts.engine import staging
        from airflow_dataproducts.engine.sources import Reading, open_source

        step = run.plan.extracts[0]
        reading = Reading(run.connections, run.settings, lambda _source: None)  # type: ignore[arg-type,return-value]
        with open_source(step.name, step.source, reading) as stream:
            staging.write(staging.new_folder(run.staging, "extract", step.name), stream)
    except StagingError as error:
        queue.put(str(error))


def test_a_full_disk_in_staging(home: Home) -> None:
    rows = "".join(f"{number},{random.Random(number).getrandbits(128):x}\n" for number in range(20_000))
    (home.manifest.parent / "things.csv").write_text("id,label\n" + rows)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_fill_the_disk, args=(str(home.manifest), str(home.folder), queue))
    process.start()
    message = queue.get(timeout=120)
    process.join()
    assert message.startswith(f"{home.folder}/dataproducts/staging/test.things/")
    assert "is full" in message
    assert "set [dataproducts] staging (for outputs, storage) to a larger place" in message
    assert home.run("r1") == {"things": 20_000}


def test_staging_that_is_gone(home: Home) -> None:
    run = home.open("r1")
    inputs = {"things": runtime.extract(run, run.plan.extracts[0])}
    run.staging.remove()
    with pytest.raises(StagingError, match="is gone; clear this run's extract tasks to make it again"):
        runtime.transform(run, run.plan.transforms[0], inputs, {})


def test_quarantined_rows_are_kept_beside_the_output(home: Home) -> None:
    text = MINIMAL.replace("type: string,", "type: string, pattern: '^[a-z]$', on_violation: quarantine,")
    home.manifest.write_text(text)
    (home.manifest.parent / "things.csv").write_text("id,label\n1,a\n2,bad\n3,c\n")
    assert home.run("r1") == {"things": 2}
    aside = pads.dataset(home.data / "things" / "things.quarantine").to_table().to_pylist()
    assert aside == [
        {
            "id": 2,
            "label": "bad",
            "_run_id": "r1",
            "_broken_rules": ["label.pattern"],
            "_reason": "label matches ^[a-z]$",
        }
    ]
    assert home.rows(tables.validations)[0]["quarantined"] == 1


def test_quarantine_and_output_add_up(home: Home) -> None:
    """Rows that break several rules, and keys that come twice, are set aside once and named for each."""
    home.manifest.write_text(
        MINIMAL.replace("type: string,", "type: string, pattern: '^[a-z]$', max_length: 4, on_violation: quarantine,")
        .replace("type: integer,", "type: integer, unique: true, on_violation: quarantine,")
        .replace("primary_key: [id]", "primary_key: [label]")
    )
    rows = ["1,a", "2,toolong", "3,c", "3,d", "4,e", "5,f6"]
    (home.manifest.parent / "things.csv").write_text("id,label\n" + "\n".join(rows) + "\n")
    assert home.run("r1") == {"things": 2}
    good = pads.dataset(home.data / "things" / "things").to_table()["id"].to_pylist()
    aside = pads.dataset(home.data / "things" / "things.quarantine").to_table().to_pylist()
    assert good == [1, 4]
    assert {row["label"]: row["_broken_rules"] for row in aside} == {
        "toolong": ["label.pattern", "label.length"], "c": ["id.unique"], "d": ["id.unique"], "f6": ["label.pattern"],
    }  # fmt: skip


def test_a_key_must_be_one_rows_own_in_the_whole_table(home: Home) -> None:
    home.manifest.write_text(MINIMAL.replace("{to: parquet}", "{to: parquet, mode: append}"))
    assert home.run("r1") == {"things": 2}
    with pytest.raises(ContractViolation, match=r"primary_key \(2\)"):
        home.run("r2")
    home.manifest.write_text(
        home.manifest.read_text().replace(
            "primary_key: [id]", "rules: [{name: own, column: id, unique: true, scope: run}]"
        )
    )
    assert home.run("r3") == {"things": 4}


def test_rules_compare_with_what_published_runs_measured(home: Home) -> None:
    rules = "rules: [{name: ids, column: id, mean: {max_change: 50%}, severity: high}, {name: drift, schema_drift: [things], severity: high}]"
    home.manifest.write_text(MINIMAL.replace("primary_key: [id]", rules))
    data = home.manifest.parent / "things.csv"
    data.write_text("id,label\n10,a\n20,b\n")
    home.run("r1")
    data.write_text("id,label\n100,a\n200,b\n")
    with pytest.raises(ContractViolation, match=r"ids \("):
        home.run("r2")
    data.write_text("id,label\n12,a\n20,b\n")
    home.run("r3")  # r2 was not published, so r1 is what it is compared with
    data.write_text("id,label,more\n12,a,x\n20,b,y\n")
    with pytest.raises(ContractViolation, match=r"drift \(1\)"):
        home.run("r4")


def test_every_validation_has_its_page(home: Home) -> None:
    home.run("r1")
    (page,) = (home.data.parent / "_data_docs").rglob("*.html")
    text = page.read_text()
    assert "names one row" in text
    assert "http" not in text.replace("http-equiv", "")


@pytest.fixture
def three(tmp_path: Path, write: Write, database: psycopg.Connection) -> Iterator[Home]:
    database.execute("CREATE TABLE orders (id bigint PRIMARY KEY, label text)")
    found = Home(tmp_path / "home", write(THREE_TARGETS, folder="product"), info_of(database))
    yield found
    found.close()


def visible(home: Home, database: psycopg.Connection) -> dict[str, list[int]]:
    """The ids that readers of each target see, with readers that know nothing of the package."""
    lake = (
        DeltaTable(str(home.data / "orders" / "lake")).to_pyarrow_dataset().to_table(columns=["id"])["id"].to_pylist()
    )
    files = pads.dataset(home.data / "orders" / "files").to_table(columns=["id"])["id"].to_pylist()
    mart = [row[0] for row in database.execute("SELECT id FROM mart.orders").fetchall()]
    return {"lake": sorted(lake), "files": sorted(files), "mart": sorted(mart)}


def everywhere(ids: list[int]) -> dict[str, list[int]]:
    return dict.fromkeys(("lake", "files", "mart"), ids)


def sell(database: psycopg.Connection, first: int, last: int) -> None:
    database.execute(
        "INSERT INTO orders SELECT i, 'order ' || i FROM generate_series(%s::int, %s::int) i", (first, last)
    )


def test_a_second_run_reads_what_is_new(three: Home, database: psycopg.Connection) -> None:
    sell(database, 1, 10)
    three.run("r1")
    sell(database, 11, 13)
    assert three.run("r2") == {"lake": 13, "files": 13, "mart": 13}
    assert {row["run_id"]: row["rows"] for row in three.rows(tables.extracts)} == {"r1": 10, "r2": 3}
    assert three.open("x").catalog.watermark("test.orders", "orders") == "13"
    assert visible(three, database) == everywhere(list(range(1, 14)))


def test_a_run_that_reads_again_reads_the_same(three: Home, database: psycopg.Connection) -> None:
    """One output is published, the run dies, rows come in, the run goes on: no output may miss them for ever."""
    sell(database, 1, 10)
    run = three.open("r1")
    inputs = {step.name: runtime.extract(run, step) for step in run.plan.extracts}
    outputs = {step.name: runtime.transform(run, step, inputs, {}) for step in run.plan.transforms}
    first = run.plan.validations[0]
    runtime.publish(run, run.plan.publications[0], runtime.validate(run, first, inputs, outputs))
    sell(database, 11, 20)
    three.run("r1")
    assert visible(three, database)["files"] == list(range(1, 11))
    three.run("r2")
    assert visible(three, database) == everywhere(list(range(1, 21)))


KILLS = int(os.environ.get("DATAPRODUCTS_TEST_KILLS", "24"))


@pytest.mark.slow
def test_killed_anywhere_and_tried_again_nothing_is_lost_or_twice(three: Home, database: psycopg.Connection) -> None:
    """SIGKILL at random moments of a run, then the same run again, while readers look on."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.integration.preload"])
    sell(database, 1, 10)
    three.run("r0")
    arguments = [str(three.folder), three.infos]

    def start(run_id: str) -> Any:
        process = context.Process(target=product_run.main, args=(str(three.manifest), run_id, *arguments))
        process.start()
        return process

    sell(database, 11, 20)
    warm = start("warm")
    warm.join(120)
    assert warm.exitcode == 0
    stop, torn = threading.Event(), list[str]()

    def look() -> None:
        while not stop.wait(0.02):
            # A reader that looks at a link while it is switched follows it first, as open_output does.
            found = pads.dataset((three.data / "orders" / "files").resolve()).count_rows()
            lake = DeltaTable(str(three.data / "orders" / "lake")).to_pyarrow_dataset().count_rows()
            torn.extend(f"{count} rows" for count in (found, lake) if count % 10)

    reader = threading.Thread(target=look)
    reader.start()
    dice, killed = random.Random(7), 0
    for number in range(1, KILLS + 1):
        sell(database, 11 + 10 * number, 20 + 10 * number)
        process = start(f"r{number}")
        process.join(dice.uniform(0.0, 1.6))
        if process.exitcode is None:
            process.kill()
            killed += 1
        process.join()
        again = start(f"r{number}")
        again.join(120)
        assert again.exitcode == 0
    stop.set()
    reader.join()
    assert torn == []
    assert killed > KILLS // 4, "the runs were too quick to be killed"
    assert visible(three, database) == everywhere(list(range(1, 21 + 10 * KILLS)))
