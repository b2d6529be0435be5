"""What a product publishes, and where to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from airflow_dataproducts.manifest.base import Part, SqlName, Text
from airflow_dataproducts.manifest.contract import Contract
from airflow_dataproducts.manifest.problems import output_problems, report

Mode = Literal["replace", "append", "merge"]


class LakePublish(Part):
    """A Delta table or a folder of Parquet."""

    to: Literal["delta", "parquet"]
    """delta or parquet."""
    location: str | None = None
    """A path or s3:// URI; relative or left out, it lies under the setting [dataproducts] storage."""
    connection: str | None = None
    """The Airflow connection (type aws) for object storage; left out, the machine's own credentials."""
    mode: Mode = "replace"
    """replace the whole, append the run's rows, or merge them by primary key."""
    partition_by: tuple[SqlName, ...] = ()
    """Columns that split the files into folders."""


class PostgresPublish(Part):
    """A view in PostgreSQL that always shows the current version."""

    to: Literal["postgres"]
    """postgres."""
    connection: Text
    """The Airflow connection of the database."""
    table: Text = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$")
    """The view consumers read, with its schema: mart.orders."""
    mode: Mode = "replace"
    """replace the whole, append the run's rows, or merge them by primary key."""


PUBLISH_KINDS: dict[str, type[Part]] = {"delta": LakePublish, "parquet": LakePublish, "postgres": PostgresPublish}


def _target(value: Any) -> str | None:
    to = getattr(value, "to", None) if isinstance(value, Part) else value.get("to") if isinstance(value, dict) else None
    if to == "postgres":
        return "<postgres>"
    return "<lake>" if isinstance(to, str) and to in PUBLISH_KINDS else None


Publish = Annotated[
    Annotated[LakePublish, Tag("<lake>")] | Annotated[PostgresPublish, Tag("<postgres>")], Discriminator(_target)
]


class Output(Part):
    """One table the product publishes."""

    contract: Contract
    """What consumers may rely on."""
    transform: Text | None = None
    """A .sql file beside the manifest, SQL itself, or package.module:function; left out, the only input is published."""
    engine: str = "duckdb"
    """What runs the SQL: duckdb."""
    publish: Publish = LakePublish(to="delta")
    """Where it goes."""
    description: str = ""
    """What the table holds, for those who read it."""

    @model_validator(mode="after")
    def _consistent(self) -> Output:
        report(output_problems(self))
        return self
