"""``dataproducts versions``, ``rollback`` and ``retention``: what was published before."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from airflow_dataproducts.cli.common import (
    Format,
    FormatOption,
    ManifestArgument,
    OutputOption,
    RootOption,
    known_output,
    one_manifest,
    print_json,
    show_log,
)
from airflow_dataproducts.plan import load_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataproducts.plan import Plan
    from airflow_dataproducts.runtime import Run


def versions(
    path: ManifestArgument, *, name: OutputOption = None, output: FormatOption = Format.TEXT, root: RootOption = None
) -> None:
    """List the versions of a product's outputs that can be gone back to, newest first."""
    planned = _plan(path, name, root)
    with _run(planned, "versions") as run:
        from airflow_dataproducts import runtime

        steps = [step for step in planned.publications if name in (None, step.name)]
        found = [version for step in steps for version in runtime.versions(run, step)]
    if output is Format.JSON:
        print_json([version.to_dict() for version in found])
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("", "output", "revision", "rows", "published", "version", "run"):
        whole = heading in {"", "revision", "rows"}
        table.add_column(heading, justify="right" if heading == "rows" else "left", no_wrap=whole)
    colours = {"current": "green", "undone": "dim"}
    for each in found:
        table.add_row(
            "" if each.state == "old" else each.state, each.output, each.revision,
            "" if each.rows is None else f"{each.rows:,}", f"{each.published_at:%Y-%m-%d %H:%M:%S}", each.version or "",
            each.run_id or "", style=colours.get(each.state),
        )  # fmt: skip
    Console().print(table if found else "nothing has been published yet")


def rollback(
    path: ManifestArgument,
    *,
    to: Annotated[
        str | None,
        typer.Option(help="A revision, run id or version number; left out, the version before the current one."),
    ] = None,
    name: OutputOption = None,
    output: FormatOption = Format.TEXT,
    root: RootOption = None,
) -> None:
    """Let consumers see an old version again, at once."""
    from airflow_dataproducts import runtime

    planned = _plan(path, name, root)
    show_log(quiet=True)
    with _run(planned, f"rollback__{datetime.now(UTC).isoformat(timespec='seconds')}") as run:
        revisions = runtime.rollback(run, to, name)
    if output is Format.JSON:
        print_json({"product": planned.product.id, "revisions": revisions})
    else:
        for each, revision in revisions.items():
            typer.echo(f"{planned.product.id}.{each}: consumers see {revision} now")


def retention(
    path: ManifestArgument,
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Set the lifecycle rules of S3 buckets, too.")] = False,
    output: FormatOption = Format.TEXT,
    root: RootOption = None,
) -> None:
    """Delete what the site's settings do not keep, and propose lifecycle rules for S3."""
    from airflow_dataproducts import runtime
    from airflow_dataproducts.runtime import lifecycle

    planned = _plan(path, None, root)
    show_log(quiet=True)
    with _run(planned, "retention") as run:
        gone = runtime.tidy(run)
        rules = lifecycle.proposed(run)
        if apply:
            lifecycle.apply(run, rules)
    if output is Format.JSON:
        print_json({"product": planned.product.id, "gone": gone, "lifecycle": rules, "applied": apply})
        return
    for name, count in gone.items():
        typer.echo(f"{name}: {count} gone")
    for bucket, each in rules.items():
        for rule in each:
            days, prefix = rule["Expiration"]["Days"], rule["Filter"]["Prefix"]
            typer.echo(f"s3://{bucket}/{prefix}: expires after {days} days{'' if apply else ' (with --apply)'}")


def _plan(path: ManifestArgument, name: str | None, root: RootOption) -> Plan:
    planned = load_plan(one_manifest(path), root)
    known_output(planned, name)
    return planned


@contextmanager
def _run(planned: Plan, run_id: str) -> Iterator[Run]:
    from airflow_dataproducts import runtime
    from airflow_dataproducts.engine.moment import Moment
    from airflow_dataproducts.environment import AirflowConnections, site_catalog, site_settings

    settings = site_settings()
    with site_catalog(settings) as catalog:
        yield runtime.Run(planned, settings, AirflowConnections(), catalog, Moment.now(run_id))
