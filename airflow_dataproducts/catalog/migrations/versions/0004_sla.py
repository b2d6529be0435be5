"""Promises: how they stand, incidents, messages to send, probes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.String(250)
_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _when(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "sla_products",
        sa.Column("product_id", _ID, primary_key=True),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("drift", sa.Text),
        _when("known_since", nullable=False),
        _when("synced_at", nullable=False),
    )
    op.create_table(
        "sla_status",
        sa.Column("product_id", _ID, primary_key=True),
        sa.Column("promise", _ID, primary_key=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("actual", sa.Text, nullable=False),
        _when("since", nullable=False),
        _when("checked_at", nullable=False),
    )
    op.create_table(
        "incidents",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("product_id", _ID, nullable=False),
        sa.Column("promise", _ID, nullable=False),
        sa.Column("window", _ID, nullable=False),
        sa.Column("severity", sa.String(20), nullable=False),
        sa.Column("cause", sa.String(50), nullable=False),
        sa.Column("root", _ID),
        sa.Column("reminders", sa.Integer, nullable=False),
        sa.Column("acknowledged_by", _ID),
        sa.Column("muted_why", sa.Text),
        sa.Column("details", sa.JSON, nullable=False),
        _when("opened_at", nullable=False),
        _when("acknowledged_at"),
        _when("resolved_at"),
        _when("reminded_at"),
        _when("escalated_at"),
        _when("muted_until"),
        sa.UniqueConstraint("product_id", "promise", "window", name="uq_incidents"),
    )
    op.create_index("ix_incidents_open", "incidents", ["resolved_at"])
    op.create_table(
        "outbox",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("dedup_key", sa.String(500), nullable=False, unique=True),
        sa.Column("thread", _ID, nullable=False),
        sa.Column("channel", sa.String(50), nullable=False),
        sa.Column("address", _ID, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("reference", sa.JSON),
        _when("created_at", nullable=False),
        _when("next_try_at", nullable=False),
        _when("claimed_until"),
        _when("sent_at"),
        _when("dead_at"),
    )
    op.create_index("ix_outbox_waiting", "outbox", ["sent_at", "dead_at"])
    op.create_table(
        "probes",
        sa.Column("product_id", _ID, primary_key=True),
        sa.Column("promise", _ID, primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("ok", sa.Integer, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("histogram", sa.JSON, nullable=False),
        _when("probed_at", nullable=False),
    )


def downgrade() -> None:
    for table in ("probes", "outbox", "incidents", "sla_status", "sla_products"):
        op.drop_table(table)
