"""What every part of a manifest's model shares."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema


class Part(BaseModel):
    """A frozen piece of a manifest. Unknown fields are errors, never ignored."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, arbitrary_types_allowed=True, defer_build=True
    )


class Severity(StrEnum):
    """How bad it is when a rule is broken."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


_SEVERITY_ALIASES = {"error": "critical", "warning": "low"}


def _severity(value: Any) -> Any:
    return _SEVERITY_ALIASES.get(value, value) if isinstance(value, str) else value


SeverityName = Annotated[
    Severity,
    BeforeValidator(_severity),
    WithJsonSchema({"type": "string", "enum": [*Severity, *_SEVERITY_ALIASES]}),
]
"""A severity; ``error`` and ``warning`` are read as critical and low."""

NAME_RULE = "a name starts with a lower-case letter and goes on with lower-case letters, digits, - and _"
_NAME = re.compile(r"^[a-z][a-z0-9_-]*$")
_SQL_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_PRODUCT_ID = re.compile(r"^[a-z][a-z0-9_-]*\.[a-z][a-z0-9_-]*$")


def _name(value: str) -> str:
    if not _NAME.match(value):
        raise ValueError(f"found {value!r}; {NAME_RULE}")
    return value


def _sql_name(value: str) -> str:
    if not _SQL_NAME.match(value):
        raise ValueError(f"found {value!r}; the SQL speaks of it, so use letters, digits and _ only")
    return value


def _product_id(value: str) -> str:
    if not _PRODUCT_ID.match(value):
        raise ValueError(f"found {value!r}; a product is named <domain>.<name>, such as sales.sales-orders")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; write something or leave the field out")
    return value


Name = Annotated[str, AfterValidator(_name)]
SqlName = Annotated[str, AfterValidator(_sql_name)]
ProductId = Annotated[str, AfterValidator(_product_id)]
Text = Annotated[str, AfterValidator(_not_blank)]
