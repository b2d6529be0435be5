"""The catalog's tables of promises: what is promised, how it stands, what was broken, and what is to be told."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from airflow_dataproducts.catalog.tables import ID, NAME, metadata, when

_SERIAL = BigInteger().with_variant(Integer, "sqlite")


sla_products = Table(
    "sla_products",
    metadata,
    Column("product_id", ID, primary_key=True),
    Column("signature", Text, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("drift", Text),
    when("known_since"),
    when("synced_at"),
)
"""Every product with a manifest, whether it ever ran or not: its promises, and what messages say of it."""

sla_status = Table(
    "sla_status",
    metadata,
    Column("product_id", ID, primary_key=True),
    Column("promise", NAME, primary_key=True),
    Column("state", String(20), nullable=False),
    Column("actual", Text, nullable=False),
    when("since"),
    when("checked_at"),
)
"""How each promise stands, and since when; the empty product's row is the monitor's own heartbeat."""

incidents = Table(
    "incidents",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("product_id", ID, nullable=False),
    Column("promise", NAME, nullable=False),
    Column("window", NAME, nullable=False),
    Column("severity", String(20), nullable=False),
    Column("cause", String(50), nullable=False),
    Column("root", ID),
    Column("reminders", Integer, nullable=False),
    Column("acknowledged_by", NAME),
    Column("muted_why", Text),
    Column("details", JSON, nullable=False),
    when("opened_at"),
    when("acknowledged_at", nullable=True),
    when("resolved_at", nullable=True),
    when("reminded_at", nullable=True),
    when("escalated_at", nullable=True),
    when("muted_until", nullable=True),
    UniqueConstraint("product_id", "promise", "window", name="uq_incidents"),
    Index("ix_incidents_open", "resolved_at"),
)
"""Broken promises: one for each product, promise and window."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("dedup_key", String(500), nullable=False, unique=True),
    Column("thread", NAME, nullable=False),
    Column("channel", String(50), nullable=False),
    Column("address", NAME, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("error", Text),
    Column("reference", JSON),
    when("created_at"),
    when("next_try_at"),
    when("claimed_until", nullable=True),
    when("sent_at", nullable=True),
    when("dead_at", nullable=True),
    Index("ix_outbox_waiting", "sent_at", "dead_at"),
)
"""What is to be told, written with the incident; ``thread`` orders the messages of one incident, ``reference`` is what the
channel gave for the message sent (Slack's channel and ts)."""

probes = Table(
    "probes",
    metadata,
    Column("product_id", ID, primary_key=True),
    Column("promise", NAME, primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("ok", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("histogram", JSON, nullable=False),
    when("probed_at"),
)
"""What probes found, by day: how many could read, and how long they took."""
