"""The ``[dataproducts]`` section of airflow.cfg."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from airflow_dataproducts.exceptions import ConfigurationError

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
        preload: load Great Expectations once in the process that tasks are forked from, instead of in every validation.
    """

    staging: str
    storage: str
    catalog: str
    memory_limit: str = "1GB"
    threads: int = 0
    pool: str = "default_pool"
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
    try:
        threads = int(given.get("threads", "0"))
    except ValueError:
        raise ConfigurationError(f"[{SECTION}] threads: found {given['threads']!r}; a whole number is wanted") from None
    preload = given.get("preload", "false").strip().lower()
    if preload not in _TRUTH:
        raise ConfigurationError(f"[{SECTION}] preload: found {given['preload']!r}; True or False is wanted")
    return Settings(
        staging=given.get("staging", str(base / "staging")),
        storage=given.get("storage", str(base / "data")),
        catalog=given.get("catalog", str(base)),
        memory_limit=given.get("memory_limit", "1GB"),
        threads=threads,
        pool=given.get("pool", "default_pool"),
        preload=_TRUTH[preload],
    )
