"""Products, versions, runs, extracts, validations, column metrics, publications, watermarks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "column_metrics",
        sa.Column("product_id", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("output", sa.String(length=250), nullable=False),
        sa.Column("column_name", sa.String(length=250), nullable=False),
        sa.Column("nulls", sa.BigInteger(), nullable=False),
        sa.Column("distinct_values", sa.BigInteger(), nullable=False),
        sa.Column("minimum", sa.Text(), nullable=True),
        sa.Column("maximum", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("product_id", "run_id", "output", "column_name"),
    )
    op.create_table(
        "extracts",
        sa.Column("product_id", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("input", sa.String(length=250), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("watermark", sa.Text(), nullable=True),
        sa.Column("extracted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("product_id", "run_id", "input"),
    )
    op.create_table(
        "product_versions",
        sa.Column("product_id", sa.String(length=250), nullable=False),
        sa.Column("version", sa.String(length=50), nullable=False),
        sa.Column("manifest", sa.JSON(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("product_id", "version"),
    )
    op.create_table(
        "products",
        sa.Column("product_id", sa.String(length=250), nullable=False),
        sa.Column("domain", sa.String(length=250), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("version", sa.String(length=50), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("tier", sa.String(length=50), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("owner", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("manifest_path", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("product_id"),
    )
    op.create_table(
        "publications",
        sa.Column("product_id", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("output", sa.String(length=250), nullable=False),
        sa.Column("version", sa.String(length=50), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("connection", sa.String(length=250), nullable=True),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("product_id", "run_id", "output"),
    )
    op.create_index("ix_publications_newest", "publications", ["product_id", "output", "published_at"], unique=False)
    op.create_table(
        "runs",
        sa.Column("product_id", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("version", sa.String(length=50), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("failed_task", sa.String(length=250), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("product_id", "run_id"),
    )
    op.create_index("ix_runs_started", "runs", ["product_id", "started_at"], unique=False)
    op.create_table(
        "validations",
        sa.Column("product_id", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("output", sa.String(length=250), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("quarantined", sa.BigInteger(), nullable=False),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("warned", sa.Integer(), nullable=False),
        sa.Column("results", sa.JSON(), nullable=False),
        sa.Column("gx", sa.JSON(), nullable=False),
        sa.Column("validated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("product_id", "run_id", "output"),
    )
    op.create_table(
        "watermarks",
        sa.Column("product_id", sa.String(length=250), nullable=False),
        sa.Column("input", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("product_id", "input"),
    )


def downgrade() -> None:
    op.drop_table("watermarks")
    op.drop_table("validations")
    op.drop_index("ix_runs_started", table_name="runs")
    op.drop_table("runs")
    op.drop_index("ix_publications_newest", table_name="publications")
    op.drop_table("publications")
    op.drop_table("products")
    op.drop_table("product_versions")
    op.drop_table("extracts")
    op.drop_table("column_metrics")
