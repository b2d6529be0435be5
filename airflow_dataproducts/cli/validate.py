"""``dataproducts validate``."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airflow_dataproducts.cli.common import (
    ManifestArgument,
    OutputOption,
    RootOption,
    one_manifest,
    one_output,
    print_json,
)
from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.exceptions import ConfigurationError
from airflow_dataproducts.manifest.inputs import TableInput
from airflow_dataproducts.manifest.outputs import PostgresPublish
from airflow_dataproducts.plan import load_plan
from airflow_dataproducts.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.engine.validation import Validation
    from airflow_dataproducts.manifest.product import Product
    from airflow_dataproducts.plan import ValidateStep

Skipped = dict[str, str]
"""Checks that could not be made, and why."""


class Report(StrEnum):
    """How the command prints."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


def validate(  # noqa: PLR0913 - a command's options
    path: ManifestArgument,
    *,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="A Parquet, CSV or JSON file, a folder or a glob; may be given often."),
    ] = None,
    connection: Annotated[
        str | None,
        typer.Option(help="Instead of files: the Airflow connection of a database, to check a table inside it."),
    ] = None,
    table: Annotated[str | None, typer.Option(help="The table in that database, with its schema.")] = None,
    name: OutputOption = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="A table that rules look at, as <input>=<file>; may be given often."),
    ] = None,
    report: Annotated[
        Report, typer.Option("--format", help="text for people, json for programs, junit for CI.")
    ] = Report.TEXT,
    memory_limit: Annotated[
        str,
        typer.Option(envvar="AIRFLOW__DATAPRODUCTS__MEMORY_LIMIT", help="Memory for DuckDB before it spills to disk."),
    ] = "1GB",
    threads: Annotated[
        int, typer.Option(envvar="AIRFLOW__DATAPRODUCTS__THREADS", help="Threads for DuckDB; 0 for all cores.")
    ] = 0,
    root: RootOption = None,
) -> None:
    """Check files, or a table inside a database, against an output's contract, without running anything."""
    if (data is None) == (connection is None) or (connection is None) != (table is None):
        raise ConfigurationError("give --data <file>, or --connection <id> with --table <schema.table>")
    planned = load_plan(one_manifest(path), root)
    step = one_output(planned, name)
    given = dict(_pair(each) for each in inputs or ())
    unknown = sorted(set(given) - set(planned.product.inputs))
    if unknown:
        raise ConfigurationError(f"--input {unknown[0]}: no such input (allowed: {', '.join(planned.product.inputs)})")
    if connection is not None:
        given = {**_tables_in(planned.product, connection), **given}
    missing = {*planned.product.inputs, *planned.product.outputs} - set(given) - {step.name}
    wanted, skipped = _possible(step, missing, within_database=connection is not None)
    if data is not None:
        found = _check(replace(step, checks=wanted), data, given, Settings("", "", "", memory_limit, threads))
    else:
        found = _check_table(replace(step, checks=wanted), connection or "", table or "", given)
    _print(planned.product.id, found, skipped, report)
    if found.failures:
        raise typer.Exit(1)


def _pair(text: str) -> tuple[str, str]:
    name, sign, file = text.partition("=")
    if not (name and sign and file):
        raise ConfigurationError(f"--input {text}: write <input>=<file>, such as customers=customers.parquet")
    return name, file


def _tables_in(product: Product, connection: str) -> dict[str, str]:
    """The inputs and other outputs that are tables of the same database."""
    found = {
        name: each.table
        for name, each in product.inputs.items()
        if isinstance(each, TableInput) and each.connection == connection
    }
    for name, output in product.outputs.items():
        if isinstance(output.publish, PostgresPublish) and output.publish.connection == connection:
            found[name] = output.publish.table
    return found


