"""Durations counted in buckets that grow by a tenth, so that days can be added up and percentiles read from the sum.

A percentile read from it is at most 5% off.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_GROWTH = math.log(1.1)
_LEAST = 1e-4
"""Seconds below which nobody cares."""


def bucket(seconds: float) -> str:
    """The bucket of a duration."""
    return str(max(round(math.log(max(seconds, _LEAST) / _LEAST) / _GROWTH), 0))


def quantile(histogram: Mapping[str, int], share: float) -> float | None:
    """The duration in seconds that a share of the counted ones did not exceed; None where nothing was counted."""
    total = sum(histogram.values())
    if not total:
        return None
    wanted, seen = math.ceil(total * share), 0
    for number in sorted(map(int, histogram)):
        seen += histogram[str(number)]
        if seen >= wanted:
            return _LEAST * math.exp(number * _GROWTH)
    return None
