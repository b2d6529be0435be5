"""The promises of a product as the manifest writes them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, Field, field_validator, model_validator

from airflow_dataproducts.manifest.base import Part, Severity, SeverityName, SqlName, Text
from airflow_dataproducts.manifest.sla_spellings import canonical, period, share
from airflow_dataproducts.manifest.units import Duration, Share

Period = Annotated[Duration, BeforeValidator(period)]
Portion = Annotated[Share, BeforeValidator(share)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, dict | Part) else value


class _Spelled:
    """Lets the JSON Schema say what is read beside the fields: one for a list of one, and a bare target."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        found = handler(core)
        one = [found["items"], found] if "items" in found else [found]
        return {"anyOf": [*one, {"type": "string"}]}


_LISTED = (BeforeValidator(_listed), _Spelled())


class _Promise(Part):
    """What every promise knows."""

    severity: SeverityName = Severity.HIGH
    """How bad it is when it is broken: critical, high, medium, low or info."""
    every: Period | None = None
    """How often it is measured; left out, each minute."""


class Freshness(_Promise):
    """How old the newest data may be."""

    output: SqlName | None = None
    """The output it is about; left out where there is one only."""
    column: SqlName | None = None
    """The column whose newest value is the data's age: of the output, or the cursor of an input; left out, the last publish counts."""
    target: Period
    """The age promised."""
    breach: Period | None = None
    """The age at which the promise is broken; the target where left out."""

    @model_validator(mode="after")
    def _ordered(self) -> Freshness:
        _later(self.target, self.breach)
        return self


class Landing(_Promise):
    """The time of day by which a run has published."""

    by: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    """Time of day, 24 hours, in quotes: "06:00"."""
    timezone: str = "UTC"
    """The time zone of that time (IANA name)."""
    days: tuple[Day, ...] = WEEK
    """The days on which it is promised: [mon, tue, wed, thu, fri]."""
    holidays: tuple[date, ...] = ()
    """Days on which it is not."""
    grace: Period = timedelta(0)
    """How much later it may be before the promise is broken."""

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"found {value!r}, which is no IANA time zone, such as Europe/Berlin")
        ZoneInfo(value)
        return value


class Level(_Promise):
    """A share of rows or values that is promised."""

    output: SqlName | None = None
    """The output it is about; left out, the worst of them counts."""
    column: SqlName | None = None
    """For completeness, the column; left out, all required ones."""
    target: Portion
    """The share promised, such as 99.5%."""
    breach: Portion | None = None
    """The share below which the promise is broken; the target where left out."""

    @model_validator(mode="after")
    def _ordered(self) -> Level:
        if self.breach is not None and self.breach > self.target:
            raise ValueError("breach is above target; a promise is broken below the share that was promised")
        return self


class Maintenance(Part):
    """A planned time in which a promise does not count."""

    cron: str
    """When it starts, in UTC."""
    duration: Period
    """How long it takes."""

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        from croniter import croniter  # only here: most products have none, and start-up counts

        if not croniter.is_valid(value):
            raise ValueError(f"found {value!r}, which is no cron expression of five fields")
        return value


class Availability(Level):
    """The share of probes that could read the output."""

    window: Period = timedelta(days=30)
    """The time over which it is counted."""
    every: Period | None = timedelta(minutes=5)
    """How often the output is probed."""
    maintenance: tuple[Maintenance, ...] = ()
    """Planned times that are left out."""


class Latency(_Promise):
    """How long a consumer's query takes."""

    name: Text | None = None
    """What the query is called; left out, latency."""
    query: Text
    """The query that is timed, over the outputs by their names."""
    p95: Period | None = None
    """Nineteen of twenty are at least this fast."""
    p99: Period | None = None
    """Ninety-nine of a hundred are at least this fast."""
    window: Period = timedelta(days=1)
    """The time over which it is counted."""
    every: Period | None = timedelta(minutes=5)
    """How often it is timed."""

    @model_validator(mode="after")
    def _promises(self) -> Latency:
        if self.p95 is None and self.p99 is None:
            raise ValueError("promises nothing; give p95 or p99")
        return self


class Volume(_Promise):
    """How many rows an output has, or gains and loses."""

    output: SqlName | None = None
    """The output it is about; left out where there is one only."""
    min: int | None = Field(default=None, ge=0)
    """The fewest rows."""
    max: int | None = Field(default=None, ge=0)
    """The most rows."""
    max_change: Portion | None = None
    """The greatest change against the version before."""

    @model_validator(mode="after")
    def _promises(self) -> Volume:
        if self.min is None and self.max is None and self.max_change is None:
            raise ValueError("promises nothing; give min, max or max_change")
        return self


class RunTime(_Promise):
    """How long a run may take."""

    target: Period
    """The time promised."""
    breach: Period | None = None
    """The time at which the promise is broken; the target where left out."""

    @model_validator(mode="after")
    def _ordered(self) -> RunTime:
        _later(self.target, self.breach)
        return self


class SchemaPromise(_Promise):
    """That an output's columns and their types stay within what its version says."""


class Review(Part):
    """When broken promises call for a review."""

    breaches: int = Field(default=3, ge=1)
    """So many breaches of one promise"""
    within: Period = timedelta(days=30)
    """within this time."""


def _later(target: timedelta, breach: timedelta | None) -> None:
    if breach is not None and breach < target:
        raise ValueError("breach is before target; a promise is broken after the time that was promised")


class Sla(Part):
    """What the owner promises consumers about the product at work."""

    freshness: Annotated[tuple[Freshness, ...], *_LISTED] = ()
    """How old the newest data may be; one promise or several."""
    landing: Landing | None = None
    """The time of day by which a run has published."""
    completeness: Annotated[tuple[Level, ...], *_LISTED] = ()
    """Share of required values that are there; one promise or several."""
    accuracy: Annotated[tuple[Level, ...], *_LISTED] = ()
    """Share of rows that pass the rules."""
    consistency: Annotated[tuple[Level, ...], *_LISTED] = ()
    """Share of rows that agree with other tables."""
    availability: Annotated[Availability | None, _Spelled()] = None
    """Share of probes that could read the outputs."""
    latency: Annotated[tuple[Latency, ...], *_LISTED] = ()
    """How long consumers' queries take; one promise or several."""
    volume: Annotated[tuple[Volume, ...], *_LISTED] = ()
    """How many rows there are."""
    schema_drift: SchemaPromise | None = None
    """That the schema does not change under consumers: {} or a severity."""
    duration: Annotated[RunTime | None, _Spelled()] = None
    """How long a run may take."""
    review: Review = Review()
    """When breaches call for a review."""

    @model_validator(mode="before")
    @classmethod
    def _spelled(cls, value: Any) -> Any:
        return canonical(value)
