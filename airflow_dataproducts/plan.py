"""Product → Plan: the steps of a run and their order, as plain data.

The DAG, ``dataproducts run`` and ``dataproducts plan`` are readings of the same plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from airflow_dataproducts.contract.checks import compile_contract
from airflow_dataproducts.manifest.inputs import FileInput, ProductInput
from airflow_dataproducts.manifest.load import is_function, load_manifest
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
class ExtractStep:
    """Copy one input to staging.

    Attributes:
        name: the input's name.
        source: where it is; a relative file path has become absolute.
        incremental: read only rows past the watermark of the cursor.
    """

    name: str
    source: Input
    incremental: bool


@dataclass(frozen=True, slots=True)
class TransformStep:
    """Make one output from the staged inputs.

    Attributes:
        name: the output's name.
        output: its manifest.
        sql: the query; None where ``function`` makes the output.
        function: ``package.module:function``; None where ``sql`` does.
        folder: the manifest's folder, from which functions may be imported too.
    """

    name: str
    output: Output
    sql: str | None
    function: str | None
    folder: str


@dataclass(frozen=True, slots=True)
class ValidateStep:
    """Check one output against its contract."""

    name: str
    output: Output
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class PublishStep:
    """Make one output visible to readers, at once and only once per run."""

    name: str
    output: Output


Step = ExtractStep | TransformStep | ValidateStep | PublishStep


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


def task_id(stage: Stage, step: Step) -> str:
    """``extract.orders``: the task of a step."""
    return f"{stage}.{step.name}"


def build_plan(manifest: Manifest) -> Plan:
    """The plan of a manifest. Reads the SQL files it names, nothing else."""
    product = manifest.product
    folder = manifest.path.absolute().parent
    whole = any(output.publish.mode == "replace" for output in product.outputs.values())
    return Plan(
        product=product,
        path=manifest.path,
        schedule=_schedule(product),
        extracts=tuple(
            ExtractStep(name, _absolute(each, folder), bool(getattr(each, "cursor", None)) and not whole)
            for name, each in product.inputs.items()
        ),
        transforms=tuple(_transform(manifest, folder, name, output) for name, output in product.outputs.items()),
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


def _absolute(source: Input, folder: Path) -> Input:
    if isinstance(source, FileInput) and "://" not in source.path:
        return source.model_copy(update={"path": str(folder / source.path)})
    return source


def _transform(manifest: Manifest, folder: Path, name: str, output: Output) -> TransformStep:
    sql, function = None, None
    if output.transform is None:
        sql = f'SELECT * FROM "{next(iter(manifest.product.inputs))}"'
    elif is_function(output.transform):
        function = output.transform.strip()
    else:
        file = manifest.sql_file(output.transform)
        sql = file.read_text(encoding="utf-8") if file else output.transform
    return TransformStep(name, output, sql, function, str(folder))
