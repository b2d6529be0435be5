"""The floor of a validation: the 17 checks as an expert would write them for DuckDB by hand. Prints seconds and peak memory."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time

import duckdb

ONE_LOOK = r"""
SELECT count(*),
    count(*) FILTER (order_id IS NULL), count(*) FILTER (NOT regexp_matches(order_id, '^ORD-[0-9]{10}$')),
    count(*) FILTER (customer_id IS NULL), count(*) FILTER (customer_id < 1),
    count(*) FILTER (email IS NULL), count(*) FILTER (NOT regexp_matches(email, '^[^@]+@[^@]+\.[a-z]+$')),
    count(*) FILTER (status IS NULL), count(*) FILTER (status NOT IN ('pending', 'completed', 'cancelled', 'refunded')),
    count(*) FILTER (total_amount IS NULL), count(*) FILTER (total_amount < 0 OR total_amount > 1000000),
    count(*) FILTER (quantity < 1 OR quantity > 100), count(*) FILTER (currency NOT IN ('USD', 'EUR', 'GBP')),
    count(*) FILTER (order_date IS NULL), count(*) FILTER (order_date < DATE '2000-01-01')
FROM orders
"""
KEYS = ("order_id", "basket, line")
DUPLICATES = "SELECT coalesce(sum(c), 0) FROM (SELECT count(*) AS c FROM orders GROUP BY {key} HAVING count(*) > 1)"


def main(file: str) -> None:
    """Scan once, group once per key; timed as a validation is, from opening DuckDB to closing it."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        config = {"memory_limit": "1GB", "temp_directory": scratch, "preserve_insertion_order": False}
        connection = duckdb.connect(":memory:", config=config)
        connection.execute(f"CREATE VIEW orders AS FROM read_parquet('{file}')")
        connection.execute(ONE_LOOK).fetchall()
        for key in KEYS:
            connection.execute(DUPLICATES.format(key=key)).fetchall()
        connection.close()
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main(sys.argv[1])
