"""What the commands share."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from airflow_dataproducts.exceptions import ConfigurationError
from airflow_dataproducts.manifest.load import MANIFEST_NAMES


class Format(StrEnum):
    """How a command prints."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="text for people, json for programs.")]
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


def print_json(value: Any) -> None:
    """A value as JSON on stdout."""
    typer.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))
