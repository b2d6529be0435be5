"""``dataproducts infer``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airflow_dataproducts.cli.files import open_data
from airflow_dataproducts.settings import Settings

if TYPE_CHECKING:
    import pyarrow.dataset as pads


def infer(
    source: Annotated[str, typer.Argument(help="A file, a folder or a glob; or an Airflow connection, with a table.")],
    table: Annotated[str | None, typer.Argument(help="The table in the connection's database.")] = None,
) -> None:
    """Look at data and propose a contract for it, with the evidence as comments."""
    from rich.console import Console

    from airflow_dataproducts.contract.proposal import propose
    from airflow_dataproducts.engine.profile import profile

    with (
        tempfile.TemporaryDirectory(prefix="dataproducts-infer-") as folder,
        Console(stderr=True).status("looking ..."),
    ):
        settings = Settings("", "", "")
        if table is None:
            rows, says_types = open_data("data", [source], settings, Path(folder))
        else:
            rows, says_types = _table(source, table, Path(folder)), True
        facts = profile(rows, settings, says_types=says_types)
    typer.echo(propose(facts), nl=False)


def _table(connection: str, table: str, folder: Path) -> pads.Dataset:
    """A database's table, read once into a folder."""
    from airflow_dataproducts.cli.files import no_products
    from airflow_dataproducts.engine import staging
    from airflow_dataproducts.engine.sources import Reading, open_source
    from airflow_dataproducts.engine.storage import open_place
    from airflow_dataproducts.environment import AirflowConnections, site_settings
    from airflow_dataproducts.manifest.inputs import TableInput

    reading = Reading(AirflowConnections(), site_settings(), no_products)
    source = TableInput(connection=connection, table=table)
    with open_source(table, source, reading) as stream:
        return staging.read(staging.write(open_place(str(folder)) / "table", stream))
