"""Outputs that their database makes: the same rows as DuckDB's, checked where they are, and none of them leaves."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataproducts import runtime
from airflow_dataproducts.catalog import tables
from airflow_dataproducts.exceptions import ConfigurationError, ContractViolation, ManifestError, TransformError
from airflow_dataproducts.plan import load_plan
from tests.integration.conftest import info_of
from tests.integration.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg

    Write = Callable[..., Path]

SALES = """
apiVersion: dataproducts/v1
kind: DataProduct
name: sales
domain: test
version: 1.0.0
description: Sales, made where they are.
owner: {team: core}
schedule: manual
inputs:
  orders: {connection: db, table: shop.orders}
  buyers: {connection: db, query: "SELECT id, country FROM shop.customers WHERE since <= $run_date -- known ones"}
outputs:
  orders_by_country:
    engine: db
    transform: |
      SELECT country, count(*) AS orders, sum(amount) AS total, max(placed) AS newest, $run_date AS made, label
      FROM orders JOIN buyers ON buyers.id = orders.customer, (SELECT 'x' AS label) GROUP BY ALL
    publish: {to: postgres, connection: db, table: mart.by_country}
    contract:
      primary_key: [country]
      columns:
        - {name: country, type: string(2), enum: [DE, FR], description: ISO code}
        - {name: orders, type: integer, min: 1}
        - {name: total, type: "decimal(12,2)", required: true}
        - {name: newest, type: timestamptz}
        - {name: made, type: date}
        - {name: label, type: string}
      rules: [{name: known_buyers, sql: "SELECT count(*) FROM orders WHERE customer NOT IN (SELECT id FROM buyers)"}]
  countries:
    engine: db
    transform: "SELECT country, json_object('orders', orders) AS facts, CAST(total / 3 AS DOUBLE) AS third FROM orders_by_country"
    publish: {to: postgres, connection: db, table: mart.countries}
    contract: {columns: [{name: country, type: string}, {name: facts, type: json}, {name: third, type: double}]}
"""
MOVES = """
apiVersion: dataproducts/v1
kind: DataProduct
name: moves
domain: test
version: 1.0.0
description: Things that change.
owner: {team: core}
schedule: manual
inputs:
  things: {connection: db, table: shop.things, cursor: moved}
outputs:
  things:
    engine: db
    publish: {to: postgres, connection: db, table: mart.things, mode: MODE}
    contract:
      primary_key: [id]
      columns: [{name: id, type: bigint}, {name: moved, type: timestamp}, {name: v, type: string}, {name: gone, type: boolean}]
      rules: [{name: few, row_count: {max: 3}}]
