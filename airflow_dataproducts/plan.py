"""Product → Plan: the steps of a run and their order, as plain data.

The DAG, ``dataproducts run`` and ``dataproducts plan`` are readings of the same plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from airflow_dataproducts.contract import rules as r
from airflow_dataproducts.contract.checks import compile_contract
from airflow_dataproducts.exceptions import ConfigurationError
from airflow_dataproducts.manifest.inputs import FileInput, KafkaInput, ProductInput
from airflow_dataproducts.manifest.load import load_manifest
from airflow_dataproducts.manifest.product import MANUAL

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataproducts.contract.checks import Check
    from airflow_dataproducts.manifest.inputs import Input
    from airflow_dataproducts.manifest.load import Manifest
    from airflow_dataproducts.manifest.outputs import Output
    from airflow_dataproducts.manifest.product import Product

Stage = Literal["extract", "transform", "validate", "publish"]
STAGES: tuple[Stage, ...] = get_args(Stage)
RECORD = "record"
DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Window:
    """A range of a cursor's values: from ``start``, which is part of it, to ``end``, which is not; ISO 8601 or digits."""

    start: str
    end: str


@dataclass(frozen=True, slots=True)
class ExtractStep:
    """Copy one input to staging.

    Attributes:
        name: the input's name.
        source: where it is; a relative file path has become absolute.
        incremental: read only rows past the watermark of the cursor, and keep it.
        anew: read from the start all the same.
        window: read only the rows of these days, and leave the watermark where it is.
        stays: the rows stay in their database, which makes outputs of them itself.
    """

    name: str
    source: Input
    incremental: bool
    anew: bool = False
    window: Window | None = None
    stays: bool = False


@dataclass(frozen=True, slots=True)
class TransformStep:
    """Make one output from the staged inputs.

    Attributes:
        name: the output's name.
        output: its manifest.
        sql: the query; None where ``function`` makes the output.
        function: ``package.module:function``; None where ``sql`` does.
        folder: the manifest's folder, from which functions may be imported too.
        uses: the other outputs that it is made from.
    """

    name: str
    output: Output
    sql: str | None
    function: str | None
    folder: str
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ValidateStep:
    """Check one output against its contract."""

    name: str
    output: Output
    checks: tuple[Check, ...]

    @property
    def engine(self) -> str:
        """What checks it: the engine that made it, but for what a scan of Spark's files by DuckDB alone can do.

        That is to set rows aside, to look at rows that are there already, and to know the schema that an extract saw.
        """
        scanned = self.output.publish.mode != "replace" or any(
            check.on_violation == "quarantine" or isinstance(check.rule, r.SchemaOf) for check in self.checks
        )
        return "duckdb" if self.output.engine == "spark" and scanned else self.output.engine


@dataclass(frozen=True, slots=True)
class PublishStep:
    """Make one output visible to readers, at once and only once per run."""

    name: str
    output: Output


