"""The quality score of each validation."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("validations", sa.Column("score", sa.Float))
    op.add_column("validations", sa.Column("dimensions", sa.JSON))


def downgrade() -> None:
    with op.batch_alter_table("validations") as table:
        table.drop_column("dimensions")
        table.drop_column("score")
