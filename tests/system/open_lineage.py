"""OpenLineage's own JSON Schemas, for what a running Airflow has sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import referencing
from referencing.jsonschema import DRAFT202012

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = Path(__file__).parent.parent / "schemas" / "openlineage"
CORE = json.loads((FOLDER / "OpenLineage.json").read_text())
FACETS = {
    "schema": "SchemaDatasetFacet", "columnLineage": "ColumnLineageDatasetFacet",
    "dataQualityAssertions": "DataQualityAssertionsDatasetFacet", "outputStatistics": "OutputStatisticsOutputDatasetFacet",
}  # fmt: skip
# Facets name the core's versions that were current when they were written.
REGISTRY: referencing.Registry[Any] = referencing.Registry().with_resources(
    (f"https://openlineage.io/spec/{version}/OpenLineage.json", DRAFT202012.create_resource(CORE))
    for version in ("1-0-1", "1-0-2", "2-0-2")
)


def _validator(schema: Mapping[str, Any]) -> jsonschema.Draft202012Validator:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(schema, registry=REGISTRY, format_checker=checker)


EVENT = _validator(CORE)
FACET = {key: _validator(json.loads((FOLDER / f"{name}.json").read_text())) for key, name in FACETS.items()}


def problems(event: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with an event, by OpenLineage's schemas."""
    for error in EVENT.iter_errors(event):
        yield f"{error.json_path}: {error.message}"
    for key, facet in facets(event):
        for error in FACET[key].iter_errors({key: facet}):
            yield f"{error.json_path}: {error.message}"


def facets(event: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The facets of an event's datasets that have a schema here."""
    for dataset in [*event["inputs"], *event["outputs"]]:
        for group in ("facets", "inputFacets", "outputFacets"):
            yield from ((key, facet) for key, facet in (dataset.get(group) or {}).items() if key in FACETS)
