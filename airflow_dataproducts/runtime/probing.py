"""Availability and latency, measured: outputs are opened, and queries timed, as a consumer would."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.catalog.standing import broken_check, mended, probing_of
from airflow_dataproducts.exceptions import ConfigurationError, DataProductsError
from airflow_dataproducts.runtime.run import log
from airflow_dataproducts.sla.histogram import bucket
from airflow_dataproducts.sla.maintenance import in_maintenance
from airflow_dataproducts.sla.verdicts import utc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataproducts.catalog.sla import SlaStore
    from airflow_dataproducts.catalog.store import Catalog
    from airflow_dataproducts.engine.connections import Connections
    from airflow_dataproducts.settings import Settings

PATIENCE = 30.0
"""Seconds of a tick after which no further probe begins; those left come first in the next one."""
_PROBED = ("availability", "latency")


def probe_due(site: tuple[Catalog, SlaStore], settings: Settings, connections: Connections, now: datetime) -> int:
    """Probe what is due, the longest unprobed first; returns how many probes were made.

    A product that has published nothing is not probed, and none within its planned maintenance. A probe that cannot be made,
    because a connection or a package is missing here, is noted as that and counts for nothing.

    Args:
        site: the catalog, and its promises.
        settings: the site's.
        connections: Airflow's.
        now: the moment.
    """
    from airflow_dataproducts.engine.probing import probe

    catalog, store = site
    end, made = time.monotonic() + PATIENCE, 0
    broken = {each.promise: each for each in store.broken_checks()}
    for product, promise in _due(store, now):
        if time.monotonic() > end:
            log.warning("probes that were due are left to the next tick")
            break
        outputs = {row["output"]: (row["kind"], row["location"], row["connection"]) for row in catalog.current(product)}
        wanted = {name: place for name, place in outputs.items() if promise["output"] in (None, name)}
        if not wanted:
            continue
        taken, check = None, probing_of(product, promise["name"])
        made += 1
        try:
            taken = probe(wanted, promise["more"].get("query"), connections, settings)
        except ConfigurationError as error:  # we are not set up to look: that says nothing of what consumers find
            log.error("%s, %s cannot be probed: %s", product, promise["name"], error)
            why = f"{product}, {promise['name']} cannot be probed: {error}"
            store.note(broken_check(check, why, broken.get(check), now))
            continue
        except DataProductsError as error:
            log.warning("probe of %s, %s: %s", product, promise["name"], error)
        _keep(store, (product, promise["name"]), taken, now)
        if check in broken:
            store.note(mended(broken[check], now))
    return made


def _due(store: SlaStore, now: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """The promises to probe now, the longest unprobed first."""
    last = store.last_probed()
    waiting = []
    for product, spec in store.specifications().items():
        for promise in spec["promises"]:
            if promise["kind"] not in _PROBED or in_maintenance(promise["more"].get("maintenance", ()), now):
                continue
            before = last.get((product, promise["name"]))
            if before is None or now - before >= timedelta(seconds=promise["every"]):
                waiting.append((before or datetime.min.replace(tzinfo=now.tzinfo), product, promise))
    for _, product, promise in sorted(waiting, key=lambda each: (each[0], each[1])):
        yield product, promise


def _keep(store: SlaStore, key: tuple[str, str], taken: float | None, now: datetime) -> None:
    day = utc(now).date().isoformat()
    there = store.probes_of(*key, day) or {"ok": 0, "total": 0, "histogram": {}}
    histogram = dict(there["histogram"])
    if taken is not None:
        histogram[bucket(taken)] = histogram.get(bucket(taken), 0) + 1
    found = {"ok": there["ok"] + (taken is not None), "total": there["total"] + 1, "histogram": histogram}
    store.probed(*key, day, {**found, "probed_at": now})
