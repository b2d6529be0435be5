"""Validating an output against its contract, by Great Expectations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.contract.ddl import names, quote
from airflow_dataproducts.engine import duck
from airflow_dataproducts.engine.staging import on_this_machine
from airflow_dataproducts.engine.validation.found import CURRENT, INPUTS, Before
from airflow_dataproducts.engine.validation.gx import Judge, run_on_rows
from airflow_dataproducts.engine.validation.results import Validation, in_order, read_results
from airflow_dataproducts.engine.validation.scan import Scanner
from airflow_dataproducts.engine.validation.suite import build_suite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import duckdb
    import pyarrow.dataset as pads

    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.engine.duck import LocalParquet
    from airflow_dataproducts.engine.validation.found import Scan
    from airflow_dataproducts.engine.validation.results import CheckResult
    from airflow_dataproducts.engine.validation.split import Split
    from airflow_dataproducts.plan import ValidateStep
    from airflow_dataproducts.settings import Settings

__all__ = ["Before", "Tables", "Validation", "judged", "measured", "validate"]

NOTHING_BEFORE = Before()


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that rules may read, by name; an output hides an input of the same name.

    Attributes:
        outputs: the outputs of this run.
        inputs: its inputs.
    """

    outputs: Mapping[str, pads.Dataset | LocalParquet]
    inputs: Mapping[str, pads.Dataset | LocalParquet] = field(default_factory=dict)


def validate(
    step: ValidateStep,
    tables: Tables,
    settings: Settings,
    before: Before = NOTHING_BEFORE,
    *,
    says_types: bool = True,
    then: Callable[[Validation, Split], None] | None = None,
) -> Validation:
    """Check an output. Broken checks are in the result; whether they stop the run is the caller's to decide.

    The rows are measured by DuckDB while Great Expectations is being imported, and judged by it then.

    Args:
        step: the output and its checks.
        tables: what rules may read.
        settings: the site's.
        before: what was there before this run.
        says_types: False for rows that know text only, such as CSV's.
        then: called before the rows are let go, with the outcome and what can part the good rows from the others.

    Raises:
        ContractViolation: a rule's query is no SQL that DuckDB can answer.
        ConfigurationError: an expectation of the user's cannot be loaded.
    """
    import pyarrow.dataset  # noqa: F401 - before there are two threads: no module is to be imported by both at once

    from airflow_dataproducts.engine.validation.split import Split

    with measured(step, tables, settings, before, says_types=says_types) as (connection, scanner):
        with ThreadPoolExecutor(1) as pool:
            measuring = pool.submit(scanner.run)
            judge = Judge()
            scan = measuring.result()
        found = judged(judge, step, scan, lambda columns: _frame(connection, step.name, columns))
        if then is not None:
            then(found, Split(connection, step.name, scanner.broken_rows()))
        return found


@contextmanager
def measured(
    step: ValidateStep, tables: Tables, settings: Settings, before: Before = NOTHING_BEFORE, *, says_types: bool
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Scanner]]:
    """A session with the tables, and what measures the output in it.

    Args:
        step: the output and its checks.
        tables: what rules may read.
        settings: the site's.
        before: what was there before this run.
        says_types: False for rows that know text only.
    """
    with TemporaryDirectory(prefix="dataproducts-validate-") as folder, duck.session(settings) as connection:
        # The output is looked at several times, its neighbours at most once.
        rows = {step.name: on_this_machine(tables.outputs[step.name], Path(folder))}
        for name, table in {**tables.inputs, **tables.outputs, **rows}.items():
            duck.add_table(connection, name, table)
        for name, table in tables.inputs.items():
            duck.add_table(connection, name, table, schema=INPUTS)
        if before.table is not None:
            connection.register(CURRENT, before.table)
        yield connection, Scanner(connection, step, before, says_types=says_types)


@dataclass(slots=True)
class _Group:
    """Checks that GX judges together: they look at the same number of rows, or at the rows themselves."""

    suffix: str
    checks: list[Check]
    rows: int | None


def judged(
    judge: Judge, step: ValidateStep, scan: Scan, frame: Callable[[Sequence[str]], Any] | None = None
) -> Validation:
    """GX's judgement of every check.

    Args:
        judge: GX, ready.
        step: the output and its checks.
        scan: what was measured.
        frame: gives columns of the rows, for expectations that look at them; None where there are none such.
    """
    checks = {check.name: check for check in step.checks}
    results: list[CheckResult] = []
    documents = []
    for group in _groups(step.checks, scan):
        suite = build_suite(step, group.checks, group.suffix, scan.found)
        if group.rows is None:
            assert frame is not None  # noqa: S101 - there are such expectations
            answer = run_on_rows(judge.context, suite, frame(_columns_of(group.checks)))
        else:
            answer = judge.judge(suite, scan, group.rows)
        some, document = read_results(answer, checks, step.output.contract, scan)
        results += some
        documents.append(document)
    return Validation(step.name, scan.rows, in_order(results, step.checks), documents, scan.quarantined)


def _groups(checks: Sequence[Check], scan: Scan) -> list[_Group]:
    """The checks by what GX must be told of the rows."""
    rows, table, stock = _Group("", [], scan.rows), _Group(".table", [], scan.rows_after), _Group(".gx", [], None)
    for check in checks:
        if isinstance(check.rule, r.GxExpectation):
            stock.checks.append(check)
        elif isinstance(check.rule, r.RowCount) and scan.rows_after != scan.rows:
            table.checks.append(check)
        else:
            rows.checks.append(check)
    return [group for group in (rows, table, stock) if group.checks]


def _columns_of(checks: Sequence[Check]) -> list[str]:
    """The columns that expectations name; none where one names none or is the user's own, which may look at any."""
    if any(not check.columns or ":" in getattr(check.rule, "type", "") for check in checks):
        return []
    return sorted({name for check in checks for name in check.columns})


def _frame(connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[str]) -> Any:
    """The rows as a pandas frame over Arrow types: exact decimals, 64-bit integers, NULL apart from NaN."""
    import pandas as pd

    chosen = names(columns) or "*"
    table = connection.sql(f"SELECT {chosen} FROM {quote(name)}").to_arrow_table()
    return table.to_pandas(types_mapper=pd.ArrowDtype)
