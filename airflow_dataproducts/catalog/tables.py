"""The catalog's tables."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

ID = String(250)
RUN = String(250)
NAME = String(250)


def when(name: str, *, nullable: bool = False) -> Column[object]:
    """A column of moments, kept in UTC."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


products = Table(
    "products",
    metadata,
    Column("product_id", ID, primary_key=True),
    Column("domain", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("version", String(50), nullable=False),
    Column("status", String(20), nullable=False),
    Column("tier", String(50)),
    Column("description", Text, nullable=False),
    Column("owner", JSON, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("manifest_path", Text, nullable=False),
    when("updated_at"),
)
"""Every product that has run, as its newest manifest says."""

product_versions = Table(
    "product_versions",
    metadata,
    Column("product_id", ID, primary_key=True),
    Column("version", String(50), primary_key=True),
    Column("manifest", JSON, nullable=False),
    when("first_seen_at"),
)
"""The manifest with which a version first ran."""

runs = Table(
    "runs",
    metadata,
    Column("product_id", ID, primary_key=True),
    Column("run_id", RUN, primary_key=True),
    Column("version", String(50), nullable=False),
    Column("state", String(20), nullable=False),
    Column("failed_task", NAME),
    Column("error", Text),
    when("started_at"),
    when("finished_at", nullable=True),
    Index("ix_runs_started", "product_id", "started_at"),
)
"""Runs: running, success or failed."""

extracts = Table(
    "extracts",
    metadata,
    Column("product_id", ID, primary_key=True),
    Column("run_id", RUN, primary_key=True),
    Column("input", NAME, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("watermark", Text),
    when("extracted_at"),
)
"""What a run read from each input; ``watermark`` is how far, which a run that reads again may not pass."""

validations = Table(
    "validations",
    metadata,
    Column("product_id", ID, primary_key=True),
    Column("run_id", RUN, primary_key=True),
    Column("output", NAME, primary_key=True),
    Column("success", Boolean, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("checks", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("warned", Integer, nullable=False),
    Column("score", Float),
    Column("dimensions", JSON),
    Column("results", JSON, nullable=False),
    Column("gx", JSON, nullable=False),
    when("validated_at"),
)
"""What a run's validation of each output found; ``gx`` is Great Expectations' own JSON, ``score`` the quality score from
0 to 100, ``dimensions`` the same by dimension."""

column_metrics = Table(
    "column_metrics",
    metadata,
    Column("product_id", ID, primary_key=True),
    Column("run_id", RUN, primary_key=True),
    Column("output", NAME, primary_key=True),
    Column("column_name", NAME, primary_key=True),
    Column("nulls", BigInteger, nullable=False),
    Column("distinct_values", BigInteger, nullable=False),
    Column("minimum", Text),
    Column("maximum", Text),
)
"""Measures of each column in each run; extremes are NULL for personal data."""

publications = Table(
    "publications",
    metadata,
    Column("product_id", ID, primary_key=True),
    Column("run_id", RUN, primary_key=True),
    Column("output", NAME, primary_key=True),
    Column("version", String(50), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("location", Text, nullable=False),
    Column("connection", NAME),
    Column("revision", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    when("published_at"),
    Index("ix_publications_newest", "product_id", "output", "published_at"),
)
"""What each run made visible."""

watermarks = Table(
    "watermarks",
    metadata,
    Column("product_id", ID, primary_key=True),
    Column("input", NAME, primary_key=True),
    Column("value", Text, nullable=False),
    Column("run_id", RUN, nullable=False),
    when("updated_at"),
)
"""The greatest cursor value of each incremental input that has been published."""

lineage = Table(
    "lineage",
    metadata,
    Column("product_id", ID, primary_key=True),
    Column("output", NAME, primary_key=True),
    Column("output_column", NAME, primary_key=True),
    Column("source", NAME, primary_key=True),
    Column("source_column", NAME, primary_key=True),
    Column("run_id", RUN, nullable=False),
    when("updated_at"),
)
"""What each output is made from, as its newest run knows it: inputs and other outputs of the product, with their columns; the
columns are empty in the row that only says which table."""
