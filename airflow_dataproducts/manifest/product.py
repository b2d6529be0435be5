"""The manifest's root: a data product."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from airflow_dataproducts.manifest.base import Name, Part, SqlName, Text
from airflow_dataproducts.manifest.inputs import Input, ProductInput
from airflow_dataproducts.manifest.outputs import Output
from airflow_dataproducts.manifest.problems import report
from airflow_dataproducts.manifest.sla import Sla
from airflow_dataproducts.manifest.units import Duration, Version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataproducts.manifest.nodes import Loc
    from airflow_dataproducts.manifest.problems import Problem

API_VERSION = "dataproducts/v1"
MANUAL = "manual"

Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", json_schema_extra={"format": "email"})]


class Owner(Part):
    """Who answers for the product."""

    team: Text
    """The team."""
    email: Email | None = None
    """Where it reads mail."""
    slack: str | None = None
    """Its Slack channel, in quotes: "#sales-data"."""
    on_call: str | None = None
    """Whom to mention when it is urgent: "@sales-oncall"."""


class Access(Part):
    """A right to read, for a role or a domain."""

    role: str | None = None
    """The role that gets it."""
    domain: str | None = None
    """The domain that gets it."""
    permissions: tuple[Literal["select", "insert"], ...] = ("select",)
    """What is allowed."""

    @model_validator(mode="after")
    def _one_of(self) -> Access:
        if (self.role is None) == (self.domain is None):
            raise ValueError("access is given to either a role or a domain")
        return self


class Waiver(Part):
    """A policy this product may break for a while."""

    policy: Text
    """The policy."""
    until: date
    """The last day of it."""
    reason: Text
    """Why."""
    approved_by: Text
    """Who allowed it."""


class Governance(Part):
    """How the data must be treated."""

    classification: Literal["public", "internal", "confidential", "restricted"] | None = None
    """Who may know it: public, internal, confidential or restricted."""
    retention: Duration | None = None
    """How long the data is kept."""
    compliance: tuple[str, ...] = ()
    """Regulations that apply: GDPR, CCPA, ..."""
    access: tuple[Access, ...] = ()
    """Who may read."""
    waivers: tuple[Waiver, ...] = ()
    """Policies that are waived, by whom and until when."""


class Escalation(Part):
    """Whom to tell when nothing happens."""

    after: Duration
    """How long an incident may stay open."""
    to: Text
    """Who is told then."""


class Alerts(Part):
    """Where broken promises are announced."""

    slack: str | None = None
    """A Slack channel, in quotes: "#sales-data"."""
    escalate: Escalation | None = None
    """Whom to tell when nothing happens."""
    also: tuple[str, ...] = ()
    """Further ways: email, pagerduty, or the class of an Airflow notifier."""
    runbook: Annotated[str, Field(pattern=r"^https?://[^\s<>|]+$")] | None = None
    """The address of the page that says what to do; messages link to it."""


class Consumer(Part):
    """A known reader of the product."""

    team: Text
    """The team that reads."""
    contact: str | None = None
    """Where it is reached."""
    uses: tuple[SqlName, ...] = ()
    """The columns it relies on."""


class Change(Part):
    """What a version brought."""

    version: Version
    """The version."""
    date: date
    """The day it came."""
    breaking: bool = False
    """Whether consumers had to change something."""
    changes: tuple[str, ...] = ()
    """What is new."""


class Execution(Part):
    """How Airflow runs the product's tasks."""

    retries: int = Field(default=2, ge=0)
    """How often a failed task is tried again; mistakes in the manifest and broken contracts are not."""
    retry_delay: Duration = timedelta(minutes=1)
    """The wait before it."""
    timeout: Duration | None = None
    """The longest a task may take."""
    pool: Text | None = None
    """The Airflow pool of the tasks; the setting [dataproducts] pool where left out."""


class Product(Part):
    """A data product: what product.yaml says."""

    api_version: Literal["dataproducts/v1"] = Field(alias="apiVersion")
    """dataproducts/v1"""
    kind: Literal["DataProduct"]
    """DataProduct"""
    name: Name
    """Name of the product within its domain."""
    domain: Name
    """The domain that owns it."""
    version: Version
    """Semantic version of the outputs' contracts."""
    status: Literal["draft", "active", "deprecated", "retired"] = "active"
    """draft (comes paused), active, deprecated or retired (is not scheduled)."""
    tier: str | None = None
    """bronze, silver, gold, platinum, or the site's own word."""
    description: Text
    """What the product is for, in a sentence or two."""
    owner: Owner
    """Who answers for it."""
    tags: tuple[str, ...] = ()
    """Words to find it by; they are the DAG's tags too."""
    schedule: Annotated[str | None, BeforeValidator(lambda v: MANUAL if v is None else v)] = None
    """Cron ("0 2 * * *") or preset (@daily); manual for no schedule; left out, it runs when an input product publishes."""
    inputs: dict[SqlName, Input] = Field(min_length=1)
    """Where the data comes from, by the name the SQL uses."""
    outputs: dict[SqlName, Output] = Field(min_length=1)
    """What is published, by name."""
    sla: Sla = Sla()
    """What is promised about the product at work."""
    governance: Governance = Governance()
    """How the data must be treated."""
    alerts: Alerts = Alerts()
    """Where broken promises are announced."""
    consumers: tuple[Consumer, ...] = ()
    """Known readers."""
    changelog: tuple[Change, ...] = ()
    """What each version brought."""
    execution: Execution = Execution()
    """How Airflow runs the tasks."""

    @property
    def id(self) -> str:
        """``<domain>.<name>``: the product's id and its DAG's."""
        return f"{self.domain}.{self.name}"

    @property
    def upstream(self) -> tuple[str, ...]:
        """Ids of the products it reads, sorted."""
        return tuple(sorted({each.product for each in self.inputs.values() if isinstance(each, ProductInput)}))

    @model_validator(mode="after")
    def _consistent(self) -> Product:
        report(_product_problems(self))
        return self


