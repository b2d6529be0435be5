"""Values with a unit, as people write them: durations, shares, semantic versions and version ranges."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_SECONDS = {
    "second": 1, "sec": 1, "s": 1, "minute": 60, "min": 60, "m": 60, "hour": 3600, "hr": 3600, "h": 3600,
    "day": 86400, "d": 86400, "week": 604800, "w": 604800, "month": 2629746, "year": 31556952, "y": 31556952,
}  # fmt: skip
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*_?\s*([a-z]+)\s*$", re.IGNORECASE)
_VERSION = re.compile(r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")
_RANGE = re.compile(r"^(\^|~|>=|=)?\s*(\d+)(?:\.(\d+))?(?:\.(\d+))?$")


def parse_duration(value: Any) -> timedelta:
    """``4h``, ``30 minutes``, ``7 years`` as a timedelta; a month is 30.436875 days, a year 365.2425 (Gregorian means).

    Raises:
        ValueError: no number with a known unit.
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.match(value) if isinstance(value, str) else None
    unit = match.group(2).lower() if match else ""
    seconds = _SECONDS.get(unit) or _SECONDS.get(unit.removesuffix("s"))
    if match is None or seconds is None:
        raise ValueError(
            f"found {value!r}; a duration is a number and a unit (s, m, h, d, w, months, years), such as 4h"
        )
    return timedelta(seconds=float(match.group(1)) * seconds)


def format_duration(value: timedelta) -> str:
    """The shortest spelling ``parse_duration`` reads back: ``4h``, ``90m``, ``7 years``."""
    seconds = int(value.total_seconds())
    for unit, size in (
        (" years", _SECONDS["year"]),
        (" months", _SECONDS["month"]),
        ("d", 86400),
        ("h", 3600),
        ("m", 60),
    ):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{value.total_seconds():f}".rstrip("0").rstrip(".") + "s"


def parse_share(value: Any) -> Decimal:
    """``99.5%`` as the decimal share 0.995, exactly.

    Raises:
        ValueError: not a percentage from 0% to 100%.
    """
    if isinstance(value, Decimal):
        return value
    match = re.match(r"^\s*(\d+(?:\.\d+)?)\s*%\s*$", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"found {value!r}; a share is written with its percent sign, such as 99.5%")
    return Decimal(match.group(1)) / 100


def format_share(value: Decimal) -> str:
    """``Decimal("0.995")`` as ``99.5%``."""
    return f"{(value * 100).normalize():f}%"


def parse_version(value: Any) -> str:
    """A semantic version ``major.minor.patch`` (semver.org, without pre-release parts).

    Raises:
        ValueError: anything else; a YAML number such as ``2.1`` gets told to be quoted and completed.
    """
    if isinstance(value, str) and _VERSION.match(value):
        return value
    raise ValueError(f"found {value!r}; a semantic version has three numbers, such as 2.1.0")


def version_key(version: str) -> tuple[int, int, int]:
    """``"2.10.0"`` as ``(2, 10, 0)``, for ordering."""
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)


class VersionRange:
    """Which versions of a product a consumer accepts: ``^2``, ``~2.1``, ``>=2.0.0`` or ``2.1.0`` (npm's meanings)."""

    def __init__(self, text: str) -> None:
        """Raises ValueError when ``text`` is no range."""
        match = _RANGE.match(text.strip())
        if match is None:
            raise ValueError(f"found {text!r}; a version range is ^2, ~2.1, >=2.0.0 or an exact 2.1.0")
        self.text = text.strip()
        sign, *parts = match.groups()
        given = tuple(int(part) for part in parts if part is not None)
        self._low = (*given, 0, 0)[:3]
        self._fixed = {"^": 1, "~": min(2, len(given)), ">=": 0}.get(sign or "=", len(given))

    def __contains__(self, version: str) -> bool:
        key = version_key(version)
        return key >= self._low and key[: self._fixed] == self._low[: self._fixed]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"VersionRange({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VersionRange) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


def _parse_range(value: Any) -> VersionRange:
    if isinstance(value, VersionRange):
        return value
    return VersionRange(str(value))


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["30m", "4h", "7 years"]}),
]
Share = Annotated[
    Decimal,
    BeforeValidator(parse_share),
    PlainSerializer(format_share, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$", "examples": ["99.5%"]}),
]
Version = Annotated[
    str, BeforeValidator(parse_version), WithJsonSchema({"type": "string", "pattern": _VERSION.pattern})
]
Range = Annotated[
    VersionRange,
    BeforeValidator(_parse_range),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["^2", "~2.1", ">=2.0.0", "2.1.0"]}),
]
