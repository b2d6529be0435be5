"""Runs a product in a process of its own, on the engine's parts alone, so that it can be killed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airflow_dataproducts import runtime
from airflow_dataproducts.catalog.store import Catalog
from airflow_dataproducts.plan import load_plan
from airflow_dataproducts.settings import load_settings
from tests.integration.conftest import KnownConnections

if TYPE_CHECKING:
    from airflow_dataproducts.engine.connections import ConnectionInfo
    from airflow_dataproducts.runtime import Reference, Run


def open_run(manifest: str, run_id: str, home: str, infos: list[ConnectionInfo]) -> Run:
    """A run with the catalog and storage under ``home``."""
    settings = load_settings(Path(home), lambda _option: None)
    catalog = Catalog(sa.URL.create("sqlite", database=f"{settings.catalog}/catalog.db"))
    return runtime.Run(
        load_plan(Path(manifest), Path(manifest).parent), run_id, settings, KnownConnections(*infos), catalog
    )


def steps(run: Run) -> Reference:
    """Every step of a run, in order."""
    inputs = {step.name: runtime.extract(run, step) for step in run.plan.extracts}
    outputs = {step.name: runtime.transform(run, step, inputs) for step in run.plan.transforms}
    validated = {step.name: runtime.validate(run, step, inputs, outputs) for step in run.plan.validations}
    published = {step.name: runtime.publish(run, step, validated[step.name]) for step in run.plan.publications}
    rows = runtime.record(run, inputs, published)
    runtime.document(run, validated)
    return rows


def main(manifest: str, run_id: str, home: str, infos: list[ConnectionInfo]) -> None:
    """All of it, as a process's main function."""
    run = open_run(manifest, run_id, home, infos)
    with run.catalog:
        steps(run)
