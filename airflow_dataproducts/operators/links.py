"""Links from a task to what it made."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


def data_docs_path(product_id: str, output: str, run_id: str) -> str:
    """The path of the page of a validation, under Airflow's own address."""
    return (
        f"/dataproducts/api/v1/products/{quote(product_id)}/data-docs/{quote(output)}?run_id={quote(run_id, safe='')}"
    )


class DataDocsLink(BaseOperatorLink):
    """Great Expectations' Data Docs of a validation."""

    name = "Data Docs"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """The page's address."""
        base = conf.get("api", "base_url", fallback="") or ""
        output = ti_key.task_id.rpartition(".")[2]
        return base.rstrip("/") + data_docs_path(ti_key.dag_id, output, ti_key.run_id)
