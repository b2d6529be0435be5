"""The orders of the validation benchmark: 11 columns, clean, or with 1% of the rows bad in each of 9 ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from pathlib import Path

_ROWS = """
SELECT
    CASE WHEN {bad1} THEN 'bad' || i WHEN {bad2} THEN 'ORD-' || lpad((i - 1)::VARCHAR, 10, '0')
         ELSE 'ORD-' || lpad(i::VARCHAR, 10, '0') END AS order_id,
    CASE WHEN {bad3} THEN NULL ELSE 1 + hash(i) % 1000000 END::BIGINT AS customer_id,
    CASE WHEN {bad4} THEN 'nobody' ELSE 'user' || (hash(i) % 1000000) || '@example.com' END AS email,
    CASE WHEN {bad5} THEN 'lost'
         ELSE ['pending', 'completed', 'cancelled', 'refunded'][(1 + hash(i + 7) % 4)::INTEGER] END AS status,
    CASE WHEN {bad6} THEN -1 ELSE (hash(i + 9) % 1000000) / 100 END::DECIMAL(12, 2) AS total_amount,
    CASE WHEN {bad7} THEN 0 ELSE 1 + hash(i + 11) % 20 END::INTEGER AS quantity,
    CASE WHEN {bad8} THEN 'XXX' ELSE ['USD', 'EUR', 'GBP'][(1 + hash(i + 13) % 3)::INTEGER] END AS currency,
    CASE WHEN {bad9} THEN DATE '1999-01-01' ELSE DATE '2020-01-01' + (hash(i + 15) % 2000)::INTEGER END AS order_date,
    TIMESTAMP '2026-01-01' + INTERVAL 1 SECOND * (i % 10000000) AS updated_at,
    (i // 3)::BIGINT AS basket,
    (i % 3)::INTEGER AS line
FROM range({rows}) t(i)
"""


def orders(file: Path, rows: int, *, dirty: bool) -> Path:
    """Write the rows as Parquet; returns the file."""
    bad = {f"bad{n}": f"(hash(i * 31 + {n}) % 100 = 0)" if dirty else "false" for n in range(1, 10)}
    with duckdb.connect(":memory:", config={"memory_limit": "4GB"}) as connection:
        connection.execute(f"COPY ({_ROWS.format(rows=rows, **bad)}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
    return file
