"""Waiting for the catalog in Airflow's triggerer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_dataproducts.exceptions import CatalogError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class CatalogTrigger(BaseTrigger):
    """Asks the catalog again and again until waiting is over.

    Args:
        asked: the sensor's question.
        interval: seconds between two looks.
        fail_fast: whether an answer that waiting does not mend ends it.
    """

    def __init__(self, asked: dict[str, Any], interval: float, *, fail_fast: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.asked = asked
        self.interval = interval
        self.fail_fast = fail_fast

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How Airflow makes it again."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {"asked": self.asked, "interval": self.interval, "fail_fast": self.fail_fast}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event, when waiting is over; a catalog that cannot be reached is waited for, too."""
        from airflow_dataproducts.sensors.looking import look_at

        while True:
            try:
                found = await asyncio.to_thread(look_at, self.asked, datetime.now(UTC))
            except CatalogError as error:
                self.log.warning("%s", error)
            else:
                if found.state == "ready" or (found.state == "unfit" and self.fail_fast):
                    yield TriggerEvent(  # type: ignore[no-untyped-call]
                        {"state": found.state, "reason": found.reason}
                    )
                    return
            await asyncio.sleep(self.interval)
