"""Measuring in a process of its own, while this one imports Great Expectations.

In one process the two slow each other down by a quarter: they take turns at Python's lock and at the process's map of memory.
Linux only, where a process that has loaded little yet is copied in a millisecond.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.engine.duck import LocalParquet
from airflow_dataproducts.engine.validation import Tables, judged, measured, validate
from airflow_dataproducts.engine.validation.found import Found, Scan
from airflow_dataproducts.engine.validation.gx import Judge, found_later
from airflow_dataproducts.exceptions import ConfigurationError, DataProductsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    from airflow_dataproducts.engine.validation.results import Validation
    from airflow_dataproducts.plan import ValidateStep
    from airflow_dataproducts.settings import Settings


_UNUSED = {"boto3", "botocore"}
"""What GX imports where it finds it, and does not need to judge what was measured here."""


@contextmanager
def begun(
    step: ValidateStep, tables: Tables, settings: Settings, *, says_types: bool
) -> Iterator[Callable[[], Validation]]:
    """A validation that has begun, to be finished by calling what this gives.

    It is the same as :func:`airflow_dataproducts.engine.validation.validate`, which makes it where no process of its own can.

    Args:
        step: the output and its checks.
        tables: what rules may read.
        settings: the site's.
        says_types: False for rows that know text only, such as CSV's.
    """
    if not _can_be_apart(step, tables):
        yield lambda: validate(step, tables, settings, says_types=says_types)
        return
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=_measure, args=(theirs, step, tables, settings, says_types))
    process.start()
    theirs.close()

    def finish() -> Validation:
        with found_later(set(), _UNUSED):
            judge = Judge()
        if not ours.poll():
            _rehearse(step)
        return judged(judge, step, _received(ours, process))

    try:
        yield finish
    finally:
        process.kill()  # it is over, or nobody wants it any more
        process.join()
        ours.close()


def _rehearse(step: ValidateStep) -> None:
    """Let GX judge as if every check held: what it prepares for its first judgement is ready when the rows are measured."""
    held = {check.name: Found(holds=True) for check in step.checks}
    with suppress(Exception):  # the judgement that counts says what is wrong
        judged(Judge(), step, Scan(rows=1, found=held, rows_after=1))


def _can_be_apart(step: ValidateStep, tables: Tables) -> bool:
    """Whether a copy of this process can measure: files alone are to be read, once, and nothing here is at work yet."""
    files = all(isinstance(each, LocalParquet) for each in [*tables.outputs.values(), *tables.inputs.values()])
    looks_at_rows = any(isinstance(check.rule, r.GxExpectation) for check in step.checks)
    is_fresh = "great_expectations" not in sys.modules and "duckdb" not in sys.modules and threading.active_count() == 1
    return sys.platform == "linux" and files and not looks_at_rows and is_fresh


def _measure(theirs: Connection, step: ValidateStep, tables: Tables, settings: Settings, says_types: bool) -> None:  # noqa: FBT001 - a process's arguments
    try:
        # DuckDB and Arrow load pandas where they find it, and nothing here needs it.
        with found_later(set(), {"pandas"}), measured(step, tables, settings, says_types=says_types) as (_, scanner):
            theirs.send(scanner.run())
    except DataProductsError as error:
        theirs.send(error)


def _received(ours: Connection, process: Any) -> Scan:
    try:
        found: Scan | DataProductsError = ours.recv()
    except EOFError:
        process.join()
        raise ConfigurationError(
            f"the process that reads the rows ended with {process.exitcode}; where that is -9, the machine ran out of memory: lower the memory limit"
        ) from None
    if isinstance(found, DataProductsError):
        raise found
    return found
