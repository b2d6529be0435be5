"""What a validation found, as plain data that may be logged and kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine.masking import shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from great_expectations.core import ExpectationSuiteValidationResult

    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.manifest.contract import Contract

SAMPLES = 3
_VALUES = (
    "partial_unexpected_list", "partial_unexpected_counts", "unexpected_list", "unexpected_rows", "unexpected_index_list",
    "unexpected_index_query", "partial_unexpected_index_list",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one check came out.

    Attributes:
        check: its name.
        success: whether it holds.
        severity, dimension, on_violation: as the check says.
        unexpected: rows that break it; for a rule's query what it counted; for a row count the rows there are.
        samples: up to three values that break it; only their shapes where the column is personal data.
        description: what should hold.
    """

    check: str
    success: bool
    severity: str
    dimension: str
    on_violation: str
    unexpected: int
    samples: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class ColumnMetric:
    """Measures of one column: NULLs, approximate distinct values, and the extremes unless it is personal data."""

    column: str
    nulls: int
    distinct: int
    minimum: str | None
    maximum: str | None


@dataclass(frozen=True, slots=True)
class Validation:
    """The outcome of an output's validation.

    Attributes:
        output: the output's name.
        rows: rows validated.
        results: one per check, in the contract's order.
        metrics: one per column.
        gx: the results as Great Expectations' own JSON, without values of personal data.
        quarantined: rows set aside.
    """

    output: str
    rows: int
    results: tuple[CheckResult, ...]
    metrics: tuple[ColumnMetric, ...]
    gx: list[dict[str, Any]]
    quarantined: int = 0

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The broken checks that forbid publishing."""
        return tuple(each for each in self.results if not each.success and each.on_violation == "fail")

    @property
    def warnings(self) -> tuple[CheckResult, ...]:
        """The broken checks that do not."""
        return tuple(each for each in self.results if not each.success and each.on_violation != "fail")

    def summary(self) -> dict[str, Any]:
        """Counts for XCom."""
        return {
            "output": self.output,
            "rows": self.rows,
            "checks": len(self.results),
            "failed": [each.check for each in self.failures],
            "warned": [each.check for each in self.warnings],
            "quarantined": self.quarantined,
        }

    def rows_as_dicts(self) -> list[dict[str, Any]]:
        """Each check's result as a dict."""
        return [asdict(each) for each in self.results]


def read_results(
    found: ExpectationSuiteValidationResult, checks: Mapping[str, Check], contract: Contract
) -> tuple[list[CheckResult], dict[str, Any]]:
    """GX's results as ours, and as JSON that is safe to keep.

    Args:
        found: what GX returned. It lists what raised first, so results are matched by name, not by place.
        checks: the checks by name.
        contract: says which columns are personal data.
    """
    private = {column.name for column in contract.columns if column.pii is not None}
    results = []
    for each in found.results:
        check = checks[each.expectation_config.meta["check"]]
        results.append(_result(check, each, hide=bool(private.intersection(check.columns))))
    safe = found.to_json_dict()
    for each in safe["results"]:
        columns = checks[each["expectation_config"]["meta"]["check"]].columns
        _strip(each["result"], hide=bool(private.intersection(columns)))
        each["exception_info"] = {"raised_exception": _raised(each.get("exception_info"))}
    return results, safe


def _result(check: Check, found: Any, *, hide: bool) -> CheckResult:
    detail = found.result or {}
    values = detail.get("partial_unexpected_list") or []
    return CheckResult(
        check=check.name,
        success=bool(found.success),
        severity=str(check.severity),
        dimension=check.dimension,
        on_violation="fail" if _raised(found.exception_info) else check.on_violation,
        unexpected=_count(check, detail),
        samples=_samples(check, values, hide=hide) if not found.success else (),
        description=check.description,
    )


def _count(check: Check, detail: Mapping[str, Any]) -> int:
    """Rows that break a check; a measure that breaks its bounds is itself the number."""
    if not check.columns and detail.get("partial_unexpected_list"):
        return int(detail["partial_unexpected_list"][0])
    return int(detail.get("unexpected_count") or 0)


def _samples(check: Check, values: list[Any], *, hide: bool) -> tuple[str, ...]:
    if not check.columns or check.name.endswith(".required"):
        return ()
    shown = dict.fromkeys(shape(_first(value)) if hide else str(_first(value))[:40] for value in values)
    return tuple(shown)[:SAMPLES]


def _first(value: Any) -> Any:
    """The value itself; of a compound key's row, its values side by side."""
    return " ".join(str(each) for each in value.values()) if isinstance(value, dict) else value


def _strip(result: dict[str, Any], *, hide: bool) -> None:
    """Take the full lists out, which may be as long as the table, and every value where it is personal data."""
    partial = result.get("partial_unexpected_list")
    for name in _VALUES:
        result.pop(name, None)
    if partial is not None:
        result["partial_unexpected_list"] = [shape(value) if hide else value for value in partial[:SAMPLES]]


def _raised(info: Any) -> bool:
    if not isinstance(info, dict):
        return False
    return bool(info.get("raised_exception")) or any(
        isinstance(each, dict) and each.get("raised_exception") for each in info.values()
    )
