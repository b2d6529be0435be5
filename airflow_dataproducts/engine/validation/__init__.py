"""Validating an output against its contract, by Great Expectations."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.checks import Violations
from airflow_dataproducts.contract.ddl import quote
from airflow_dataproducts.engine import duck
from airflow_dataproducts.engine.transforms.sql import explain
from airflow_dataproducts.engine.validation import suite
from airflow_dataproducts.engine.validation.results import ColumnMetric, Validation, read_results
from airflow_dataproducts.exceptions import ContractViolation

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb
    import pyarrow.dataset as pads

    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.manifest.contract import Contract
    from airflow_dataproducts.plan import ValidateStep
    from airflow_dataproducts.settings import Settings


def validate(
    step: ValidateStep, tables: Mapping[str, pads.Dataset], settings: Settings, current: pads.Dataset | None
) -> tuple[Validation, set[int]]:
    """Check an output. Broken checks are in the result; whether they stop the run is the caller's to decide.

    Args:
        step: the output and its checks.
        tables: staged outputs and inputs by name; an output hides an input of the same name.
        settings: the site's.
        current: the version that readers see now, at least its key columns; None before the first.

    Returns:
        The outcome, and the positions of the rows to quarantine.

    Raises:
        ContractViolation: a rule's query is no SQL that DuckDB can answer.
    """
    _quiet_gx()
    with duck.session(settings) as connection:
        for name, table in tables.items():
            duck.add_table(connection, name, table)
        rows, rows_before, rows_after = _row_counts(connection, step, current)
        measures = {suite.ROW_COUNT: rows_after, **_counted(connection, step)}
        metrics = _metrics(connection, step)
    checks = {check.name: check for check in step.checks}
    frames = [
        (suite.row_suite(f"{step.name}", step.checks), _frame(tables[step.name])),
        (suite.measure_suite(f"{step.name}.measures", step.checks, rows_before), _measure_frame(measures)),
    ]
    keep_positions = any(check.on_violation == "quarantine" for check in step.checks)
    results, gx, positions = [], [], set[int]()
    context = _context()
    for expectations, frame in frames:
        if expectations.expectations:
            found = _run_gx(context, frame, expectations, complete=keep_positions)
            positions |= _positions(found, checks)
            some, safe = read_results(found, checks, step.output.contract)
            results += some
            gx.append(safe)
    order = list(checks)
    results.sort(key=lambda each: order.index(each.check))
    return Validation(step.name, rows, tuple(results), metrics, gx, len(positions)), positions


def _frame(table: pads.Dataset) -> Any:
    """The rows as a pandas frame over Arrow types: exact decimals, 64-bit integers, NULL apart from NaN."""
    import pandas as pd

    return table.to_table().to_pandas(types_mapper=pd.ArrowDtype)


def _measure_frame(measures: Mapping[str, int]) -> Any:
    import pandas as pd

    return pd.DataFrame({name: [value] for name, value in measures.items()})


def _context() -> Any:
    """A GX context in memory: no project folder, no temporary docs site, no progress bars in the log."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _run_gx(context: Any, frame: Any, expectations: Any, *, complete: bool) -> Any:
    from airflow_dataproducts.engine.validation.exact import ContractPandasDatasource

    source = context.add_datasource(datasource=ContractPandasDatasource(name=expectations.name))
    batch = (
        source.add_dataframe_asset(name="rows")
        .add_batch_definition_whole_dataframe("whole")
        .get_batch(batch_parameters={"dataframe": frame})
    )
    form = {"result_format": "COMPLETE" if complete else "SUMMARY", "partial_unexpected_count": 20}
    return batch.validate(expectations, result_format=form)


def _quiet_gx() -> None:
    """Before GX is imported: no telemetry, and no log lines about its own internals in the task's log."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)


def _positions(found: Any, checks: Mapping[str, Check]) -> set[int]:
    """Positions of rows that break a check whose consequence is quarantine."""
    positions: set[int] = set()
    for each in found.results:
        if checks[each.expectation_config.meta["check"]].on_violation == "quarantine" and not each.success:
            positions.update(each.result.get("unexpected_index_list") or ())
    return positions


def _row_counts(
    connection: duckdb.DuckDBPyConnection, step: ValidateStep, current: pads.Dataset | None
) -> tuple[int, int | None, int]:
    """The run's rows, the rows published now, and the rows once the run is published.

    A rule on the number of rows speaks of the table that consumers see, whatever the mode that makes it.
    """
    table = quote(step.name)
    rows = _number(connection, step, "row_count", f"SELECT count(*) FROM {table}")
    if current is None:
        return rows, None, rows
    before = current.count_rows()
    mode = step.output.publish.mode
    if mode == "replace":
        return rows, before, rows
    new = rows
    if mode == "merge":
        keys = ", ".join(quote(key) for key in step.output.contract.primary_key)
        connection.register("__current", current)
        query = f"SELECT count(*) FROM {table} ANTI JOIN __current USING ({keys})"
        new = _number(connection, step, "row_count", query)
    return rows, before, before + new


def _counted(connection: duckdb.DuckDBPyConnection, step: ValidateStep) -> dict[str, int]:
    """What each SQL rule counts."""
    return {
        check.name: _number(connection, step, check.name, check.rule.sql)
        for check in step.checks
        if isinstance(check.rule, Violations)
    }


def _number(connection: duckdb.DuckDBPyConnection, step: ValidateStep, rule: str, query: str) -> int:
    import duckdb

    try:
        row = duck.one_row(connection, query)
    except duckdb.Error as error:
        raise ContractViolation(f"output {step.name}: rule {rule}: {explain(error)}") from None
    if len(row) != 1 or not isinstance(row[0], int):
        raise ContractViolation(
            f"output {step.name}: rule {rule}: its query must give one number, the count of violations"
        )
    return row[0]


_ORDERED = {"integer", "bigint", "decimal", "float", "double", "date", "time", "timestamp", "timestamptz", "string"}


def _metrics(connection: duckdb.DuckDBPyConnection, step: ValidateStep) -> tuple[ColumnMetric, ...]:
    """Every column's measures, in one scan."""
    contract: Contract = step.output.contract
    parts = []
    for column in contract.columns:
        name = quote(column.name)
        shown = column.pii is None and column.type.name in _ORDERED
        extremes = f"CAST(min({name}) AS VARCHAR), CAST(max({name}) AS VARCHAR)" if shown else "NULL, NULL"
        parts.append(f"count(*) - count({name}), approx_count_distinct({name}), {extremes}")
    row = duck.one_row(connection, f"SELECT {', '.join(parts)} FROM {quote(step.name)}")
    return tuple(
        ColumnMetric(column.name, *row[index * 4 : index * 4 + 4]) for index, column in enumerate(contract.columns)
    )
