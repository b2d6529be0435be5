"""``/dataproducts/api/v1``: the catalog, for those who may read a product's DAG."""

# No `from __future__ import annotations`: FastAPI reads the handlers' annotations as they stand.

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep, requires_authenticated
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from airflow_dataproducts.alerts import plain
from airflow_dataproducts.catalog import tables
from airflow_dataproducts.catalog.alarms import alarms, silent_since
from airflow_dataproducts.catalog.outbox import Outbox
from airflow_dataproducts.catalog.sla import SlaStore, thread_of
from airflow_dataproducts.catalog.store import Catalog, RunKey
from airflow_dataproducts.environment import site_catalog, site_settings
from airflow_dataproducts.exceptions import CatalogError
from airflow_dataproducts.operators.links import data_docs_path
from airflow_dataproducts.runtime import docs_place
from airflow_dataproducts.sla.incidents import Incident
from airflow_dataproducts.sla.verdicts import utc

router = APIRouter(prefix="/api/v1")

Limit = Annotated[int, Query(ge=1, le=1000)]
_HIDDEN = {"manifest_path"}


def _catalog() -> Iterator[Catalog]:
    """The catalog for the length of a request."""
    with site_catalog(site_settings()) as catalog:
        yield catalog


CatalogDep = Annotated[Catalog, Depends(_catalog)]


def _readable(user: GetUserDep) -> set[str]:
    """The products whose DAGs the user may see."""
    return set(get_auth_manager().get_authorized_dag_ids(user=user, method="GET"))


ReadableDep = Annotated[set[str], Depends(_readable)]


def _product_or_404(product_id: str, readable: ReadableDep) -> str:
    if product_id not in readable:
        raise HTTPException(404, f"there is no product {product_id}")
    return product_id


ProductDep = Annotated[str, Depends(_product_or_404)]
AUTHENTICATED = [Depends(requires_authenticated())]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _HIDDEN}


@router.get("/health")
def health(catalog: CatalogDep) -> dict[str, str]:
    """Whether the catalog answers and the monitor is at work; open to probes, so it says nothing else."""
    try:
        last, silent = SlaStore(catalog).heartbeat(), silent_since(catalog, datetime.now(UTC))
    except CatalogError:
        raise HTTPException(503, "the catalog cannot be reached") from None
    if silent is not None:
        raise HTTPException(503, f"the monitor has not judged promises since {silent:%Y-%m-%d %H:%M:%S} UTC")
    return {"status": "healthy", "monitor": last.isoformat() if last else "has not run yet"}


@router.get("/alarms", dependencies=AUTHENTICATED)
def alarms_now(catalog: CatalogDep) -> dict[str, Any]:
    """What keeps people from being told of broken promises: the home page shows it."""
    found = [asdict(each) for each in alarms(catalog, datetime.now(UTC))]
    return {"alarms": found, "total_entries": len(found)}


@router.get("/products", dependencies=AUTHENTICATED)
def products(catalog: CatalogDep, readable: ReadableDep) -> dict[str, Any]:
    """Every product that has run and that the user may see."""
    found = [_shown(row) for row in catalog.rows(tables.products, limit=10_000) if row["product_id"] in readable]
    return {"products": sorted(found, key=lambda row: row["product_id"]), "total_entries": len(found)}


@router.get("/products/{product_id}", dependencies=AUTHENTICATED)
def product(product_id: ProductDep, catalog: CatalogDep) -> dict[str, Any]:
    """One product with what it has published."""
    found = catalog.rows(tables.products, product_id, limit=1)
    if not found:
        raise HTTPException(404, f"the product {product_id} has not run yet")
    return {**_shown(found[0]), "outputs": catalog.current(product_id)}


@router.get("/products/{product_id}/runs", dependencies=AUTHENTICATED)
def runs(product_id: ProductDep, catalog: CatalogDep, limit: Limit = 100) -> dict[str, Any]:
    """A product's runs, newest first."""
    found = catalog.rows(tables.runs, product_id, limit)
    return {"runs": found, "total_entries": len(found)}


@router.get("/products/{product_id}/quality", dependencies=AUTHENTICATED)
def quality(product_id: ProductDep, catalog: CatalogDep, limit: Limit = 100) -> dict[str, Any]:
    """A product's validations, newest first: score, checks, Great Expectations' own results, and its Data Docs."""
    found = [
        {**row, "data_docs": data_docs_path(product_id, row["output"], row["run_id"])}
        for row in catalog.rows(tables.validations, product_id, limit)
    ]
    return {"validations": found, "total_entries": len(found)}


@router.get("/products/{product_id}/lineage", dependencies=AUTHENTICATED)
def lineage(product_id: ProductDep, catalog: CatalogDep) -> dict[str, Any]:
    """Where the columns of a product's outputs come from; empty columns say which table alone."""
    found = catalog.rows(tables.lineage, product_id, limit=100_000)
    names = ("output", "output_column", "source", "source_column")
    shown = sorted(({name: row[name] for name in names} for row in found), key=lambda row: tuple(row.values()))
    return {"lineage": shown, "total_entries": len(shown)}


