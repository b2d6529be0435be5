"""The ``[dataproducts]`` section of airflow.cfg."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.exceptions import ConfigurationError
from airflow_dataproducts.manifest.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECTION = "dataproducts"
_TRUTH = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
"""What Airflow's own settings read as true and false."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a site decides for all its products. Every field is an option of ``[dataproducts]``.

    Attributes:
        staging: folder or URI for data between tasks; on more than one machine every worker must reach it.
        storage: folder or URI under which outputs with a relative or no location are published.
        catalog: folder of the SQLite catalog, used when there is no connection ``dataproducts_catalog``.
        memory_limit: memory DuckDB may use per task before it spills to disk, such as 1GB.
        threads: threads DuckDB may use per task; 0 for all cores.
        pool: Airflow pool of tasks whose product names none.
        keep_versions: how many versions of an output are kept, the current one included, however old they are.
        keep_for: how long an old version is kept at least, and what killed attempts left, such as 1d.
        keep_quarantine: how long quarantined rows are kept.
        alerts_expire: how long a message that its channel does not take is tried before it is given up.
        spark: what runs transforms with engine: spark: Spark Connect's address, such as sc://spark:15002, or a master.
        preload: load Great Expectations once in the process that tasks are forked from, instead of in every validation.
    """

    staging: str
    storage: str
    catalog: str
    memory_limit: str = "1GB"
    threads: int = 0
    pool: str = "default_pool"
    keep_versions: int = 5
    keep_for: timedelta = timedelta(days=1)
    keep_quarantine: timedelta = timedelta(days=30)
    alerts_expire: timedelta = timedelta(days=3)
    spark: str = "local[*]"
    preload: bool = False


def load_settings(home: Path, read: Callable[[str], str | None]) -> Settings:
    """The settings of a site.

    Args:
        home: ``$AIRFLOW_HOME``, under which the defaults lie.
        read: gives the text of an option, None or empty where it is not set.

    Raises:
        ConfigurationError: an option cannot be used.
    """
    base = home / "dataproducts"
    given = {field.name: value for field in fields(Settings) if (value := read(field.name))}
    return Settings(
        staging=given.get("staging", str(base / "staging")),
        storage=given.get("storage", str(base / "data")),
        catalog=given.get("catalog", str(base)),
        **{name: _READERS[name](name, value) for name, value in given.items() if name in _READERS},
    )


def _text(_name: str, value: str) -> str:
    return value


def _count(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ConfigurationError(f"[{SECTION}] {name}: found {value!r}; a whole number is wanted") from None


def _duration(name: str, value: str) -> timedelta:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ConfigurationError(f"[{SECTION}] {name}: {error}") from None


def _truth(name: str, value: str) -> bool:
    if value.strip().lower() not in _TRUTH:
        raise ConfigurationError(f"[{SECTION}] {name}: found {value!r}; True or False is wanted")
    return _TRUTH[value.strip().lower()]


_READERS: dict[str, Callable[[str, str], Any]] = {
    "memory_limit": _text, "threads": _count, "pool": _text, "keep_versions": _count, "keep_for": _duration,
    "keep_quarantine": _duration, "alerts_expire": _duration, "spark": _text, "preload": _truth,
}  # fmt: skip
