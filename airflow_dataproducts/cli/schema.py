"""``dataproducts schema``."""

from __future__ import annotations

from airflow_dataproducts.cli.common import print_json
from airflow_dataproducts.manifest.schema import json_schema


def schema() -> None:
    """Print the JSON Schema of product.yaml, for editors that complete and check while one types."""
    print_json(json_schema())
