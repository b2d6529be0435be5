"""``dataproducts suite``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from airflow_dataproducts.cli.common import (
    Format,
    FormatOption,
    ManifestArgument,
    OutputOption,
    RootOption,
    one_manifest,
    one_output,
)
from airflow_dataproducts.plan import load_plan

if TYPE_CHECKING:
    from airflow_dataproducts.plan import ValidateStep


def suite(
    path: ManifestArgument, *, name: OutputOption = None, output: FormatOption = Format.TEXT, root: RootOption = None
) -> None:
    """Show an output's contract as a Great Expectations suite; as JSON, Great Expectations alone can load and run it."""
    planned = load_plan(one_manifest(path), root)
    step = one_output(planned, name)
    made = _suite(step)
    if output is Format.JSON:
        import json

        typer.echo(json.dumps(made.to_json_dict(), indent=2, ensure_ascii=False))
        return
    _print(made)


def _suite(step: ValidateStep) -> Any:
    from airflow_dataproducts.engine.validation.gx import import_gx
    from airflow_dataproducts.engine.validation.suite import build_suite

    import_gx()
    return build_suite(step, step.checks)


def _print(made: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=made.name, title_justify="left")
    for heading in ("check", "expectation", "arguments", "severity"):
        table.add_column(heading, overflow="fold")
    for each in made.expectations:
        kwargs = {key: value for key, value in each.configuration.kwargs.items() if value is not None}
        arguments = ", ".join(f"{key}={value!r}" for key, value in kwargs.items())
        table.add_row(each.meta["check"], each.configuration.type, arguments, each.meta["severity"])
    Console().print(table)
