"""The last steps of a run: outputs become visible, and the run is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.engine import staging
from airflow_dataproducts.engine.staging import Stream
from airflow_dataproducts.engine.storage import open_place
from airflow_dataproducts.engine.targets import Request, location, own_folder
from airflow_dataproducts.manifest.outputs import KafkaPublish, PostgresPublish
from airflow_dataproducts.runtime.run import log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.plan import PublishStep
    from airflow_dataproducts.runtime.run import Reference, Run


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
    target = run.target(step)
    publication = target.published(run.run_id)
    if publication is None:
        if validated["quarantine"]:
            _publish_quarantine(run, step, validated["quarantine"])
        data = run.rows(validated["staged"])
        publication = target.publish(Request(product.id, product.version, step.name, step.output, run.run_id, data))
        log.info("output %s: published at %s, %s rows", step.name, publication.location, f"{publication.rows:,}")
    else:
        log.info("output %s: this run has published it already at %s", step.name, publication.location)
    connection = getattr(step.output.publish, "connection", None)
    row = {**publication.to_dict(), "version": product.version, "connection": connection}
    run.catalog.published(run.key, step.name, row)
    return publication.to_dict()


def record(run: Run, inputs: Mapping[str, Reference], published: Mapping[str, Reference]) -> Reference:
    """Close a run: advance the watermarks, note the success.

    Args:
        run: the run.
        inputs: what ``extract`` returned, by input.
        published: what ``publish`` returned, by output.

    Returns:
        Rows visible, by output.
    """
    incremental = {step.name for step in run.plan.extracts if step.incremental and step.window is None}
    marks = {name: each["watermark"] for name, each in inputs.items() if name in incremental and each["watermark"]}
    run.catalog.run_finished(run.key, marks)
    return {name: each["rows"] for name, each in published.items()}


def failed(run: Run, task: str, error: Exception) -> None:
    """Note a failure in the catalog."""
    run.catalog.run_failed(run.key, task, str(error))


def quarantine_place(run: Run, step: PublishStep) -> Place:
    """The folder beside an output that holds a folder of quarantined rows for each run that had any."""
    product, publish = run.plan.product.id, step.output.publish
    if isinstance(publish, PostgresPublish | KafkaPublish):  # which have no "beside"
        place = open_place(f"{run.settings.storage}/{own_folder(product, step.name)}")
    else:
        info = run.connections.get(publish.connection) if publish.connection else None
        place = open_place(location(product, step.name, step.output, run.settings), info)
    return place.beside(".quarantine")


def _publish_quarantine(run: Run, step: PublishStep, reference: Reference) -> None:
    """Put the quarantined rows of a run beside the output; the run's own folder is written over by a retry."""
    data = run.read(reference)
    place = quarantine_place(run, step) / run.folder
    written = staging.write(place, Stream(data.schema, data.to_batches()))
    log.warning("output %s: %s rows quarantined at %s", step.name, f"{written.rows:,}", place.uri)
