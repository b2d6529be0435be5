"""The statements that read an input from a database."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import quote, text
from airflow_dataproducts.manifest.inputs import TableInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataproducts.engine.moment import Moment
    from airflow_dataproducts.manifest.inputs import QueryInput

_NUMBER = re.compile(r"^-?\d+(\.\d+)?$")


def relation(source: TableInput | QueryInput, moment: Moment | None = None) -> str:
    """What stands after FROM: the table's quoted name, or the query in brackets with its parameters filled in.

    A line break ends the query, so that a comment on its last line cannot swallow the bracket.
    """
    if isinstance(source, TableInput):
        return table(source.table)
    query = source.query.strip().rstrip(";")
    return f"({moment.fill(query) if moment else query}\n) AS q"


def table(name: str) -> str:
    """A table's name, with or without its schema, quoted."""
    return ".".join(quote(part) for part in name.split("."))


def where(cursor: str | None, bounds: Sequence[tuple[str, str]]) -> str:
    """The condition that leaves out what is not to be read; empty for everything.

    Args:
        cursor: the column.
        bounds: comparisons and values as text.
    """
    if cursor is None or not bounds:
        return ""
    return " WHERE " + " AND ".join(f"{quote(cursor)} {sign} {_literal(value)}" for sign, value in bounds)


def cursor_text(value: Any) -> str | None:
    """A cursor's value as ISO text or digits, which ``where`` reads back; None for None."""
    if value is None:
        return None
    return str(value.isoformat() if hasattr(value, "isoformat") else value)


def _literal(value: str) -> str:
    return value if _NUMBER.match(value) else text(value)
