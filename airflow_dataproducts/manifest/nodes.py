"""YAML as a tree that remembers where each value stands.

libyaml composes the nodes; this module turns them into plain Python values and finds the node of a field again only
when something is wrong with it, so that a good manifest pays nothing for exact positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from airflow_dataproducts.exceptions import Finding, ManifestError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Loc = tuple[str | int, ...]

_PREFIX = "tag:yaml.org,2002:"
_MERGE = _PREFIX + "merge"
_KNOWN = {_PREFIX + kind for kind in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge")}


class Document:
    """One YAML file: its node tree and its values as plain Python.

    Attributes:
        path: as the caller gave it; findings name it so.
        node: the root mapping.
        data: ``node`` as dicts, lists and scalars.

    Raises:
        ManifestError: the file cannot be read, is no YAML, is no mapping, repeats a key or uses a custom tag.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._findings: list[Finding] = []
        self._loader, self.node = _compose(path)
        self.data: dict[str, Any] = self.value(self.node, ())
        if self._findings:
            raise ManifestError(self._findings)

    def value(self, node: yaml.Node, loc: Loc) -> Any:
        """The plain Python value of a node. Custom tags and duplicate keys are noted as findings."""
        if isinstance(node, yaml.ScalarNode):
            if node.tag == _PREFIX + "str":
                return node.value
            return self._scalar(node, loc)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*loc, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 - YAML has no fourth kind of node
        return self._mapping(node, loc)

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> Any:
        if node.tag not in _KNOWN:
            self._find(node, loc, f"the tag {node.tag!r} is not allowed; write a plain value")
            return None
        try:
            return self._loader.construct_object(node)
        except ValueError as error:
            self._find(node, loc, f"found {node.value!r}, which YAML reads as a date or number but is none: {error}")
            return None

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        # The duplicates are looked for before merge keys are resolved: overriding a merged key is what merging is for.
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag == _MERGE:
                continue
            name = str(key.value)
            if name in seen:
                message = f"duplicate key, first written on line {seen[name]}; keep one of the two"
                self._find(key, (*loc, name), message)
            seen[name] = key.start_mark.line + 1
        if any(key.tag == _MERGE for key, _ in node.value):
            self._loader.flatten_mapping(node)
        return {str(key.value): self.value(item, (*loc, str(key.value))) for key, item in node.value}

    def _find(self, node: yaml.Node, loc: Loc, message: str) -> None:
        mark = node.start_mark
        self._findings.append(Finding(str(self.path), mark.line + 1, mark.column + 1, field_name(loc), message))


def _compose(path: Path) -> tuple[yaml.CSafeLoader, yaml.MappingNode]:
    """The file's loader and root node."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ManifestError([Finding(str(path), 0, 0, "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise ManifestError([Finding(str(path), 0, 0, "", f"is not UTF-8 text (byte {error.start})")]) from None
    loader = yaml.CSafeLoader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise ManifestError([Finding(str(path), line, column, "", f"this is not valid YAML: {problem}")]) from None
    except yaml.YAMLError as error:
        raise ManifestError([Finding(str(path), 0, 0, "", f"this is not valid YAML: {error}")]) from None
    if not isinstance(node, yaml.MappingNode):
        found = "nothing" if node is None else f"a {getattr(node, 'id', 'value')}"
        message = f"found {found}; a manifest is a mapping that starts with 'apiVersion: dataproducts/v1'"
        raise ManifestError([Finding(str(path), 1, 1, "", message)])
    return loader, node


def locate(node: yaml.Node, loc: Sequence[str | int]) -> yaml.Node:
    """The node to point at for a field: its key in a mapping, or, where it is missing, the deepest one on the way."""
    current = shown = node
    for part in loc:
        if isinstance(current, yaml.MappingNode):
            entry = next(((key, item) for key, item in current.value if str(key.value) == str(part)), None)
            if entry is None:
                break
            shown, current = entry
        elif isinstance(current, yaml.SequenceNode) and isinstance(part, int) and part < len(current.value):
            current = shown = current.value[part]
        else:
            break
    return shown


def field_name(loc: Sequence[str | int]) -> str:
    """``("outputs", "orders", "columns", 2)`` as ``outputs.orders.columns[2]``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text
