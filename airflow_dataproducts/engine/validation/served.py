"""A Great Expectations engine whose metrics come from a scan that has been made already.

GX asks its engine for metrics (how many values break a range, which ones) and judges by the answers. This engine
answers from what DuckDB measured, so that every result is GX's own, at the price of the scan. It reads no rows itself:
what the scan did not measure is an error here, never a guess.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from great_expectations.datasource.fluent import PandasDatasource
from great_expectations.exceptions import MetricResolutionError
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.metrics.metric_provider import MetricProvider, metric_value

from airflow_dataproducts.engine.validation.found import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from great_expectations.expectations import Expectation

    from airflow_dataproducts.engine.validation.found import Scan

_METRICS = {
    "expect_column_values_to_not_be_null": "column_values.nonnull",
    "expect_column_values_to_be_unique": "column_values.unique",
    "expect_compound_columns_to_be_unique": "compound_columns.unique",
    "expect_column_values_to_match_regex": "column_values.match_regex",
    "expect_column_values_to_be_in_set": "column_values.in_set",
    "expect_column_values_to_be_between": "column_values.between",
    "expect_column_value_lengths_to_be_between": "column_values.value_length.between",
    "unexpected_rows_expectation": "unexpected_rows_query",
    "expect_column_proportion_of_non_null_values_to_be_between": "column.non_null_proportion",
    "expect_column_unique_value_count_to_be_between": "column.distinct_values.count",
    "expect_column_mean_to_be_between": "column.mean",
    "expect_column_sum_to_be_between": "column.sum",
    "expect_column_stdev_to_be_between": "column.standard_deviation",
    "expect_column_quantile_values_to_be_between": "column.quantile_values",
    "expect_column_max_to_be_between": "column.max",
}
"""What each expectation asks for: of row rules and queries the start of the metrics' names, of the others the metric."""

_ARGUMENTS = ("min_value", "max_value", "strict_min", "strict_max", "regex", "value_set", "unexpected_rows_query")
_PARTIAL = ("condition", "aggregate_fn", "map")
"""Metrics on the way to others, whose values nobody looks at here."""

_Key = tuple[str, str, str]
"""What is measured, of which columns, with which arguments."""


class ServedExecutionEngine(PandasExecutionEngine):  # type: ignore[misc]  # GX ships no types
    """Answers with what a scan measured."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._answers: Answers | None = None

    def serve(self, answers: Answers) -> None:
        """Answer from this from now on."""
        self._answers = answers

    def resolve_metrics(
        self,
        metrics_to_resolve: Iterable[Any],
        metrics: dict[Any, Any] | None = None,  # noqa: ARG002 - the signature is GX's
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> dict[Any, Any]:
        """The values of metrics, by their ids.

        Raises:
            MetricResolutionError: naming those that could not be measured.
        """
        assert self._answers is not None  # noqa: S101 - served before it is asked
        values, missing = {}, []
        for metric in metrics_to_resolve:
            value = self._answers.answer(metric)
            if isinstance(value, _Unmeasured):
                missing.append((metric, value.reason))
            else:
                values[metric.id] = value
        if missing:
            raise MetricResolutionError(message=missing[0][1], failed_metrics=[metric for metric, _ in missing])
        return values


class ServedDatasource(PandasDatasource):  # type: ignore[misc]
    """A data source for that engine."""

    type: Literal["contract"] = "contract"
    execution_engine_override: ClassVar[Any] = ServedExecutionEngine


class _UnexpectedRows(MetricProvider):  # type: ignore[misc]
    """GX knows the queries of UnexpectedRowsExpectation for SQL alone; this tells it that our engine answers them, too."""

    metric_name = "unexpected_rows_query.table"
    domain_keys = ("batch_id", "row_condition", "condition_parser")
    value_keys = ("unexpected_rows_query",)

    @metric_value(engine=ServedExecutionEngine)  # type: ignore[untyped-decorator]
    def _served(cls, *_args: Any, **_kwargs: Any) -> Any:  # noqa: N805
        raise MetricResolutionError(message="answered by resolve_metrics alone", failed_metrics=[])


class _UnexpectedRowsCount(_UnexpectedRows):
    metric_name = "unexpected_rows_query.row_count"

    @metric_value(engine=ServedExecutionEngine)  # type: ignore[untyped-decorator]
    def _served(cls, *_args: Any, **_kwargs: Any) -> Any:  # noqa: N805
        raise MetricResolutionError(message="answered by resolve_metrics alone", failed_metrics=[])


class _Unmeasured:
    def __init__(self, reason: str) -> None:
        self.reason = reason


class _FoundType:
    """The type of a column as GX's type expectation compares it: equal to the wanted types when it is one of them."""

    def __init__(self, name: str, *, fits: bool) -> None:
        self.type = type(name, (), {})
        self._fits = fits

    def __eq__(self, _other: object) -> bool:
        return self._fits

    __hash__ = None  # type: ignore[assignment]


