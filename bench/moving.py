"""One way of moving rows, in a process of its own. Prints seconds as JSON.

Every case is timed without its imports: what is compared is the work.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine.connections import ConnectionInfo
from airflow_dataproducts.engine.targets import Request, open_target
from airflow_dataproducts.manifest.outputs import Output
from airflow_dataproducts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow.dataset as pads

COLUMNS = {
    "id": "bigint", "order_no": "string", "customer_id": "integer", "email": "string", "amount": "decimal(12,2)",
    "quantity": "integer", "status": "string", "order_date": "date", "updated_at": "timestamptz",
}  # fmt: skip
SETTINGS = Settings("", "", "")


class Here:
    """The bench's database as the connection ``db``."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def get(self, name: str) -> ConnectionInfo:
        """The database, whatever the name."""
        import psycopg

        found = psycopg.conninfo.conninfo_to_dict(self._uri)
        return ConnectionInfo(
            name, "postgres", host=str(found["host"]), login=str(found["user"]), schema=str(found["dbname"])
        )

    def dbapi(self, name: str) -> Any:
        """Nobody asks for it."""
        raise NotImplementedError(name)

    http = dbapi


def output(publish: dict[str, Any]) -> Output:
    """The output that all cases publish."""
    columns = [{"name": name, "type": kind} for name, kind in COLUMNS.items()]
    return Output.model_validate({"contract": {"columns": columns, "primary_key": ["id"]}, "publish": publish})


def _publish(publish: dict[str, Any], uri: str, data: pads.Dataset, run: str) -> float:
    made = output(publish)
    target = open_target("a.b", "orders", made, Here(uri), SETTINGS)
    begun = time.perf_counter()
    target.publish(Request("a.b", "1.0.0", "orders", made, run, data))
    return time.perf_counter() - begun


def extract(uri: str, table: str, folder: str) -> float:
    """Ours: PostgreSQL to staged Parquet."""
    import adbc_driver_postgresql.dbapi  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from airflow_dataproducts.engine import staging
    from airflow_dataproducts.engine.sources import Reading, open_source
    from airflow_dataproducts.engine.storage import open_place
    from airflow_dataproducts.manifest.inputs import TableInput

    begun = time.perf_counter()
    reading = Reading(Here(uri), SETTINGS, lambda _: None)  # type: ignore[arg-type, return-value]
    with open_source("orders", TableInput(connection="db", table=table), reading) as stream:
        staging.write(open_place(folder) / "out", stream)
    return time.perf_counter() - begun


def pandas_chunks(uri: str, table: str, folder: str) -> float:
    """What most people write first: pandas in chunks."""
    import pandas as pd
    import sqlalchemy as sa

    engine = sa.create_engine(uri.replace("postgresql://", "postgresql+psycopg://"))
    begun = time.perf_counter()
    with engine.connect().execution_options(stream_results=True) as connection:
        for number, chunk in enumerate(pd.read_sql(sa.text(f"SELECT * FROM {table}"), connection, chunksize=100_000)):
            chunk.to_parquet(Path(folder) / f"{number}.parquet", compression="zstd")
    return time.perf_counter() - begun


def load(uri: str, file: str, _folder: str) -> float:
    """Ours: Parquet to a view in PostgreSQL, its table with types, key and comments."""
    import adbc_driver_postgresql.dbapi  # noqa: F401
    import pyarrow.dataset as pads

    return _publish(
        {"to": "postgres", "connection": "db", "table": "mart.orders"}, uri, pads.dataset(file), str(time.time())
    )


def csv_copy(uri: str, file: str, folder: str) -> float:
    """CSV written by DuckDB and loaded by COPY into a table with the same types and key."""
    import duckdb
    import psycopg

    begun = time.perf_counter()
    csv = Path(folder) / "rows.csv"
    duckdb.execute(f"SET TimeZone = 'UTC'; COPY (FROM read_parquet('{file}')) TO '{csv}' (FORMAT csv, HEADER false)")
    with psycopg.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS by_csv")
        cursor.execute("CREATE TABLE by_csv (LIKE big)")
        with csv.open("rb") as lines, cursor.copy("COPY by_csv FROM STDIN (FORMAT csv)") as copy:
            while block := lines.read(1 << 20):
                copy.write(block)
        cursor.execute("ALTER TABLE by_csv ADD PRIMARY KEY (id)")
        cursor.execute("SELECT count(*) FROM by_csv")
    return time.perf_counter() - begun


