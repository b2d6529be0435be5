"""One look at the catalog: the same for poking, rescheduling and the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataproducts.sla.readiness import Readiness, Wanted, readiness

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_dataproducts.catalog.store import Catalog


def look_at(asked: Mapping[str, Any], now: datetime) -> Readiness:
    """The answer to a sensor's question.

    Args:
        asked: what is wanted of a product, or the names of its promises.
        now: the moment.

    Raises:
        CatalogError: the catalog cannot be reached.
    """
    from airflow_dataproducts.environment import site_catalog, site_settings

    with site_catalog(site_settings()) as catalog:
        if "product" in asked:
            return _product(catalog, Wanted(**asked["product"]), now)
        return _promises(catalog, asked["promises"], now)


def _product(catalog: Catalog, wanted: Wanted, now: datetime) -> Readiness:
    from airflow_dataproducts.catalog.store import RunKey
    from airflow_dataproducts.sla.readiness import Published
    from airflow_dataproducts.sla.verdicts import utc

    found = []
    for row in catalog.current(wanted.product):
        checked = catalog.validation(RunKey(wanted.product, row["run_id"]), row["output"])
        found.append(
            Published(row["output"], row["version"], utc(row["published_at"]), checked["score"] if checked else None)
        )
    return readiness(wanted, found, now)


def _promises(catalog: Catalog, asked: Mapping[str, Any], now: datetime) -> Readiness:
    from airflow_dataproducts.catalog.sla import SlaStore

    product, names = asked["product"], asked["names"]
    seen = SlaStore(catalog).observed(now, product)
    if product not in seen.specs:
        return Readiness("waiting", f"the promises of {product} are not known yet")
    judged = {promise.name: verdict for promise, verdict in seen.judged(product, now)}
    unknown = sorted(set(names) - set(judged))
    if unknown:
        has = ", ".join(judged) or "none"
        return Readiness("unfit", f"{product} does not promise {', '.join(unknown)} (it promises {has})")
    wanted = {name: found for name, found in judged.items() if not names or name in names}
    broken = [f"{name}: {found.actual}" for name, found in wanted.items() if found.state == "breached"]
    return (
        Readiness("waiting", f"{product} breaks {'; '.join(broken)}")
        if broken
        else Readiness("ready", f"{product} keeps its promises")
    )
