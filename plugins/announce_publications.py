"""An example of what a site adds: a line in a file for every data product that publishes.

Airflow loads what lies in its plugins folder. This one listens to asset events; the assets of data products are those of
the group ``data-product``.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from airflow.serialization.definitions.assets import SerializedAsset


def announcements() -> Path:
    """The file that is written to."""
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "publications.log"


class Announcer:
    """Listens to Airflow's asset events."""

    @hookimpl
    def on_asset_changed(self, asset: SerializedAsset) -> None:
        """Note the time and name of a data product's asset."""
        if asset.group == "data-product":
            with announcements().open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {asset.name} has published\n")


class AnnouncePublications(AirflowPlugin):
    """Registers the listener."""

    name = "announce_publications"
    listeners = [Announcer()]  # noqa: RUF012 - Airflow declares it so
