"""``dataproducts run``."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from airflow_dataproducts.cli.common import (
    Format,
    FormatOption,
    ManifestArgument,
    RootOption,
    one_manifest,
    print_json,
    show_log,
)
from airflow_dataproducts.exceptions import DataProductsError
from airflow_dataproducts.plan import DOCUMENT, RECORD, load_plan, task_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataproducts.engine.moment import Moment
    from airflow_dataproducts.plan import Plan
    from airflow_dataproducts.runtime import Reference, Run


def run(  # noqa: PLR0913 - a command's options
    path: ManifestArgument,
    *,
    run_id: Annotated[str | None, typer.Option(help="A run's id; a run that failed goes on under its own.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Read everything, and replace whatever was published.")] = False,
    start: Annotated[
        str | None,
        typer.Option("--from", help="With --to: read and publish again the rows whose cursor is in this range."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="The end of the range, which is not part of it.")] = None,
    output: FormatOption = Format.TEXT,
    root: RootOption = None,
) -> None:
    """Run a product here and now, in one process without a scheduler: the same steps, for development."""
    from airflow_dataproducts.engine.moment import Moment
    from airflow_dataproducts.runtime import Options

    identity = run_id or f"manual__{datetime.now(UTC).isoformat(timespec='seconds')}"
    quiet = output is Format.JSON
    show_log(quiet=quiet)
    asked = Options(full, start, end)
    planned, moment = asked.apply(load_plan(one_manifest(path), root), Moment.now(identity))
    rows = _run_all(planned, moment, quiet=quiet)
    if quiet:
        print_json({"product": planned.product.id, "run_id": identity, "rows": rows})
    else:
        typer.echo(f"{planned.product.id} {planned.product.version} published: {rows} (run {identity})")


def _run_all(planned: Plan, moment: Moment, *, quiet: bool) -> Reference:
    """Every step in order."""
    from airflow_dataproducts import runtime
    from airflow_dataproducts.environment import AirflowConnections, site_catalog, site_settings

    settings = site_settings()
    with site_catalog(settings) as catalog:
        current = runtime.Run(planned, settings, AirflowConnections(), catalog, moment)
        steps = _Steps(current, quiet=quiet)
        inputs = {
            step.name: steps.do(task_id("extract", step), lambda s=step: runtime.extract(current, s))
            for step in planned.extracts
        }
        outputs: dict[str, Reference] = {}
        for made in planned.transforms:
            do = partial(runtime.transform, current, made, inputs, outputs)
            outputs[made.name] = steps.do(task_id("transform", made), do)
        validated = {
            step.name: steps.do(task_id("validate", step), lambda s=step: runtime.validate(current, s, inputs, outputs))
            for step in planned.validations
        }
        published = {
            step.name: steps.do(task_id("publish", step), lambda s=step: runtime.publish(current, s, validated[s.name]))
            for step in planned.publications
        }
        rows = steps.do(RECORD, lambda: runtime.record(current, inputs, published))
        steps.do(DOCUMENT, lambda: runtime.document(current, inputs, validated))
        return rows


class _Steps:
    """Does steps one after the other, shows what is at work, and notes a failure in the catalog."""

    def __init__(self, current: Run, *, quiet: bool) -> None:
        from rich.console import Console

        self._run = current
        self._console = Console(stderr=True, quiet=quiet)

    def do(self, task: str, work: Callable[..., Reference]) -> Reference:
        from airflow_dataproducts import runtime

        begun = time.monotonic()
        try:
            with self._console.status(f"{task} ..."):
                result = work()
        except DataProductsError as error:
            self._console.print(f"[red]failed[/]  {task}", highlight=False)
            runtime.failed(self._run, task, error)
            raise
        except BaseException as error:
            runtime.failed(self._run, task, DataProductsError(f"ended by {type(error).__name__}"))
            raise
        self._console.print(f"[green]done[/]    {task} [dim]{time.monotonic() - begun:.1f} s[/]", highlight=False)
        return result
