"""From a product.yaml on disk to a :class:`Product`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from airflow_dataproducts.exceptions import Finding, ManifestError
from airflow_dataproducts.manifest.defaults import default_root, defaults_files, load_defaults, merge, origin
from airflow_dataproducts.manifest.engines import pushed_down
from airflow_dataproducts.manifest.inputs import KafkaInput, QueryInput
from airflow_dataproducts.manifest.messages import to_findings
from airflow_dataproducts.manifest.nodes import Document, Loc, field_name, locate
from airflow_dataproducts.manifest.product import Product
from airflow_dataproducts.manifest.reading import reading_problems, sources_of
from airflow_dataproducts.manifest.sql import is_function, tables_among, unknown_parameter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANIFEST_NAMES = ("product.yaml", "product.yml")
MANIFEST_SUFFIXES = (".product.yaml", ".product.yml")

_ENVIRONMENT = re.compile(r"\$\{[^}]*\}|\{\{.*?\}\}")
_URL_LOGIN = re.compile(r"://[^/\s]*:[^/\s]*@")


def is_manifest(path: Path) -> bool:
    """Whether a file's name makes it a manifest: ``product.yaml``, ``product.yml`` or ``<any>.product.yaml``."""
    return path.name in MANIFEST_NAMES or path.name.endswith(MANIFEST_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A product and the files it was read from.

    Attributes:
        product: what they say.
        documents: the defaults, farthest first, and the manifest last.
    """

    product: Product
    documents: tuple[Document, ...]

    @property
    def path(self) -> Path:
        """The manifest's file."""
        return self.documents[-1].path

    def origin(self, loc: Loc) -> Path:
        """The file a value comes from."""
        return origin(list(self.documents), loc).path

    def finding(self, loc: Loc, message: str, severity: str = "error") -> Finding:
        """A finding about one field, at its place."""
        document = origin(list(self.documents), loc)
        mark = locate(document.node, loc).start_mark
        return Finding(str(document.path), mark.line + 1, mark.column + 1, field_name(loc), message, severity)

    def sql(self, output: str) -> str | None:
        """The SQL that makes an output; None where a function does, or the file is not there."""
        transform = self.product.outputs[output].transform
        if transform is None:
            return f'SELECT * FROM "{next(iter(self.product.inputs))}"'
        if is_function(transform):
            return None
        file = self.sql_file(transform)
        if file is None:
            return transform
        return file.read_text(encoding="utf-8") if file.is_file() else None

    def uses(self) -> dict[str, tuple[str, ...]]:
        """The other outputs that each output is made from. An input of the same name goes before an output."""
        product = self.product
        found = {}
        for name, output in product.outputs.items():
            others = [each for each in product.outputs if each != name and each not in product.inputs]
            found[name] = tuple(dict.fromkeys([*output.uses, *tables_among(self.sql(name) or "", others)]))
        return found

    def reads(self) -> dict[str, list[str]]:
        """The inputs that each output's SQL and rules read; a function may read all."""
        product = self.product
        texts = {name: self.sql(name) for name in product.outputs}
        return {
            name: list(product.inputs) if sql is None else sources_of(product, name, sql) for name, sql in texts.items()
        }

    def staying(self) -> set[str]:
        """The inputs whose rows stay in their database, which makes outputs of them itself."""
        inside = {name for name, output in self.product.outputs.items() if pushed_down(output)}
        return (
            {source for name, sources in self.reads().items() if name in inside for source in sources}
            if inside
            else set()
        )

    def sql_file(self, transform: str) -> Path | None:
        """The file that ``transform`` names, beside the manifest; None for inline SQL and functions."""
        text = transform.strip()
        return self.path.parent / text if text.endswith(".sql") and "\n" not in text and " " not in text else None


def load_manifest(path: Path, root: Path | None = None) -> Manifest:
    """Read a manifest with the defaults of its folders.

    Args:
        path: the product.yaml.
        root: the folder at which the search for defaults ends; found by :func:`default_root` where None.

    Raises:
        ManifestError: with every finding of the file.
    """
    document = Document(path)
    documents = [*(load_defaults(file) for file in defaults_files(path, root or default_root(path))), document]
    merged: dict[str, Any] = {}
    for each in documents:
        merged = merge(merged, each.data)
    findings = [
        finding
        for each in documents
        for loc, text in _texts(each.data, ())
        for finding in _text_findings(each, loc, text)
    ]
    try:
        product = Product.model_validate(merged)
    except ValidationError as error:
        raise ManifestError([*findings, *to_findings(error.errors(), documents, Product)]) from None
    manifest = Manifest(product, tuple(documents))
    findings += [*_missing_files(manifest), *_parameter_findings(manifest), *_circles(manifest)]
    if any(pushed_down(output) for output in product.outputs.values()):
        findings += [manifest.finding(*each) for each in reading_problems(product, manifest.reads(), manifest.uses())]
    if findings:
        raise ManifestError(findings)
    return manifest


def _sql_files(manifest: Manifest) -> Iterator[tuple[str, Path]]:
    for name, output in manifest.product.outputs.items():
        file = manifest.sql_file(output.transform) if output.transform else None
        if file is not None:
            yield name, file


def _missing_files(manifest: Manifest) -> list[Finding]:
    files: list[tuple[Loc, str, Path]] = [
        (("outputs", name, "transform"), "SQL", file) for name, file in _sql_files(manifest)
    ]
    for name, source in manifest.product.inputs.items():
        if isinstance(source, KafkaInput) and source.avro_schema is not None:
            files.append((("inputs", name, "avro_schema"), "Avro", manifest.path.parent / source.avro_schema))
    return [
        manifest.finding(loc, f"the {kind} file {file} does not exist; write it or mend the path")
        for loc, kind, file in files
        if not file.is_file()
    ]


def _parameter_findings(manifest: Manifest) -> Iterator[Finding]:
    """SQL that asks for a parameter which no run has."""
    product = manifest.product
    texts: list[tuple[Loc, str | None]] = [
        (("inputs", name, "query"), each.query) for name, each in product.inputs.items() if isinstance(each, QueryInput)
    ]
    texts += [(("outputs", name, "transform"), manifest.sql(name)) for name in product.outputs]
    for loc, sql in texts:
        if sql is None:
            continue
        problem = unknown_parameter(sql)
        if problem:
            yield manifest.finding(loc, problem)


def _circles(manifest: Manifest) -> Iterator[Finding]:
    """Outputs that are made from each other."""
    try:
        TopologicalSorter(manifest.uses()).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        loc = ("outputs", circle[0], "transform")
        yield manifest.finding(
            loc, f"goes round in a circle: {' -> '.join(reversed(circle))}; one of them must come first"
        )


def _texts(value: Any, loc: Loc) -> Iterator[tuple[Loc, str]]:
    if isinstance(value, str):
        if "{" in value or "://" in value:
            yield loc, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*loc, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*loc, index))


def _text_findings(document: Document, loc: Loc, text: str) -> Iterator[Finding]:
    mark = locate(document.node, loc).start_mark
    place = (str(document.path), mark.line + 1, mark.column + 1, field_name(loc))
    free_text = loc[-1] in {"pattern", "description", "sql", "query", "transform"}
    if not free_text and _ENVIRONMENT.search(text):
        yield Finding(*place, "variables and templates are not expanded; secrets belong in an Airflow connection")
    if _URL_LOGIN.search(text):
        yield Finding(*place, "holds a login; put it in an Airflow connection and name that")
