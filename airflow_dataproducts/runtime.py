"""The steps of a run at work: engine and catalog together, without Airflow.

The operators and ``dataproducts run`` call the same functions. What passes between steps is small plain data (counts and
references), fit for XCom.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.catalog.store import RunKey
from airflow_dataproducts.engine import staging
from airflow_dataproducts.engine.sources import Published, Reading, open_source
from airflow_dataproducts.engine.staging import Staged, Stream
from airflow_dataproducts.engine.storage import open_place
from airflow_dataproducts.engine.targets import Request, location, open_target, own_folder
from airflow_dataproducts.exceptions import ContractViolation, SourceChangedError
from airflow_dataproducts.manifest.outputs import PostgresPublish

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from airflow_dataproducts.catalog.store import Catalog
    from airflow_dataproducts.engine.connections import Connections
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.engine.validation.results import CheckResult, Validation
    from airflow_dataproducts.manifest.inputs import ProductInput
    from airflow_dataproducts.plan import ExtractStep, Plan, PublishStep, TransformStep, ValidateStep
    from airflow_dataproducts.settings import Settings

log = logging.getLogger("airflow_dataproducts")

Reference = dict[str, Any]
"""What a step hands to the next: see each function's Returns."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a product.

    Attributes:
        plan: what it does.
        run_id: Airflow's run id; everything a run does is idempotent by it.
        settings, connections, catalog: the site's.
    """

    plan: Plan
    run_id: str
    settings: Settings
    connections: Connections
    catalog: Catalog

    @property
    def key(self) -> RunKey:
        """The run's key in the catalog."""
        return RunKey(self.plan.product.id, self.run_id)

    @property
    def staging(self) -> Place:
        """The folder of the run's staged data."""
        readable = re.sub(r"[^A-Za-z0-9]+", "-", self.run_id)[:60].strip("-")
        name = f"{readable}-{hashlib.sha256(self.run_id.encode()).hexdigest()[:8]}"
        return open_place(self.settings.staging) / self.plan.product.id / name


def extract(run: Run, step: ExtractStep) -> Reference:
    """Copy an input to staging.

    Returns:
        The fields of :class:`Staged`.
    """
    run.catalog.run_started(run.plan, run.run_id)
    watermark = run.catalog.watermark(run.plan.product.id, step.name) if step.incremental else None
    upto = _same_end(run, step, watermark)
    reading = Reading(run.connections, run.settings, lambda source: _published(run, source), watermark, upto)
    cursor = getattr(step.source, "cursor", None)
    with open_source(step.name, step.source, reading) as stream:
        if cursor and cursor not in stream.schema.names:
            raise SourceChangedError(
                f"input {step.name}: the cursor column {cursor} is not there (it has {', '.join(stream.schema.names)})"
            )
        highest = _Highest(cursor)
        staged = staging.write(staging.new_folder(run.staging, "extract", step.name), highest.watch(stream))
    staged = Staged(staged.uri, staged.rows, staged.bytes, highest.text or watermark)
    run.catalog.extracted(
        run.key, step.name, {"rows": staged.rows, "bytes": staged.bytes, "watermark": staged.watermark}
    )
    since = f" past {step.source.cursor} {watermark}" if watermark else ""  # type: ignore[union-attr]
    log.info("input %s: %s rows%s, %.1f MiB staged", step.name, f"{staged.rows:,}", since, staged.bytes / 2**20)
    return staged.to_dict()


def transform(run: Run, step: TransformStep, inputs: Mapping[str, Reference]) -> Reference:
    """Make an output from the staged inputs.

    Args:
        run: the run.
        step: the output.
        inputs: what ``extract`` returned, by input.

    Returns:
        The fields of :class:`Staged`.
    """
    from airflow_dataproducts.engine.transforms import transform as make

    tables = {name: staging.read(Staged.from_dict(each)) for name, each in inputs.items()}
    staged = make(step, tables, staging.new_folder(run.staging, "transform", step.name), run.settings)
    log.info("output %s: %s rows made from %s", step.name, f"{staged.rows:,}", _counts(inputs))
    return staged.to_dict()


