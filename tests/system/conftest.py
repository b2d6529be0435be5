"""A running Airflow with a folder of products, for all tests of this folder that one worker runs."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from demo.shop import Shop, airflow_connection, postgres
from demo.slack import Slack, slack, slack_connection
from demo.standalone import Airflow, discovery, standalone

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Site:
    """An Airflow, its dags folder, its published data, a shop's database, the file of OpenLineage's events, and a Slack."""

    airflow: Airflow
    dags: Path
    data: Path
    shop: Shop
    lineage: Path
    slack: Slack


def _with_python(settings: dict[str, str], folder: Path) -> dict[str, str]:
    """A consumer's own DAGs beside the products."""
    key = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
    own = {
        "name": "own",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(folder), "refresh_interval": 5},
    }
    if key in settings:
        return {**settings, key: json.dumps([*json.loads(settings[key]), own])}
    dags = {"name": "dags-folder", "classpath": own["classpath"], "kwargs": {}}
    return {**settings, key: json.dumps([dags, own])}


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """Started once; tests add products of their own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dp-site-")))
        uri = stack.enter_context(postgres(folder / "postgres"))
        shop = Shop(uri)
        shop.open(orders=5_000, customers=500)
        told = stack.enter_context(slack())
        (folder / "dags").mkdir()
        (folder / "python").mkdir()
        settings = {
            **_with_python(discovery(folder / "dags"), folder / "python"),
            "AIRFLOW__DATAPRODUCTS__STORAGE": str(folder / "data"),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
                {"type": "file", "log_file_path": str(folder / "lineage"), "append": True}
            ),
            "AIRFLOW_CONN_DATAPRODUCTS_SLACK": slack_connection(told.url, None),
            "AIRFLOW__DATAPRODUCTS__ALERTS_EXPIRE": "30s",
            "AIRFLOW_CONN_SHOP": airflow_connection(uri),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(Path(__file__).parents[2] / "plugins"),
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
        }
        airflow = stack.enter_context(standalone(folder / "airflow", settings))
        yield Site(airflow, folder / "dags", folder / "data", shop, folder / "lineage", told)
