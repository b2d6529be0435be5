"""From pydantic's errors to findings: the file, the line, what was found, what is allowed, the nearest spelling."""

from __future__ import annotations

import difflib
import re
import types
import typing
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from airflow_dataproducts.exceptions import Finding
from airflow_dataproducts.manifest.defaults import origin
from airflow_dataproducts.manifest.inputs import INPUT_KINDS
from airflow_dataproducts.manifest.nodes import field_name, locate
from airflow_dataproducts.manifest.outputs import PUBLISH_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic_core import ErrorDetails

    from airflow_dataproducts.manifest.nodes import Document, Loc

_SECRET = re.compile(r"pass|secret|token|key|credential", re.IGNORECASE)
_URL_LOGIN = re.compile(r"://[^/\s]*@")
_MOST = 60


def to_findings(errors: Iterable[ErrorDetails], documents: list[Document], model: type[BaseModel]) -> list[Finding]:
    """Every error of a validation as findings that name the file the value stands in."""
    return [_finding(documents, loc, text) for error in errors for loc, text in _explain(error, model)]


def _finding(documents: list[Document], loc: Loc, text: str) -> Finding:
    loc = _untagged(loc)
    document = origin(documents, loc)
    mark = locate(document.node, loc).start_mark
    return Finding(str(document.path), mark.line + 1, mark.column + 1, field_name(loc), text)


def _untagged(loc: Loc) -> Loc:
    """``loc`` without the tags of union members, which are written <so>."""
    return tuple(part for part in loc if not (isinstance(part, str) and part.startswith("<")))


def _explain(error: ErrorDetails, model: type[BaseModel]) -> Iterator[tuple[Loc, str]]:
    loc, kind, found, ctx = error["loc"], error["type"], error["input"], error.get("ctx", {})
    if kind == "problems":
        for place, text in ctx["problems"]:
            yield (*loc, *place), text
        return
    if loc and isinstance(loc[-1], str) and loc[-1] == "[key]":
        loc = loc[:-1]
    if kind == "extra_forbidden":
        yield loc, _unknown_field(str(loc[-1]), _fields_at(model, loc[:-1]))
    elif kind.startswith("union_tag"):
        yield loc, _union(found)
    elif kind == "missing":
        yield loc, _missing(model, loc)
    elif kind == "value_error":
        text = str(ctx["error"])
        yield loc, _redact(text)
    elif kind in {"literal_error", "enum"}:
        yield loc, _not_one_of(loc, found, str(ctx["expected"]))
    else:
        yield loc, _plain(loc, kind, found, error["msg"])


def _unknown_field(name: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(name, allowed, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"unknown field{hint} (allowed: {', '.join(allowed)})"


def _union(found: Any) -> str:
    if not isinstance(found, dict):
        return f"found {_show(found)}; a mapping of fields is wanted here"
    if "to" in found or set(found) & {"location", "mode", "partition_by"}:
        return f"to: found {_show(found.get('to'))}; allowed: {', '.join(PUBLISH_KINDS)}"
    kinds = [kind for kind in INPUT_KINDS if kind in found]
    if kinds:
        return f"found {' and '.join(kinds)} together; an input has one of {', '.join(INPUT_KINDS)}"
    for key in found:
        near = difflib.get_close_matches(str(key), list(INPUT_KINDS), n=1, cutoff=0.6)
        if near:
            return f"{key}: unknown field; did you mean {near[0]}? (an input has one of {', '.join(INPUT_KINDS)})"
    return f"is missing one of {', '.join(INPUT_KINDS)}, which says what kind of input it is"


def _missing(model: type[BaseModel], loc: Loc) -> str:
    parent = _model_at(model, loc[:-1])
    for name, field in parent.model_fields.items() if parent else ():
        if loc[-1] in (name, field.alias) and field.description:
            return f"is missing ({' '.join(field.description.split())})"
    return "is missing"


def _not_one_of(loc: Loc, found: Any, expected: str) -> str:
    allowed = re.findall(r"'([^']*)'", expected)
    near = difflib.get_close_matches(str(found), allowed, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"found {_show(found, loc)}{hint} (allowed: {', '.join(allowed)})"


_WANTED = {
    "string_type": "a text is wanted; put it in quotes",
    "string_pattern_mismatch": "it does not have the shape of this field",
    "int_type": "a whole number is wanted", "int_parsing": "a whole number is wanted",
    "int_from_float": "a whole number is wanted",
    "bool_type": "true or false is wanted", "bool_parsing": "true or false is wanted",
    "dict_type": "a mapping of fields is wanted here", "model_type": "a mapping of fields is wanted here",
    "tuple_type": "a list is wanted here, such as [a, b]",
    "date_type": "a date is wanted, as 2026-01-31", "date_parsing": "a date is wanted, as 2026-01-31",
    "date_from_datetime_parsing": "a date is wanted, as 2026-01-31",
}  # fmt: skip


def _plain(loc: Loc, kind: str, found: Any, message: str) -> str:
    wanted = _WANTED.get(kind) or f"{message[0].lower()}{message[1:]}"
    return f"found {_show(found, loc)}; {wanted}"


def _show(value: Any, loc: Loc = ()) -> str:
    """A value as an error may show it: short, and nothing that may be a secret."""
    if any(isinstance(part, str) and _SECRET.search(part) and part != "primary_key" for part in loc[-1:]):
        return "a value not shown here"
    if value is None:
        return "nothing"
    text = repr(value)
    if _URL_LOGIN.search(text):
        return "a URL with a login in it, not shown here"
    return text if len(text) <= _MOST else text[: _MOST - 3] + "..."


def _redact(text: str) -> str:
    return _URL_LOGIN.sub("://***@", text)


def _fields_at(model: type[BaseModel], loc: Loc) -> list[str]:
    parent = _model_at(model, loc)
    return [field.alias or name for name, field in parent.model_fields.items()] if parent else []


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """The model that reads the mapping at ``loc``."""
    annotation: Any = model
    for part in loc:
        annotation = step_into(annotation, part)
    return next(models_of(annotation), None)


def step_into(annotation: Any, part: str | int) -> Any:
    """What ``part`` of a value of ``annotation`` is annotated with; the tag of a union's member leads to the member."""
    tagged = _tagged(annotation, part)
    if tagged is not None:
        return tagged
    for candidate in _members(annotation):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            for name, field in candidate.model_fields.items():
                if part in (name, field.alias):
                    return field.annotation
        elif typing.get_origin(candidate) is dict:
            return typing.get_args(candidate)[1]
        elif typing.get_origin(candidate) is tuple and isinstance(part, int):
            return typing.get_args(candidate)[0]
    return annotation


def _tagged(annotation: Any, part: str | int) -> Any:
    for candidate in _members(annotation, peel=False):
        tags = [getattr(extra, "tag", None) for extra in getattr(candidate, "__metadata__", ())]
        if part in tags:
            return typing.get_args(candidate)[0]
    return None


def _members(annotation: Any, *, peel: bool = True) -> Iterator[Any]:
    """The members of a union, however wrapped; ``peel`` takes each member's own Annotated off too."""
    if typing.get_origin(annotation) is typing.Annotated:
        inner = typing.get_args(annotation)[0]
        if peel or typing.get_origin(inner) in (typing.Union, types.UnionType):
            yield from _members(inner, peel=peel)
        else:
            yield annotation
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _members(member, peel=peel)
    else:
        yield annotation


def models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models among the members of an annotation."""
    for candidate in _members(annotation):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            yield candidate
