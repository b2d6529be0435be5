"""Reads what the demo published, with libraries that know nothing of this project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pyarrow.dataset as pads
from deltalake import DeltaTable

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Published:
    """One published table as a plain reader sees it."""

    product: str
    output: str
    where: str
    rows: int
    note: str


def published_tables(folder: Path, warehouse: str) -> list[Published]:
    """The tables of the demo's products.

    Args:
        folder: the demo's.
        warehouse: URI of the PostgreSQL that ``finance.revenue`` publishes to.
    """
    delta = DeltaTable(str(folder / "data" / "sales" / "orders" / "orders"))
    daily = folder / "data" / "finance" / "revenue" / "daily"
    with psycopg.connect(warehouse) as connection:
        segments = connection.execute(
            "SELECT segment, revenue FROM mart.revenue_by_segment ORDER BY segment"
        ).fetchall()
    versions = delta.version() + 1
    return [
        Published("sales.orders", "orders", "Delta table", delta.to_pyarrow_dataset().count_rows(), f"{versions} versions"),
        Published("finance.revenue", "daily", "Parquet folder", pads.dataset(daily).count_rows(), f"version {daily.readlink().name[:16]}"),
        Published(
            "finance.revenue", "by_segment", "PostgreSQL view", len(segments),
            f"USD {sum(revenue for _, revenue in segments):,} in all",
        ),
    ]  # fmt: skip