@router.get("/products/{product_id}/sla", dependencies=AUTHENTICATED)
def sla(product_id: ProductDep, catalog: CatalogDep) -> dict[str, Any]:
    """How a product's promises stand now, judged as they are asked for, whether the monitor runs or not."""
    now = datetime.now(UTC)
    seen = SlaStore(catalog).observed(now, product_id)
    if product_id not in seen.specs:
        raise HTTPException(404, f"the promises of {product_id} are not known yet")
    found = []
    for promise, verdict in seen.judged(product_id, now):
        found.append(
            {
                "promise": promise.name,
                "promised": promise.text,
                "severity": promise.severity,
                **asdict(verdict),
                "budget": asdict(seen.budget(promise, now)),
            }
        )
    open_ones = [_incident(each) for each in seen.incidents if each.product == product_id and each.resolved_at is None]
    return {"promises": found, "incidents": open_ones, "total_entries": len(found)}


@router.get("/incidents", dependencies=AUTHENTICATED)
def incidents(
    catalog: CatalogDep,
    readable: ReadableDep,
    only_open: bool = False,  # noqa: FBT001, FBT002 - a query parameter
    limit: Limit = 100,
) -> dict[str, Any]:
    """Broken promises of the products that the user may see, newest first."""
    found = [each for each in SlaStore(catalog).incidents(only_open=only_open, limit=limit) if each.product in readable]
    return {"incidents": [_incident(each) for each in found], "total_entries": len(found)}


@router.get("/incidents/{number}/report", dependencies=AUTHENTICATED)
def incident_report(number: int, catalog: CatalogDep, readable: ReadableDep) -> PlainTextResponse:
    """An incident's report in Markdown."""
    incident = _incident_or_404(number, catalog, readable)
    rows = Outbox(catalog).rows(thread_of(incident))
    return PlainTextResponse(plain.report(incident, rows, datetime.now(UTC)), media_type="text/markdown")


def _writable(user: GetUserDep) -> set[str]:
    """The products whose DAGs the user may change."""
    return set(get_auth_manager().get_authorized_dag_ids(user=user, method="PUT"))


WritableDep = Annotated[set[str], Depends(_writable)]


class Mute(BaseModel):
    """How long and why nothing is to be sent about an incident."""

    until: datetime
    why: str


@router.post("/incidents/{number}/acknowledge", dependencies=AUTHENTICATED)
def acknowledge(number: int, catalog: CatalogDep, writable: WritableDep, user: GetUserDep) -> dict[str, Any]:
    """Take an incident on: no reminders and no escalation any more."""
    _incident_or_404(number, catalog, writable)
    if not SlaStore(catalog).acknowledge(number, user.get_name(), datetime.now(UTC)):
        raise HTTPException(409, f"incident {number} is over")
    return _incident(_incident_or_404(number, catalog, writable))


@router.post("/incidents/{number}/mute", dependencies=AUTHENTICATED)
def mute(number: int, wanted: Mute, catalog: CatalogDep, writable: WritableDep) -> dict[str, Any]:
    """Send nothing about an incident until then."""
    _incident_or_404(number, catalog, writable)
    if not SlaStore(catalog).mute(number, utc(wanted.until), wanted.why):
        raise HTTPException(409, f"incident {number} is over")
    return _incident(_incident_or_404(number, catalog, writable))


def _incident(incident: Incident) -> dict[str, Any]:
    return {**asdict(incident), "state": incident.state}


def _incident_or_404(number: int, catalog: Catalog, readable: set[str]) -> Incident:
    found = SlaStore(catalog).incident(number)
    if found is None or found.product not in readable:
        raise HTTPException(404, f"there is no incident {number}")
    return found


_ALONE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
"""A page of Data Docs needs nothing but itself, and may do nothing."""


@router.get("/products/{product_id}/data-docs/{output}", dependencies=AUTHENTICATED)
def data_docs(product_id: ProductDep, output: str, catalog: CatalogDep, run_id: str | None = None) -> HTMLResponse:
    """Great Expectations' Data Docs of an output's validation in a run; without a run, of the newest."""
    found = [row for row in catalog.rows(tables.validations, product_id, limit=1000) if row["output"] == output]
    runs = [row["run_id"] for row in found if run_id in (None, row["run_id"])]
    page = docs_place(site_settings(), RunKey(product_id, runs[0]), output).read_text() if runs else None
    if page is None:
        raise HTTPException(404, f"there are no Data Docs of {output} in this run; the task `document` writes them")
    return HTMLResponse(page, headers=_ALONE)


def build_api() -> FastAPI:
    """The application, with Airflow's auth manager where Airflow's dependencies look for it."""
    app = FastAPI(title="Data products", docs_url=None, redoc_url=None)
    app.state.auth_manager = get_auth_manager()
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    return app
