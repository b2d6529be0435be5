"""Which manifests a folder holds, and what is wrong between them: one id twice, products that wait for each other.

The answer is kept in a file with every manifest's time stamps, so that asking again costs a ``stat`` per file.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.exceptions import ManifestError
from airflow_dataproducts.manifest.defaults import defaults_files, load_defaults, merge
from airflow_dataproducts.manifest.load import is_manifest
from airflow_dataproducts.manifest.nodes import Document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A manifest as far as others are concerned.

    Attributes:
        path: relative to the folder that was searched.
        product_id: None where the manifest is too broken to tell.
        upstream: ids of the products it reads.
        stamps: the manifest's files (itself, defaults, SQL beside it) with time and size.
        digest: of those files' contents.
    """

    path: str
    product_id: str | None
    upstream: tuple[str, ...]
    stamps: tuple[tuple[str, int, int], ...]
    digest: str


def find_manifests(root: Path) -> Iterator[Path]:
    """Every manifest below a folder, in a stable order. Hidden folders and ``__pycache__`` are passed over."""
    for folder, names, files in os.walk(root, followlinks=True):
        names[:] = sorted(name for name in names if not name.startswith((".", "__")))
        for name in sorted(files):
            path = Path(folder, name)
            if is_manifest(path):
                yield path


def index(root: Path, memory: Path | None = None) -> list[Entry]:
    """The entries of all manifests below ``root``.

    Args:
        root: a folder.
        memory: the file in which the answer is kept between calls; None to read everything again.
    """
    known = _recall(memory)
    entries = []
    for path in find_manifests(root):
        entry = known.get(str(path.relative_to(root)))
        stamps = tuple(_stamp(file) for file in _files(path, root))
        entries.append(entry if entry and entry.stamps == stamps else _read(path, root, stamps))
    if memory is not None and {entry.path: entry for entry in entries} != known:
        _remember(memory, entries)
    return entries


def problems(entries: Iterable[Entry]) -> dict[str, str]:
    """What is wrong between manifests, as a message by path."""
    entries = list(entries)
    by_id: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.product_id is not None:
            by_id.setdefault(entry.product_id, []).append(entry)
    found = {}
    for product_id, same in by_id.items():
        for entry in same[: len(same) if len(same) > 1 else 0]:
            others = ", ".join(each.path for each in same if each is not entry)
            found[entry.path] = f"the product {product_id} is also in {others}; neither is loaded until one is renamed"
    for product_id, same in by_id.items():
        cycle = _cycle(product_id, by_id)
        if cycle:
            for entry in same:
                message = (
                    f"these products wait for each other: {' -> '.join(cycle)}; one of them must not read the next"
                )
                found.setdefault(entry.path, message)
    return found


def _cycle(start: str, by_id: dict[str, list[Entry]]) -> list[str]:
    """The way from a product back to itself by what it reads; empty if there is none."""
    stack = [(start, [start])]
    seen = set()
    while stack:
        current, way = stack.pop()
        for entry in by_id.get(current, ()):
            for upstream in entry.upstream:
                if upstream == start:
                    return [*way, start]
                if upstream not in seen:
                    seen.add(upstream)
                    stack.append((upstream, [*way, upstream]))
    return []


def _files(path: Path, root: Path) -> list[Path]:
    """The files a manifest is made of: the defaults of its folders, itself, the SQL beside it."""
    return [*defaults_files(path, root), path, *sorted(path.parent.glob("*.sql"))]


def _read(path: Path, root: Path, stamps: tuple[tuple[str, int, int], ...]) -> Entry:
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in _files(path, root))).hexdigest()[:16]
    product_id: str | None = None
    upstream: tuple[str, ...] = ()
    try:
        data: dict[str, Any] = {}
        for document in (*(load_defaults(file) for file in defaults_files(path, root)), Document(path)):
            data = merge(data, document.data)
        if isinstance(data.get("domain"), str) and isinstance(data.get("name"), str):
            product_id = f"{data['domain']}.{data['name']}"
        inputs = data.get("inputs")
        found = inputs.values() if isinstance(inputs, dict) else ()
        upstream = tuple(
            sorted({str(each["product"]) for each in found if isinstance(each, dict) and "product" in each})
        )
    except ManifestError:
        upstream = ()  # its own import error says what is wrong with it
    return Entry(str(path.relative_to(root)), product_id, upstream, stamps, digest)


def _stamp(file: Path) -> tuple[str, int, int]:
    stat = file.stat()
    return str(file), stat.st_mtime_ns, stat.st_size


def _recall(memory: Path | None) -> dict[str, Entry]:
    if memory is None:
        return {}
    try:
        kept = json.loads(memory.read_text())
        if kept.get("format") != _FORMAT:
            return {}
        return {each["path"]: _entry(each) for each in kept["entries"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # missing or damaged: it is only a memory


def _entry(kept: dict[str, Any]) -> Entry:
    stamps = tuple((name, time, size) for name, time, size in kept["stamps"])
    return Entry(kept["path"], kept["product_id"], tuple(kept["upstream"]), stamps, kept["digest"])


def _remember(memory: Path, entries: list[Entry]) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    temporary = memory.with_name(f"{memory.name}.{os.getpid()}")
    temporary.write_text(json.dumps({"format": _FORMAT, "entries": [asdict(entry) for entry in entries]}))
    temporary.replace(memory)
