"""An Airflow policy that makes the Code tab show the manifest instead of the generated file.

Loaded in every Airflow process, so it imports nothing of its own until a DAG of ours is there.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airflow.policies import hookimpl

if TYPE_CHECKING:
    from airflow.sdk import DAG

_STUB = "airflow_dataproducts.discovery.stub"


@hookimpl  # type: ignore[untyped-decorator,unused-ignore]
def dag_policy(dag: DAG) -> None:
    """Point ``fileloc`` at the manifest; ``relative_fileloc``, by which workers find the file, stays."""
    stub = sys.modules.get(_STUB)
    if stub is None:
        return
    manifest = stub.sources.get(dag.dag_id)
    if manifest and str(dag.fileloc).endswith(stub.SUFFIXES):
        dag.fileloc = manifest
