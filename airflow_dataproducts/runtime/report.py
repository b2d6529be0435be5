"""What a validation found, in words: the end of a task's log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.engine.validation.results import line
from airflow_dataproducts.runtime.run import counts, log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataproducts.engine.validation.results import Validation
    from airflow_dataproducts.runtime.run import Reference, Run


def log_result(run: Run, found: Validation) -> None:
    """Say which checks broke, by how many rows, and where the full result is."""
    passed = sum(each.success for each in found.results)
    of = f"{passed} of {len(found.results)} checks hold on {found.rows:,} rows"
    log.info("output %s: %s, quality score %s", found.output, of, f"{found.score.total:g}")
    for each in found.warnings:
        log.warning("%s %s", "QUARANTINED" if each.on_violation == "quarantine" else "WARNED  ", line(each, found.rows))
    for each in found.failures:
        log.error("FAILED   %s", line(each, found.rows))
    if found.warnings or found.failures:
        where = f"/dataproducts/api/v1/products/{run.plan.product.id}/quality"
        log.info("the full result: the link Data Docs of this task, once `document` is done, or %s", where)


def violation(found: Validation, inputs: Mapping[str, Reference]) -> str:
    """The error of a task whose output must not be published."""
    broken = ", ".join(f"{each.check} ({each.note or f'{each.unexpected:,}'})" for each in found.failures)
    empty = f"; the inputs gave {counts(inputs)}" if found.rows == 0 else ""
    count = f"{len(found.failures)} of {len(found.results)} checks failed"
    return f"output {found.output} breaks its contract, nothing was published: {count}: {broken}{empty}"
