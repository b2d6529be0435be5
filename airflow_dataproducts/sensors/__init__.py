"""Sensors for consumers' own DAGs: wait for a product, or for its promises to be kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException

from airflow_dataproducts.manifest.units import VersionRange, parse_duration
from airflow_dataproducts.sensors.looking import look_at
from airflow_dataproducts.sensors.trigger import CatalogTrigger
from airflow_dataproducts.sla.readiness import Readiness, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

__all__ = ["DataProductSensor", "SlaSensor"]


class _CatalogSensor(BaseSensorOperator):
    """What both sensors do: ask the catalog, by poking, rescheduling, or in the triggerer.

    Args:
        deferrable: wait in the triggerer, without a worker's slot; Airflow's setting where left out.
        kwargs: any argument of Airflow's BaseSensorOperator.
    """

    def __init__(self, *, deferrable: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deferrable = (
            conf.getboolean("operators", "default_deferrable", fallback=False) if deferrable is None else deferrable
        )
        self.fail_fast = True

    def question(self, context: Context) -> dict[str, Any]:
        """What is asked of the catalog, as plain values."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Returns the reason for which waiting is over."""
        if not self.deferrable:
            return super().execute(context)
        asked = self.question(context)
        found = look_at(asked, datetime.now(UTC))
        if not self._judge(found):
            self.defer(
                trigger=CatalogTrigger(asked, self.poke_interval, fail_fast=self.fail_fast),
                method_name="resumed",
                timeout=timedelta(seconds=self.timeout),
            )
        return found.reason

    def poke(self, context: Context) -> bool:
        """Whether waiting is over."""
        return self._judge(look_at(self.question(context), datetime.now(UTC)))

    def resumed(self, context: Context, event: dict[str, str]) -> str:  # noqa: ARG002 - Airflow's signature
        """What the triggerer found."""
        if not self._judge(Readiness(event["state"], event["reason"])):  # type: ignore[arg-type]
            raise AirflowFailException(event["reason"])
        return event["reason"]

    def _judge(self, found: Readiness) -> bool:
        """Whether waiting is over; an answer that waiting does not mend fails the task at once, with its reason."""
        self.log.info("%s: %s", found.state, found.reason)
        if found.state == "unfit" and self.fail_fast:
            raise AirflowFailException(found.reason)
        return found.state == "ready"


class DataProductSensor(_CatalogSensor):
    """Waits until a product is published, fresh and good enough, or fails with the reason: a circuit breaker.

    Args:
        product: ``<domain>.<name>``.
        output_name: the output; left out, all of them.
        version: a version range, such as ^2.
        max_age: the oldest that the publication may be, such as 4h.
        min_quality: the least quality score, from 0 to 100.
        since_run: wait for a publication that is newer than the start of this run's data interval.
        fail_fast: fail at once where the version or the quality does not do; otherwise wait for a better one.
        kwargs: any argument of Airflow's BaseSensorOperator, and ``deferrable``.
    """

    template_fields: Sequence[str] = ("product", "output_name")
    ui_color = "#dff3e4"

    def __init__(  # noqa: PLR0913 - they are what a DAG's author writes
        self, *, product: str, output_name: str | None = None, version: str | None = None, max_age: str | timedelta | None = None,
        min_quality: float | None = None, since_run: bool = False, fail_fast: bool = True, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.product = product
        self.output_name = output_name
        self.version = version
        self.max_age = max_age
        self.min_quality = min_quality
        self.since_run = since_run
        self.fail_fast = fail_fast

    def question(self, context: Context) -> dict[str, Any]:
        """What is asked of the catalog."""
        if self.version is not None:
            VersionRange(self.version)
        age = parse_duration(self.max_age).total_seconds() if self.max_age is not None else None
        since = context.get("data_interval_start") if self.since_run else None
        wanted = Wanted(
            self.product, self.output_name, self.version, age, since.isoformat() if since else None, self.min_quality
        )
        return {"product": wanted.to_dict()}


class SlaSensor(_CatalogSensor):
    """Waits until promises of a product are kept.

    Args:
        product: ``<domain>.<name>``.
        promises: their names (freshness, landing, completeness, ...); left out, all of the product.
        kwargs: any argument of Airflow's BaseSensorOperator, and ``deferrable``.
    """

    template_fields: Sequence[str] = ("product",)
    ui_color = "#e0f0ff"

    def __init__(self, *, product: str, promises: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.product = product
        self.promises = list(promises)

    def question(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - the other's needs it
        """What is asked of the catalog."""
        return {"promises": {"product": self.product, "names": self.promises}}
