"""An Airflow policy that makes the Code tab show the manifest instead of the generated file.

Loaded in every Airflow process, so it imports nothing of its own until a DAG of ours is there.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airflow.policies import hookimpl

if TYPE_CHECKING:
    from airflow.sdk import DAG

_PARENTS = (["scheduler"], ["celery", "worker"])
"""The commands of Airflow whose processes tasks are forked from, with the LocalExecutor and the CeleryExecutor."""
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


def preload_if_wanted(arguments: list[str]) -> bool:
    """Load what validations need, where the site wants it and tasks are forked from this process.

    Airflow loads policies as one of the first things in each of its processes, before any worker is forked, so that all
    of them share what is loaded here.

    Args:
        arguments: the process's command line.

    Returns:
        Whether it was loaded.
    """
    if not any(arguments[1 : 1 + len(parent)] == parent for parent in _PARENTS):
        return False
    from airflow_dataproducts.environment import site_settings

    if not site_settings().preload:
        return False
    from airflow_dataproducts.engine.validation.gx import preload_for_forks

    preload_for_forks()
    return True


preload_if_wanted(sys.argv)
