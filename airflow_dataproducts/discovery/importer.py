"""Airflow 3.4 and newer: product.yaml as a DAG file of its own, through the importer interface (AIP-85)."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.importers import (
    AbstractDagImporter,
    DagImportError,
    DagImportResult,
    DagSourceCode,
    FileDagDefinition,
    find_file_dag_definitions,
)

from airflow_dataproducts.dag import build_dag
from airflow_dataproducts.discovery import monitor
from airflow_dataproducts.environment import airflow_home
from airflow_dataproducts.exceptions import Finding, ManifestError
from airflow_dataproducts.manifest import index
from airflow_dataproducts.manifest.load import is_manifest
from airflow_dataproducts.plan import load_plan

if TYPE_CHECKING:
    from collections.abc import Iterator


class DataProductImporter(AbstractDagImporter[FileDagDefinition]):  # type: ignore[misc,unused-ignore]  # absent in 3.3
    """Finds and loads manifests by their name; every other file is left to Airflow's own importers."""

    def can_handle(self, definition: Any) -> bool:
        """Whether a file is a manifest."""
        return is_manifest(_path(definition))

    def list_dag_definitions(self, bundle: Any, *, safe_mode: bool = True) -> Iterator[Any]:  # noqa: ARG002
        """The manifests of a bundle. ``safe_mode`` is Airflow's guess by content; here the name decides."""
        for definition in find_file_dag_definitions(bundle.path, [".yaml", ".yml"]):
            if self.can_handle(definition):
                yield definition

    def might_contain_dag(self, definition: Any, safe_mode: bool) -> bool:  # noqa: ARG002, FBT001 - Airflow's signature
        """Always: a broken manifest must give an import error, not vanish."""
        return True

    def import_definition(self, definition: Any, bundle: Any) -> DagImportResult:
        """The DAG of a manifest, or its error. A mistake in the manifest comes without a Python stack."""
        result = DagImportResult(definition=definition)
        path = Path(definition.path) if hasattr(definition, "path") else _path(definition)
        try:
            with definition.import_context():
                if monitor.goes_with(path, Path(bundle.path)):
                    result.dags.append(monitor.load(str(bundle.path)))
                result.dags.append(_load(path, Path(bundle.path), bundle.name))
        except ManifestError as error:
            result.errors.append(
                DagImportError(source_reference=repr(definition), message=str(error), error_type="manifest")
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this file's import error and no other's
            result.errors.append(
                DagImportError(source_reference=repr(definition), message=str(error), stacktrace=traceback.format_exc())
            )
        return result

    def get_source_code(self, definition: Any, dag_id: str | None = None) -> DagSourceCode:  # noqa: ARG002
        """The manifest's text."""
        return DagSourceCode(source_code=definition.read_text("utf-8"), language="yaml")


def _load(path: Path, root: Path, bundle: str) -> Any:
    memory = airflow_home() / "dataproducts" / "discovery" / f"{bundle}.json"
    problem = index.problems(index.index(root, memory)).get(str(path.relative_to(root)))
    if problem is not None:
        raise ManifestError([Finding(str(path), 1, 1, "name", problem)])
    return build_dag(load_plan(path, root))


def _path(definition: Any) -> Path:
    return Path(definition if isinstance(definition, str | Path) else repr(definition))
