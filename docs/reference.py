"""Writes docs/manifest.md from the models that read manifests: ``python -m docs.reference``."""

from __future__ import annotations

import typing
from pathlib import Path

from pydantic import BaseModel

from airflow_dataproducts.manifest.messages import models_of, step_into
from airflow_dataproducts.manifest.product import Product

HEAD = """\
# product.yaml

Every field, from the models that read it (`python -m docs.reference` writes this page). `dataproducts schema` prints the same as
JSON Schema, with which editors complete and check while one types. Fields in **bold** are required.

Values of the same name in `_defaults.yaml` files between the project's top and the manifest are shared by the products
below; the nearest wins, mappings are merged key by key. `name`, `kind`, `version` and `changelog` are each product's own.

What the rules mean: NULL breaks `required` and `primary_key` alone, never a pattern, a range or `unique`; NaN is outside every
range; infinities compare as numbers; a pattern is what Python's `re.search` finds; bounds are exact values of the column's
type. Broken checks of severity critical and high stop the run before anything is published; the others are recorded.
An output without rows is not published unless a rule says `row_count: {min: 0}`.

[Promises](sla.md) (`sla`) are judged each minute and told of as `alerts` says. `governance`, `mask` and `evolution` are read, checked and shown
on the DAG's page, and kept in the catalog; enforcing them is not in this release.
"""


def markdown() -> str:
    """The page."""
    parts, queue, seen = [HEAD], [Product], set[type[BaseModel]]()
    while queue:
        model = queue.pop(0)
        if model in seen:
            continue
        seen.add(model)
        doc = " ".join((model.__doc__ or "").split())
        rows = ["| field | meaning |", "| --- | --- |"]
        for name, field in model.model_fields.items():
            shown = f"`{field.alias or name}`"
            text = " ".join((field.description or "").split()).replace("|", "\\|")
            default = field.get_default(call_default_factory=True)
            simple = default not in (None, "", (), {}) and not isinstance(default, BaseModel)
            note = f" Default: `{default}`." if simple and not field.is_required() else ""
            rows.append(f"| {f'**{shown}**' if field.is_required() else shown} | {text}{note} |")
            inner = (
                step_into(field.annotation, 0)
                if typing.get_origin(field.annotation) in (tuple, dict)
                else field.annotation
            )
            queue.extend(models_of(inner))
        parts.append(f"## {model.__name__}\n\n{doc}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    Path(__file__).with_name("manifest.md").write_text(markdown())
