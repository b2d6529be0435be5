"""The first steps of a run: inputs to staging, and outputs made from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine import staging
from airflow_dataproducts.engine.kept import Kept
from airflow_dataproducts.engine.sources import Published, Reading, open_source
from airflow_dataproducts.engine.sources.sql import cursor_text
from airflow_dataproducts.engine.staging import Staged, Stream
from airflow_dataproducts.exceptions import SourceChangedError
from airflow_dataproducts.manifest.engines import pushed_down
from airflow_dataproducts.runtime.run import counts, log

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from airflow_dataproducts.manifest.inputs import ProductInput
    from airflow_dataproducts.plan import ExtractStep, TransformStep
    from airflow_dataproducts.runtime.run import Reference, Run


def extract(run: Run, step: ExtractStep) -> Reference:
    """Copy an input to staging.

    Returns:
        The fields of :class:`Staged`, or of :class:`Kept` where the rows stay in their database.
    """
    run.catalog.run_started(run.plan, run.run_id)
    watermark = _watermark(run, step)
    reading = Reading(
        run.connections, run.settings, lambda source: _published(run, source), _looking_back(step, watermark),
        _same_end(run, step, watermark), (step.window.start, step.window.end) if step.window else None, run.moment,
    )  # fmt: skip
    found: Kept | Staged
    if step.stays:
        from airflow_dataproducts.engine.sources.inside import look

        found = look(step.name, step.source, reading)
        found = replace(found, watermark=found.watermark or watermark)
    else:
        found = _staged(run, step, reading, watermark)
    run.catalog.extracted(run.key, step.name, {"rows": found.rows, "bytes": found.bytes, "watermark": found.watermark})
    log.info("input %s: %s rows%s, %s", step.name, f"{found.rows:,}", _since(step, reading), _where(found))
    return found.to_dict()


def _since(step: ExtractStep, reading: Reading) -> str:
    cursor = getattr(step.source, "cursor", None)
    since = "".join(f" {sign} {value}" for sign, value in reading.bounds) if cursor else ""
    return f" with {cursor}{since}" if since else ""


def _where(found: Kept | Staged) -> str:
    if isinstance(found, Staged):
        return f"{found.bytes / 2**20:.1f} MiB staged"
    return f"which stay in {found.connection}"


def _staged(run: Run, step: ExtractStep, reading: Reading, watermark: str | None) -> Staged:
    """The input's rows, copied to staging."""
    cursor = getattr(step.source, "cursor", None)
    with open_source(step.name, step.source, reading) as stream:
        if cursor and cursor not in stream.schema.names:
            raise SourceChangedError(
                f"input {step.name}: the cursor column {cursor} is not there (it has {', '.join(stream.schema.names)})"
            )
        highest = _Highest(cursor)
        staged = staging.write(staging.new_folder(run.staging, "extract", step.name), highest.watch(stream))
        reached = stream.reached() if stream.reached else highest.text
    return Staged(staged.uri, staged.rows, staged.bytes, reached or watermark)


def transform(
    run: Run, step: TransformStep, inputs: Mapping[str, Reference], outputs: Mapping[str, Reference]
) -> Reference:
    """Make an output from the staged inputs.

    Args:
        run: the run.
        step: the output.
        inputs: what ``extract`` returned, by input.
        outputs: what ``transform`` returned for the outputs that this one uses.

    Returns:
        The fields of :class:`Staged`.
    """
    from airflow_dataproducts.engine.transforms import transform as make

    read = {**{name: outputs[name] for name in step.uses}, **inputs}
    if pushed_down(step.output):
        return _in_database(run, step, read)
    read = {name: each for name, each in read.items() if "relation" not in each}
    tables = {name: run.read(each) for name, each in read.items()}
    draft = run.draft(step, "transform")
    if step.output.engine == "spark":
        from airflow_dataproducts.engine.transforms import spark

        made = spark.transform(
            step, tables, (draft.place, draft.partition_by, draft.in_files), (run.settings.spark, run.moment)
        )
        staged = replace(made, connection=draft.connection)
    else:
        staged = make(step, tables, draft.save, run.settings, run.moment)
    log.info("output %s: %s rows made from %s", step.name, f"{staged.rows:,}", counts(read))
    return staged.to_dict()


def _in_database(run: Run, step: TransformStep, read: Mapping[str, Reference]) -> Reference:
    from airflow_dataproducts.engine.transforms import database

    tables = {name: kept for name, each in read.items() if (kept := Kept.among(each)) is not None}
    info = run.connections.get(step.output.engine)
    made = database.transform(step, tables, info, (run.plan.product.version, run.moment))
    log.info("output %s: %s rows made in %s, which they do not leave", step.name, f"{made.rows:,}", info.id)
    return made.to_dict()


def _watermark(run: Run, step: ExtractStep) -> str | None:
    """How far the input has been read and published; None to read from the start."""
    if not step.incremental or step.anew or step.window is not None:
        return None
    return run.catalog.watermark(run.plan.product.id, step.name)


def _looking_back(step: ExtractStep, watermark: str | None) -> str | None:
    """The watermark less the input's lookback.

    Raises:
        SourceChangedError: the cursor's values are no moments.
    """
    lookback = getattr(step.source, "lookback", None)
    if lookback is None or watermark is None:
        return watermark
    try:
        return str(datetime.fromisoformat(watermark) - lookback).replace(" ", "T")
    except ValueError:
        raise SourceChangedError(
            f"input {step.name}: lookback needs a cursor of dates or moments; its last value was {watermark}"
        ) from None


def _same_end(run: Run, step: ExtractStep, watermark: str | None) -> str | None:
    """How far an incremental input may be read.

    A run that reads again may have published some of its outputs already. Rows that came since would reach the others
    only, and the watermark would pass them by; they are left to the next run.
    """
    if not step.incremental or step.window is not None:
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
        return cursor_text(self._value)

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
