"""Checking an output against its contract, and documenting what was found."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.engine import staging
from airflow_dataproducts.engine.kept import Kept
from airflow_dataproducts.engine.staging import Staged
from airflow_dataproducts.engine.storage import open_place
from airflow_dataproducts.exceptions import ContractViolation, DataProductsError
from airflow_dataproducts.runtime.report import log_result, violation
from airflow_dataproducts.runtime.run import folder_of, log
from airflow_dataproducts.runtime.versions import tidy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow.dataset as pads

    from airflow_dataproducts.catalog.store import RunKey
    from airflow_dataproducts.engine.lineage import Link
    from airflow_dataproducts.engine.metrics import ColumnMetric
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.engine.targets import Target
    from airflow_dataproducts.engine.validation import Before, Validation
    from airflow_dataproducts.engine.validation.split import Split
    from airflow_dataproducts.plan import ValidateStep
    from airflow_dataproducts.runtime.run import Reference, Run
    from airflow_dataproducts.settings import Settings


def validate(
    run: Run, step: ValidateStep, inputs: Mapping[str, Reference], outputs: Mapping[str, Reference]
) -> Reference:
    """Check an output against its contract, and part the rows that it sets aside from those to publish.

    Args:
        run: the run.
        step: the output and its checks.
        inputs: what ``extract`` returned, by input; rules may read them.
        outputs: what ``transform`` returned, by output.

    Returns:
        The fields of :class:`Staged` of the rows to publish under ``staged``, those of the quarantined rows under
        ``quarantine`` (None if there are none), and counts under ``summary``.

    Raises:
        ContractViolation: a check failed that forbids publishing. The result is in the catalog all the same.
    """
    target = run.target(step)
    if target.published(run.run_id) is not None:
        # A run tried again from the start: its own rows are among those that consumers see, and would break every key.
        log.info("output %s: this run has published it already, so it has been valid", step.name)
        return {"staged": outputs[step.name], "quarantine": None, "summary": _summary(run, step)}
    if any(each.engine == "spark" for each in run.plan.validations):
        from airflow_dataproducts.engine.validation.gx import import_gx

        import_gx(spark=True)  # it learns of Spark when it is imported, or never
    if step.engine == "duckdb":
        return _in_files(run, step, target, inputs, outputs)
    found = (_in_spark if step.engine == "spark" else _in_database)(run, step, inputs, outputs)
    _judge(run, found, inputs)
    return {"staged": outputs[step.name], "quarantine": None, "summary": found.summary()}


def _judge(run: Run, found: Validation, inputs: Mapping[str, Reference]) -> None:
    """Keep the result, and stop the run where it says so."""
    _record(run, found)
    log_result(run, found)
    if found.failures:
        raise ContractViolation(violation(found, inputs))


def _in_database(
    run: Run, step: ValidateStep, inputs: Mapping[str, Reference], outputs: Mapping[str, Reference]
) -> Validation:
    """Check an output's draft where it is, in its database."""
    from airflow_dataproducts.engine.transforms import database
    from airflow_dataproducts.engine.validation.remote import Warehouse, in_database

    kept = {name: each for name, one in {**inputs, **outputs}.items() if (each := Kept.among(one)) is not None}
    draft = kept.pop(step.name)
    info = run.connections.get(step.output.engine)
    where = Warehouse(
        info.sqlalchemy_url(), draft.relation.replace('"', ""), {name: each.relation for name, each in kept.items()},
        database.whole(step.output, draft, info), _measured(run, step),
    )  # fmt: skip
    return in_database(step, where)


def _in_spark(
    run: Run, step: ValidateStep, inputs: Mapping[str, Reference], outputs: Mapping[str, Reference]
) -> Validation:
    """Check an output's files where they were made."""
    from airflow_dataproducts.engine.validation.remote import in_spark

    tables = {name: run.read(each) for name, each in {**inputs, **outputs}.items() if "relation" not in each}
    return in_spark(step, tables, run.settings.spark, _measured(run, step))


def _in_files(
    run: Run,
    step: ValidateStep,
    target: Target,
    inputs: Mapping[str, Reference],
    outputs: Mapping[str, Reference],
) -> Reference:
    """Check an output's files, and part them."""
    from airflow_dataproducts.engine.validation import Tables
    from airflow_dataproducts.engine.validation import validate as check

    tables = Tables(
        *(
            {name: run.read(each) for name, each in references.items() if "relation" not in each}
            for references in (outputs, inputs)
        )
    )
    parted: dict[str, Staged] = {}

    def part(found: Validation, split: Split) -> None:
        if split.needed and not found.failures:
            parted.update(_set_aside(run, step, split))

    found = check(step, tables, run.settings, _before(run, step, target), then=part)
    _judge(run, found, inputs)
    staged = Staged.from_dict(outputs[step.name])
    good, bad = (parted["good"].rows, parted["bad"].rows) if parted else (found.rows, 0)
    if good + bad != staged.rows:
        raise DataProductsError(
            f"output {step.name}: {staged.rows:,} rows came in, but {good:,} are to be published and {bad:,} quarantined; nothing was published"
        )
    return {
        "staged": parted.get("good", staged).to_dict(),
        "quarantine": parted["bad"].to_dict() if parted else None,
        "summary": found.summary(),
    }


