"""An expectation of a team's own, as a manifest names it."""

from __future__ import annotations

from typing import Any

from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)


class _IsPalindrome(ColumnMapMetricProvider):  # type: ignore[misc]
    condition_metric_name = "column_values.palindrome"

    @column_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column: Any, **_kwargs: Any) -> Any:  # noqa: N805
        return column.map(lambda value: value == value[::-1])


class ExpectPalindromes(ColumnMapExpectation):  # type: ignore[misc]
    """Every value reads the same from its end."""

    map_metric = "column_values.palindrome"
