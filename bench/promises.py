"""The monitor's tick: 1,000 products with six promises each on both stores, and how its cost grows with the products."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_dataproducts.catalog import tables
from airflow_dataproducts.catalog.sla import SlaStore
from airflow_dataproducts.catalog.store import Catalog
from airflow_dataproducts.runtime import monitor
from demo.shop import postgres

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
ROUNDS = 3
SIZES = (1000, 2500, 5000, 10_000)
KINDS: dict[str, dict[str, Any]] = {
    "freshness": {"target": 3600.0, "breach": 7200.0},
    "landing": {"more": {"by": "06:00", "timezone": "Europe/Berlin", "days": ["mon", "wed"], "holidays": [], "grace": 0.0}},
    "completeness": {"target": 0.99, "breach": 0.98, "more": {"required": {"things": ["id", "name"]}}},
    "accuracy": {"target": 0.99, "breach": 0.98},
    "volume": {"more": {"min": 1, "max": None, "max_change": 0.5}},
    "duration": {"target": 600.0, "breach": 900.0},
}  # fmt: skip


def _fill(catalog: Catalog, count: int) -> None:
    """Products that have published twice, one in a hundred of them too long ago."""
    base: dict[str, Any] = {
        "version": "1.0.0", "owner": {"team": "core"}, "alerts": {"slack": "#bench"}, "upstream": [], "escalate_after": None,
        "consumers": [], "review": {"breaches": 3, "within": 2_592_000.0},
    }  # fmt: skip
    specs, runs, publications, validations, metrics = {}, [], [], [], []
    for number in range(count):
        product = f"bench.p{number}"
        promises = [
            {"product": product, "name": kind, "kind": kind, "severity": "high", "text": kind, "every": 60.0, "output": "things",
             "column": None, "target": None, "breach": None, "more": {}, **more}
            for kind, more in KINDS.items()
        ]  # fmt: skip
        specs[product] = ("bench:x:y", {**base, "promises": promises})
        for run, hours in (("r1", 25), ("r2", 4 if number % 100 == 0 else 0.5)):
            at, key = NOW - timedelta(hours=hours), {"product_id": product, "run_id": run}
            runs.append(
                {
                    **key,
                    "version": "1.0.0",
                    "state": "success",
                    "started_at": at - timedelta(minutes=3),
                    "finished_at": at,
                }
            )
            publications.append(
                {
                    **key,
                    "output": "things",
                    "version": "1.0.0",
                    "kind": "delta",
                    "location": "x",
                    "revision": run,
                    "rows": 99,
                    "published_at": at,
                }
            )
            validations.append(
                {
                    **key,
                    "output": "things",
                    "success": True,
                    "rows": 99,
                    "quarantined": 0,
                    "checks": 9,
                    "failed": 0,
                    "warned": 0,
                    "score": 99.9,
                    "dimensions": {"validity": 99.9},
                    "results": [],
                    "gx": [],
                    "validated_at": at,
                }
            )
            metrics += [
                {**key, "output": "things", "column_name": name, "nulls": 0, "distinct_values": 9}
                for name in ("id", "name")
            ]
    with catalog.transaction() as connection:
        for table in (tables.runs, tables.publications, tables.validations, tables.column_metrics):
            connection.execute(sa.delete(table))
        rows = (
            (tables.runs, runs),
            (tables.publications, publications),
            (tables.validations, validations),
            (tables.column_metrics, metrics),
        )
        for table, each in rows:
            connection.execute(sa.insert(table), each)
    SlaStore(catalog).sync(specs, {}, [], NOW - timedelta(days=9))


def _ticks(catalog: Catalog) -> tuple[float, int]:
    """Median CPU seconds of this process for a tick once incidents are open, and its statements."""
    store, statements = SlaStore(catalog), []
    monitor.tick(store, NOW)
    sa.event.listen(catalog._engine(), "before_cursor_execute", lambda *_: statements.append(1))  # noqa: SLF001 - to count them
    taken = []
    for number in range(1, ROUNDS + 1):
        statements.clear()
        begun = time.process_time()
        monitor.tick(store, NOW + timedelta(minutes=number))
        taken.append(time.process_time() - begun)
    return statistics.median(taken), len(statements)


def measure(folder: Path) -> dict[str, Any]:
    """CPU seconds and statements of a tick on each store, and the seconds by number of products."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    with Catalog(sa.URL.create("sqlite", database=str(folder / "catalog.db"))) as catalog:
        _fill(catalog, 1000)
        found["SQLite"] = _ticks(catalog)
    with (
        postgres(folder / "pg") as uri,
        Catalog(sa.make_url(uri.replace("postgresql://", "postgresql+psycopg://"))) as catalog,
    ):
        _fill(catalog, 1000)
        found["PostgreSQL"] = _ticks(catalog)
    seconds = []
    for size in SIZES:
        with Catalog(sa.URL.create("sqlite", database=str(folder / f"catalog-{size}.db"))) as catalog:
            _fill(catalog, size)
            seconds.append(_ticks(catalog)[0])
    found["sizes"] = list(zip(SIZES, seconds, strict=True))
    found["r2"] = statistics.correlation(SIZES, seconds) ** 2
    return found
