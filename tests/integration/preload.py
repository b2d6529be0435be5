"""Imported once by the process that others are forked from, so that a run takes as long as its work does."""

import adbc_driver_postgresql.dbapi  # noqa: F401
import deltalake  # noqa: F401
import duckdb  # noqa: F401
import pyarrow.dataset  # noqa: F401
import pyiceberg.catalog.sql
import pyiceberg.io.pyarrow  # noqa: F401

from airflow_dataproducts.engine.validation.gx import import_gx

import_gx()

import airflow_dataproducts.engine.validation.served  # noqa: F401, E402
import tests.integration.product_run  # noqa: F401, E402