def document(run: Run, inputs: Mapping[str, Reference | None], validated: Mapping[str, Reference | None]) -> Reference:
    """Build the Data Docs of a run's validations, measure and trace every column, once it has ended, and clear its staging.

    The staged data of a run that failed stays: its tasks may be tried again.

    Args:
        run: the run.
        inputs: what ``extract`` returned, by input; None where it failed.
        validated: what ``validate`` returned, by output; None where it failed.

    Returns:
        The pages written, by output.
    """
    try:
        _trace(run, inputs)
        return _pages(run, validated)
    finally:
        if run.catalog.run_state(run.key) == "success":
            _clear_staging(run)
            tidy(run)


def lineage(run: Run, inputs: Mapping[str, Reference | None]) -> dict[str, list[Link]]:
    """Where the columns of each output come from.

    Args:
        run: the run.
        inputs: what ``extract`` returned, by input; one that is None is left out.
    """
    from airflow_dataproducts.engine.lineage import links

    read = {name: _columns(run, each) for name, each in inputs.items() if each}
    made = {step.name: [column.name for column in step.output.contract.columns] for step in run.plan.transforms}
    return {
        step.name: links(step, {**{name: made[name] for name in step.uses}, **read}) for step in run.plan.transforms
    }


def _columns(run: Run, reference: Reference) -> Sequence[str]:
    rows = run.rows(reference)
    return rows.columns if isinstance(rows, Kept) else rows.schema.names


def _trace(run: Run, inputs: Mapping[str, Reference | None]) -> None:
    if not all(inputs.values()):
        return
    for output, found in lineage(run, inputs).items():
        run.catalog.traced(run.key, output, [(link.output_column, link.table, link.column) for link in found])


def _clear_staging(run: Run) -> None:
    try:
        run.staging.remove()
    except OSError as error:
        log.warning("staged data of this run stays at %s: %s", run.staging.uri, error.strerror)


def _pages(run: Run, validated: Mapping[str, Reference | None]) -> Reference:
    from airflow_dataproducts.engine.validation.docs import Subject, render

    pages = {}
    for step in run.plan.validations:
        kept = run.catalog.validation(run.key, step.name)
        if kept is None:
            continue
        place = docs_place(run.settings, run.key, step.name)
        subject = Subject(run.plan.product.id, step.name, run.run_id, kept["validated_at"].isoformat())
        place.write_text(render(subject, kept["gx"]))
        pages[step.name] = place.uri
        reference = validated.get(step.name)
        if reference is not None:
            metrics = _metrics(run, step, reference["staged"])
            run.catalog.measured(run.key, step.name, [asdict(metric) for metric in metrics])
        log.info("output %s: Data Docs at %s", step.name, place.uri)
    return pages


def _metrics(run: Run, step: ValidateStep, reference: Reference) -> Sequence[ColumnMetric]:
    from airflow_dataproducts.engine.metrics import aggregates, column_metrics, read_metrics
    from airflow_dataproducts.engine.transforms import database

    contract, rows = step.output.contract, run.rows(reference)
    if isinstance(rows, Kept):
        info = run.connections.get(rows.connection)
        return read_metrics(contract, database.metrics(rows, aggregates(contract), info))
    return column_metrics(contract, rows, run.settings)


def docs_place(settings: Settings, key: RunKey, output: str) -> Place:
    """The page of an output's validation in a run."""
    return open_place(settings.storage) / "_data_docs" / key.product_id / folder_of(key.run_id) / f"{output}.html"


def _summary(run: Run, step: ValidateStep) -> Reference:
    """The counts of a validation that is in the catalog."""
    kept = run.catalog.validation(run.key, step.name) or {}
    names = ("output", "rows", "checks", "quarantined", "score")
    return {"failed": [], "warned": [], **{name: kept.get(name) for name in names}}


def _before(run: Run, step: ValidateStep, target: Target) -> Before:
    """What was there before this run: the rows consumers see, and what earlier runs measured."""
    from airflow_dataproducts.engine.validation import Before

    return Before(_current(step, target), _measured(run, step))


def _measured(run: Run, step: ValidateStep) -> dict[str, tuple[str, ...]]:
    window = max((getattr(check.rule, "window", 1) for check in step.checks), default=1)
    return run.catalog.measured_before(run.key, step.name, window)


def _current(step: ValidateStep, target: Target) -> pads.Dataset | None:
    """The rows that consumers see now, with the columns that checks on the whole table look at."""
    publish = step.output.publish
    columns = dict.fromkeys((*step.output.contract.primary_key, *publish.partition_by))
    if publish.order_by is not None:
        columns[publish.order_by] = None
    for check in step.checks:
        if isinstance(check.rule, r.Violations) and check.scope == "table":
            columns.update(dict.fromkeys(column.name for column in step.output.contract.columns))
        elif check.sees_table:
            columns.update(dict.fromkeys(check.columns))
    return target.current(tuple(columns) or (step.output.contract.columns[0].name,))


def _set_aside(run: Run, step: ValidateStep, split: Split) -> dict[str, Staged]:
    """The rows to publish and those to quarantine, each staged."""
    reasons = {check.name: check.description for check in step.checks}

    aside = staging.new_folder(run.staging, "quarantine", step.name)
    return {
        "good": run.draft(step, "validate").save(split.good()),
        "bad": staging.save(aside, split.bad(reasons, run.run_id)),
    }


def _record(run: Run, found: Validation) -> None:
    score = found.score
    row = {
        "success": not found.failures, "rows": found.rows, "quarantined": found.quarantined,
        "checks": len(found.results), "failed": len(found.failures), "warned": len(found.warnings),
        "score": score.total, "dimensions": score.dimensions,
        "results": found.rows_as_dicts(), "gx": found.gx,
    }  # fmt: skip
    run.catalog.validated(run.key, found.output, row)
