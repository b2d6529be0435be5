"""A target that things are published to, as tests see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as pads

from airflow_dataproducts.engine import staging
from airflow_dataproducts.engine.moment import Moment
from airflow_dataproducts.engine.targets import Request, open_published, open_target
from airflow_dataproducts.engine.transforms import database
from airflow_dataproducts.manifest.outputs import Output
from airflow_dataproducts.plan import TransformStep
from tests.integration.conftest import KnownConnections

if TYPE_CHECKING:
    from airflow_dataproducts.engine.kept import Kept
    from airflow_dataproducts.engine.targets import Publication, Target
    from airflow_dataproducts.settings import Settings

COLUMNS = [
    {"name": "id", "type": "bigint", "description": "the id"},
    {"name": "v", "type": "string"},
    {"name": "p", "type": "integer"},
]


class Shelf:
    """One target that things are published to, and the view a consumer has of it."""

    def __init__(self, publish: dict[str, Any], settings: Settings, *infos: Any) -> None:
        self.publish_to = publish
        self.settings = settings
        self.connections = KnownConnections(*infos)

    def output(self, mode: str = "replace", columns: list[dict[str, Any]] | None = None) -> Output:
        contract = {"columns": columns or COLUMNS, "primary_key": ["id"]}
        return Output.model_validate({"contract": contract, "publish": {**self.publish_to, "mode": mode}})

    def target(self, mode: str = "replace") -> Target:
        return open_target("a.b", "out", self.output(mode), self.connections, self.settings)

    def rows(self, rows: dict[int, str]) -> pa.Table:
        return pa.table({
            "id": pa.array(rows, pa.int64()), "v": pa.array(rows.values(), pa.string()),
            "p": pa.array([i % 2 for i in rows], pa.int32()),
        })  # fmt: skip

    def draft(self, run: str, rows: dict[int, str], mode: str) -> pads.Dataset | Kept:
        """The rows where the target wants a run's files, as a transform leaves them."""
        table = self.rows(rows)
        folder = self.target(mode).draft(run)
        if folder is None:
            return pads.dataset(table)
        stream, target = staging.Stream(table.schema, iter(table.to_batches())), self.target(mode)
        partitions = self.output(mode).publish.partition_by
        staged = staging.write(folder, stream, partitions, in_files=target.columns_in_files)
        return staging.read(staged)

    def publish(self, run: str, rows: dict[int, str], mode: str = "replace", **more: Any) -> Publication:
        output = self.output(mode, more.get("columns"))
        data = self.given(run, rows, mode, more.get("table"))
        return open_target("a.b", "out", output, self.connections, self.settings).publish(
            Request("a.b", "1.0.0", "out", output, run, data)
        )

    def given(self, run: str, rows: dict[int, str], mode: str, table: Any) -> pads.Dataset | Kept:  # noqa: ARG002 - for others
        """The rows as they are published when nothing is to happen to them."""
        given = self.rows(rows) if table is None else table
        return given if isinstance(given, pads.Dataset) else pads.dataset(given)

    def seen(self) -> dict[int, str]:
        location = self.publish_to.get("table") or self.publish_to["location"]
        data = open_published(
            self.publish_to["to"], location, self.publish_to.get("connection"), self.connections
        ).to_table()
        return dict(zip(data["id"].to_pylist(), data["v"].to_pylist(), strict=True))


class InsideShelf(Shelf):
    """The same in PostgreSQL, where the database itself makes the rows."""

    def draft(self, run: str, rows: dict[int, str], mode: str) -> Kept:
        values = ", ".join(f"({number}, '{value}', {number % 2})" for number, value in rows.items())
        output = self.output(mode).model_copy(update={"engine": "db"})
        step = TransformStep("out", output, f"SELECT * FROM (VALUES {values}) AS v(id, v, p)", None, "")
        return database.transform(step, {}, self.connections.get("db"), ("1.0.0", Moment.now(run)))

    def given(self, run: str, rows: dict[int, str], mode: str, table: Any) -> Kept:  # noqa: ARG002 - as the others have it
        return self.draft(run, rows, mode)