class Answers:
    """What a scan measured, by the metrics that GX asks for.

    Args:
        scan: the measurements.
        rows: the rows GX is told there are.
        expectations: each check's expectation as GX read it, by the check's name.
    """

    def __init__(self, scan: Scan, rows: int, expectations: Mapping[str, Expectation]) -> None:
        self._scan = scan
        self._rows = rows
        self._found: dict[_Key, Found] = {}
        self._types: dict[str, Found] = {}
        for name, expectation in expectations.items():
            configuration = expectation.configuration
            kwargs = dict(configuration.kwargs)
            if configuration.type == "expect_column_values_to_be_in_type_list":
                self._types[kwargs["column"]] = scan.found[name]
            elif configuration.type in _METRICS:
                kwargs["quantiles"] = kwargs.get("quantile_ranges", {}).get("quantiles")
                self._found[_key(_METRICS[configuration.type], kwargs, kwargs)] = scan.found[name]

    def answer(self, metric: Any) -> Any:
        """The value of one metric, or why it was not measured."""
        name, domain = metric.metric_name, metric.metric_domain_kwargs
        if name == "table.row_count":
            return self._rows
        if name == "table.columns":
            return list(self._scan.columns)
        if name == "table.column_types":
            return [{"name": column, "type": self._type(column, kind)} for column, kind in self._scan.columns.items()]
        base, _, part = name.rpartition(".")
        if part in _PARTIAL or name == "column.non_null_count":
            return None
        direct = name in _METRICS.values()
        found = self._found.get(_key(name if direct else base, domain, metric.metric_value_kwargs))
        if found is None and base == "column_values.nonnull" and domain["column"] in self._scan.nulls:
            found = Found(holds=True, unexpected=self._scan.nulls[domain["column"]])
        if found is None or found.note:
            return _Unmeasured(found.note if found else f"{name} was not measured")
        return _direct(name, found) if direct else self._of_rows(part, found)

    def _type(self, column: str, kind: str) -> _FoundType:
        found = self._types.get(column)
        return _FoundType(kind, fits=found is None or found.holds)

    def _of_rows(self, part: str, found: Found) -> Any:
        """A metric of a row rule or a query."""
        values: dict[str, Any] = {
            "unexpected_count": found.unexpected,
            "filtered_row_count": self._rows - found.missing,
            "row_count": 0 if found.holds else max(found.unexpected, 1),
            "unexpected_values": [_shown(value) for value in found.samples],
            "unexpected_rows": [_shown(value) for value in found.samples],
            "table": [_shown(value) for value in found.samples],
            "unexpected_index_list": None, "unexpected_index_query": None, "unexpected_value_counts": None,
        }  # fmt: skip
        return values.get(part, _Unmeasured(f"{part} was not measured"))


def _direct(name: str, found: Found) -> Any:
    """A number measured, as GX compares it with bounds that are floats."""
    value = found.observed
    if value is None or name == "column.max":
        return value
    if name == "column.non_null_proportion":
        return float(1 - value)
    if name == "column.quantile_values":
        return [float(value)]
    return int(value) if name == "column.distinct_values.count" else float(value)


def _shown(value: Any) -> Any:
    """A sample as GX may show it. Its way with decimals reads the source of every function on the stack."""
    if isinstance(value, dict):
        return {name: _shown(item) for name, item in value.items()}
    return str(value) if isinstance(value, Decimal) else value


def _key(base: str, domain: Mapping[str, Any], arguments: Mapping[str, Any]) -> _Key:
    columns = domain.get("column") or domain.get("column_list")
    given = {name: arguments.get(name) for name in (*_ARGUMENTS, "quantiles")}
    if base.startswith("column.") and base != "column.quantile_values":
        given = {}  # the bounds are GX's to compare, the number is the same
    return base, repr(columns), repr({name: value for name, value in given.items() if value not in (None, False)})
