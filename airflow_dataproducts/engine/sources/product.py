"""Another product's output: the published version, as every consumer sees it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_dataproducts.engine import duck
from airflow_dataproducts.engine.staging import Stream
from airflow_dataproducts.engine.targets import open_published
from airflow_dataproducts.exceptions import SourceChangedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataproducts.engine.sources import Published, Reading
    from airflow_dataproducts.manifest.inputs import ProductInput


@contextmanager
def open_product(name: str, source: ProductInput, reading: Reading) -> Iterator[Stream]:
    """Open a product's output. See :func:`airflow_dataproducts.engine.sources.open_source`."""
    published = published_version(name, source, reading)
    dataset = open_published(published.kind, published.location, published.connection, reading.connections)
    yield Stream(dataset.schema, dataset.to_batches(batch_size=duck.BATCH_ROWS))


def published_version(name: str, source: ProductInput, reading: Reading) -> Published:
    """The current version of a product's output.

    Raises:
        SourceChangedError: there is none, or it is none that this product can read.
    """
    published = reading.published(source)
    if source.version is not None and published.version not in source.version:
        raise SourceChangedError(
            f"input {name}: {source.product} has published version {published.version}, but this product reads "
            f"{source.version}; adapt the transform and the range together"
        )
    return published
