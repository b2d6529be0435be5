"""How promises stand, and the monitor's own checks, as the catalog keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.sla.verdicts import utc

if TYPE_CHECKING:
    from datetime import datetime

PAUSED = "_paused"
"""The promise's name of the row that says whether Airflow leaves a product alone."""
HEARTBEAT = ("", "monitor")
"""Product and promise of the monitor's own row."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a promise stands."""

    product: str
    promise: str
    state: str
    actual: str
    since: datetime
    checked_at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """Product and promise."""
        return self.product, self.promise


def judging_of(product: str) -> str:
    """The check whose row says whether the monitor could judge a product."""
    return f"judging {product}"[:250]


def probing_of(product: str, promise: str) -> str:
    """The check whose row says whether a promise could be probed."""
    return f"probing {product} {promise}"[:250]


def broken_check(check: str, why: str, known: Status | None, now: datetime) -> Status:
    """A check that could not be made, perhaps still: no breach of anybody's promise."""
    since = known.since if known is not None and known.state == "broken" else now
    return Status("", check, "broken", why, since, now)


def mended(check: Status, now: datetime) -> Status:
    """A check that can be made again."""
    return Status("", check.promise, "ok", "", now, now)


def status_of(row: Any) -> Status:
    """A row of the catalog as what it says."""
    return Status(
        row["product_id"], row["promise"], row["state"], row["actual"], utc(row["since"]), utc(row["checked_at"])
    )


def row_of(status: Status) -> dict[str, Any]:
    """What is said as a row of the catalog."""
    return {
        "product_id": status.product, "promise": status.promise, "state": status.state, "actual": status.actual,
        "since": status.since, "checked_at": status.checked_at,
    }  # fmt: skip
