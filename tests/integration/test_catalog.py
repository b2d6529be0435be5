"""The catalog on both of its databases."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from airflow_dataproducts.catalog import store, tables
from airflow_dataproducts.catalog.store import HEAD, Catalog, RunKey
from airflow_dataproducts.exceptions import CatalogError
from airflow_dataproducts.plan import load_plan
from tests.conftest import MINIMAL, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psycopg

    from airflow_dataproducts.plan import Plan

KEY = RunKey("test.things", "r1")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> sa.URL:
    if request.param == "sqlite":
        return sa.URL.create("sqlite", database=str(tmp_path / "catalog" / "catalog.db"))
    connection: psycopg.Connection = request.getfixturevalue("database")
    info = connection.info
    return sa.URL.create("postgresql+psycopg", info.user, database=info.dbname, query={"host": info.host})


@pytest.fixture
def plan(write: Callable[..., Path]) -> Plan:
    return load_plan(write(MINIMAL))


def test_the_migrations_make_the_tables(url: sa.URL) -> None:
    with Catalog(url) as catalog:
        catalog.rows(tables.products)
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        options = {"version_table": "dataproducts_alembic_version", "target_metadata": tables.metadata}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata) == []
    engine.dispose()


def test_the_head_is_the_newest_migration() -> None:
    scripts = ScriptDirectory(str(ROOT / "airflow_dataproducts" / "catalog" / "migrations"))
    assert scripts.get_current_head() == HEAD


def _first_use(text: str, queue: Any) -> None:
    try:
        with Catalog(sa.make_url(text)) as catalog:
            catalog.run_finished(KEY, {})
        queue.put("fine")
    except Exception as error:  # noqa: BLE001 - whatever a worker meets is what is looked for
        queue.put(repr(error))


def test_four_workers_use_it_first_at_once(url: sa.URL) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [
        context.Process(target=_first_use, args=(url.render_as_string(hide_password=False), queue)) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    assert [queue.get(timeout=120) for _ in workers] == ["fine"] * 4
    for worker in workers:
        worker.join()


def test_a_retried_task_writes_the_same_again(url: sa.URL, plan: Plan) -> None:
    catalog = Catalog(url)
    publication = {
        "version": "1.0.0",
        "kind": "parquet",
        "location": "/x",
        "connection": None,
        "revision": "v1",
        "rows": 5,
    }
    found = {
        "success": True,
        "rows": 5,
        "quarantined": 0,
        "checks": 1,
        "failed": 0,
        "warned": 0,
        "score": 99.5,
        "dimensions": {"validity": 99.5},
        "results": [{"check": "n", "observed": "5"}],
        "gx": [{"x": float("nan")}],
    }
    metric = {"column": "id", "nulls": 0, "distinct": 5, "minimum": "1", "maximum": "5"}
    for _ in range(2):
        catalog.run_started(plan, "r1")
        catalog.extracted(KEY, "things", {"rows": 5, "bytes": 9, "watermark": "5"})
        catalog.validated(KEY, "things", found)
        catalog.measured(KEY, "things", [metric])
        catalog.traced(KEY, "things", [("id", "things", "number")])
        catalog.published(KEY, "things", publication)
        catalog.run_finished(KEY, {"things": "5"})
    of_promises = {"sla_products", "sla_status", "incidents", "outbox", "probes"}
    for table in (each for each in tables.metadata.sorted_tables if each.name not in of_promises):
        assert len(catalog.rows(table)) == 1, table.name
    assert catalog.rows(tables.validations)[0]["gx"] == [{"x": "nan"}]
    assert catalog.watermark("test.things", "things") == "5"
    assert catalog.watermark("test.things", "other") is None
    assert catalog.extracted_before(KEY, "things") == (True, "5")
    assert catalog.extracted_before(RunKey("test.things", "r2"), "things") == (False, None)
    assert catalog.measured_before(KEY, "things", 3) == {}
    assert catalog.measured_before(RunKey("test.things", "r2"), "things", 3) == {"n": ("5",)}
    catalog.close()


def test_the_story_of_a_run(url: sa.URL, plan: Plan) -> None:
    catalog = Catalog(url)
    catalog.run_started(plan, "r1")
    begun = catalog.rows(tables.runs)[0]["started_at"]
    catalog.run_failed(KEY, "validate.things", "broken")
    failed = catalog.rows(tables.runs, "test.things")[0]
    assert (failed["state"], failed["failed_task"], failed["error"]) == ("failed", "validate.things", "broken")
    catalog.run_started(plan, "r1")
    again = catalog.rows(tables.runs)[0]
    assert (again["state"], again["error"], again["started_at"], again["finished_at"]) == ("running", None, begun, None)
    catalog.close()


def test_the_current_publication_is_the_newest(url: sa.URL) -> None:
    catalog = Catalog(url)
    for run, rows in (("r1", 1), ("r2", 2)):
        publication = {
            "version": "1.0.0",
            "kind": "parquet",
            "location": "/x",
            "connection": None,
            "revision": run,
            "rows": rows,
        }
        catalog.published(RunKey("a.b", run), "out", publication)
    assert [(row["output"], row["rows"]) for row in catalog.current("a.b")] == [("out", 2)]
    assert catalog.current("a.c") == []
    catalog.close()


def test_a_catalog_of_a_newer_package_is_refused(url: sa.URL, monkeypatch: pytest.MonkeyPatch) -> None:
    with Catalog(url) as catalog:
        catalog.rows(tables.products)
    monkeypatch.setattr(store, "HEAD", "0000")
    with Catalog(url) as catalog, pytest.raises(CatalogError, match="newer than this package; upgrade it"):
        catalog.rows(tables.products)


def test_a_catalog_that_cannot_be_reached(tmp_path: Path) -> None:
    url = sa.URL.create("postgresql+psycopg", "me", "hunter2", database="x", query={"host": str(tmp_path)})
    with pytest.raises(CatalogError) as caught:
        Catalog(url).rows(tables.products)
    assert "cannot be used" in str(caught.value)
    assert "hunter2" not in str(caught.value)
