"""``dataproducts``: the command line.

Exit codes: 0 fine, 1 findings (a broken contract, a failed run), 2 usage or configuration. Errors are one line each.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from airflow_dataproducts.cli import lint, plan, run, schema
from airflow_dataproducts.exceptions import ConfigurationError, DataProductsError, ManifestError

FINDINGS, USAGE = 1, 2

app = typer.Typer(
    name="dataproducts",
    help="Governed data products on Apache Airflow from one product.yaml.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("lint")(lint.lint)
app.command("plan")(plan.plan)
app.command("run")(run.run)
app.command("schema")(schema.schema)


def main() -> NoReturn:
    """The entry point. Our own errors become lines on stderr and an exit code."""
    try:
        app()
    except DataProductsError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(USAGE if isinstance(error, ManifestError | ConfigurationError) else FINDINGS) from None
    raise SystemExit(0)


@app.callback()
def _root() -> None:
    """Governed data products on Apache Airflow from one product.yaml."""
