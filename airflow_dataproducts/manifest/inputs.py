"""Where a product's data comes from. The field that is there says which kind of input it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from airflow_dataproducts.manifest.base import Part, ProductId, SqlName, Text
from airflow_dataproducts.manifest.contract import ColumnType
from airflow_dataproducts.manifest.units import Duration, Range


class _SqlInput(Part):
    """What a database answers."""

    connection: Text
    """The Airflow connection of the database."""
    cursor: SqlName | None = None
    """A column that only grows (updated_at, id): outputs that append or merge then read the new rows alone."""
    lookback: Duration | None = None
    """How far behind the last run's end to read again, for rows that come late; outputs must merge, or replace partitions."""


class TableInput(_SqlInput):
    """A table or view of a database."""

    table: Text
    """The table, with its schema: public.orders."""


class QueryInput(_SqlInput):
    """The result of a query in a database."""

    query: Text
    """The query, in the database's own SQL; $run_date and the other parameters of a run stand for its values."""


_TEXT_OR_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class FileOptions(Part):
    """How text files are to be read."""

    null_values: Annotated[tuple[str, ...], BeforeValidator(_listed), WithJsonSchema(_TEXT_OR_TEXTS)] = ("",)
    """Texts that mean NULL; an empty field where nothing is said."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """The character between two fields."""
    quote: str = Field(default='"', min_length=1, max_length=1)
    """The character around a field that holds a delimiter."""
    header: bool = True
    """Whether the first line names the columns; without, they are column0, column1, ..."""
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    """The encoding of the text."""
    skip: int = Field(default=0, ge=0)
    """Lines to pass over at the start."""


class FileInput(Part):
    """Files, on a disk that every worker sees or in object storage."""

    path: Text
    """A path (relative to the manifest), a glob, or s3://bucket/key."""
    format: Literal["parquet", "csv", "json"] | None = None
    """Left out, the path's ending says it."""
    connection: str | None = None
    """The Airflow connection (type aws) for object storage; left out, the machine's own credentials."""
    options: FileOptions = FileOptions()
    """How CSV is to be read."""
    types: dict[SqlName, ColumnType] = Field(default_factory=dict)
    """Types of CSV columns; a column not named here arrives as text, exactly as written."""


class Paging(Part):
    """How an API gives more than one page."""

    by: Literal["page", "offset", "cursor", "link"]
    """page (a number), offset (records to pass over), cursor (a mark in the answer) or link (an address in the answer)."""
    param: Text = "page"
    """The query parameter that takes the page, offset or cursor."""
    start: int = 1
    """The first page's number."""
    size_param: Text | None = None
    """The query parameter that takes the page's size."""
    size: int | None = Field(default=None, ge=1)
    """Records per page; a page with fewer is the last. Left out, the last is an empty one."""
    next: Text | None = None
    """Where the answer holds the next cursor or link, as a dotted path; left out for link, the header Link does."""

    @model_validator(mode="after")
    def _consistent(self) -> Paging:
        if self.by == "cursor" and self.next is None:
            raise ValueError("paging by cursor needs next: where the answer holds it")
        return self


class HttpInput(Part):
    """The records of a REST API that answers in JSON."""

    connection: Text
    """The Airflow connection (type http) of the server."""
    endpoint: Text
    """The address below the connection's: /v1/orders."""
    records: Text | None = None
    """Where the answer holds the list of records, as a dotted path: data.items; left out, it is the list."""
    params: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Query parameters."""
    headers: dict[str, str] = Field(default_factory=dict)
    """HTTP headers; secrets belong in the connection."""
    paging: Paging | None = None
    """How further pages are asked for; left out, there is one."""
    cursor: SqlName | None = None
    """A field that only grows; with since, outputs that append or merge then read the new records alone."""
    since: Text | None = None
    """The query parameter that takes the cursor's last published value."""
    types: dict[SqlName, ColumnType] = Field(default_factory=dict)
    """Types of fields; numbers with a fraction arrive as text, exactly as written, where none is named."""

    @model_validator(mode="after")
    def _consistent(self) -> HttpInput:
        if (self.cursor is None) != (self.since is None):
            raise ValueError(
                "cursor and since go together: the field, and the query parameter that takes its last value"
            )
        return self


class KafkaInput(Part):
    """The messages of a Kafka topic, from where the last run ended; with mode replace, all that the topic still holds.

    Columns: ``_key``, ``_partition``, ``_offset`` and ``_timestamp`` of every message, and its fields.
    """

    connection: Text
    """The Airflow connection (type kafka) of the brokers; its extra may name a schema.registry.url."""
    topic: Text
    """The topic."""
    format: Literal["json", "avro"] = "json"
    """What a message is: a JSON object, or Avro."""
    avro_schema: Text | None = None
    """An .avsc file beside the manifest; left out, the schema registry knows it."""
    types: dict[SqlName, ColumnType] = Field(default_factory=dict)
    """The fields to read, with their types; left out, the whole message is the text _value."""

    @model_validator(mode="after")
    def _consistent(self) -> KafkaInput:
        if self.avro_schema is not None and self.format != "avro":
            raise ValueError("avro_schema is for format: avro")
        return self


class ProductInput(Part):
    """An output of another product: only published, validated data."""

    product: ProductId
    """The product, as <domain>.<name>."""
    output: SqlName | None = None
    """Which of its outputs; left out where it has one only."""
    version: Range | None = None
    """The versions this product can read: ^2, ~2.1, >=2.0.0."""


INPUT_KINDS: dict[str, type[Part]] = {
    "table": TableInput, "query": QueryInput, "path": FileInput, "product": ProductInput, "endpoint": HttpInput,
    "topic": KafkaInput,
}  # fmt: skip


def _kind(value: Any) -> str | None:
    """The tag of an input's kind, told by its fields; None when there is none or more than one.

    Tags are written <so>, which no field is, so that errors can leave them out of a field's path.
    """
    if isinstance(value, Part):
        return next(f"<{kind}>" for kind, model in INPUT_KINDS.items() if isinstance(value, model))
    found = [kind for kind in INPUT_KINDS if kind in value] if isinstance(value, dict) else []
    return f"<{found[0]}>" if len(found) == 1 else None


Input = Annotated[
    Annotated[TableInput, Tag("<table>")]
    | Annotated[QueryInput, Tag("<query>")]
    | Annotated[FileInput, Tag("<path>")]
    | Annotated[ProductInput, Tag("<product>")]
    | Annotated[HttpInput, Tag("<endpoint>")]
    | Annotated[KafkaInput, Tag("<topic>")],
    Discriminator(_kind),
]