def _product_problems(product: Product) -> Iterator[Problem]:
    columns = {column.name for output in product.outputs.values() for column in output.contract.columns}
    problem = _schedule_problem(product.schedule)
    if problem:
        yield ("schedule",), problem
    for name, output in product.outputs.items():
        if output.transform is None and len(product.inputs) > 1:
            yield ("outputs", name, "transform"), "is missing; with several inputs SQL must say how they make an output"
    for name, each in product.inputs.items():
        if isinstance(each, ProductInput) and each.product == product.id:
            yield ("inputs", name, "product"), f"found {each.product!r}, which is this product itself"
    yield from _use_problems(product)
    yield from _sla_problems(product)
    yield from _rule_problems(product)
    for index, consumer in enumerate(product.consumers):
        for position, used in enumerate(consumer.uses):
            if used not in columns:
                allowed = ", ".join(sorted(columns))
                yield (
                    ("consumers", index, "uses", position),
                    f"found {used!r}, which no output has (allowed: {allowed})",
                )


def _use_problems(product: Product) -> Iterator[Problem]:
    """Outputs that use what there is not, and inputs that are read twice where that shows."""
    for name, output in product.outputs.items():
        for index, used in enumerate(output.uses):
            others = [each for each in product.outputs if each != name]
            if used not in others:
                allowed = f" (allowed: {', '.join(others)})" if others else ""
                yield ("outputs", name, "uses", index), f"found {used!r}, which is no other output{allowed}"
    again = [name for name, output in product.outputs.items() if output.publish.mode == "append"]
    for name, source in product.inputs.items():
        if getattr(source, "lookback", None) is None:
            continue
        if source.cursor is None:  # type: ignore[union-attr]
            yield ("inputs", name, "lookback"), "needs a cursor to look back on"
        elif again:
            yield (
                ("inputs", name, "lookback"),
                f"reads rows again, which output {again[0]} would append again; use mode merge or replace-partition",
            )


def _rule_problems(product: Product) -> Iterator[Problem]:
    """Rules that look at tables which this product neither reads nor makes."""
    for name, output in product.outputs.items():
        others = [*product.inputs, *(each for each in product.outputs if each != name)]
        contract = output.contract
        referring = [(("columns", index), each) for index, each in enumerate(contract.columns)]
        for place, each in (*referring, *((("rules", index), rule) for index, rule in enumerate(contract.rules))):
            target = each.references.input if each.references else None
            if target is not None and target not in others:
                loc = ("outputs", name, "contract", *place, "references")
                yield (
                    loc,
                    f"found the table {target!r}, which is no input or other output (allowed: {', '.join(others)})",
                )
        for index, rule in enumerate(contract.rules):
            for position, source in enumerate(rule.schema_drift):
                if source not in product.inputs:
                    where = ("outputs", name, "contract", "rules", index, "schema_drift", position)
                    yield where, f"found {source!r}, which is no input (allowed: {', '.join(product.inputs)})"


def _sla_problems(product: Product) -> Iterator[Problem]:
    """Promises about outputs and columns that there are not."""
    several = len(product.outputs) > 1
    for kind in ("freshness", "completeness", "accuracy", "consistency", "volume"):
        for index, promise in enumerate(getattr(product.sla, kind)):
            place = ("sla", kind, index)
            name = promise.output
            if name is None and several and kind in {"freshness", "volume"}:
                yield (*place, "output"), f"is missing; say which one: {', '.join(product.outputs)}"
            elif name is not None and name not in product.outputs:
                yield (*place, "output"), f"found {name!r}, which is no output (allowed: {', '.join(product.outputs)})"
            elif (column := getattr(promise, "column", None)) is not None:
                yield from _column_problem(product, (*place, "column"), name, column)


def _column_problem(product: Product, place: Loc, output: str | None, column: str) -> Iterator[Problem]:
    outputs = [product.outputs[output]] if output else list(product.outputs.values())
    kinds = {each.name: each.type.name for one in outputs for each in one.contract.columns}
    is_age = place[1] == "freshness"
    cursors = [cursor for each in product.inputs.values() if is_age and (cursor := getattr(each, "cursor", None))]
    if column not in kinds and column not in cursors:
        yield place, f"found {column!r}, which is no column (allowed: {', '.join([*kinds, *cursors])})"
    elif is_age and kinds.get(column, "date") not in {"date", "timestamp", "timestamptz"}:
        yield place, f"found {column!r}, a {kinds[column]}; the age of data needs a date or a moment"


_PRESETS = ("@once", "@continuous", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", MANUAL)


def _schedule_problem(schedule: str | None) -> str | None:
    if schedule is None or schedule in _PRESETS:
        return None
    from croniter import croniter  # only here: most products have a preset or none, and start-up counts

    if len(schedule.split()) != 5 or not croniter.is_valid(schedule):  # noqa: PLR2004 - cron has five fields
        return f"found {schedule!r}; a schedule is five cron fields or one of {', '.join(_PRESETS)}"
    return None
