"""The DAG that watches all promises of a folder of manifests: nobody writes it, and nobody needs to switch it on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG
from airflow.sdk.configuration import conf

from airflow_dataproducts.dag import START
from airflow_dataproducts.manifest.index import find_manifests
from airflow_dataproducts.operators.monitor import MonitorOperator

DAG_ID = "dataproducts_monitor"
FILE = "_dataproducts_monitor.py"
_TEMPLATE = """\
# Made by airflow-dataproducts for the products below {root}; changes here are lost. An Airflow DAG file.
from airflow_dataproducts.discovery.monitor import load

dag = load({root!r})
"""
_LONGEST = timedelta(minutes=5)


def render(root: Path) -> str:
    """The text of the Python file that stands for the DAG where Airflow can only read Python."""
    return _TEMPLATE.format(root=str(root))


def goes_with(path: Path, root: Path) -> bool:
    """Whether a manifest is the one that the DAG is loaded with, where manifests are DAG files themselves: the first."""
    return next(find_manifests(root), None) == path


def load(root: str) -> DAG:
    """The DAG: one task each minute, which holds no worker in between."""
    dags_folder = conf.get("core", "dags_folder", fallback="")
    own = "" if Path(root) == Path(dags_folder) else f"_{Path(root).name}"
    with DAG(
        dag_id=f"{DAG_ID}{own}",
        description="Judges the promises of all data products, and tells people of broken ones",
        schedule="* * * * *",
        start_date=START,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["data-product", "monitor"],
        default_args={"owner": "airflow-dataproducts", "retries": 0, "execution_timeout": _LONGEST},
    ) as dag:
        MonitorOperator(task_id="judge", root=root)
    return dag
