"""``dataproducts plan``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import typer

from airflow_dataproducts.cli.common import Format, FormatOption, ManifestArgument, RootOption, one_manifest, print_json
from airflow_dataproducts.manifest.load import load_manifest
from airflow_dataproducts.manifest.outputs import KafkaPublish, LakePublish
from airflow_dataproducts.plan import (
    DOCUMENT,
    RECORD,
    ExtractStep,
    PublishStep,
    TransformStep,
    ValidateStep,
    build_plan,
    task_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataproducts.manifest.load import Manifest
    from airflow_dataproducts.manifest.nodes import Loc
    from airflow_dataproducts.plan import Plan, Step


def plan(path: ManifestArgument, *, output: FormatOption = Format.TEXT, root: RootOption = None) -> None:
    """Show what a run of a product does, step by step, and which values come from _defaults.yaml."""
    manifest = load_manifest(one_manifest(path), root)
    planned = build_plan(manifest)
    origins = _origins(manifest)
    if output is Format.JSON:
        print_json(_as_json(planned, origins))
        return
    product = planned.product
    typer.echo(f"{product.id} {product.version} ({product.status}), runs {planned.schedule}")
    for stage, steps in planned.stages:
        for step in steps:
            typer.echo(f"  {task_id(stage, step):<28} {describe(step)}")
    typer.echo(f"  {RECORD:<28} run, metrics and watermarks to the catalog; asset event {product.id}")
    typer.echo(f"  {DOCUMENT:<28} Data Docs, metrics of every column, clean staging; after failures, too")
    for file, fields in origins.items():
        typer.echo(f"from {file}: {', '.join(fields)}")


def describe(step: Step) -> str:
    """A step in a line."""
    if isinstance(step, ExtractStep):
        return f"{_source(step)}{', which stays there' if step.stays else ''}"
    if isinstance(step, TransformStep):
        how = step.function or f"SQL, {len((step.sql or '').strip().splitlines())} line(s)"
        return f"{how}{_where(step.output.engine)}, cast to {len(step.output.contract.columns)} column(s)"
    if isinstance(step, ValidateStep):
        count = Counter(check.on_violation for check in step.checks)
        aside = f", {count['quarantine']} set rows aside" if count["quarantine"] else ""
        return f"{len(step.checks)} check(s){_where(step.engine)}, {count['fail']} of which stop the run{aside}"
    return _target(step)


def _where(engine: str) -> str:
    return "" if engine == "duckdb" else f" in {engine}"


def _source(step: ExtractStep) -> str:
    source: Any = step.source
    if hasattr(source, "product"):
        version = f" {source.version}" if source.version else ""
        return f"product {source.product}{version}, output {source.output or 'its only one'}"
    if hasattr(source, "path"):
        return f"files {source.path}"
    what = next(
        (f"{kind} {getattr(source, kind)}" for kind in ("table", "endpoint", "topic") if hasattr(source, kind)), "query"
    )
    how = "everything"
    if step.incremental and hasattr(source, "topic"):
        how = "messages past the last published ones"
    elif step.incremental:
        how = f"rows past the last published {source.cursor}"
    elif getattr(source, "cursor", None):
        how = "everything, because an output's mode is replace"
    return f"{what} in connection {source.connection}, {how}"


def _target(step: PublishStep) -> str:
    publish = step.output.publish
    if isinstance(publish, KafkaPublish):
        return f"a message for each row to topic {publish.topic} in connection {publish.connection}"
    if not isinstance(publish, LakePublish):
        kind = "view" if publish.to == "postgres" else publish.to
        return f"{publish.mode} {kind} {publish.table} in connection {publish.connection}"
    return f"{publish.mode} {publish.to} at {publish.location or 'the storage of the site'}"


def _origins(manifest: Manifest) -> dict[str, list[str]]:
    """The fields that come from defaults, by file."""
    found: dict[str, list[str]] = {}
    for document in manifest.documents[:-1]:
        for loc in _leaves(document.data, ()):
            if manifest.origin(loc) == document.path:
                found.setdefault(str(document.path), []).append(".".join(map(str, loc)))
    return found


def _leaves(value: Any, loc: Loc) -> Iterator[Loc]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*loc, key))
    else:
        yield loc


def _as_json(planned: Plan, origins: dict[str, list[str]]) -> dict[str, Any]:
    tasks: list[dict[str, Any]] = []
    before: list[str] = []
    for stage, steps in planned.stages:
        ids = [task_id(stage, step) for step in steps]
        for step, name in zip(steps, ids, strict=True):
            tasks.append({"task_id": name, "stage": stage, "upstream": before, "does": describe(step)})
        before = ids
    tasks.append({"task_id": RECORD, "stage": RECORD, "upstream": before, "does": "catalog and asset event"})
    tasks.append({"task_id": DOCUMENT, "stage": DOCUMENT, "upstream": [RECORD], "does": "Data Docs and column metrics"})
    product = planned.product
    return {
        "product": product.id,
        "version": product.version,
        "status": product.status,
        "schedule": str(planned.schedule),
        "tasks": tasks,
        "defaults": origins,
        "manifest": product.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    }
