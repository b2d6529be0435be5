"""``dataproducts lint``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airflow_dataproducts.cli.common import Format, FormatOption, RootOption, print_json
from airflow_dataproducts.exceptions import ConfigurationError, Finding, ManifestError
from airflow_dataproducts.manifest.defaults import default_root
from airflow_dataproducts.manifest.index import find_manifests, index, problems
from airflow_dataproducts.manifest.load import load_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataproducts.manifest.load import Manifest
    from airflow_dataproducts.manifest.nodes import Loc


def lint(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Manifests, or folders to search; this folder by default.")
    ] = None,
    *,
    connections: Annotated[
        bool, typer.Option("--connections", help="Look up the Airflow connections named, too.")
    ] = False,
    output: FormatOption = Format.TEXT,
    root: RootOption = None,
) -> None:
    """Check manifests: every mistake at once, with file, line and what to do. Exits with 1 when there is one."""
    files = _files(paths or [Path()])
    manifests: list[Manifest] = []
    findings: list[Finding] = []
    for file in files:
        try:
            manifests.append(load_manifest(file, root))
        except ManifestError as error:
            findings.extend(error.findings)
    findings += _between(
        files, {*(root or default_root(file) for file in files), *(each for each in paths or [Path()] if each.is_dir())}
    )
    if connections:
        findings += [finding for manifest in manifests for finding in _connections(manifest)]
    findings = sorted(set(findings))
    if output is Format.JSON:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            typer.echo(str(finding))
        typer.echo(f"{len(files)} manifest(s), {len(findings)} error(s)", err=bool(findings))
    if findings:
        raise typer.Exit(1)


def _files(paths: list[Path]) -> list[Path]:
    """The manifests that the user's paths mean."""
    files = []
    for path in paths:
        if path.is_file():
            files.append(path)
        elif path.is_dir():
            files += list(find_manifests(path))
        else:
            raise ConfigurationError(f"{path}: there is no such file or folder")
    if not files:
        raise ConfigurationError(f"{', '.join(map(str, paths))}: there is no product.yaml")
    return files


def _between(files: list[Path], folders: set[Path]) -> list[Finding]:
    """What is wrong between the manifests of the same folders: ids used twice, cycles."""
    findings = []
    wanted = {file.resolve(): file for file in files}
    for top in {folder.resolve() for folder in folders}:
        for path, message in problems(index(top)).items():
            file = wanted.get((top / path).resolve())
            if file is not None:
                findings.append(Finding(str(file), 1, 1, "name", message))
    return findings


def _connections(manifest: Manifest) -> Iterator[Finding]:
    """The connections a manifest names that Airflow does not know."""
    from airflow_dataproducts.environment import AirflowConnections

    product, known = manifest.product, AirflowConnections()
    named: list[tuple[Loc, str | None]] = [
        (("inputs", name, "connection"), getattr(each, "connection", None)) for name, each in product.inputs.items()
    ]
    named += [
        (("outputs", name, "publish", "connection"), getattr(each.publish, "connection", None))
        for name, each in product.outputs.items()
    ]
    for loc, connection in named:
        if connection:
            try:
                known.get(connection)
            except ConfigurationError as error:
                yield manifest.finding(loc, str(error))