def validate(
    run: Run, step: ValidateStep, inputs: Mapping[str, Reference], outputs: Mapping[str, Reference]
) -> Reference:
    """Check an output against its contract.

    Args:
        run: the run.
        step: the output and its checks.
        inputs: what ``extract`` returned, by input; rules may read them.
        outputs: what ``transform`` returned, by output.

    Returns:
        The fields of :class:`Staged` of the rows to publish under ``staged``, those of the quarantined rows under
        ``quarantine`` (or None), and counts under ``summary``.

    Raises:
        ContractViolation: a check failed that forbids publishing. The result is in the catalog all the same.
    """
    from airflow_dataproducts.engine.validation import validate as check

    references = {**inputs, **outputs}
    tables = {name: staging.read(Staged.from_dict(each)) for name, each in references.items()}
    target = open_target(run.plan.product.id, step.name, step.output, run.connections, run.settings)
    keys = step.output.contract.primary_key or (step.output.contract.columns[0].name,)
    found, positions = check(step, tables, run.settings, target.current(keys))
    _record_validation(run, found)
    _report(found)
    if found.failures:
        raise ContractViolation(_violation(found, inputs))
    staged = outputs[step.name]
    quarantine = None
    if positions:
        staged, quarantine = _set_aside(run, step.name, tables[step.name].to_table(), positions)
    return {"staged": staged, "quarantine": quarantine, "summary": found.summary()}


def publish(run: Run, step: PublishStep, validated: Reference) -> Reference:
    """Make an output visible; a run that has done so before does nothing.

    Args:
        run: the run.
        step: the output.
        validated: what ``validate`` returned.

    Returns:
        The fields of :class:`airflow_dataproducts.engine.targets.Publication`.
    """
    product = run.plan.product
    target = open_target(product.id, step.name, step.output, run.connections, run.settings)
    publication = target.published(run.run_id)
    if publication is None:
        if validated["quarantine"]:
            _publish_quarantine(run, step, validated["quarantine"])
        data = staging.read(Staged.from_dict(validated["staged"]))
        publication = target.publish(Request(product.id, product.version, step.name, step.output, run.run_id, data))
        log.info("output %s: published at %s, %s rows", step.name, publication.location, f"{publication.rows:,}")
    else:
        log.info("output %s: this run has published it already at %s", step.name, publication.location)
    connection = getattr(step.output.publish, "connection", None)
    row = {**publication.to_dict(), "version": product.version, "connection": connection}
    run.catalog.published(run.key, step.name, row)
    return publication.to_dict()


def record(run: Run, inputs: Mapping[str, Reference], published: Mapping[str, Reference]) -> Reference:
    """Close a run: advance the watermarks, note the success, clear its staging.

    Args:
        run: the run.
        inputs: what ``extract`` returned, by input.
        published: what ``publish`` returned, by output.

    Returns:
        Rows visible, by output.
    """
    incremental = {step.name for step in run.plan.extracts if step.incremental}
    marks = {name: each["watermark"] for name, each in inputs.items() if name in incremental and each["watermark"]}
    run.catalog.run_finished(run.key, marks)
    try:
        run.staging.remove()
    except OSError as error:
        log.warning("staged data of this run stays at %s: %s", run.staging.uri, error.strerror)
    return {name: each["rows"] for name, each in published.items()}


def failed(run: Run, task: str, error: Exception) -> None:
    """Note a failure in the catalog."""
    run.catalog.run_failed(run.key, task, str(error))


def _same_end(run: Run, step: ExtractStep, watermark: str | None) -> str | None:
    """How far an incremental input may be read.

    A run that reads again may have published some of its outputs already. Rows that came since would reach the others
    only, and the watermark would pass them by; they are left to the next run.
    """
    if not step.incremental:
        return None
    before, end = run.catalog.extracted_before(run.key, step.name)
    return (end or watermark) if before else None


class _Highest:
    """Keeps the greatest value of a column as its batches pass."""

    def __init__(self, column: str | None) -> None:
        self._column = column
        self._value: Any = None

    @property
    def text(self) -> str | None:
        """The value as ISO text or digits."""
        if self._value is None:
            return None
        return str(self._value.isoformat() if hasattr(self._value, "isoformat") else self._value)

    def watch(self, stream: Stream) -> Stream:
        return stream if self._column is None else Stream(stream.schema, self._batches(stream))

    def _batches(self, stream: Stream) -> Iterator[pa.RecordBatch]:
        import pyarrow.compute as pc

        for batch in stream.batches:
            value = pc.max(batch.column(self._column)).as_py()
            if value is not None and (self._value is None or value > self._value):
                self._value = value
            yield batch


