"""Transforms of finance.revenue that read better in Python than in SQL."""

from __future__ import annotations

import pandas as pd


def by_segment(orders: pd.DataFrame) -> pd.DataFrame:
    """Revenue of completed orders by segment, with each segment's share of the whole."""
    completed = orders[orders["status"] == "completed"]
    revenue = completed.groupby("segment", as_index=False)["total_amount"].sum()
    revenue = revenue.rename(columns={"total_amount": "revenue"})
    revenue["share"] = revenue["revenue"].astype("float64") / float(revenue["revenue"].sum())
    return revenue
