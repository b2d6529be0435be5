"""The statements that read an input from a database."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_dataproducts.contract.ddl import quote, text
from airflow_dataproducts.manifest.inputs import TableInput

if TYPE_CHECKING:
    from airflow_dataproducts.manifest.inputs import QueryInput

_NUMBER = re.compile(r"^-?\d+(\.\d+)?$")


def relation(source: TableInput | QueryInput) -> str:
    """What stands after FROM: the table's quoted name, or the query in brackets.

    A line break ends the query, so that a comment on its last line cannot swallow the bracket.
    """
    if isinstance(source, TableInput):
        return ".".join(quote(part) for part in source.table.split("."))
    return f"({source.query.strip().rstrip(';')}\n) AS q"


def where(cursor: str | None, watermark: str | None, upto: str | None) -> str:
    """The condition that leaves out what was read before and what comes too late; empty for everything."""
    if cursor is None:
        return ""
    bounds = [
        f"{quote(cursor)} {sign} {_literal(value)}"
        for sign, value in ((">", watermark), ("<=", upto))
        if value is not None
    ]
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""


def _literal(value: str) -> str:
    return value if _NUMBER.match(value) else text(value)