"""


@pytest.fixture
def shop(database: psycopg.Connection) -> psycopg.Connection:
    database.execute("CREATE SCHEMA shop")
    database.execute("CREATE TABLE shop.customers (id int, country text, since date)")
    database.execute("CREATE TABLE shop.orders (id int, customer int, amount numeric(10,2), placed timestamptz)")
    database.execute("CREATE TABLE shop.things (id bigint, moved timestamp, v text, gone boolean)")
    database.execute("INSERT INTO shop.customers VALUES (1, 'DE', '2020-01-01'), (2, 'FR', '2020-01-01')")
    database.execute(
        "INSERT INTO shop.orders VALUES (1, 1, 0.10, '2026-01-01 12:00+02'), (2, 1, 0.20, '2026-01-01 12:00+00'), "
        "(3, 2, 12345678.90, '2026-01-02 12:00+00')"
    )
    return database


@pytest.fixture
def home(tmp_path: Path, write: Write, shop: psycopg.Connection) -> Iterator[Callable[[str], Home]]:
    opened = []

    def make(text: str = SALES) -> Home:
        opened.append(Home(tmp_path / "home", write(text, folder="p"), info_of(shop)))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_a_database_makes_its_outputs(home: Callable[..., Home], shop: psycopg.Connection, tmp_path: Path) -> None:
    site = home()
    assert site.run("r1") == {"orders_by_country": 2, "countries": 2}
    rows = shop.execute("SELECT * FROM mart.by_country ORDER BY country").fetchall()
    noon = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    today = dt.datetime.now(dt.UTC).date()
    assert rows == [
        ("DE", 2, Decimal("0.30"), noon, today, "x"),
        ("FR", 1, Decimal("12345678.90"), noon + dt.timedelta(days=1), today, "x"),
    ]
    facts = shop.execute("SELECT facts, third FROM mart.countries ORDER BY country").fetchall()
    assert facts == [({"orders": 2}, pytest.approx(0.1)), ({"orders": 1}, pytest.approx(4115226.3))]
    (score,) = {row["score"] for row in site.rows(tables.validations)}
    assert score == 100
    metrics = {(row["column_name"], row["distinct_values"]) for row in site.rows(tables.column_metrics)}
    assert {("country", 2), ("label", 1)} <= metrics
    links = {(row["output_column"], row["source"], row["source_column"]) for row in site.rows(tables.lineage)}
    assert ("total", "orders", "amount") in links
    assert not list(tmp_path.glob("**/*.parquet")), "rows have left the database"


def test_the_table_is_what_the_contract_says(home: Callable[..., Home], shop: psycopg.Connection) -> None:
    home().run("r1")
    found = shop.execute("SELECT relation FROM mart.dataproducts_publications WHERE target = 'by_country'").fetchall()
    table = found[0][0]
    columns = shop.execute(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attnum > 0 ORDER BY attnum", [f'mart."{table}"']
    ).fetchall()  # fmt: skip
    assert columns[:3] == [
        ("country", "character varying(2)", True), ("orders", "integer", False), ("total", "numeric(12,2)", True),
    ]  # fmt: skip
    kinds = shop.execute(
        "SELECT contype::text FROM pg_constraint WHERE conrelid = to_regclass(%s)", [f'mart."{table}"']
    )
    assert {"p", "c"} <= {kind for (kind,) in kinds.fetchall()}
    assert shop.execute("SELECT col_description('mart.by_country'::regclass, 1)").fetchone() == ("ISO code",)


def test_broken_rules_stop_it_before_readers_see_it(home: Callable[..., Home], shop: psycopg.Connection) -> None:
    site = home()
    site.run("r1")
    shop.execute("INSERT INTO shop.customers VALUES (3, 'IT', '2020-01-01'), (4, 'FRA', '2020-01-01')")
    shop.execute("INSERT INTO shop.orders VALUES (4, 3, 1, now()), (5, 4, 1, now()), (6, 9, 1, now())")
    with pytest.raises(ContractViolation) as error:
        site.run("r2")
    assert "country" in str(error.value)
    assert "IT" not in str(error.value).replace("RIT", "")
    failed = next(row for row in site.rows(tables.validations) if row["run_id"] == "r2")
    broken = {each["check"]: each["unexpected"] for each in failed["results"] if not each["success"]}
    assert broken["country.enum"] == 2
    assert broken["known_buyers"] == 1
    assert shop.execute("SELECT count(*) FROM mart.by_country").fetchone() == (2,)
    shop.execute("DELETE FROM shop.orders WHERE id > 3")
    assert site.run("r2")["orders_by_country"] == 2, "the same run, tried again"


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT 'a' AS country, 'a1' AS facts, 1 AS third", "column facts has 1 value(s) that are no json"),
        ("SELECT 'a' AS country, NULL AS facts, 'secret' AS third", "column third has 1 value(s) that are no double"),
        ("SELECT 'a' AS country, 1 AS third", "the contract's column facts is not in the result"),
        ("SELECT nothing FROM orders_by_country", 'column "nothing" does not exist'),
        ("SELECT country, CAST('secret' AS INT) AS third, NULL AS facts FROM orders_by_country", "xxxxxx"),
    ],
)
def test_what_does_not_fit_is_told_without_values(home: Callable[..., Home], sql: str, says: str) -> None:
    old = SALES[
        SALES.index('"SELECT country, json') : SALES.index(
            "\n    publish: {to: postgres, connection: db, table: mart.countries"
        )
    ]
    site = home(SALES.replace(old, f'"{sql}"'))
    with pytest.raises(TransformError) as error:
        site.run("r1")
    assert says in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("mode", ["append", "merge", "merge, order_by: moved, deleted: gone", "replace"])
def test_modes_and_watermarks(home: Callable[..., Home], shop: psycopg.Connection, mode: str) -> None:
    site = home(MOVES.replace("MODE", mode))
    shop.execute("INSERT INTO shop.things VALUES (1, '2026-01-01', 'a', false), (2, '2026-01-02', 'b', false)")
    site.run("r1")
    shop.execute("INSERT INTO shop.things VALUES (3, '2026-01-03', 'c', false)")
    if "merge" in mode:
        shop.execute("INSERT INTO shop.things VALUES (2, '2026-01-04', 'B', true)")
    extracted = runtime.extract(site.open("r2"), site.open("r2").plan.extracts[0])
    assert extracted["rows"] == {"append": 1, "replace": 3}.get(mode, 2)
    site.run("r2")
    there = shop.execute("SELECT id, v FROM mart.things ORDER BY id").fetchall()
    expected = {
        "append": [(1, "a"), (2, "b"), (3, "c")], "replace": [(1, "a"), (2, "b"), (3, "c")],
        "merge": [(1, "a"), (2, "B"), (3, "c")],
    }.get(mode, [(1, "a"), (3, "c")])  # fmt: skip
    assert there == expected
    drafts = shop.execute("SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_\\_new'").fetchone()
    assert drafts == (0,)


def test_checks_on_the_table_see_what_consumers_will(home: Callable[..., Home], shop: psycopg.Connection) -> None:
    site = home(MOVES.replace("MODE", "append"))
    shop.execute("INSERT INTO shop.things VALUES (1, '2026-01-01', 'a', false), (2, '2026-01-02', 'b', false)")
    site.run("r1")
    shop.execute("INSERT INTO shop.things VALUES (1, '2026-01-03', 'again', false), (5, '2026-01-03', 'c', false)")
    with pytest.raises(ContractViolation):
        site.run("r2")
    failed = next(row for row in site.rows(tables.validations) if row["run_id"] == "r2")
    assert {each["check"] for each in failed["results"] if not each["success"]} == {"primary_key", "few"}
    assert shop.execute("SELECT count(*) FROM mart.things").fetchone() == (2,)


def test_a_run_sees_the_rows_that_its_extract_saw(home: Callable[..., Home], shop: psycopg.Connection) -> None:
    site = home(MOVES.replace("MODE", "append"))
    shop.execute("INSERT INTO shop.things VALUES (1, '2026-01-01', 'a', false), (7, NULL, 'n', false)")
    run = site.open("r1")
    inputs = {"things": runtime.extract(run, run.plan.extracts[0])}
    shop.execute("INSERT INTO shop.things VALUES (2, '2026-01-02', 'late', false)")
    made = runtime.transform(run, run.plan.transforms[0], inputs, {})
    assert (inputs["things"]["rows"], made["rows"]) == (2, 2)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("engine: db", "engine: other", "found 'other' (allowed: duckdb, spark, or db, where the output is published)"),
        ("orders: {connection: db", "orders: {connection: db2", "the input orders is not in that database"),
        ("min: 1", "min: 1, on_violation: quarantine", "rows are not set aside in db"),
        ('engine: db\n    transform: "SELECT', 'transform: "SELECT', "one engine must make both"),
    ],
)
def test_lint_says_what_a_database_cannot_do(write: Write, old: str, new: str, says: str) -> None:
    assert old in SALES
    with pytest.raises(ManifestError) as error:
        load_plan(write(SALES.replace(old, new, 1)))
    assert says in str(error.value)


def test_another_products_output(home: Callable[..., Home], write: Write, shop: psycopg.Connection) -> None:
    site = home()
    site.run("r1")
    consumer = """
