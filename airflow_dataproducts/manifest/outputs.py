"""What a product publishes, and where to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from airflow_dataproducts.manifest.base import Part, SqlName, Text
from airflow_dataproducts.manifest.contract import Contract
from airflow_dataproducts.manifest.problems import output_problems, report

Mode = Literal["replace", "append", "merge", "replace-partition"]


class _Publish(Part):
    """What every way of publishing knows."""

    mode: Mode = "replace"
    """replace the whole, append the run's rows, merge them by primary key, or replace-partition: those that the run has rows of."""
    partition_by: tuple[SqlName, ...] = ()
    """Columns that split the files into folders, and that say for replace-partition what a partition is."""
    order_by: SqlName | None = None
    """For merge, a column that says which of two rows of a key is newer: late rows then do not replace newer ones."""
    deleted: SqlName | None = None
    """For merge, a boolean column: where it is true, the row of that key is taken away."""


class LakePublish(_Publish):
    """A Delta table or a folder of Parquet."""

    to: Literal["delta", "parquet"]
    """delta or parquet."""
    location: str | None = None
    """A path or s3:// URI; relative or left out, it lies under the setting [dataproducts] storage."""
    connection: str | None = None
    """The Airflow connection (type aws) for object storage; left out, the machine's own credentials."""


class PostgresPublish(_Publish):
    """A view in PostgreSQL that always shows the current version."""

    to: Literal["postgres"]
    """postgres."""
    connection: Text
    """The Airflow connection of the database."""
    table: Text = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$")
    """The view consumers read, with its schema: mart.orders."""


class IcebergPublish(_Publish):
    """A table of an Iceberg catalog."""

    to: Literal["iceberg"]
    """iceberg."""
    connection: Text
    """The Airflow connection of the catalog: type iceberg (a REST catalog), or postgres or sqlite (a database that holds one)."""
    table: Text = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$")
    """The table with its namespace: mart.orders."""
    location: str | None = None
    """Where its files go: a path or s3:// URI; relative or left out, it lies under the setting [dataproducts] storage."""


class KafkaPublish(_Publish):
    """One message for each row of a run."""

    to: Literal["kafka"]
    """kafka."""
    connection: Text
    """The Airflow connection (type kafka) of the brokers; its extra may name a schema.registry.url."""
    topic: Text
    """The topic."""
    mode: Mode = "append"
    """append: messages stay."""
    format: Literal["json", "avro"] = "json"
    """What a message is: a JSON object, or Avro by a schema made from the contract."""
    key: tuple[SqlName, ...] = ()
    """The columns of the message's key; left out, the contract's primary key."""


PUBLISH_KINDS: dict[str, type[Part]] = {
    "delta": LakePublish, "parquet": LakePublish, "postgres": PostgresPublish, "iceberg": IcebergPublish,
    "kafka": KafkaPublish,
}  # fmt: skip


def _target(value: Any) -> str | None:
    to = getattr(value, "to", None) if isinstance(value, Part) else value.get("to") if isinstance(value, dict) else None
    if to in {"postgres", "iceberg", "kafka"}:
        return f"<{to}>"
    return "<lake>" if isinstance(to, str) and to in PUBLISH_KINDS else None


Publish = Annotated[
    Annotated[LakePublish, Tag("<lake>")]
    | Annotated[PostgresPublish, Tag("<postgres>")]
    | Annotated[IcebergPublish, Tag("<iceberg>")]
    | Annotated[KafkaPublish, Tag("<kafka>")],
    Discriminator(_target),
]


class Output(Part):
    """One table the product publishes."""

    contract: Contract
    """What consumers may rely on."""
    transform: Text | None = None
    """A .sql file beside the manifest, SQL itself, or package.module:function; left out, the only input is published."""
    uses: tuple[SqlName, ...] = ()
    """Other outputs that a function reads; SQL shows it by itself."""
    engine: str = "duckdb"
    """What runs the SQL: duckdb, in the task itself; spark, where the site's setting says (it makes neither time nor struct); or the database that the output is published to, by its connection. The SQL is DuckDB's in any case."""
    publish: Publish = LakePublish(to="delta")
    """Where it goes."""
    description: str = ""
    """What the table holds, for those who read it."""

    @model_validator(mode="after")
    def _consistent(self) -> Output:
        report(output_problems(self))
        return self
