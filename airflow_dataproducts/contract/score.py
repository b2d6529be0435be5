"""The quality score: one number from 0 to 100 for how well data keeps its contract, by dimension and in all.

Each check scores the share of rows that hold it, or 0 or 1 where it looks at the table as a whole. A dimension's score
is the mean of its checks weighted by severity; the score in all is the mean over all checks with the same weights, so
that a dimension counts by what is checked in it. Checks of severity ``info`` are told and not scored, and so are those
that the columns and types are there, while they are: a run casts to them, so they would hide everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataproducts.manifest.base import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

WEIGHTS = {Severity.CRITICAL: 8, Severity.HIGH: 4, Severity.MEDIUM: 2, Severity.LOW: 1, Severity.INFO: 0}
"""How much a check counts; each severity twice the next."""


@dataclass(frozen=True, slots=True)
class Graded:
    """A check's part in the score.

    Attributes:
        dimension: the quality dimension it measures.
        severity: how bad a violation is.
        held: the share that holds, from 0 to 1.
    """

    dimension: str
    severity: Severity
    held: float


@dataclass(frozen=True, slots=True)
class Score:
    """A quality score.

    Attributes:
        total: 0 to 100; 100 where nothing is scored.
        dimensions: 0 to 100 for each dimension that has scored checks.
    """

    total: float
    dimensions: dict[str, float]


def quality_score(graded: Iterable[Graded]) -> Score:
    """The score of a validation."""
    all_checks = [each for each in graded if WEIGHTS[each.severity]]
    names = sorted({each.dimension for each in all_checks})
    return Score(
        _mean(all_checks), {name: _mean([each for each in all_checks if each.dimension == name]) for name in names}
    )


def _mean(graded: list[Graded]) -> float:
    weight = sum(WEIGHTS[each.severity] for each in graded)
    if not weight:
        return 100.0
    held = sum(WEIGHTS[each.severity] * each.held for each in graded) / weight
    # Never rounded up to a perfect score that was not reached.
    return 100.0 if held == 1 else min(round(100 * held, 2), 99.99)
