"""Where a product's data comes from. The field that is there says which kind of input it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

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


class ProductInput(Part):
    """An output of another product: only published, validated data."""

    product: ProductId
    """The product, as <domain>.<name>."""
    output: SqlName | None = None
    """Which of its outputs; left out where it has one only."""
    version: Range | None = None
    """The versions this product can read: ^2, ~2.1, >=2.0.0."""


INPUT_KINDS: dict[str, type[Part]] = {
    "table": TableInput, "query": QueryInput, "path": FileInput, "product": ProductInput,
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
    | Annotated[ProductInput, Tag("<product>")],
    Discriminator(_kind),
]