def _possible(step: ValidateStep, missing: set[str], *, within_database: bool) -> tuple[tuple[Check, ...], Skipped]:
    """The checks that can be made here, and why the others cannot."""
    wanted, skipped = [], {}
    for check in step.checks:
        if within_database and isinstance(check.rule, r.SchemaOf):
            skipped[check.name] = "looks at the schema of an input, which only a run knows"
            continue
        gone = sorted(_tables(check) & missing)
        if gone:
            skipped[check.name] = f"looks at {', '.join(gone)}; give --input {gone[0]}=<file>"
        else:
            wanted.append(check)
    return tuple(wanted), skipped


def _tables(check: Check) -> set[str]:
    """The tables that a check reads beside the output's own."""
    match check.rule:
        case r.References(table, _):
            return {table}
        case r.SchemaOf(name):
            return {name}
        case r.Violations(sql):
            import duckdb

            with duckdb.connect(":memory:") as connection:
                try:
                    return {name.strip('"') for name in connection.get_table_names(sql)}
                except duckdb.Error:
                    return set()  # said better where the rule is asked
    return set()


def _check(step: ValidateStep, data: list[str], inputs: Mapping[str, str], settings: Settings) -> Validation:
    from airflow_dataproducts.cli.files import open_data
    from airflow_dataproducts.engine.validation import Tables
    from airflow_dataproducts.engine.validation.apart import begun

    with tempfile.TemporaryDirectory(prefix="dataproducts-validate-") as folder:
        staged = {name: open_data(name, [file], settings, Path(folder))[0] for name, file in inputs.items()}
        rows, says_types = open_data(step.name, data, settings, Path(folder))
        with begun(step, Tables({step.name: rows}, staged), settings, says_types=says_types) as finish:
            from rich.console import Console  # no sooner: the rows are being read meanwhile

            with Console(stderr=True).status(f"checking {step.name} ..."):
                return finish()


def _check_table(step: ValidateStep, connection: str, table: str, others: Mapping[str, str]) -> Validation:
    from rich.console import Console

    from airflow_dataproducts.engine.validation.remote import Warehouse, in_database
    from airflow_dataproducts.environment import AirflowConnections

    url = AirflowConnections().sqlalchemy_url(connection)
    with Console(stderr=True).status(f"checking {table} in {connection} ..."):
        return in_database(step, Warehouse(url, table, others))


def _print(product: str, found: Validation, skipped: Skipped, report: Report) -> None:
    if report is Report.JSON:
        print_json(_as_json(product, found, skipped))
    elif report is Report.JUNIT:
        from airflow_dataproducts.cli.junit import junit

        typer.echo(junit(f"{product}.{found.output}", found, skipped))
    else:
        _as_text(product, found, skipped)


def _as_json(product: str, found: Validation, skipped: Skipped) -> dict[str, Any]:
    return {
        "product": product,
        "output": found.output,
        "success": not found.failures,
        "rows": found.rows,
        "quarantined": found.quarantined,
        "score": found.score.total,
        "dimensions": found.score.dimensions,
        "results": found.rows_as_dicts(),
        "skipped": skipped,
        "gx": found.gx,
    }


_MARKS = {"fail": "[red]failed[/]", "warn": "[yellow]warned[/]", "quarantine": "[yellow]set aside[/]"}


def _as_text(product: str, found: Validation, skipped: Skipped) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from airflow_dataproducts.engine.validation.results import line

    console = Console()
    table = Table(box=None, show_header=False, pad_edge=False)
    for each in found.results:
        mark = "[green]holds[/]" if each.success else _MARKS[each.on_violation]
        table.add_row(mark, escape(each.description if each.success else line(each, found.rows)))
    for name, reason in skipped.items():
        table.add_row("[yellow]skipped[/]", escape(f"{name}: {reason}"))
    console.print(table)
    held = sum(each.success for each in found.results)
    console.print(
        f"{product}.{found.output}: {held} of {len(found.results)} checks hold on {found.rows:,} rows, "
        f"quality score {found.score.total:g}",
        highlight=False,
    )
