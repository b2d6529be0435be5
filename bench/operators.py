"""The operator of the DAGs that ours are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class NoOperator(BaseOperator):
    """Does nothing, in a process of its own."""

    def execute(self, context: Context) -> str:
        """Returns the run's id, so that something reaches XCom."""
        return str(context["run_id"])