def _published(run: Run, source: ProductInput) -> Published:
    """The newest publication of another product's output."""
    outputs = {row["output"]: row for row in run.catalog.current(source.product)}
    if not outputs:
        raise SourceChangedError(f"product {source.product} has published nothing yet; run it first")
    if source.output is None and len(outputs) > 1:
        raise SourceChangedError(f"product {source.product} has several outputs; say output: {' or '.join(outputs)}")
    name = source.output or next(iter(outputs))
    if name not in outputs:
        raise SourceChangedError(f"product {source.product} has no output {name} (it has {', '.join(outputs)})")
    row = outputs[name]
    return Published(source.product, name, row["version"], row["kind"], row["location"], row["connection"])


def _record_validation(run: Run, found: Validation) -> None:
    row = {
        "success": not found.failures, "rows": found.rows, "quarantined": found.quarantined,
        "checks": len(found.results), "failed": len(found.failures), "warned": len(found.warnings),
        "results": found.rows_as_dicts(), "gx": found.gx,
    }  # fmt: skip
    run.catalog.validated(run.key, found.output, row, [asdict(metric) for metric in found.metrics])


def _report(found: Validation) -> None:
    """The task's log ends with what a person wants to know."""
    passed = sum(each.success for each in found.results)
    log.info("output %s: %s of %s checks hold on %s rows", found.output, passed, len(found.results), f"{found.rows:,}")
    for each in found.failures:
        log.error("FAILED   %s", _line(each))
    for each in found.warnings:
        log.warning("%s %s", "QUARANTINED" if each.on_violation == "quarantine" else "WARNED", _line(each))


def _line(found: CheckResult) -> str:
    samples = f", such as {', '.join(found.samples)}" if found.samples else ""
    return f"{found.check} ({found.severity}): {found.description}; found {found.unexpected:,}{samples}"


def _violation(found: Validation, inputs: Mapping[str, Reference]) -> str:
    broken = ", ".join(f"{each.check} ({each.unexpected:,})" for each in found.failures)
    empty = f"; the inputs gave {_counts(inputs)}" if found.rows == 0 else ""
    count = f"{len(found.failures)} of {len(found.results)} checks failed"
    return f"output {found.output} breaks its contract, nothing was published: {count}: {broken}{empty}"


def _counts(inputs: Mapping[str, Reference]) -> str:
    return ", ".join(f"{name} {each['rows']:,} rows" for name, each in inputs.items())


def _set_aside(run: Run, name: str, table: pa.Table, positions: set[int]) -> tuple[Reference, Reference]:
    """The rows to publish and those to quarantine, each staged."""
    import pyarrow as pa

    mask = pa.array([index not in positions for index in range(table.num_rows)])
    parts = (("validate", table.filter(mask)), ("quarantine", table.filter(pa.compute.invert(mask))))
    good, bad = (
        staging.write(staging.new_folder(run.staging, stage, name), Stream(part.schema, iter(part.to_batches())))
        for stage, part in parts
    )
    return good.to_dict(), bad.to_dict()


def _publish_quarantine(run: Run, step: PublishStep, reference: Reference) -> None:
    """Put the quarantined rows of a run beside the output; the run's own folder is written over by a retry."""
    import pyarrow as pa

    data = staging.read(Staged.from_dict(reference)).to_table()
    data = data.append_column("_run_id", pa.array([run.run_id] * data.num_rows, pa.string()))
    product, publish = run.plan.product.id, step.output.publish
    if isinstance(publish, PostgresPublish):  # a database has no "beside"
        place = open_place(f"{run.settings.storage}/{own_folder(product, step.name)}")
    else:
        info = run.connections.get(publish.connection) if publish.connection else None
        place = open_place(location(product, step.name, step.output, run.settings), info)
    place = place.beside(".quarantine")
    staging.write(place / run.staging.path.rpartition("/")[2], Stream(data.schema, iter(data.to_batches())))
