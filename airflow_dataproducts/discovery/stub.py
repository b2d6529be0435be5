"""The Python file that stands for a product.yaml where Airflow can only read Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_dataproducts.exceptions import Finding, ManifestError

if TYPE_CHECKING:
    from airflow.sdk import DAG

SUFFIXES = (".yaml.py", ".yml.py")
_TEMPLATE = """\
# Made by airflow-dataproducts from {path} (sha256 {digest}); changes here are lost. An Airflow DAG file.
from airflow_dataproducts.discovery.stub import load

dag = load({root!r}, {path!r}, {problem!r})
"""

sources: dict[str, str] = {}
"""The manifest of each DAG loaded in this process, by DAG id; the policy shows it instead of the stub."""


def render(root: Path, path: str, digest: str, problem: str | None) -> str:
    """The text of a stub.

    Args:
        root: the folder of manifests.
        path: the manifest, relative to it.
        digest: of the manifest's files, so that the stub changes when they do.
        problem: what is wrong between this manifest and others; None where nothing is.
    """
    return _TEMPLATE.format(root=str(root), path=path, digest=digest, problem=problem)


def load(root: str, path: str, problem: str | None) -> DAG:
    """The DAG of a manifest.

    Raises:
        ManifestError: the manifest, or what is between it and others, is wrong. Airflow shows it as import error.
    """
    from airflow_dataproducts.dag import build_dag
    from airflow_dataproducts.plan import load_plan

    manifest = Path(root, path)
    if problem is not None:
        raise ManifestError([Finding(str(manifest), 1, 1, "name", problem)])
    dag = build_dag(load_plan(manifest, Path(root)))
    sources[dag.dag_id] = str(manifest)
    return dag
