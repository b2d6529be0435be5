"""The JSON Schema of product.yaml, from the models that read it."""

from __future__ import annotations

from typing import Any

from airflow_dataproducts.manifest.product import Product

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema, JSON Schema draft 2020-12. Fields that ``_defaults.yaml`` may give are not required by it."""
    found = Product.model_json_schema(by_alias=True, mode="validation")
    found.pop("required", None)
    schedule = found["properties"]["schedule"]
    schedule["examples"] = ["0 2 * * *", "@daily", "manual"]
    return {
        "$schema": DRAFT,
        **found,
        "title": "product.yaml of airflow-dataproducts",
        "required": ["apiVersion", "kind", "name"],
    }
