"""What the commands share."""

from __future__ import annotations

import json
import logging
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airflow_dataproducts.exceptions import ConfigurationError
from airflow_dataproducts.manifest.load import MANIFEST_NAMES

if TYPE_CHECKING:
    from airflow_dataproducts.plan import Plan, ValidateStep


class Format(StrEnum):
    """How a command prints."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="text for people, json for programs.")]
OutputOption = Annotated[str | None, typer.Option("--output", help="The output, where a product has several.")]
ManifestArgument = Annotated[Path, typer.Argument(help="A product.yaml, or the folder that holds it.")]
RootOption = Annotated[
    Path | None,
    typer.Option(help="Where the search for _defaults.yaml ends; found by the project's top where left out."),
]


def one_manifest(path: Path) -> Path:
    """The manifest that a user's path means.

    Raises:
        ConfigurationError: there is none.
    """
    if path.is_file():
        return path
    for name in MANIFEST_NAMES:
        if (path / name).is_file():
            return path / name
    raise ConfigurationError(f"{path}: there is no {MANIFEST_NAMES[0]} here")


def one_output(plan: Plan, name: str | None) -> ValidateStep:
    """The output that a user means, with its checks: the one named, or the only one.

    Raises:
        ConfigurationError: there is none of that name, or several and no name.
    """
    steps = {step.name: step for step in plan.validations}
    if name is None and len(steps) > 1:
        raise ConfigurationError(f"{plan.product.id} has several outputs; say --output {' or '.join(steps)}")
    known_output(plan, name)
    return steps[name or next(iter(steps))]


def known_output(plan: Plan, name: str | None) -> None:
    """See that an output that a user names is there; None names none.

    Raises:
        ConfigurationError: there is none of that name.
    """
    outputs = plan.product.outputs
    if name is not None and name not in outputs:
        raise ConfigurationError(f"{plan.product.id} has no output {name!r} (allowed: {', '.join(outputs)})")


def print_json(value: Any) -> None:
    """A value as JSON on stdout."""
    typer.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def show_log(*, quiet: bool) -> None:
    """The package's own log on stderr, as lines."""
    log = logging.getLogger("airflow_dataproducts")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("        %(message)s"))
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(logging.ERROR if quiet else logging.INFO)
