"""Sensors of consumers' DAGs: by poking, by rescheduling and in the triggerer, one answer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_dataproducts.environment import site_catalog, site_settings
from airflow_dataproducts.sensors import DataProductSensor, SlaSensor
from airflow_dataproducts.sensors.trigger import CatalogTrigger
from airflow_dataproducts.sla.readiness import Published, Wanted, readiness
from tests.integration.watching import MANIFEST, publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_dataproducts.catalog.store import Catalog

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wanted", "state", "reason"),
    [
        ({}, "ready", "things 2.1.0, published 2h ago"),
        ({"output": "other"}, "waiting", "has not been published yet"),
        ({"max_age": 3600.0}, "waiting", "is 2h old, more than 1h"),
        ({"max_age": 9000.0}, "ready", ""),
        ({"since": "2026-06-10T11:00:00+00:00"}, "waiting", "before what is waited for"),
        ({"version": "^2"}, "ready", ""),
        ({"version": "^3"}, "unfit", "is of version 2.1.0, which is not within ^3"),
        ({"min_quality": 99.0}, "unfit", "quality score of 97.5, less than 99"),
        ({"min_quality": 97.0, "version": "~2.1", "max_age": 8000.0}, "ready", ""),
    ],
)
def test_readiness(wanted: dict[str, Any], state: str, reason: str) -> None:
    published = [Published("things", "2.1.0", NOW - timedelta(hours=2), 97.5)]
    found = readiness(Wanted("test.things", **wanted), published, NOW)
    assert (found.state, reason in found.reason) == (state, True), found


@pytest.fixture
def catalog() -> Iterator[Catalog]:
    with site_catalog(site_settings()) as found:
        yield found


def fails(sensor: Any) -> str:
    with pytest.raises(AirflowFailException) as error:
        sensor.execute({})
    return str(error.value)


def test_a_sensor_waits_is_satisfied_or_breaks_the_circuit(catalog: Catalog) -> None:
    assert DataProductSensor(task_id="w", product="test.up").poke({}) is False
    publish(catalog, "up", datetime.now(UTC))
    assert DataProductSensor(task_id="r", product="test.up", max_age="1h", min_quality=100).poke({}) is True
    assert "is of version 1.0.0" in fails(
        DataProductSensor(task_id="f", product="test.up", version="^2", deferrable=True)
    )
    assert DataProductSensor(task_id="s", product="test.up", version="^2", fail_fast=False).poke({}) is False


def test_waiting_in_the_triggerer(catalog: Catalog) -> None:
    sensor = DataProductSensor(task_id="d", product="test.up", deferrable=True, poke_interval=0.05)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    path, arguments = deferred.value.trigger.serialize()
    assert path == "airflow_dataproducts.sensors.trigger.CatalogTrigger"
    trigger = CatalogTrigger(**arguments)

    async def wait() -> Any:
        waiting = asyncio.ensure_future(anext(trigger.run()))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await asyncio.to_thread(publish, catalog, "up", datetime.now(UTC))
        return await asyncio.wait_for(waiting, 10)

    event = asyncio.run(wait())
    assert event.payload["state"] == "ready"
    assert "published" in sensor.resumed({}, event.payload)
    with pytest.raises(AirflowFailException, match="gone"):
        sensor.resumed({}, {"state": "unfit", "reason": "gone"})


def test_promises(catalog: Catalog, write: Callable[..., Path], tmp_path: Path) -> None:
    from airflow_dataproducts.catalog.sla import SlaStore
    from airflow_dataproducts.runtime import monitor

    assert SlaSensor(task_id="u", product="test.up").poke({}) is False, "not known yet"
    write(MANIFEST.replace("NAME", "up").replace("INPUT", "{path: a.csv}"), folder="up")
    monitor.sync(SlaStore(catalog), tmp_path / "up", None, datetime.now(UTC) - timedelta(hours=12))
    assert SlaSensor(task_id="b", product="test.up", promises=["freshness"]).poke({}) is False
    assert SlaSensor(task_id="v", product="test.up", promises=["completeness"]).poke({}) is True, (
        "nothing says otherwise"
    )
    publish(catalog, "up", datetime.now(UTC))
    assert SlaSensor(task_id="k", product="test.up").poke({}) is True
    assert "does not promise beauty" in fails(
        SlaSensor(task_id="n", product="test.up", promises=["beauty"], deferrable=True)
    )
