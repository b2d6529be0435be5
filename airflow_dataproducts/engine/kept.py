"""Rows that stay in their database: a reference to them, in place of files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Kept:
    """A reference to rows that a database keeps, small enough for XCom.

    Attributes:
        connection: the Airflow connection of the database.
        relation: what stands after FROM, in the database's own SQL.
        columns: the names of its columns.
        rows: how many.
        watermark: the greatest cursor value among the rows, as ISO text or digits; None without cursor or rows.
        bytes: of what left the database: none.
    """

    connection: str
    relation: str
    columns: tuple[str, ...]
    rows: int
    watermark: str | None = None
    bytes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for XCom."""
        return asdict(self)

    @classmethod
    def among(cls, data: dict[str, Any]) -> Kept | None:
        """What ``to_dict`` gave; None where the values are those of another kind of reference."""
        return cls(**{**data, "columns": tuple(data["columns"])}) if "relation" in data else None