apiVersion: dataproducts/v1
kind: DataProduct
name: copy
domain: test
version: 1.0.0
description: Reads a product.
owner: {team: core}
inputs: {sales: {product: test.sales, output: countries, version: ^1}}
outputs:
  all:
    engine: db
    publish: {to: postgres, connection: db, table: mart.copy}
    contract: {columns: [{name: country, type: string}]}
"""
    second = Home(site.folder, write(consumer, folder="q"), *site.infos)
    try:
        assert second.run("r1") == {"all": 2}
        shop.execute("UPDATE mart.dataproducts_publications SET rows = rows")
        elsewhere: Any = second.open("r2")
        elsewhere.catalog.published(
            type(elsewhere.key)("test.sales", "r2"), "countries",
            {"kind": "delta", "location": "x", "revision": "1", "rows": 1, "version": "1.0.0", "connection": None},
        )  # fmt: skip
        with pytest.raises(Exception, match="published to delta, where no database can read it"):
            runtime.extract(elsewhere, elsewhere.plan.extracts[0])
    finally:
        second.close()


def test_tables_of_two_databases_do_not_meet(home: Callable[..., Home]) -> None:
    from airflow_dataproducts.engine.kept import Kept
    from airflow_dataproducts.engine.transforms import database

    run = home().open("r1")
    step = run.plan.transforms[0]
    with pytest.raises(ConfigurationError, match="db makes it, but orders is in elsewhere"):
        database.transform(
            step, {"orders": Kept("elsewhere", "x", ("id",), 1)}, run.connections.get("db"), ("1.0.0", run.moment)
        )
