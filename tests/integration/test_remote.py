"""The same contract over the same rows: in DuckDB, and inside PostgreSQL; test_spark.py has Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import adbc_driver_postgresql.dbapi as adbc
import pyarrow.dataset as pads
import pytest

from airflow_dataproducts.contract import ddl
from airflow_dataproducts.engine.validation import Tables, validate
from airflow_dataproducts.engine.validation.remote import Warehouse, in_database
from airflow_dataproducts.exceptions import ConfigurationError
from tests.integration.conftest import info_of
from tests.integration.dirty_orders import BROKEN, CUSTOMERS, ROWS, broken, step

if TYPE_CHECKING:
    import psycopg

    from airflow_dataproducts.settings import Settings


def test_in_duckdb(settings: Settings) -> None:
    tables = Tables({"orders": pads.dataset(ROWS)}, {"customers": pads.dataset(CUSTOMERS)})
    assert broken(validate(step(), tables, settings)) == {**BROKEN}


@pytest.fixture
def warehouse(database: psycopg.Connection) -> Warehouse:
    database.execute("CREATE SCHEMA mart")
    database.execute(ddl.create_table(step().output.contract, "mart.orders").replace(" NOT NULL", ""))
    database.execute("CREATE TABLE mart.customers (id bigint)")
    uri = info_of(database).postgres_uri()
    with adbc.connect(uri) as connection, connection.cursor() as cursor:
        for name, table in (("orders", ROWS), ("customers", CUSTOMERS)):
            cursor.adbc_ingest(name, table, mode="append", db_schema_name="mart")
        connection.commit()
    url = uri.replace("postgresql://", "postgresql+psycopg2://", 1)
    return Warehouse(url, "mart.orders", {"customers": "mart.customers"})


def test_inside_postgresql(warehouse: Warehouse) -> None:
    assert broken(in_database(step(), warehouse)) == BROKEN


def test_no_such_table(warehouse: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match="cannot read its table"):
        in_database(step(), Warehouse(warehouse.url, "mart.gone"))
