"""A run of a product: what every step of it knows."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from airflow_dataproducts.catalog.store import RunKey
from airflow_dataproducts.engine import staging
from airflow_dataproducts.engine.kept import Kept
from airflow_dataproducts.engine.staging import Staged
from airflow_dataproducts.engine.storage import open_place
from airflow_dataproducts.engine.targets import open_target
from airflow_dataproducts.exceptions import ConfigurationError
from airflow_dataproducts.plan import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb
    import pyarrow.dataset as pads

    from airflow_dataproducts.catalog.store import Catalog
    from airflow_dataproducts.engine.connections import Connections
    from airflow_dataproducts.engine.moment import Moment
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.engine.targets import Target
    from airflow_dataproducts.plan import Plan, PublishStep, Step, TransformStep, ValidateStep
    from airflow_dataproducts.settings import Settings

log = logging.getLogger("airflow_dataproducts")

_Step = TypeVar("_Step", bound="Step")
OutputStep: TypeAlias = "TransformStep | ValidateStep | PublishStep"
Reference = dict[str, Any]
"""What a step hands to the next: see each function's Returns."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Where an output's rows are written before anyone sees them.

    Attributes:
        place: an empty folder.
        partition_by: columns that become folders.
        connection: the Airflow connection that reaches it; None for a disk or the machine's own credentials.
        in_files: whether these columns are in the files, too.
    """

    place: Place
    partition_by: tuple[str, ...]
    connection: str | None
    in_files: bool = False

    def save(self, relation: duckdb.DuckDBPyRelation) -> Staged:
        """Write what DuckDB computes."""
        saved = staging.save(self.place, relation, self.partition_by, in_files=self.in_files)
        return replace(saved, connection=self.connection)


@dataclass(frozen=True, slots=True)
class Options:
    """What may be asked of a run.

    Attributes:
        full: read everything and replace whatever was published.
        start: with ``end``, read and publish the rows of these days again: from here, which is part of it, ISO 8601.
        end: to there, which is not.
        rollback_to: go back to a version (revision, run id or version number) instead.
    """

    full: bool = False
    start: str | None = None
    end: str | None = None
    rollback_to: str | None = None

    def apply(self, plan: Plan, moment: Moment) -> tuple[Plan, Moment]:
        """The plan and moment of a run that was asked this.

        Raises:
            ConfigurationError: it cannot be done, or not with this product.
        """
        if not (self.start or self.end):
            return (plan.rebuilt() if self.full else plan), moment
        if self.full or not (self.start and self.end):
            raise ConfigurationError("a range is given by both --from and --to (params from and to), without --full")
        start, end = _moment(self.start), _moment(self.end)
        if start >= end:
            raise ConfigurationError(f"the range from {self.start} to {self.end} holds nothing")
        return plan.within(Window(self.start, self.end)), replace(moment, start=start, end=end)


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"found {text!r}; a range is given by dates or moments such as 2026-01-31") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a product.

    Attributes:
        plan: what it does.
        settings, connections, catalog: the site's.
        moment: when it runs, and its id, by which everything it does is idempotent.
        rollback_to: instead of all that, the version to go back to.
    """

    plan: Plan
    settings: Settings
    connections: Connections
    catalog: Catalog
    moment: Moment
    rollback_to: str | None = None

    @property
    def staging_of_product(self) -> Place:
        """The folder of the staged data of all runs of the product."""
        return open_place(self.settings.staging) / self.plan.product.id

    @property
    def run_id(self) -> str:
        """Airflow's run id."""
        return self.moment.run_id

    def step(self, step: _Step) -> _Step:
        """A step as this run does it: a full one reads and replaces everything, whatever the manifest says."""
        return next(
            each
            for stage in self.plan.stages
            for each in stage[1]
            if type(each) is type(step) and each.name == step.name
        )

    @property
    def key(self) -> RunKey:
        """The run's key in the catalog."""
        return RunKey(self.plan.product.id, self.run_id)

    @property
    def staging(self) -> Place:
        """The folder of the run's staged data."""
        return self.staging_of_product / self.folder

    def target(self, step: OutputStep) -> Target:
        """The target of an output."""
        return open_target(self.plan.product.id, step.name, step.output, self.connections, self.settings)

    def draft(self, step: OutputStep, stage: str) -> Draft:
        """A new place for an output's rows: the target's own, so that publishing need not move them, or the staging area."""
        target = self.target(step)
        place = target.draft(self.folder)
        if place is None:
            return Draft(staging.new_folder(self.staging, stage, step.name), (), None)
        publish = step.output.publish
        return Draft(place, publish.partition_by, publish.connection, target.columns_in_files)

    def read(self, reference: Reference) -> pads.Dataset:
        """The rows that a reference names."""
        return staging.read(Staged.from_dict(reference), self.connections)

    def rows(self, reference: Reference) -> pads.Dataset | Kept:
        """The rows that a reference names, which may stay in their database."""
        return Kept.among(reference) or self.read(reference)

    @property
    def folder(self) -> str:
        """The run's name as a folder's."""
        return folder_of(self.run_id)


def folder_of(run_id: str) -> str:
    """A run's name as a folder's: readable, safe, and no other run's."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", run_id)[:60].strip("-")
    return f"{readable}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def counts(inputs: Mapping[str, Reference]) -> str:
    """How many rows each input gave, in words."""
    return ", ".join(f"{name} {each['rows']:,} rows" for name, each in inputs.items())
