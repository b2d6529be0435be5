"""Reading published data from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.engine.targets import open_published
from airflow_dataproducts.environment import AirflowConnections, site_catalog, site_settings
from airflow_dataproducts.exceptions import SourceChangedError

if TYPE_CHECKING:
    import pyarrow.dataset as pads


def open_output(product_id: str, output: str | None = None) -> pads.Dataset:
    """The current version of a product's output; a version published later does not touch it.

    Args:
        product_id: ``<domain>.<name>``.
        output: the output's name; may be left out where there is one only.

    Raises:
        SourceChangedError: there is no such published output.
        SourceError: its store cannot be read.
        ConfigurationError: its Airflow connection is missing.
    """
    with site_catalog(site_settings()) as catalog:
        outputs = {row["output"]: row for row in catalog.current(product_id)}
    if output is None and len(outputs) == 1:
        output = next(iter(outputs))
    if output not in outputs:
        there = ", ".join(outputs) or "none"
        raise SourceChangedError(f"product {product_id} has no published output {output!r} (there are: {there})")
    row = outputs[output]
    return open_published(row["kind"], row["location"], row["connection"], AirflowConnections())
