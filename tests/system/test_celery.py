"""More than one machine: CeleryExecutor, Redis, two workers whose local folders are their own, object storage, PostgreSQL."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import boto3
import psycopg
import pytest
from deltalake import DeltaTable

from demo.shop import Shop, airflow_connection, postgres
from demo.standalone import Airflow, discovery, free_port, local_environment, stop
from tests.parts import from_debian, object_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("airflow")]

PRODUCT = """\
apiVersion: dataproducts/v1
kind: DataProduct
name: spread
domain: shop
version: 1.0.0
description: A product whose tasks land on different hosts.
owner: {team: shop-team}
schedule: manual
inputs:
  orders: {connection: shop, table: public.orders}
  customers: {connection: shop, table: public.customers}
outputs:
  paid:
    transform: SELECT o.order_no, o.amount, c.segment FROM orders o JOIN customers c ON c.id = o.customer_id
    publish: {to: delta}
    contract:
      primary_key: [order_no]
      columns: [{name: order_no, type: string}, {name: amount, type: "decimal(12,2)"}, {name: segment, type: string}]
  segments:
    transform: SELECT segment, count(*) AS n FROM paid GROUP BY ALL
    publish: {to: parquet}
    contract: {primary_key: [segment], columns: [{name: segment, type: string}, {name: n, type: bigint}]}
"""
WORKERS = ("one", "two")


class Cluster:
    """Airflow's parts, each a process of its own, and what they share: databases, a queue, a bucket."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        uri = stack.enter_context(postgres(folder / "pg"))
        Shop(uri).open(orders=2_000, customers=200)
        with psycopg.connect(uri, autocommit=True) as connection:
            for name in ("airflow", "celery", "catalog"):
                connection.execute(f"CREATE DATABASE {name}")
        self.store = stack.enter_context(object_store())
        access = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.options = {**access, "AWS_ENDPOINT_URL": self.store, "AWS_ALLOW_HTTP": "true"}
        boto3.client(
            "s3",
            endpoint_url=self.store,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        ).create_bucket(Bucket="lake")
        redis = free_port()
        self._start(
            "redis",
            ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
            dict(os.environ),
        )
        socket = str(psycopg.conninfo.conninfo_to_dict(uri)["host"])
        self.settings = {
            **self.options,
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://postgres@/airflow?host={socket}",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://postgres@/celery?host={socket}",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{redis}/0",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__DATAPRODUCTS__STAGING": "s3://lake/staging",
            "AIRFLOW__DATAPRODUCTS__STORAGE": "s3://lake/products",
            "AIRFLOW_CONN_SHOP": airflow_connection(uri),
            "AIRFLOW_CONN_DATAPRODUCTS_CATALOG": airflow_connection(uri.replace("/postgres?", "/catalog?")),
        }
        self.environment, self._password = local_environment(
            self._home("main"), {**self.settings, **discovery(self._dags("main"))}
        )

    def start(self) -> Airflow:
        """Everything; returns the client of its API."""
        subprocess.run(["airflow", "db", "migrate"], env=self.environment, check=True, capture_output=True, timeout=300)
        for part in ("scheduler", "dag-processor", "triggerer"):
            self._start(part, ["airflow", part], self.environment)
        api = self._start("api-server", ["airflow", "api-server"], self.environment)
        for name in WORKERS:
            own = {
                **self.environment,
                **discovery(self._dags(name)),
                "AIRFLOW_HOME": str(self._home(name)),
                "TMPDIR": str(self._home(name) / "tmp"),
                "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(self._home(name) / "bundles"),
                "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            }
            command = ["airflow", "celery", "worker", "--concurrency", "1", "--celery-hostname", f"{name}@%h"]
            self._start(name, command, own)
        airflow = Airflow(self._home("main"), self.environment["AIRFLOW__API__BASE_URL"], self._password, api)
        airflow.wait_until_healthy()
        return airflow

    def log(self, part: str) -> str:
        return (self.folder / f"{part}.log").read_text(errors="replace")

    def _home(self, name: str) -> Path:
        home = self.folder / "hosts" / name
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        return home

    def _dags(self, name: str) -> Path:
        """Every host has a copy of the dags folder of its own, as a deployment gives it."""
        folder = self.folder / "hosts" / name / "dags"
        (folder / "spread").mkdir(parents=True, exist_ok=True)
        (folder / "spread" / "product.yaml").write_text(PRODUCT)
        return folder

    def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self.folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=self.folder,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._stack.callback(stop, process)
        return process


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    from_debian("redis-server", "redis-server")
    folder = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        yield Cluster(folder, stack)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_run_over_two_workers(cluster: Cluster) -> None:
    airflow = cluster.start()
    airflow.wait_for_dag("shop.spread")
    hosts: set[str] = set()
    for _ in range(3):
        run_id = airflow.trigger("shop.spread")
        state = airflow.finish("shop.spread", run_id, 300)
        tasks = airflow.tasks("shop.spread", run_id)
        assert state == "success", (tasks, cluster.log("one")[-2000:], cluster.log("two")[-2000:])
        hosts = {name for name in WORKERS if "succeeded in" in cluster.log(name)}
        if hosts == set(WORKERS):
            break
    assert hosts == set(WORKERS), "one worker did everything"
    table = DeltaTable("s3://lake/products/shop/spread/paid", storage_options=cluster.options)
    assert table.to_pyarrow_dataset().count_rows() == 2_000
    found = airflow.request("GET", "/dataproducts/api/v1/products/shop.spread")
    assert {each["output"]: each["rows"] for each in found["outputs"]} == {"paid": 2_000, "segments": 3}
    validated = airflow.request("GET", "/dataproducts/api/v1/products/shop.spread/quality")["validations"]
    assert all(each["success"] for each in validated)
    # Nothing of the data is on any host's own disk.
    left = [file for name in (*WORKERS, "main") for file in (cluster.folder / "hosts" / name).rglob("*.parquet")]
    assert left == []
