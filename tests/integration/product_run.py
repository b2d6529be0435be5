"""Runs a product in a process of its own, on the engine's parts alone, so that it can be killed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_dataproducts import runtime
from airflow_dataproducts.catalog.store import Catalog
from airflow_dataproducts.engine.moment import Moment
from airflow_dataproducts.plan import load_plan
from airflow_dataproducts.runtime import Options
from airflow_dataproducts.settings import load_settings
from tests.integration.conftest import KnownConnections

if TYPE_CHECKING:
    from airflow_dataproducts.engine.connections import ConnectionInfo
    from airflow_dataproducts.runtime import Reference, Run


ORDINARY = Options()


def open_run(manifest: str, run_id: str, home: str, infos: list[ConnectionInfo], asked: Options = ORDINARY) -> Run:
    """A run with the catalog and storage under ``home``."""
    settings = load_settings(Path(home), lambda _option: None)
    catalog = Catalog(sa.URL.create("sqlite", database=f"{settings.catalog}/catalog.db"))
    plan, moment = asked.apply(load_plan(Path(manifest), Path(manifest).parent), Moment.now(run_id))
    return runtime.Run(plan, settings, KnownConnections(*infos), catalog, moment)


def steps(run: Run) -> Reference:
    """Every step of a run, in order."""
    inputs = {each.name: runtime.extract(run, each) for each in run.plan.extracts}
    outputs: Reference = {}
    for step in run.plan.transforms:
        outputs[step.name] = runtime.transform(run, step, inputs, outputs)
    validated = {each.name: runtime.validate(run, each, inputs, outputs) for each in run.plan.validations}
    published = {each.name: runtime.publish(run, each, validated[each.name]) for each in run.plan.publications}
    rows = runtime.record(run, inputs, published)
    runtime.document(run, inputs, validated)
    return rows


def main(manifest: str, run_id: str, home: str, infos: list[ConnectionInfo]) -> None:
    """All of it, as a process's main function."""
    run = open_run(manifest, run_id, home, infos)
    with run.catalog:
        steps(run)
