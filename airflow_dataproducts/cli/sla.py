"""``dataproducts sla``: how promises stand, and what to do about broken ones."""

from __future__ import annotations

import getpass
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airflow_dataproducts.cli.common import Format, FormatOption, print_json
from airflow_dataproducts.exceptions import ConfigurationError
from airflow_dataproducts.manifest.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_dataproducts.catalog.sla import SlaStore
    from airflow_dataproducts.catalog.standing import Status
    from airflow_dataproducts.catalog.store import Catalog
    from airflow_dataproducts.sla.budgets import Budget
    from airflow_dataproducts.sla.incidents import Incident

app = typer.Typer(help="How promises stand, and what to do about broken ones.", no_args_is_help=True)
ProductArgument = Annotated[str | None, typer.Argument(help="A product, as domain.name; left out, all.")]
IncidentArgument = Annotated[int, typer.Argument(help="The incident's number, as sla status shows it.")]
_COLOURS = {"ok": "green", "at_risk": "yellow", "breached": "red", "unknown": "dim"}


@app.command()
def status(product: ProductArgument = None, *, output: FormatOption = Format.TEXT) -> None:
    """Show how promises stood when the monitor last looked, and the incidents that are open."""
    from airflow_dataproducts.catalog.sla import SlaStore

    with _catalog() as catalog:
        store = SlaStore(catalog)
        standing = _standing(store, datetime.now(UTC), product)
    _show(standing, output)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="The folder of the manifests.")] = Path(),
    *,
    output: FormatOption = Format.TEXT,
) -> None:
    """Judge every promise now, as the monitor does each minute; nothing is sent. Exit 1 where one is broken."""
    from airflow_dataproducts.catalog.sla import SlaStore
    from airflow_dataproducts.runtime import monitor

    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder")
    with _catalog() as catalog:
        store, now = SlaStore(catalog), datetime.now(UTC)
        monitor.sync(store, folder.absolute(), None, now)
        monitor.tick(store, now)
        standing = _standing(store, now)
    _show(standing, output)
    if any(each.state == "breached" for each in standing.promises):
        raise typer.Exit(1)


@app.command()
def report(number: IncidentArgument) -> None:
    """Print an incident's report in Markdown: what was promised, what happened when, who was told."""
    from airflow_dataproducts.alerts import plain
    from airflow_dataproducts.catalog.outbox import Outbox
    from airflow_dataproducts.catalog.sla import SlaStore, thread_of

    with _catalog() as catalog:
        incident = SlaStore(catalog).incident(number)
        if incident is None:
            raise ConfigurationError(f"there is no incident {number}")
        typer.echo(plain.report(incident, Outbox(catalog).rows(thread_of(incident)), datetime.now(UTC)))


@app.command()
def ack(
    number: IncidentArgument,
    *,
    by: Annotated[str | None, typer.Option(help="Who takes it on; left out, you.")] = None,
) -> None:
    """Take an incident on: no reminders and no escalation any more."""
    from airflow_dataproducts.catalog.sla import SlaStore

    who = by or getpass.getuser()
    with _catalog() as catalog:
        done = SlaStore(catalog).acknowledge(number, who, datetime.now(UTC))
    _changed(number, f"acknowledged by {who}", done=done)


@app.command()
def mute(
    number: IncidentArgument,
    *,
    why: Annotated[str, typer.Option(help="The reason.")],
    for_: Annotated[str, typer.Option("--for", help="How long, such as 4h.")] = "1d",
) -> None:
    """Send nothing about an incident for a while."""
    from airflow_dataproducts.catalog.sla import SlaStore

    try:
        until = datetime.now(UTC) + parse_duration(for_)
    except ValueError as error:
        raise ConfigurationError(f"--for: {error}") from None
    with _catalog() as catalog:
        done = SlaStore(catalog).mute(number, until, why)
    _changed(number, f"muted until {until:%Y-%m-%d %H:%M} UTC", done=done)


def _changed(number: int, what: str, *, done: bool) -> None:
    if not done:
        raise ConfigurationError(f"there is no open incident {number}")
    typer.echo(f"incident {number}: {what}")


@contextmanager
def _catalog() -> Iterator[Catalog]:
    from airflow_dataproducts.cli.common import show_log
    from airflow_dataproducts.environment import site_catalog, site_settings

    show_log(quiet=True)
    with site_catalog(site_settings()) as catalog:
        yield catalog


@dataclass(frozen=True, slots=True)
class _Standing:
    """What the commands show: promises, the incidents that are open, and error budgets by product and promise."""

    promises: Sequence[Status]
    incidents: Sequence[Incident]
    budgets: Mapping[tuple[str, str], Budget]


def _standing(store: SlaStore, now: datetime, product: str | None = None) -> _Standing:
    seen = store.observed(now, product)
    promised = [promise for name in seen.specs for promise in seen.promises(name)]
    budgets = {(each.product, each.name): seen.budget(each, now) for each in promised}
    return _Standing(store.status(product), store.incidents(product, only_open=True), budgets)


def _show(standing: _Standing, output: Format) -> None:
    if output is Format.JSON:
        promises = [
            {**_plain(asdict(each)), "budget": asdict(left) if (left := standing.budgets.get(each.key)) else None}
            for each in standing.promises
        ]
        print_json({"promises": promises, "incidents": [_plain(asdict(each)) for each in standing.incidents]})
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("", "product", "promise", "found", "since", "budget left", "incident"):
        table.add_column(heading)
    numbers = {each.key: each for each in standing.incidents}
    for each in standing.promises:
        incident, left = numbers.get(each.key), standing.budgets.get(each.key)
        told = f"{incident.id} {incident.state}{_part_of(incident)}" if incident else ""
        state = f"[{_COLOURS[each.state]}]{each.state}[/]"
        budget = f"{max(1 - left.spent, 0):.0%}" if left else ""
        table.add_row(
            state, each.product, each.promise, escape(each.actual), f"{each.since:%Y-%m-%d %H:%M}", budget, told
        )
    Console().print(table if standing.promises else "no promises are known yet; the monitor has not looked")


def _part_of(incident: Incident) -> str:
    """What an incident is part of, where it is."""
    if incident.root is None:
        return ""
    return (
        f", with {incident.details['part_of']}" if incident.root == incident.product else f", waits for {incident.root}"
    )


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
