"""Values in a manifest read as a column's type, exactly: a bound of 0.1 on a decimal is one tenth, not a float near it."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataproducts.manifest.types import DataType

Literal = bool | int | float | Decimal | date | datetime | time | str


def read_literal(kind: DataType, value: Any) -> Literal:
    """``value``, as YAML gave it, as a value of ``kind``.

    Raises:
        ValueError: it cannot be one; the message says what was found and what is wanted.
    """
    reader = _READERS.get(kind.name)
    if reader is None:
        raise ValueError(f"a {kind} has no values to compare with; take the rule away")
    try:
        return reader(kind, value)
    except (ValueError, TypeError, InvalidOperation, OverflowError):
        raise ValueError(f"found {value!r}, which is no {kind}{_HINTS.get(kind.name, '')}") from None


_HINTS = {
    "string": "; put it in quotes",
    "date": "; write it as 2026-01-31",
    "timestamp": "; write it as 2026-01-31 06:00:00, without an offset",
    "timestamptz": "; write it as 2026-01-31T06:00:00+01:00",
    "time": '; write it in quotes, as "06:00:00"',
}


def _refuse(condition: object) -> None:
    if condition:
        raise ValueError


def _string(_kind: DataType, value: Any) -> str:
    _refuse(not isinstance(value, str))
    return str(value)


def _integer(kind: DataType, value: Any) -> int:
    _refuse(isinstance(value, bool) or not isinstance(value, int | float) or value != int(value))
    bits = 31 if kind.name == "integer" else 63
    _refuse(not -(2**bits) <= value < 2**bits)
    return int(value)


def _decimal(kind: DataType, value: Any) -> Decimal:
    _refuse(isinstance(value, bool) or not isinstance(value, int | float | str))
    # repr() of a float is the shortest text that reads back as it, which is what the author wrote.
    number = Decimal(repr(value) if isinstance(value, float) else value)
    _refuse(not number.is_finite() or kind.precision is None)
    return number


def _float(_kind: DataType, value: Any) -> float:
    _refuse(isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value))
    return float(value)


def _boolean(_kind: DataType, value: Any) -> bool:
    _refuse(not isinstance(value, bool))
    return bool(value)


def _date(_kind: DataType, value: Any) -> date:
    if isinstance(value, str):
        return date.fromisoformat(value)
    _refuse(not isinstance(value, date) or isinstance(value, datetime))
    return value  # type: ignore[no-any-return]


def _time(_kind: DataType, value: Any) -> time:
    return time.fromisoformat(value)


def _moment(value: Any) -> datetime:
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    _refuse(not isinstance(value, date))
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001


def _timestamp(_kind: DataType, value: Any) -> datetime:
    moment = _moment(value)
    _refuse(moment.tzinfo is not None)
    return moment


def _timestamptz(_kind: DataType, value: Any) -> datetime:
    moment = _moment(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _uuid(_kind: DataType, value: Any) -> str:
    return str(uuid.UUID(value))


_READERS: dict[str, Callable[[DataType, Any], Literal]] = {
    "string": _string, "integer": _integer, "bigint": _integer, "decimal": _decimal, "float": _float, "double": _float,
    "boolean": _boolean, "date": _date, "time": _time, "timestamp": _timestamp, "timestamptz": _timestamptz,
    "uuid": _uuid,
}  # fmt: skip
