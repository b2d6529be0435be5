"""The catalog's tables of promises: what is promised, how it stands, what was broken, and what is to be told."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from airflow_dataproducts.catalog.tables import metadata

_ID = String(250)
_NAME = String(250)
_SERIAL = BigInteger().with_variant(Integer, "sqlite")


def _when(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


sla_products = Table(
    "sla_products",
    metadata,
    Column("product_id", _ID, primary_key=True),
    Column("signature", Text, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("drift", Text),
    _when("known_since", nullable=False),
    _when("synced_at", nullable=False),
)
"""Every product with a manifest, whether it ever ran or not: its promises, and what messages say of it."""

sla_status = Table(
    "sla_status",
    metadata,
    Column("product_id", _ID, primary_key=True),
    Column("promise", _NAME, primary_key=True),
    Column("state", String(20), nullable=False),
    Column("actual", Text, nullable=False),
    _when("since", nullable=False),
    _when("checked_at", nullable=False),
)
"""How each promise stands, and since when; the empty product's row is the monitor's own heartbeat."""

incidents = Table(
    "incidents",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("product_id", _ID, nullable=False),
    Column("promise", _NAME, nullable=False),
    Column("window", _NAME, nullable=False),
    Column("severity", String(20), nullable=False),
    Column("cause", String(50), nullable=False),
    Column("root", _ID),
    Column("reminders", Integer, nullable=False),
    Column("acknowledged_by", _NAME),
    Column("muted_why", Text),
    Column("details", JSON, nullable=False),
    _when("opened_at", nullable=False),
    _when("acknowledged_at"),
    _when("resolved_at"),
    _when("reminded_at"),
    _when("escalated_at"),
    _when("muted_until"),
    UniqueConstraint("product_id", "promise", "window", name="uq_incidents"),
    Index("ix_incidents_open", "resolved_at"),
)
"""Broken promises: one for each product, promise and window."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("dedup_key", String(500), nullable=False, unique=True),
    Column("thread", _NAME, nullable=False),
    Column("channel", String(50), nullable=False),
    Column("address", _NAME, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("error", Text),
    Column("reference", JSON),
    _when("created_at", nullable=False),
    _when("next_try_at", nullable=False),
    _when("claimed_until"),
    _when("sent_at"),
    _when("dead_at"),
    Index("ix_outbox_waiting", "sent_at", "dead_at"),
)
"""What is to be told, written with the incident; ``thread`` orders the messages of one incident, ``reference`` is what the
channel gave for the message sent (Slack's channel and ts)."""

probes = Table(
    "probes",
    metadata,
    Column("product_id", _ID, primary_key=True),
    Column("promise", _NAME, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("ok", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("histogram", JSON, nullable=False),
    _when("probed_at", nullable=False),
)
"""What probes found, by day: how many could read, and how long they took."""
