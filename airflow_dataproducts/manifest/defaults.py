"""``_defaults.yaml``: the values that a folder's products share.

Every folder from the root down to the manifest may have one. The nearest wins; mappings are merged key by key, anything
else is replaced whole.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.exceptions import Finding, ManifestError
from airflow_dataproducts.manifest.nodes import Document, Loc, locate

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "_defaults.yaml"
_OWN = ("name", "kind", "version", "changelog")
_ROOT_SIGNS = (".git", "airflow.cfg", ".airflowignore", "pyproject.toml")


def default_root(manifest: Path) -> Path:
    """The folder at which the search for defaults ends: the nearest above that looks like a project's top.

    Without such a folder it is the manifest's own, so that nothing outside a project reaches into it.
    """
    folder = manifest.resolve().parent
    for candidate in (folder, *folder.parents):
        if any((candidate / sign).exists() for sign in _ROOT_SIGNS):
            return candidate
    return folder


def defaults_files(manifest: Path, root: Path) -> list[Path]:
    """The defaults that hold for a manifest, farthest first."""
    folder, top = manifest.absolute().parent, root.absolute()
    chain = [folder]
    while chain[-1] != top and top in chain[-1].parents:
        chain.append(chain[-1].parent)
    return [file for each in reversed(chain) if (file := each / FILE_NAME).is_file()]


def load_defaults(path: Path) -> Document:
    """One defaults file.

    Raises:
        ManifestError: it is no YAML mapping, or sets what is every product's own.
    """
    stat = path.stat()
    return _load(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _load(path: Path, _mtime: int, _size: int) -> Document:
    document = Document(path)
    findings = []
    for name in _OWN:
        if name in document.data:
            mark = locate(document.node, (name,)).start_mark
            message = "is each product's own and cannot have a default"
            findings.append(Finding(str(path), mark.line + 1, mark.column + 1, name, message))
    if findings:
        raise ManifestError(findings)
    return document


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def origin(documents: list[Document], loc: Loc) -> Document:
    """The document a merged value comes from: the nearest that has it, else the manifest.

    Args:
        documents: farthest first, the manifest last.
        loc: a field of the merged manifest.
    """
    for depth in range(len(loc), 0, -1):
        for document in reversed(documents):
            if _has(document.data, loc[:depth]):
                return document
    return documents[-1]


def _has(data: Any, loc: Loc) -> bool:
    for part in loc:
        listed = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if not listed and not (isinstance(data, dict) and part in data):
            return False
        found: Any = data
        data = found[part]
    return True
