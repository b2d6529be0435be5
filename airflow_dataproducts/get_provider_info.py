"""What Airflow shows of this provider, and the options of its section in airflow.cfg."""

from __future__ import annotations

from typing import Any

from airflow_dataproducts import __version__

_OPTIONS: dict[str, tuple[str, str | None, str]] = {
    "staging": (
        (
            "Folder or URI (s3://...) for data between tasks. On more than one machine every worker must reach it. "
            "Left out: $AIRFLOW_HOME/dataproducts/staging."
        ),
        None,
        "s3://company-airflow/staging",
    ),
    "storage": (
        (
            "Folder or URI under which outputs with a relative or no location are published. "
            "Left out: $AIRFLOW_HOME/dataproducts/data."
        ),
        None,
        "s3://data-products",
    ),
    "catalog": (
        (
            "Folder of the SQLite catalog, used when there is no Airflow connection dataproducts_catalog. "
            "Left out: $AIRFLOW_HOME/dataproducts."
        ),
        None,
        "/var/lib/airflow/dataproducts",
    ),
    "memory_limit": ("Memory that DuckDB may use per task before it spills to disk.", "1GB", "4GB"),
    "threads": ("Threads that DuckDB may use per task; 0 for all cores.", "0", "2"),
    "pool": ("Airflow pool of the tasks of products that name none.", "default_pool", "data_products"),
    "keep_versions": (
        "Versions of an output that are kept, the current one included, however old they are.",
        "5",
        "30",
    ),
    "keep_for": (
        "How long an old version is kept at least, however many are newer, and what killed attempts left.",
        "1d",
        "7d",
    ),
    "keep_quarantine": ("How long quarantined rows are kept.", "30d", "90d"),
    "alerts_expire": (
        "How long a message that its channel does not take is tried before it is given up, which is shown as an alarm.",
        "3d",
        "7d",
    ),
    "spark": (
        "What runs transforms with engine: spark: Spark Connect's address, or a master.",
        "local[*]",
        "sc://spark:15002",
    ),
    "preload": (
        (
            "Load Great Expectations once, in the process that tasks are forked from (the scheduler with LocalExecutor, the "
            "Celery worker), instead of in every validation. Costs that process about 200 MB, and saves each validation "
            "some seconds. Linux only."
        ),
        "False",
        "True",
    ),
}
_TYPES = {"threads": "integer", "keep_versions": "integer", "preload": "boolean"}


def get_provider_info() -> dict[str, Any]:
    """The provider's description, after Airflow's provider_info schema."""
    options = {
        name: {
            "description": description,
            "version_added": __version__,
            "type": _TYPES.get(name, "string"),
            "example": example,
            "default": default,
        }
        for name, (description, default, example) in _OPTIONS.items()
    }
    return {
        "package-name": "airflow-dataproducts",
        "name": "Data Products",
        "description": "Governed data products from one product.yaml.",
        "versions": [__version__],
        "config": {"dataproducts": {"description": "Data products.", "options": options}},
    }
