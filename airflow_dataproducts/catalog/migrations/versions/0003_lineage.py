"""Where each output's columns come from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lineage",
        sa.Column("product_id", sa.String(250), primary_key=True),
        sa.Column("output", sa.String(250), primary_key=True),
        sa.Column("output_column", sa.String(250), primary_key=True),
        sa.Column("source", sa.String(250), primary_key=True),
        sa.Column("source_column", sa.String(250), primary_key=True),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("lineage")
