"""A contract with a rule of every kind, and rows that break each: engines must agree on them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa

from airflow_dataproducts.contract.checks import compile_contract
from airflow_dataproducts.manifest.outputs import Output
from airflow_dataproducts.plan import ValidateStep

if TYPE_CHECKING:
    from airflow_dataproducts.engine.validation.results import Validation

CONTRACT = {
    "primary_key": ["order_id"],
    "columns": [
        {"name": "order_id", "type": "string", "pattern": "^ORD-[0-9]+$", "max_length": 6},
        {"name": "customer_id", "type": "bigint", "required": True, "references": "customers.id", "min": 2**53 + 1},
        {"name": "status", "type": "string", "enum": ["open", "done"], "mostly": "80%"},
        {"name": "amount", "type": "decimal(12,2)", "min": 0.1, "max": "1000.10"},
        {"name": "weight", "type": "double", "min": 0, "exclusive_max": 50},
        {"name": "quantity", "type": "integer", "multiple_of": 5},
        {"name": "day", "type": "date", "min": "2020-01-01"},
        {"name": "at", "type": "timestamp", "exclusive_max": "2030-01-01T00:00:00"},
    ],
    "rules": [
        {"name": "pair", "columns": ["status", "day"], "unique": True},
        {"name": "nulls", "column": "weight", "null_rate": {"max": "10%"}},
        {"name": "kinds", "column": "status", "distinct_count": {"max": 2}},
        {"name": "typical", "column": "quantity", "mean": {"min": 5, "max": 6}, "sum": {"max": 1}},
        {"name": "fresh", "column": "at", "freshness": "1h"},
        {"name": "late", "sql": "SELECT count(*) FROM orders o WHERE o.quantity > 9", "threshold": 1},
        {"name": "few", "row_count": {"max": 3}},
        {"name": "some_fives", "column": "quantity", "multiple_of": 5, "mostly": "50%"},
    ],
}

BIG = 2**53
ROWS = pa.table(
    {
        "order_id": pa.array(["ORD-1", "ORD-2", "ORD-2", "bad", "ORD-12345", None]),
        "customer_id": pa.array([BIG + 1, BIG + 2, BIG, None, BIG + 1, BIG + 9], pa.int64()),
        "status": pa.array(["open", "done", "open", "lost", None, "open"]),
        "amount": pa.array(
            [Decimal("0.10"), Decimal("0.09"), Decimal("1000.10"), Decimal("1000.11"), None, Decimal(5)], pa.decimal128(12, 2)
        ),
        "weight": pa.array([0.0, 49.999, 50.0, -1.0, float("nan"), None]),
        "quantity": pa.array([5, 10, 15, 7, None, 0], pa.int32()),
        "day": pa.array([dt.date(2020, 1, 1), dt.date(2019, 12, 31), dt.date(2020, 1, 1), dt.date(2021, 1, 1), None, dt.date(2022, 1, 1)]),
        "at": pa.array([dt.datetime(2020, 1, 1), dt.datetime(2030, 1, 1), None, None, None, dt.datetime(2029, 12, 31)]),  # noqa: DTZ001 - no zone
    }
)  # fmt: skip
CUSTOMERS = pa.table({"id": pa.array([BIG + 1, BIG + 2, None], pa.int64())})

BROKEN = {
    "order_id.required": 1, "order_id.pattern": 1, "order_id.length": 1, "primary_key": 2,
    "customer_id.required": 1, "customer_id.range": 1, "customer_id.references": 2,
    "amount.range": 2, "weight.range": 2, "weight.exclusive_range": 2, "quantity.multiple_of": 1, "day.range": 1, "at.exclusive_range": 1,
    "pair": 2, "nulls": None, "kinds": None, "typical.mean": None, "typical.sum": None, "late": None, "few": None,
}  # fmt: skip
"""The checks that do not hold, and by how many rows; None where it is not rows that break it."""


def step() -> ValidateStep:
    """The output under validation."""
    output = Output.model_validate({"contract": CONTRACT, "publish": {"to": "parquet"}})
    return ValidateStep("orders", output, compile_contract(output.contract))


def broken(found: Validation) -> dict[str, int | None]:
    """What a validation says, in the form of ``BROKEN``."""
    return {
        each.check: each.unexpected if BROKEN.get(each.check, 0) is not None else None
        for each in found.results
        if not each.success
    }
