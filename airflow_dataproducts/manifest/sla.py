"""The promises of a product as the manifest writes them."""

from __future__ import annotations

from pydantic import Field

from airflow_dataproducts.manifest.base import Part, SqlName, Text
from airflow_dataproducts.manifest.units import Duration, Share


class Freshness(Part):
    """How old the newest data may be."""

    output: SqlName | None = None
    """The output it is about; left out where there is one only."""
    column: SqlName | None = None
    """The column whose newest value is the data's age; left out, the last publish counts."""
    target: Duration
    """The age promised."""
    breach: Duration | None = None
    """The age at which the promise is broken; the target where left out."""
    every: Duration | None = None
    """How often it is measured."""


class Landing(Part):
    """The time of day by which a run has published."""

    by: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    """Time of day, 24 hours, in quotes: "06:00"."""
    timezone: str = "UTC"
    """The time zone of that time (IANA name)."""


class Level(Part):
    """A share of rows or values that is promised."""

    target: Share
    """The share promised, such as 99.5%."""
    breach: Share | None = None
    """The share below which the promise is broken; the target where left out."""


class Maintenance(Part):
    """A planned time in which a promise does not count."""

    cron: str
    """When it starts."""
    duration: Duration
    """How long it takes."""


class Availability(Level):
    """The share of probes that could read the output."""

    window: Duration | None = None
    """The time over which it is counted."""
    maintenance: tuple[Maintenance, ...] = ()
    """Planned times that are left out."""


class Latency(Part):
    """How long a consumer's query takes."""

    query: Text
    """The query that is timed."""
    p95: Duration | None = None
    """Nineteen of twenty are at least this fast."""
    p99: Duration | None = None
    """Ninety-nine of a hundred are at least this fast."""


class Sla(Part):
    """What the owner promises consumers about the product at work."""

    freshness: Freshness | None = None
    """How old the newest data may be."""
    landing: Landing | None = None
    """The time of day by which a run has published."""
    completeness: Level | None = None
    """Share of required values that are there."""
    accuracy: Level | None = None
    """Share of rows that pass the rules."""
    consistency: Level | None = None
    """Share of rows that agree with other tables."""
    availability: Availability | None = None
    """Share of probes that could read the output."""
    latency: Latency | None = None
    """How long a consumer's query takes."""
