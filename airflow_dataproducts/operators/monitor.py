"""The monitor's task: one tick over all products, and whatever waits to be sent."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException

from airflow_dataproducts.exceptions import DataProductsError

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger("airflow_dataproducts")


class MonitorOperator(BaseOperator):
    """Takes over what manifests promise, judges every promise, and sends what is to be told.

    Args:
        root: the folder of the manifests.
        kwargs: any argument of Airflow's BaseOperator.
    """

    ui_color = "#e0f0ff"

    def __init__(self, *, root: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = root

    def execute(self, context: Context) -> dict[str, int]:  # noqa: ARG002 - Airflow's signature
        """Returns what was judged and sent, as counts."""
        from dataclasses import asdict

        from airflow_dataproducts.catalog.outbox import Outbox
        from airflow_dataproducts.catalog.sla import SlaStore
        from airflow_dataproducts.environment import AirflowConnections, airflow_home, site_catalog, site_settings
        from airflow_dataproducts.notifications import channel
        from airflow_dataproducts.runtime import monitor, probing, sending

        root = Path(self.root)
        memory = airflow_home() / "dataproducts" / "discovery" / f"monitor-{root.name}.json"
        try:
            settings = site_settings()
            with site_catalog(settings) as catalog:
                store, now = SlaStore(catalog), datetime.now(UTC)
                changed = monitor.sync(store, root, memory, now)
                found = monitor.tick(store, now, is_paused)
                sent = sending.flush(Outbox(catalog), channel, lambda: datetime.now(UTC), settings.alerts_expire)
                # Last: a slow output must not keep people waiting. The next tick judges what is found.
                probed = probing.probe_due((catalog, store), settings, AirflowConnections(), now)
        except DataProductsError as error:
            log.error("%s", error)  # noqa: TRY400 - the message is made for its reader, a traceback is not
            raise AirflowException(str(error)) from None
        log.info(
            "%s products, %s promises, %s broken; %s new incidents, %s resolved; %s messages sent",
            *_told(found, sent.sent),
        )
        return {"changed": changed, **asdict(found), **asdict(sent), "probed": probed}


def _told(found: Any, sent: int) -> tuple[int, ...]:
    return found.products, found.promises, found.breached, found.opened, found.resolved, sent


def is_paused(product: str) -> bool | None:
    """Whether a product's DAG is paused, as Airflow's supervisor knows it; None where it cannot tell."""
    try:
        from airflow.sdk.execution_time.comms import GetDag
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        return bool(getattr(SUPERVISOR_COMMS.send(GetDag(dag_id=product)), "is_paused", None))
    except Exception as error:  # noqa: BLE001 - no such DAG, or an Airflow that does not know the question
        log.debug("Airflow does not say whether %s is paused: %r", product, error)
        return None
