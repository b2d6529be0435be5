"""The catalog: a store of its own, because Airflow 3 workers cannot reach Airflow's database.

It lives behind the Airflow connection ``dataproducts_catalog`` (PostgreSQL in production); without one it is a SQLite
file under ``$AIRFLOW_HOME``. Every write is an upsert under the run's own key, so that a retried task writes the same again.
"""

from __future__ import annotations

import fcntl
import json
import math
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from airflow_dataproducts.catalog import tables, tables_sla  # noqa: F401 - the tables of promises are the catalog's, too
from airflow_dataproducts.catalog.statements import insert_if_new, upsert
from airflow_dataproducts.exceptions import CatalogError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_dataproducts.plan import Plan

HEAD = "0004"
_VERSION_TABLE = "dataproducts_alembic_version"
_MIGRATION_LOCK = 7_302_551_902_114  # any number that is ours: PostgreSQL's advisory locks are named by numbers


@dataclass(frozen=True, slots=True)
class RunKey:
    """A run of a product."""

    product_id: str
    run_id: str

    @property
    def values(self) -> dict[str, Any]:
        """As columns."""
        return {"product_id": self.product_id, "run_id": self.run_id}


class Catalog:
    """The catalog's store.

    Args:
        url: SQLAlchemy's URL of it.

    Its tables are made, or brought up to date, when it is first used.

    Raises:
        CatalogError: from every method, when the store cannot be reached.
    """

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        self._engine_: sa.Engine | None = None

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def run_started(self, plan: Plan, run_id: str) -> None:
        """Note that a run is at work, and the product as its manifest says; a run that goes on keeps its start."""
        product, now = plan.product, _now()
        described = {
            "product_id": product.id, "domain": product.domain, "name": product.name, "version": product.version,
            "status": product.status, "tier": product.tier, "description": product.description,
            "owner": product.owner.model_dump(mode="json"), "tags": list(product.tags),
            "manifest_path": str(plan.path), "updated_at": now,
        }  # fmt: skip
        manifest = product.model_dump(mode="json", by_alias=True, exclude_none=True)
        first = {"product_id": product.id, "version": product.version, "manifest": manifest, "first_seen_at": now}
        key = RunKey(product.id, run_id)
        state = {
            "version": product.version,
            "state": "running",
            "failed_task": None,
            "error": None,
            "finished_at": None,
        }
        with self.transaction() as connection:
            upsert(connection, tables.products, [described])
            insert_if_new(connection, tables.product_versions, [first])
            upsert(connection, tables.runs, [{**key.values, **state, "started_at": now}], keep=("started_at",))

    def run_finished(self, key: RunKey, watermarks: Mapping[str, str]) -> None:
        """Note that a run has published everything, and how far its incremental inputs have been read."""
        now = _now()
        with self.transaction() as connection:
            _update_run(connection, key, {"state": "success", "failed_task": None, "error": None, "finished_at": now})
            for name, value in watermarks.items():
                row = {"product_id": key.product_id, "input": name, "value": value, "run_id": key.run_id}
                upsert(connection, tables.watermarks, [{**row, "updated_at": now}])

    def run_state(self, key: RunKey) -> str | None:
        """``running``, ``success`` or ``failed``; None for a run that the catalog does not know."""
        table = tables.runs
        same = (table.c.product_id == key.product_id) & (table.c.run_id == key.run_id)
        with self.transaction() as connection:
            return connection.execute(sa.select(table.c.state).where(same)).scalar_one_or_none()

    def run_failed(self, key: RunKey, task: str, error: str) -> None:
        """Note that a task of a run failed, and why."""
        with self.transaction() as connection:
            values = {"state": "failed", "failed_task": task, "error": error, "finished_at": _now()}
            _update_run(connection, key, values)

    def extracted(self, key: RunKey, name: str, staged: Mapping[str, Any]) -> None:
        """Note what a run read from an input: rows, bytes of Parquet and watermark."""
        row = {**key.values, "input": name, **staged, "extracted_at": _now()}
        with self.transaction() as connection:
            upsert(connection, tables.extracts, [row])

    def validated(self, key: RunKey, output: str, found: Mapping[str, Any]) -> None:
        """Keep an output's validation.

        Args:
            key: the run.
            output: the output's name.
            found: the columns of ``validations`` but the key and time.
        """
        with self.transaction() as connection:
            upsert(connection, tables.validations, [{**key.values, "output": output, **found, "validated_at": _now()}])

    def validation(self, key: RunKey, output: str) -> dict[str, Any] | None:
        """An output's validation in a run; None if there was none."""
        table = tables.validations
        same = (table.c.product_id == key.product_id) & (table.c.run_id == key.run_id) & (table.c.output == output)
        with self.transaction() as connection:
            row = connection.execute(sa.select(table).where(same)).mappings().first()
        return dict(row) if row else None

    def measured(self, key: RunKey, output: str, metrics: list[dict[str, Any]]) -> None:
        """Keep the metrics of an output's columns: column, nulls, distinct, minimum, maximum of each."""
        rows = [
            {
                **key.values, "output": output, "column_name": metric["column"], "nulls": metric["nulls"],
                "distinct_values": metric["distinct"], "minimum": metric["minimum"], "maximum": metric["maximum"],
            }
            for metric in metrics
        ]  # fmt: skip
        with self.transaction() as connection:
            upsert(connection, tables.column_metrics, rows)

    def traced(self, key: RunKey, output: str, links: list[tuple[str, str, str]]) -> None:
        """Keep where an output's columns come from: column, table and column there of each, instead of what was known before."""
        table = tables.lineage
        same = (table.c.product_id == key.product_id) & (table.c.output == output)
        now = _now()
        rows = [
            {
                **key.values,
                "output": output,
                "output_column": to,
                "source": source,
                "source_column": column,
                "updated_at": now,
            }
            for to, source, column in links
        ]
        with self.transaction() as connection:
            connection.execute(sa.delete(table).where(same))
            if rows:
                connection.execute(sa.insert(table), rows)

    def measured_before(self, key: RunKey, output: str, runs: int) -> dict[str, tuple[str, ...]]:
        """What the checks of an output measured in the runs that published it last, newest first, by check.

        Args:
            key: the run that asks, which is left out.
            output: the output's name.
            runs: how many runs to look back on.
        """
        found, seen = tables.validations, tables.publications
        same = [found.c[name] == seen.c[name] for name in ("product_id", "run_id", "output")]
        query = (
            sa.select(found.c.results)
            .join(seen, sa.and_(*same))
            .where(seen.c.product_id == key.product_id, seen.c.output == output, seen.c.run_id != key.run_id)
            .order_by(seen.c.published_at.desc())
            .limit(runs)
        )
        measured: dict[str, tuple[str, ...]] = {}
        with self.transaction() as connection:
            for (results,) in connection.execute(query):
                for each in results:
                    if each.get("observed") is not None:
                        measured[each["check"]] = (*measured.get(each["check"], ()), each["observed"])
        return measured

    def published(self, key: RunKey, output: str, publication: Mapping[str, Any]) -> None:
        """Note what a run made visible; a retry that made nothing new keeps the first time.

        Args:
            key: the run.
            output: the output's name.
            publication: version, kind, location, connection, revision, rows.
        """
        row = {**key.values, "output": output, **publication, "published_at": _now()}
        table = tables.publications
        same = (table.c.product_id == key.product_id) & (table.c.run_id == key.run_id) & (table.c.output == output)
        with self.transaction() as connection:
            there = connection.execute(sa.select(table.c.revision).where(same)).scalar_one_or_none()
            keep = ("published_at",) if there == publication["revision"] else ()
            upsert(connection, table, [row], keep=keep)

    def publications(self, product_id: str, output: str) -> dict[str, dict[str, Any]]:
        """What each run made visible of an output, by run id."""
        table = tables.publications
        query = sa.select(table).where(table.c.product_id == product_id, table.c.output == output)
        with self.transaction() as connection:
            return {row["run_id"]: dict(row) for row in connection.execute(query).mappings()}

    def rewind(self, product_id: str, run_id: str) -> None:
        """Set the watermarks of a product's inputs back to where a run had read them."""
        read, marks = tables.extracts, tables.watermarks
        same = (read.c.product_id == product_id) & (read.c.run_id == run_id)
        with self.transaction() as connection:
            read_up_to = connection.execute(sa.select(read.c.input, read.c.watermark).where(same)).all()
            for name, value in read_up_to:
                if value is not None:
                    mark = (marks.c.product_id == product_id) & (marks.c.input == name)
                    connection.execute(
                        sa.update(marks).where(mark).values(value=value, run_id=run_id, updated_at=_now())
                    )

    def watermark(self, product_id: str, name: str) -> str | None:
        """The greatest published cursor value of an input; None before the first publication."""
        table = tables.watermarks
        query = sa.select(table.c.value).where(table.c.product_id == product_id, table.c.input == name)
        with self.transaction() as connection:
            return connection.execute(query).scalar_one_or_none()

    def extracted_before(self, key: RunKey, name: str) -> tuple[bool, str | None]:
        """Whether the run has read this input before, and how far."""
        table = tables.extracts
        same = (table.c.product_id == key.product_id) & (table.c.run_id == key.run_id) & (table.c.input == name)
        with self.transaction() as connection:
            row = connection.execute(sa.select(table.c.watermark).where(same)).first()
        return row is not None, row[0] if row else None

    def current(self, product_id: str) -> list[dict[str, Any]]:
        """The newest publication of each output of a product, by output name."""
        table = tables.publications
        query = sa.select(table).where(table.c.product_id == product_id).order_by(table.c.published_at)
        with self.transaction() as connection:
            newest = {row["output"]: dict(row) for row in connection.execute(query).mappings()}
        return [newest[name] for name in sorted(newest)]

    def rows(self, table: sa.Table, product_id: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Rows of a table as dicts, newest first where the table knows time.

        Args:
            table: one of the catalog's.
            product_id: of one product only.
            limit: the most rows.
        """
        query = sa.select(table).limit(limit)
        if product_id is not None:
            query = query.where(table.c.product_id == product_id)
        times = [column for column in table.c if isinstance(column.type, sa.DateTime)]
        if times:
            query = query.order_by(times[0].desc())
        with self.transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def close(self) -> None:
        """Give the connections back."""
        if self._engine_ is not None:
            self._engine_.dispose()
            self._engine_ = None

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A connection whose work is committed at the end, whole or not at all."""
        try:
            with self._engine().begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            line = str(error.orig).strip().splitlines()[0]
            raise CatalogError(f"the catalog at {self._url.render_as_string()} cannot be used: {line}") from None

    def _engine(self) -> sa.Engine:
        if self._engine_ is None:
            if self._url.get_backend_name() == "sqlite":
                Path(str(self._url.database)).parent.mkdir(parents=True, exist_ok=True)
            engine = sa.create_engine(self._url, pool_pre_ping=True, json_serializer=_json)
            if engine.dialect.name == "sqlite":
                sa.event.listen(engine, "connect", _patient_sqlite)
            try:
                _migrate(engine)
            except BaseException:
                engine.dispose()
                raise
            self._engine_ = engine
        return self._engine_


def _json(value: Any) -> str:
    """JSON that PostgreSQL takes too: NaN and infinities as text."""
    try:
        return json.dumps(value, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _patient_sqlite(connection: Any, _record: Any) -> None:
    """Several tasks write at once: readers and one writer together, others wait."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 60000")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _migrate(engine: sa.Engine) -> None:
    """Bring the tables up to date, one process at a time."""
    if _revision(engine) == HEAD:
        return
    with _alone(engine) as connection:
        found = _revision(engine)
        if found == HEAD:
            return
        if found is not None and found > HEAD:
            raise CatalogError(f"the catalog's tables are of version {found}, newer than this package; upgrade it")
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
        connection.commit()


def _revision(engine: sa.Engine) -> str | None:
    if not sa.inspect(engine).has_table(_VERSION_TABLE):
        return None
    with engine.connect() as connection:
        found = connection.execute(sa.text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar_one_or_none()
        return None if found is None else str(found)


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection while no other process migrates."""
    if engine.dialect.name == "sqlite":
        with Path(f"{engine.url.database}.lock").open("w") as file, engine.connect() as connection:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield connection
    else:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            yield connection


def _now() -> datetime:
    return datetime.now(UTC)


def _update_run(connection: sa.Connection, key: RunKey, values: dict[str, Any]) -> None:
    table = tables.runs
    same = (table.c.product_id == key.product_id) & (table.c.run_id == key.run_id)
    connection.execute(sa.update(table).where(same).values(**values))
