"""A run of a product: what every step of it knows."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.catalog.store import RunKey
from airflow_dataproducts.engine.storage import open_place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataproducts.catalog.store import Catalog
    from airflow_dataproducts.engine.connections import Connections
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.plan import Plan
    from airflow_dataproducts.settings import Settings

log = logging.getLogger("airflow_dataproducts")

Reference = dict[str, Any]
"""What a step hands to the next: see each function's Returns."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a product.

    Attributes:
        plan: what it does.
        run_id: Airflow's run id; everything a run does is idempotent by it.
        settings, connections, catalog: the site's.
    """

    plan: Plan
    run_id: str
    settings: Settings
    connections: Connections
    catalog: Catalog

    @property
    def key(self) -> RunKey:
        """The run's key in the catalog."""
        return RunKey(self.plan.product.id, self.run_id)

    @property
    def staging(self) -> Place:
        """The folder of the run's staged data."""
        return open_place(self.settings.staging) / self.plan.product.id / self.folder

    @property
    def folder(self) -> str:
        """The run's name as a folder's."""
        return folder_of(self.run_id)


def folder_of(run_id: str) -> str:
    """A run's name as a folder's: readable, safe, and no other run's."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", run_id)[:60].strip("-")
    return f"{readable}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def counts(inputs: Mapping[str, Reference]) -> str:
    """How many rows each input gave, in words."""
    return ", ".join(f"{name} {each['rows']:,} rows" for name, each in inputs.items())
