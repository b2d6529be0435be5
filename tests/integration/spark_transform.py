"""Makes an output in Spark, validates it and publishes it to Delta; prints what readers see, as JSON."""

from __future__ import annotations

import datetime as dt
import json
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_dataproducts.engine import layout, staging
from airflow_dataproducts.engine.connections import ConnectionInfo
from airflow_dataproducts.engine.moment import Moment
from airflow_dataproducts.engine.storage import open_place
from airflow_dataproducts.engine.targets import Request, Target, open_published, open_target
from airflow_dataproducts.engine.transforms import spark
from airflow_dataproducts.exceptions import TransformError
from airflow_dataproducts.manifest.outputs import Output
from airflow_dataproducts.plan import TransformStep
from airflow_dataproducts.settings import Settings
from tests.integration.conftest import KnownConnections

SQL = """SELECT id, total::DECIMAL(20,4) AS total, strftime(day, '%Y') AS year, $run_date AS made, at, zone, any_value(uid) AS uid, any_value(doc) AS doc, array_agg(kind) AS kinds FROM things
    WHERE list_contains(['a', 'b'], kind) GROUP BY ALL"""
COLUMNS = {
    "id": "bigint", "total": "decimal(20,4)", "year": "string", "made": "date", "at": "timestamp", "zone": "timestamptz",
    "uid": "uuid", "doc": "json", "kinds": "array<string>",
}  # fmt: skip


def main(folder: Path, remote: str) -> None:
    """Everything under the folder."""
    things = pa.table({
        "id": [1, 2, 3], "kind": ["a", "b", "c"], "day": [dt.date(2026, 1, 31)] * 3,
        "total": pa.array([Decimal("0.10"), Decimal("12345678901234.5678"), None], pa.decimal128(38, 4)),
        "uid": ["6F9619FF-8B86-D011-B42D-00CF4FC964FF", None, "no uuid"], "doc": ['{"a": [1, null]}', "null", "{no json"],
        "at": pa.array([dt.datetime(2026, 1, 1, 1, 2, 3, 456789)] * 3, pa.timestamp("us")),  # noqa: DTZ001 - that is the point
        "zone": pa.array([dt.datetime(1969, 1, 1, tzinfo=dt.UTC)] * 3, pa.timestamp("us", "UTC")),
    })  # fmt: skip
    (folder / "in").mkdir()
    pq.write_table(things, folder / "in" / "part-0.parquet")
    tables = {"things": layout.open_files(open_place(str(folder / "in")), {})}
    contract = {"columns": [{"name": name, "type": kind} for name, kind in COLUMNS.items()]}
    place = {"to": "delta", "location": str(folder / "table"), "partition_by": ["year"]}
    output = Output.model_validate({"contract": contract, "publish": place, "engine": "spark", "transform": SQL})
    connections, settings = KnownConnections(ConnectionInfo("none", "none")), Settings("", "", "")
    target = open_target("a.b", "out", output, connections, settings)
    moment = Moment("r1", *[dt.datetime(2026, 1, 31, tzinfo=dt.UTC)] * 3)

    def make(sql: str, target: Target = target, *, in_files: bool = False) -> staging.Staged:
        draft = target.draft("r1")
        assert draft is not None
        return spark.transform(
            TransformStep("out", output, sql, None, "."), tables, (draft, ("year",), in_files), (remote, moment)
        )

    errors = []
    rest = "day AS made, at, zone, kind AS year, total, array[kind] AS kinds"
    for broken in ("SELECT kind AS id, total, '' AS year, made, at, zone FROM things", "SELECT nothing FROM things", "SELECT 1 AS id FROM things",
                   f"SELECT CAST(kind AS BIGINT) AS id, uid, doc, {rest} FROM things WHERE kind < 'c'",
                   f"SELECT id, uid, NULL AS doc, {rest} FROM things", f"SELECT id, NULL AS uid, doc, {rest} FROM things"):  # fmt: skip
        try:
            make(broken)
        except TransformError as error:
            errors.append(str(error))
    staged = make(SQL)
    published = target.publish(Request("a.b", "1.0.0", "out", output, "r1", staging.read(staged)))
    seen = open_published("delta", str(folder / "table"), None, connections).to_table()
    rows = sorted(seen.to_pylist(), key=lambda row: row["id"])
    ice = {**place, "to": "iceberg", "connection": "ice", "table": "mart.t", "location": str(folder / "ice")}
    output = Output.model_validate({"contract": contract, "publish": ice, "engine": "spark", "transform": SQL})
    connections = KnownConnections(ConnectionInfo("ice", "sqlite", host=str(folder / "catalog.db")))
    iceberg = open_target("a.b", "out", output, connections, settings)
    iceberg.publish(Request("a.b", "1.0.0", "out", output, "r1", staging.read(make(SQL, iceberg, in_files=True))))
    again = open_published("iceberg", "mart.t", "ice", connections).to_table().select(seen.schema.names).to_pylist()
    assert sorted(again, key=lambda row: row["id"]) == rows, again
    print(
        json.dumps(
            {
                "rows": rows,
                "published": published.rows,
                "errors": errors,
                "total": str(seen.schema.field("total").type),
            },
            default=str,
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
