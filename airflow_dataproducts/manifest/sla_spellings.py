"""The ways in which people write promises, as the one way that the models know.

Beside our own fields: a bare value (``freshness: 4 hours``), fields whose names carry their unit (``max_age_hours: 24``),
one value for each output (``freshness: {orders: 1_hour}``), lists of ``metrics``, and the service levels of the Open Data
Contract Standard (``slaProperties``).
"""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"hours": "h", "minutes": "min", "seconds": "s", "days": "d"}
_TARGETS = {"target_latency": "target", "max_age": "target", "breach_threshold": "breach", "threshold": "breach",
            "measurement_frequency": "every", "frequency": "every", "table": "output", "measurement_window": "window",
            "planned_maintenance": "maintenance", "target_latency_p95": "p95", "target_latency_p99": "p99", "query_type": "name"}  # fmt: skip
_WORDS = {"description", "measurement", "measurement_method", "notification_period", "max_frequency"}
"""What only people read; it is left out."""
_PERIODS = {"hourly": "1h", "daily": "1d", "weekly": "7d", "monthly": "30d", "quarterly": "90d", "yearly": "365d"}
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_WEEKLY = re.compile(r"^\s*(\w+)\s+(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*(?:UTC)?\s*$", re.IGNORECASE)
_UNIT_FIELD = re.compile(r"^(?P<what>\w+?)_(?P<unit>hours|minutes|seconds|days|pct|percent)$")
_KINDS = {"freshness", "completeness", "accuracy", "consistency", "availability", "duration"}
_ODCS = {
    "latency": "freshness",
    "freshness": "freshness",
    "availability": "availability",
    "timeofavailability": "landing",
}
_ODCS_UNITS = {"h": "h", "hour": "h", "hours": "h", "d": "d", "day": "d", "days": "d", "min": "min", "minute": "min",
               "minutes": "min", "s": "s", "second": "s", "seconds": "s", "y": "y", "yr": "y", "year": "y", "years": "y",
               "w": "w", "week": "w", "weeks": "w", "percent": "%", "%": "%"}  # fmt: skip


def canonical(value: Any) -> Any:
    """The ``sla`` of a manifest with every spelling turned into the models' fields; what is none stays as it is.

    Raises:
        ValueError: a unit that could mean two things.
    """
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for name, item in value.items():
        if name == "slaProperties" and isinstance(item, list):
            for each in item:
                _merge(found, _odcs(each))
        elif name in {"quality", "performance"} and isinstance(item, dict):
            _merge(found, _metrics(name, item.get("metrics", [])))
        elif name in {"sla_version", "effective_date", "review_frequency", "support", "tracking"}:
            continue
        elif (unit := _UNIT_FIELD.match(str(name))) and unit["what"] in _KINDS:
            _merge(found, {unit["what"]: _fields({"target": _with_unit(item, unit["unit"])})})
        else:
            _merge(found, {name: _promise(name, item)})
    return found


def _merge(found: dict[str, Any], more: dict[str, Any]) -> None:
    """Promises of one kind stand side by side."""
    for name, item in more.items():
        there = found.get(name)
        if there is None:
            found[name] = item
        else:
            found[name] = [
                *(there if isinstance(there, list) else [there]),
                *(item if isinstance(item, list) else [item]),
            ]


def _promise(name: str, item: Any) -> Any:
    """One kind of promise: a bare value, one for each output, a list, or fields."""
    if name not in _KINDS and name != "latency":
        return item
    if isinstance(item, list):
        return [_promise(name, each) for each in item]
    if not isinstance(item, dict):
        return {"target": item}
    if isinstance(item.get("metrics"), list):
        return [_fields(each) for each in item["metrics"]]
    fields = _fields(item)
    per_output = name == "freshness" and "target" not in fields and all(isinstance(each, str) for each in item.values())
    return [{"output": output, "target": each} for output, each in item.items()] if per_output and item else fields


def _fields(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    found: dict[str, Any] = {}
    for key, value in item.items():
        name = str(key)
        unit = _UNIT_FIELD.match(name)
        if name in _WORDS:
            continue
        if unit and unit["what"] in {"max_age", "target", "breach"}:
            found[_TARGETS.get(str(unit["what"]), str(unit["what"]))] = _with_unit(value, unit["unit"])
        else:
            found[_TARGETS.get(name, name)] = _maintenance(value) if name == "planned_maintenance" else value
    return found


def _with_unit(value: Any, unit: str | Any) -> str:
    return f"{value}%" if unit in {"pct", "percent"} else f"{value}{_UNITS[unit]}"


def _maintenance(value: Any) -> Any:
    """``Sunday 02:00-04:00 UTC`` as the cron of its start and how long it takes."""
    window = value.get("window") if isinstance(value, dict) else value
    match = _WEEKLY.match(window) if isinstance(window, str) else None
    if match is None or match[1].lower() not in _DAYS:
        return value if isinstance(value, list) else [value]
    start, end = (int(match[at]) * 60 + int(match[at + 1]) for at in (2, 4))
    cron = f"{int(match[3])} {int(match[2])} * * {_DAYS.index(match[1].lower())}"
    return [{"cron": cron, "duration": f"{(end - start) % 1440}min"}]


def _metrics(name: str, metrics: Any) -> dict[str, Any]:
    """``quality.metrics`` by their names; ``performance.metrics`` are latencies."""
    found: dict[str, Any] = {}
    for each in metrics if isinstance(metrics, list) else []:
        fields = _fields(each)
        if name == "performance":
            _merge(found, {"latency": [fields]})
        elif isinstance(fields, dict) and "name" in fields:
            _merge(found, {str(fields.pop("name")): fields})
    return found


def _odcs(each: Any) -> dict[str, Any]:
    """One service level of the Open Data Contract Standard (v3, section Service-Level Agreement)."""
    if not isinstance(each, dict) or "property" not in each:
        raise ValueError(f"found {each!r}; an ODCS service level has property and value")
    kind: str | None = _ODCS.get(str(each["property"]).replace("_", "").lower())
    if kind is None:
        return {}
    unit = str(each.get("unit") or "")
    if unit == "m":
        raise ValueError("found the unit 'm', which may be minutes or months; write min or month")
    output, _, column = str(each.get("element", "")).rpartition(".")
    place = {key: text for key, text in (("output", output), ("column", column)) if text}
    if kind == "landing":
        return {"landing": {"by": str(each["value"])[:5]}}
    if unit and unit.lower() not in _ODCS_UNITS:
        raise ValueError(f"found the unit {unit!r} (allowed: {', '.join(_ODCS_UNITS)})")
    target = f"{each['value']}{_ODCS_UNITS.get(unit.lower(), '')}"
    return {kind: {"target": target, **(place if kind == "freshness" else {})}}


def period(value: Any) -> Any:
    """``monthly``, ``Every 30 minutes``, ``< 4 hours`` and ``real_time`` as durations."""
    if not isinstance(value, str):
        return value
    text = re.sub(r"^\s*(every|within|<=|<|≤|at most)\s*", "", value, flags=re.IGNORECASE).strip()
    if text.lower().replace("-", "_").replace(" ", "_") in {"real_time", "realtime"}:
        return "1min"
    return _PERIODS.get(text.lower(), text)


def share(value: Any) -> Any:
    """``>= 99.9 %`` as ``99.9%``."""
    return re.sub(r"^\s*(>=|>|≥|at least)\s*", "", value, flags=re.IGNORECASE) if isinstance(value, str) else value
