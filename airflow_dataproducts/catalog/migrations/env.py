"""Runs migrations on the connection that the catalog hands over."""

from __future__ import annotations

import logging

from alembic import context

from airflow_dataproducts.catalog.tables import metadata

# What migrates is no news to those who run a product.
logging.getLogger("alembic").setLevel(logging.WARNING)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="dataproducts_alembic_version",
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