Step = ExtractStep | TransformStep | ValidateStep | PublishStep
_OutputStep = TypeVar("_OutputStep", TransformStep, ValidateStep, PublishStep)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a product runs: by ``cron`` (or preset), when every one of ``products`` has published, or else by hand."""

    cron: str | None = None
    products: tuple[ProductInput, ...] = ()

    def __str__(self) -> str:
        if self.cron:
            return self.cron
        if self.products:
            return f"when {' and '.join(each.product for each in self.products)} published"
        return MANUAL


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run of a product does.

    Attributes:
        product: the product.
        path: its manifest.
        extracts, transforms, validations, publications: the steps of each stage; steps of one stage may run at once,
            each stage waits for the whole stage before, so that either all outputs become visible or none.
    """

    product: Product
    path: Path
    schedule: Schedule
    extracts: tuple[ExtractStep, ...]
    transforms: tuple[TransformStep, ...]
    validations: tuple[ValidateStep, ...]
    publications: tuple[PublishStep, ...]

    @property
    def stages(self) -> tuple[tuple[Stage, tuple[Step, ...]], ...]:
        """The stages with their steps, in order."""
        steps = (self.extracts, self.transforms, self.validations, self.publications)
        return tuple(zip(STAGES, steps, strict=True))

    def rebuilt(self) -> Plan:
        """The plan of a run that reads everything and replaces whatever was published."""
        return replace(
            self,
            extracts=tuple(replace(step, anew=True) for step in self.extracts),
            transforms=tuple(_replacing(step) for step in self.transforms),
            validations=tuple(_replacing(step) for step in self.validations),
            publications=tuple(_replacing(step) for step in self.publications),
        )

    def within(self, window: Window) -> Plan:
        """The plan of a run that reads and publishes the rows of some days again.

        Raises:
            ConfigurationError: an output would lose the other rows, or have these twice.
        """
        for step in self.publications:
            mode = step.output.publish.mode
            if mode in {"replace", "append"}:
                loss = "would hold these rows alone" if mode == "replace" else "would hold these rows twice"
                raise ConfigurationError(
                    f"output {step.name}: its mode is {mode}, with which it {loss}; a range needs merge or replace-partition"
                )
        extracts = (replace(step, window=window) if _goes_on(step.source) else step for step in self.extracts)
        return replace(self, extracts=tuple(extracts))


def task_id(stage: Stage, step: Step) -> str:
    """``extract.orders``: the task of a step."""
    return f"{stage}.{step.name}"


def build_plan(manifest: Manifest) -> Plan:
    """The plan of a manifest. Reads the SQL files it names, nothing else."""
    product = manifest.product
    folder = manifest.path.absolute().parent
    uses = manifest.uses()
    order = list(TopologicalSorter(uses).static_order()) if any(uses.values()) else list(uses)
    staying = manifest.staying()
    whole = any(output.publish.mode == "replace" for output in product.outputs.values())
    return Plan(
        product=product,
        path=manifest.path,
        schedule=_schedule(product),
        extracts=tuple(
            ExtractStep(
                name,
                _absolute(each, folder),
                _goes_on(each) and not whole,
                stays=name in staying,
            )
            for name, each in product.inputs.items()
        ),
        transforms=tuple(_transform(manifest, name, uses[name]) for name in order),
        validations=tuple(
            ValidateStep(name, output, compile_contract(output.contract)) for name, output in product.outputs.items()
        ),
        publications=tuple(PublishStep(name, output) for name, output in product.outputs.items()),
    )


def load_plan(path: Path, root: Path | None = None) -> Plan:
    """The plan of a product.yaml.

    Raises:
        ManifestError: with every finding of the file.
    """
    return build_plan(load_manifest(path, root))


def _schedule(product: Product) -> Schedule:
    if product.status == "retired" or product.schedule == MANUAL:
        return Schedule()
    if product.schedule is not None:
        return Schedule(cron=product.schedule)
    return Schedule(products=tuple(each for each in product.inputs.values() if isinstance(each, ProductInput)))


def _goes_on(source: Input) -> bool:
    """Whether an input can be read from where the last run ended."""
    return isinstance(source, KafkaInput) or getattr(source, "cursor", None) is not None


def _absolute(source: Input, folder: Path) -> Input:
    if isinstance(source, KafkaInput) and source.avro_schema is not None:
        return source.model_copy(update={"avro_schema": str(folder / source.avro_schema)})
    if isinstance(source, FileInput) and "://" not in source.path:
        return source.model_copy(update={"path": str(folder / source.path)})
    return source


def _transform(manifest: Manifest, name: str, uses: tuple[str, ...]) -> TransformStep:
    output = manifest.product.outputs[name]
    sql = manifest.sql(name)
    function = output.transform.strip() if sql is None and output.transform else None
    return TransformStep(name, output, sql, function, str(manifest.path.absolute().parent), uses)


def _replacing(step: _OutputStep) -> _OutputStep:
    publish = step.output.publish.model_copy(update={"mode": "replace"})
    return replace(step, output=step.output.model_copy(update={"publish": publish}))
