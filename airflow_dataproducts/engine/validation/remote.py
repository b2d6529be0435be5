"""Validating where the data is: inside a database by GX's SQLAlchemy engine, or in Spark by its Spark engine.

The suite is the same but for what the engine would judge otherwise than the contract means it: comparisons of decimals,
64-bit integers and floats, whose bounds GX hands over as floats, become queries with exact literals. Patterns are the
engine's own: PostgreSQL's and Java's regular expressions differ from Python's in rare constructs.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.contract.types import sized_names
from airflow_dataproducts.engine import spark
from airflow_dataproducts.engine.validation.found import Found, Scan
from airflow_dataproducts.engine.validation.gx import RESULT_FORMAT, import_gx, new_context
from airflow_dataproducts.engine.validation.measures import bounds, row_bounds
from airflow_dataproducts.engine.validation.results import Validation, in_order, read_results
from airflow_dataproducts.engine.validation.suite import SuiteMaker
from airflow_dataproducts.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow.dataset as pads
    from sqlglot import exp

    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.manifest.types import DataType
    from airflow_dataproducts.plan import ValidateStep

_DIALECTS = {"postgresql": "postgres", "mssql": "tsql", "awsathena": "athena"}
"""SQLAlchemy's names of backends that sqlglot knows by another."""
_INEXACT = {"decimal", "bigint", "float", "double", "time"}


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A table in a database.

    Attributes:
        url: SQLAlchemy's URL of the database.
        table: the table, with its schema.
        others: what stands after FROM for inputs and other outputs, by the names that rules use.
        whole: a query that gives the table as consumers will see it, for checks on that; None where it is the same.
        measured: what earlier published runs measured for a check, newest first.
    """

    url: str = field(repr=False)
    table: str
    others: Mapping[str, str] = field(default_factory=dict)
    whole: str | None = None
    measured: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


def in_database(step: ValidateStep, where: Warehouse) -> Validation:
    """Check a table inside its database; no row leaves it but samples of what breaks a check.

    Args:
        step: the output and its checks.
        where: the table.

    Raises:
        ConfigurationError: the database cannot be reached, or has no such table.
    """
    backend = where.url.partition(":")[0].partition("+")[0]
    schema, _, table = where.table.rpartition(".")

    def batch(context: Any, query: str | None = None) -> Any:
        # GX asks for its own class per database, which refuses a PostgreSQL URL that names a socket; and it reads $ as a variable.
        logging.getLogger("great_expectations.datasource.fluent").setLevel(logging.ERROR)
        source = context.data_sources.add_sql(step.name, connection_string=where.url.replace("$", r"\$"))
        if query is None:
            asset = source.add_table_asset("rows", table_name=table, schema_name=schema or None)
        else:
            asset = source.add_query_asset("whole", query=query)
        return asset.add_batch_definition_whole_table("whole").get_batch()

    maker = partial(_RemoteMaker.of, step, _DIALECTS.get(backend, backend), where)
    if where.whole is None:
        return _validate(step, maker(step.checks), batch)
    of_table = tuple(check for check in step.checks if check.sees_table)
    of_rows = tuple(check for check in step.checks if check not in of_table)
    rows = _validate(step, maker(of_rows), batch)
    if not of_table:
        return rows
    whole = _validate(step, maker(of_table), partial(batch, query=where.whole))
    results = in_order([*rows.results, *whole.results], step.checks)
    return Validation(step.name, rows.rows, results, [*rows.gx, *whole.gx])


def in_spark(
    step: ValidateStep, tables: Mapping[str, pads.Dataset], remote: str, measured: Mapping[str, tuple[Any, ...]]
) -> Validation:
    """Check an output's files in Spark.

    Args:
        step: the output and its checks.
        tables: the files of the output, and of the inputs and other outputs that its rules may read; Spark must reach them.
        remote: Spark Connect's address (sc://host:port), or a master such as local[*].
        measured: what earlier published runs measured for a check, newest first.

    Raises:
        ConfigurationError: PySpark is not installed, or Spark cannot be reached, or a rule cannot be said in its words.
        TransformError: Spark cannot read the files.
    """

    def batch(context: Any) -> Any:
        asset = context.data_sources.add_spark(step.name).add_dataframe_asset("rows")
        frame = session.table(f"`{step.name}`")
        return asset.add_batch_definition_whole_dataframe("whole").get_batch(batch_parameters={"dataframe": frame})

    where = Warehouse("", "", {name: f"`{name}`" for name in tables if name != step.name}, None, measured)
    with spark.session(remote) as session, spark.errors(step.name):
        for name, table in tables.items():
            spark.table(session, table).createOrReplaceTempView(name)
        return _validate(step, _RemoteMaker.of(step, "spark", where, step.checks), batch)


def _validate(step: ValidateStep, maker: _RemoteMaker, open_batch: Callable[[Any], Any]) -> Validation:
    import_gx(spark=maker.dialect == "spark")
    from great_expectations.datasource.fluent.interfaces import TestConnectionError
    from great_expectations.exceptions import GreatExpectationsError

    checks = {check.name: check for check in step.checks}
    suite = maker.suite(step.name)
    batch = None
    try:
        batch = open_batch(new_context())
        judged = batch.validate(suite, result_format=RESULT_FORMAT)
    except (GreatExpectationsError, TestConnectionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigurationError(f"output {step.name}: Great Expectations cannot read its table: {reason}") from None
    finally:
        if batch is not None and hasattr(batch.data.execution_engine, "close"):
            batch.data.execution_engine.close()  # a database's connections; a Spark session is the caller's
    rows = max((each.result.get("element_count") or _rows(each) for each in judged.results), default=0)
    results, document = read_results(judged, checks, step.output.contract, Scan(rows=rows))
    return Validation(step.name, rows, in_order(results, step.checks), [document])


def _rows(result: Any) -> int:
    is_count = result.expectation_config.type == "expect_table_row_count_to_be_between"
    return int(result.result.get("observed_value") or 0) if is_count else 0


class _RemoteMaker(SuiteMaker):
    """The suite for another engine."""

    dialect: str
    names: Mapping[str, str]

    @classmethod
    def of(cls, step: ValidateStep, dialect: str, where: Warehouse, checks: tuple[Check, ...]) -> _RemoteMaker:
        """For some of an output's checks.

        Args:
            step: the output.
            dialect: sqlglot's name of the engine's SQL.
            where: the table.
            checks: those that are wanted.
        """
        types = {column.name: column.type for column in step.output.contract.columns}
        now = datetime.now(UTC).replace(tzinfo=None)
        found = {
            check.name: Found(holds=True, bounds=limits)
            for check in checks
            if (limits := _limits(check, types, now, where.measured.get(check.name, ()))) is not None
        }
        made = cls(step.name, types, checks, found)
        made.dialect, made.names = dialect, where.others
        return made

    def as_query(self, check: Check) -> bool:
        compared = isinstance(check.rule, r.Between | r.OneOf)
        return compared and self._types[check.columns[0]].name in _INEXACT

    def type_names(self, kind: DataType) -> tuple[str, ...]:
        return super().type_names(kind) if self.dialect == "spark" else sized_names(kind)

    def _relation(self, relation: str, alias: str) -> exp.Expr:
        """What stands after FROM, under another name."""
        import sqlglot
        from sqlglot import exp

        found = sqlglot.parse_one(f"SELECT * FROM {relation}", read=self.dialect).find(exp.From)
        assert found is not None  # noqa: S101 - it has just been written
        found.this.set("alias", None)
        return exp.alias_(found.this, alias, table=True)

    def finish(self, query: str) -> str:
        import sqlglot
        from sqlglot import exp

        def renamed(node: exp.Expr) -> exp.Expr:
            if isinstance(node, exp.Table) and not node.db and node.name in self.names:
                return self._relation(self.names[node.name], node.alias or node.name)
            if isinstance(node, exp.IsNan):
                return exp.EQ(this=node.this, expression=exp.cast(exp.Literal.string("NaN"), "double"))
            return node

        try:
            parsed = sqlglot.parse_one(query, read="duckdb")
        except sqlglot.ParseError as error:
            reason = str(error).splitlines()[0]
            raise ConfigurationError(f"a rule's SQL cannot be put into {self.dialect}'s words: {reason}") from None
        return parsed.transform(renamed).sql(dialect=self.dialect)


def _limits(
    check: Check, types: Mapping[str, DataType], now: datetime, past: tuple[Any, ...]
) -> tuple[Any, Any] | None:
    """The bounds that depend on the time, or on what was measured before; None for other rules."""
    if isinstance(check.rule, r.Fresh):
        oldest = now - check.rule.max_age
        # As the column's own kind; a date lasts until its end.
        is_date = types[check.columns[0]].name == "date"
        return (oldest - timedelta(days=1)).date() if is_date else oldest, None
    if isinstance(check.rule, r.RowCount) and check.rule.max_change is not None:
        return row_bounds(check.rule, [int(rows) for rows in past])
    if isinstance(check.rule, r.Statistic) and check.rule.max_change is not None:
        return bounds(check.rule, past)
    return None