def switch(_uri: str, rows: str, folder: str) -> float:
    """Ours: publishing to Delta what is written and validated already."""
    import duckdb
    import pyarrow.dataset as pads

    place = {"to": "delta", "location": f"{folder}/table"}
    draft = open_target("a.b", "orders", output(place), Here(""), SETTINGS).draft("r1")
    assert draft is not None  # noqa: S101 - Delta has one
    Path(draft.path).mkdir(parents=True)
    query = f"""SELECT i::BIGINT id, 'ORD-' || i order_no, (i % 100000)::INTEGER customer_id, 'user' || (i % 997331) email,
        (i % 50000 / 100)::DECIMAL(12,2) amount, (i % 20)::INTEGER quantity, 'pending' status,
        DATE '2020-01-01' + (i % 2000)::INTEGER order_date, TIMESTAMPTZ '2026-01-01' updated_at FROM range({rows}) r(i)"""
    duckdb.execute(
        f"COPY ({query}) TO '{draft.path}' (FORMAT parquet, COMPRESSION zstd, FILE_SIZE_BYTES '512MB', OVERWRITE_OR_IGNORE)"
    )
    import deltalake  # noqa: F401

    return _publish(place, "", pads.dataset(draft.path), "r1")


def whole(uri: str, table: str, folder: str) -> float:
    """Ours: extract, transform with casts, publish to Delta; without the validation that nobody writes by hand."""
    return _whole(uri, table, folder, {"to": "delta", "location": f"{folder}/table"})


def _whole(uri: str, table: str, folder: str, publish: dict[str, Any]) -> float:
    import adbc_driver_postgresql.dbapi  # noqa: F401
    import deltalake  # noqa: F401
    import duckdb  # noqa: F401

    from airflow_dataproducts.engine import layout, staging
    from airflow_dataproducts.engine.moment import Moment
    from airflow_dataproducts.engine.storage import open_place
    from airflow_dataproducts.engine.transforms import transform
    from airflow_dataproducts.plan import TransformStep

    begun = time.perf_counter()
    extract(uri, table, folder)
    made = output(publish)
    draft = open_target("a.b", "orders", made, Here(uri), SETTINGS).draft("r1") or open_place(folder) / "made"
    inputs = {"orders": layout.open_files(open_place(folder) / "out", {})}
    step = TransformStep("orders", made, "SELECT * FROM orders", None, folder)
    staged = transform(step, inputs, lambda relation: staging.save(draft, relation), SETTINGS, Moment.now("r1"))
    _publish(publish, uri, staging.read(staged), str(time.time()))
    return time.perf_counter() - begun


def table_to_table(uri: str, table: str, folder: str) -> float:
    """Ours: extract, transform with casts, publish to PostgreSQL."""
    return _whole(uri, table, folder, {"to": "postgres", "connection": "db", "table": "mart.copied"})


def generic_transfer(uri: str, table: str, _folder: str) -> float:
    """Airflow's own operator from a table to a table, with the fastest inserts that its hook knows."""
    import os

    import psycopg
    from airflow.providers.common.sql.operators.generic_transfer import GenericTransfer

    info = Here(uri).get("db")
    os.environ["AIRFLOW_CONN_DB"] = json.dumps(
        {"conn_type": "postgres", "host": info.host, "login": info.login, "schema": info.schema}
    )
    with psycopg.connect(uri) as connection:
        connection.execute("DROP TABLE IF EXISTS transferred")
        connection.execute(f"CREATE TABLE transferred (LIKE {table})")
    operator = GenericTransfer(
        task_id="transfer", sql=f"SELECT * FROM {table}", destination_table="transferred", source_conn_id="db",
        destination_conn_id="db", insert_args={"commit_every": 10_000, "executemany": True, "fast_executemany": True},
    )  # fmt: skip
    begun = time.perf_counter()
    operator.execute({})
    with psycopg.connect(uri) as connection:
        connection.execute("ALTER TABLE transferred ADD PRIMARY KEY (id)")
    return time.perf_counter() - begun


def by_hand(uri: str, table: str, folder: str) -> float:
    """The same by hand: ADBC to Parquet, DuckDB, deltalake."""
    import adbc_driver_postgresql.dbapi as adbc
    import duckdb
    import pyarrow.parquet as pq
    from deltalake import write_deltalake

    begun = time.perf_counter()
    staged = f"{folder}/staged.parquet"
    with adbc.connect(uri) as connection, connection.cursor() as cursor:
        columns = ", ".join(f"{name}::text" if name == "amount" else name for name in COLUMNS)
        cursor.execute(f"SELECT {columns} FROM {table}")
        reader = cursor.fetch_record_batch()
        with pq.ParquetWriter(staged, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
    duck = duckdb.connect(config={"memory_limit": "1GB"})
    relation = duck.sql(f"SELECT * REPLACE (amount::DECIMAL(12,2) AS amount) FROM read_parquet('{staged}')")
    write_deltalake(f"{folder}/table", relation.to_arrow_reader(65_536), mode="overwrite")
    return time.perf_counter() - begun


CASES: dict[str, Callable[[str, str, str], float]] = {
    each.__name__: each
    for each in (extract, pandas_chunks, load, csv_copy, switch, whole, by_hand, table_to_table, generic_transfer)
}


def _peak() -> float:
    """Peak memory in MB since this program began; what ``wait4`` tells counts the process that started it, too."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="dataproducts-moving-") as scratch:
        print(json.dumps({"seconds": CASES[sys.argv[1]](sys.argv[2], sys.argv[3], scratch), "rss": _peak()}))
