"""What a validation found, as plain data that may be logged and kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.contract.score import Graded, quality_score
from airflow_dataproducts.engine.masking import shape
from airflow_dataproducts.manifest.base import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from great_expectations.core import ExpectationSuiteValidationResult

    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.contract.score import Score
    from airflow_dataproducts.engine.validation.found import Scan
    from airflow_dataproducts.manifest.contract import Contract

SAMPLES = 3
_SHOWN = 40
_LISTS = (
    "partial_unexpected_counts", "unexpected_list", "unexpected_rows", "unexpected_index_list", "unexpected_index_query",
    "partial_unexpected_index_list", "details",
)  # fmt: skip
_NUMBERS = ("element_count", "missing_count", "unexpected_count", "observed_value")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one check came out.

    Attributes:
        check: its name.
        success: whether it holds.
        severity, dimension, on_violation, scope, owner: as the check says.
        unexpected: rows that break it, or what its query counted.
        held: the share of rows that hold it, from 0 to 1; 0 or 1 for a check on the table as a whole.
        observed: the number or types measured, as text, for checks on one; later runs compare with it.
        samples: up to three values that break it; only their shapes where the column is personal data.
        note: why it could not be measured; empty where it was.
        description: what should hold.
        scored: whether it counts in the quality score; that columns and types are there counts only when they are not.
    """

    check: str
    success: bool
    severity: str
    dimension: str
    on_violation: str
    unexpected: int
    held: float
    observed: str | None
    samples: tuple[str, ...]
    note: str
    description: str
    scope: str = "run"
    owner: str = ""
    scored: bool = True


@dataclass(frozen=True, slots=True)
class Validation:
    """The outcome of an output's validation.

    Attributes:
        output: the output's name.
        rows: rows validated.
        results: one per check, in the contract's order.
        gx: the results as Great Expectations' own JSON, without values of personal data.
        quarantined: rows to set aside.
    """

    output: str
    rows: int
    results: tuple[CheckResult, ...]
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

    @property
    def score(self) -> Score:
        """The quality score."""
        return quality_score(
            Graded(each.dimension, Severity(each.severity), each.held) for each in self.results if each.scored
        )

    def summary(self) -> dict[str, Any]:
        """Counts for XCom."""
        return {
            "output": self.output,
            "rows": self.rows,
            "checks": len(self.results),
            "failed": [each.check for each in self.failures],
            "warned": [each.check for each in self.warnings],
            "quarantined": self.quarantined,
            "score": self.score.total,
        }

    def rows_as_dicts(self) -> list[dict[str, Any]]:
        """Each check's result as a dict."""
        return [asdict(each) for each in self.results]


def line(found: CheckResult, rows: int) -> str:
    """A check's outcome in one line, as logs show it.

    Args:
        found: the outcome.
        rows: rows validated.
    """
    if found.note:
        return f"{found.check} ({found.severity}): {found.description}; {found.note}"
    share = f" of {rows:,}" if found.held not in (0.0, 1.0) else ""
    number = (
        f"found {found.unexpected:,}{share}"
        if found.unexpected or found.observed is None
        else f"found {found.observed}"
    )
    samples = f", such as {', '.join(found.samples)}" if found.samples else ""
    return f"{found.check} ({found.severity}): {found.description}; {number}{samples}"


def read_results(
    judged: ExpectationSuiteValidationResult, checks: Mapping[str, Check], contract: Contract, scan: Scan
) -> tuple[list[CheckResult], dict[str, Any]]:
    """GX's results as ours, and as JSON that is safe to keep.

    Args:
        judged: what GX returned. It lists what raised first, so results are matched by name, not by place.
        checks: the checks by name.
        contract: says which columns are personal data.
        scan: what was measured.
    """
    private = {column.name for column in contract.columns if column.pii is not None}
    results = []
    document = judged.to_json_dict()
    for each, safe in zip(judged.results, document["results"], strict=True):
        check = checks[each.expectation_config.meta["check"]]
        hide = _is_private(check, private)
        result = _result(check, each, scan, hide=hide)
        results.append(result)
        safe["result"] = _safe(safe["result"], hide=hide and not isinstance(check.rule, r.Statistic))
        # GX's own message and traceback may quote values.
        safe["exception_info"] = {
            "raised_exception": bool(result.note), "exception_message": result.note or None, "exception_traceback": None,
        }  # fmt: skip
    return results, document


