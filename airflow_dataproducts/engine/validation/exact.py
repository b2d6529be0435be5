"""A pandas execution engine that compares as contracts mean it.

Stock Great Expectations compares with bounds that went through float: 0.10 then fails ``min: 0.1`` in a decimal column.
Here bounds and sets are read as the column's own type before comparing; everything else is GX's.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar, Literal

import pandas as pd
import pyarrow as pa
from great_expectations.datasource.fluent import PandasDatasource
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)


class ContractPandasExecutionEngine(PandasExecutionEngine):  # type: ignore[misc]  # GX ships no types
    """GX's pandas engine under another name, so that the metrics below are found before the stock ones."""


class ContractPandasDatasource(PandasDatasource):  # type: ignore[misc]
    """A data source of in-memory frames for that engine."""

    type: Literal["pandas_contract"] = "pandas_contract"
    execution_engine_override: ClassVar[Any] = ContractPandasExecutionEngine


def _like(column: pd.Series, value: Any) -> Any:
    """``value`` as the type of ``column``: a float as the decimal it was written as."""
    if value is None:
        return None
    kind = getattr(column.dtype, "pyarrow_dtype", None)
    if kind is not None and pa.types.is_decimal(kind):
        return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if kind is not None and pa.types.is_integer(kind) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


class ColumnValuesBetween(ColumnMapMetricProvider):  # type: ignore[misc]
    """``column_values.between`` without floats on the way; NaN is outside every range."""

    condition_metric_name = "column_values.between"
    condition_value_keys = ("min_value", "max_value", "strict_min", "strict_max")

    @column_condition_partial(engine=ContractPandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column: pd.Series, min_value: Any = None, max_value: Any = None, **kwargs: Any) -> pd.Series:  # noqa: N805
        low, high = _like(column, min_value), _like(column, max_value)
        inside = pd.Series(data=True, index=column.index)
        if low is not None:
            inside &= (column > low) if kwargs.get("strict_min") else (column >= low)
        if high is not None:
            inside &= (column < high) if kwargs.get("strict_max") else (column <= high)
        return inside


class ColumnValuesInSet(ColumnMapMetricProvider):  # type: ignore[misc]
    """``column_values.in_set`` with the set's values read as the column's type."""

    condition_metric_name = "column_values.in_set"
    condition_value_keys = ("value_set",)

    @column_condition_partial(engine=ContractPandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column: pd.Series, value_set: Any, **_kwargs: Any) -> pd.Series:  # noqa: N805
        return column.isin([_like(column, value) for value in value_set])
