"""``dataproducts``: the command line.

Exit codes: 0 fine, 1 findings (a broken contract, a failed run), 2 usage or configuration. Errors are one line each.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from airflow_dataproducts.cli import infer, lint, plan, run, schema, sla, suite, validate, versions
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
app.command("suite")(suite.suite)
app.command("validate")(validate.validate)
app.command("versions")(versions.versions)
app.command("rollback")(versions.rollback)
app.command("retention")(versions.retention)
app.add_typer(sla.app, name="sla")
app.command("infer")(infer.infer)
app.command("schema")(schema.schema)


def main() -> NoReturn:
    """The entry point. Our own errors become lines on stderr and an exit code."""
    code = run_app()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed; taking a hundred thousand objects of GX and pandas down one by one would cost most of a second.
    os._exit(code)


def run_app() -> int:
    """Run a command; returns the exit code."""
    try:
        app()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except DataProductsError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE if isinstance(error, ManifestError | ConfigurationError) else FINDINGS
    return 0


@app.callback()
def _root() -> None:
    """Governed data products on Apache Airflow from one product.yaml."""
