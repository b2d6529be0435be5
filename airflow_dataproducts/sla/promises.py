"""The promises of a product as plain data, fit for the catalog."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.manifest.units import format_duration, format_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

    from airflow_dataproducts.manifest.product import Product
    from airflow_dataproducts.manifest.sla import Level

_TICK = 60.0
TIMELY = ("freshness", "landing", "duration")
"""Kinds of promises that a run that does not come breaks."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise.

    Attributes:
        product: ``<domain>.<name>``.
        name: within the product: the kind, and the output, column or query where there are several.
        kind: freshness, landing, completeness, accuracy, consistency, availability, latency, volume, schema_drift or duration.
        severity: critical, high, medium, low or info.
        text: what is promised, for people.
        target: what is promised: seconds, or a share from 0 to 1; None where ``more`` says it.
        breach: where the promise is broken, in the same unit.
        every: seconds between two measurements.
        output: the output; None for all of them.
        column: the column.
        more: what only some kinds know.
    """

    product: str
    name: str
    kind: str
    severity: str
    text: str
    target: float | None = None
    breach: float | None = None
    every: float = _TICK
    output: str | None = None
    column: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for the catalog."""
        return asdict(self)


def promises_of(product: Product) -> tuple[Promise, ...]:
    """Every promise of a product, in the manifest's order."""
    return tuple(Promise(product=product.id, **fields) for fields in _all(product))


def _all(product: Product) -> Iterator[dict[str, Any]]:
    sla = product.sla
    for fresh in sla.freshness:
        output = fresh.output or next(iter(product.outputs))
        what = f"{output}.{fresh.column}" if fresh.column else output
        yield {
            "name": _name("freshness", fresh.output, len(sla.freshness)), "kind": "freshness", "output": output,
            "column": fresh.column, "text": f"{what} at most {format_duration(fresh.target)} old",
            **_limits(fresh.target, fresh.breach), **_common(fresh), "more": {"inputs": _inputs(product, output, fresh.column)},
        }  # fmt: skip
    if sla.landing is not None:
        landing = sla.landing
        yield {
            "name": "landing", "kind": "landing", "text": f"published by {landing.by} {landing.timezone}", **_common(landing),
            "more": {
                "by": landing.by, "timezone": landing.timezone, "days": list(landing.days),
                "holidays": [str(day) for day in landing.holidays], "grace": landing.grace.total_seconds(),
            },
        }  # fmt: skip
    for kind in ("completeness", "accuracy", "consistency"):
        levels: tuple[Level, ...] = getattr(sla, kind)
        for level in levels:
            yield _level(product, kind, level, len(levels))
    if sla.availability is not None:
        found = _level(product, "availability", sla.availability, 1)
        planned = [(each.cron, each.duration.total_seconds()) for each in sla.availability.maintenance]
        yield {**found, "more": {"window": sla.availability.window.total_seconds(), "maintenance": planned}}
    yield from _others(product)


def _level(product: Product, kind: str, level: Level, count: int) -> dict[str, Any]:
    where = ".".join(filter(None, (level.output, level.column)))
    required = {
        name: [
            column.name
            for column in output.contract.columns
            if column.required or column.name in output.contract.primary_key
        ]
        for name, output in product.outputs.items()
    }
    return {
        "name": _name(kind, where or None, count), "kind": kind, "output": level.output, "column": level.column,
        "text": f"{kind}{f' of {where}' if where else ''} at least {format_share(level.target)}",
        "target": float(level.target), "breach": float(level.target if level.breach is None else level.breach),
        **_common(level), "more": {"required": required} if kind == "completeness" else {},
    }  # fmt: skip


def _others(product: Product) -> Iterator[dict[str, Any]]:
    sla = product.sla
    for index, latency in enumerate(sla.latency):
        name = latency.name or (f"{index + 1}" if len(sla.latency) > 1 else None)
        limits = {key: value.total_seconds() for key, value in (("p95", latency.p95), ("p99", latency.p99)) if value}
        told = " and ".join(f"{key} within {format_duration(getattr(latency, key))}" for key in limits)
        yield {
            "name": f"latency.{name}" if name else "latency", "kind": "latency", "text": f"query latency: {told}", **_common(latency),
            "more": {**limits, "query": latency.query, "window": latency.window.total_seconds()},
        }  # fmt: skip
    for volume in sla.volume:
        rows = {"min": volume.min, "max": volume.max}
        change = None if volume.max_change is None else float(volume.max_change)
        parts = [f"{key} {value:,} rows" for key, value in rows.items() if value is not None]
        parts += (
            [] if volume.max_change is None else [f"within {format_share(volume.max_change)} of the version before"]
        )
        yield {
            "name": _name("volume", volume.output, len(sla.volume)), "kind": "volume", "text": f"volume: {', '.join(parts)}",
            "output": volume.output or next(iter(product.outputs)), **_common(volume), "more": {**rows, "max_change": change},
        }  # fmt: skip
    if sla.schema_drift is not None:
        text = f"the schema is that of version {product.version}"
        yield {"name": "schema_drift", "kind": "schema_drift", "text": text, **_common(sla.schema_drift)}
    if sla.duration is not None:
        yield {
            "name": "duration", "kind": "duration", "text": f"a run takes at most {format_duration(sla.duration.target)}",
            **_limits(sla.duration.target, sla.duration.breach), **_common(sla.duration),
        }  # fmt: skip


def _inputs(product: Product, output: str, column: str | None) -> list[str]:
    """The inputs whose cursor a promise speaks of, where the output has no such column."""
    if column is None or column in {each.name for each in product.outputs[output].contract.columns}:
        return []
    return [name for name, each in product.inputs.items() if getattr(each, "cursor", None) == column]


def _name(kind: str, where: str | None, count: int) -> str:
    return f"{kind}.{where}" if where and count > 1 else kind


def _limits(target: timedelta, breach: timedelta | None) -> dict[str, float]:
    return {"target": target.total_seconds(), "breach": (breach or target).total_seconds()}


def _common(part: Any) -> dict[str, Any]:
    return {"severity": str(part.severity), "every": part.every.total_seconds() if part.every else _TICK}