def in_order(results: Iterable[CheckResult], checks: Iterable[Check]) -> tuple[CheckResult, ...]:
    """The results in the contract's order; GX lists first what raised."""
    order = {check.name: place for place, check in enumerate(checks)}
    return tuple(sorted(results, key=lambda each: order[each.check]))


def _is_private(check: Check, private: set[str]) -> bool:
    """Whether a check may show personal data; an expectation that names no column may show any."""
    if private and isinstance(check.rule, r.GxExpectation) and not check.columns:
        return True
    return bool(private.intersection(check.columns))


def _result(check: Check, judged: Any, scan: Scan, *, hide: bool) -> CheckResult:
    raised = _raised(judged.exception_info)
    found = scan.found.get(check.name)
    detail = judged.result or {}
    unexpected = found.unexpected if found else _counted(judged, detail)
    success = bool(judged.success)
    samples = found.samples if found else tuple(detail.get("partial_unexpected_list") or ())
    note = found.note if found else ""
    if raised and not note:
        note = "Great Expectations could not evaluate it; see the task's log"
    return CheckResult(
        check=check.name,
        success=success,
        severity=str(check.severity),
        dimension=check.dimension,
        # What could not be judged has not been checked, whatever a violation would have led to.
        on_violation="fail" if note else check.on_violation,
        unexpected=unexpected,
        held=_held(check, scan.rows, unexpected, success=success and not raised),
        observed=_observed(
            found.observed if found else detail.get("observed_value"),
            hide=hide and not isinstance(check.rule, r.Statistic),
        ),
        samples=() if success else _samples(samples, hide=hide),
        note=note,
        description=check.description,
        scope=check.scope,
        owner=check.owner,
        scored=not success or not isinstance(check.rule, r.OfType | r.ColumnSet),
    )


def _held(check: Check, rows: int, unexpected: int, *, success: bool) -> float:
    if not check.names_rows or not rows:
        return float(success)
    return 1 - unexpected / rows


def _counted(judged: Any, detail: Mapping[str, Any]) -> int:
    """How many rows GX itself counted."""
    if judged.expectation_config.type == "unexpected_rows_expectation":
        return int(detail.get("observed_value") or 0)
    return int(detail.get("unexpected_count") or 0)


def _observed(value: Any, *, hide: bool) -> str | None:
    if value is None:
        return None
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return shape(text) if hide else text


def _samples(values: tuple[Any, ...], *, hide: bool) -> tuple[str, ...]:
    shown = dict.fromkeys(shape(_flat(value)) if hide else str(_flat(value))[:_SHOWN] for value in values)
    return tuple(shown)[:SAMPLES]


def _flat(value: Any) -> Any:
    """The value itself; of a row's several values, side by side."""
    return " ".join(str(each) for each in value.values()) if isinstance(value, dict) else value


def _safe(result: Mapping[str, Any], *, hide: bool) -> dict[str, Any]:
    """GX's result without the lists that may be as long as the table, and without values of personal data."""
    kept = {name: value for name, value in result.items() if name not in _LISTS}
    partial = kept.pop("partial_unexpected_list", None)
    if hide:
        kept = {
            name: shape(value) if name == "observed_value" else value
            for name, value in kept.items()
            if name in _NUMBERS or name.endswith("_percent") or name.startswith("unexpected_percent")
        }
    if partial is not None:
        kept["partial_unexpected_list"] = [shape(_flat(value)) if hide else value for value in partial[:SAMPLES]]
    return kept


def _raised(info: Any) -> bool:
    if not isinstance(info, dict):
        return False
    return bool(info.get("raised_exception")) or any(
        isinstance(each, dict) and each.get("raised_exception") for each in info.values()
    )
