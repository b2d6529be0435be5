"""Real parts: PostgreSQL from a wheel, an S3 server by moto, the engine's own settings."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import psycopg
import pytest
import requests

from airflow_dataproducts.engine.connections import ConnectionInfo, HttpSession
from airflow_dataproducts.exceptions import ConfigurationError
from airflow_dataproducts.settings import Settings, load_settings
from demo.shop import postgres
from tests.integration.watching import catalog, known, server, store  # noqa: F401 - fixtures
from tests.parts import object_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.home import Home
    from tests.integration.shelf import Shelf


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    """A PostgreSQL server of the session's own. Its folder is short: a socket's path may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="dp-pg-") as folder, postgres(Path(folder) / "data") as uri:
        yield uri


@pytest.fixture
def database(postgres_uri: str, request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """A database of the test's own, with an open connection to it."""
    name = f"t{abs(hash(request.node.nodeid))}"
    with psycopg.connect(postgres_uri, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    uri = postgres_uri.replace("/postgres?", f"/{name}?")
    with psycopg.connect(uri, autocommit=True) as connection:
        yield connection
    with psycopg.connect(postgres_uri, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def info_of(connection: psycopg.Connection, name: str = "db") -> ConnectionInfo:
    """The test's database as Airflow would describe it."""
    found = connection.info
    return ConnectionInfo(name, "postgres", host=found.host, login=found.user, schema=found.dbname)


class KnownConnections:
    """Connections from a dictionary; SQLite ones can be opened."""

    def __init__(self, *infos: ConnectionInfo) -> None:
        self._infos = {info.id: info for info in infos}

    @property
    def infos(self) -> list[ConnectionInfo]:
        return list(self._infos.values())

    def get(self, connection_id: str) -> ConnectionInfo:
        if connection_id not in self._infos:
            raise ConfigurationError(f"there is no Airflow connection {connection_id!r}")
        return self._infos[connection_id]

    def http(self, connection_id: str) -> HttpSession:
        info = self.get(connection_id)
        session = requests.Session()
        if info.login:
            session.auth = (info.login, info.password or "")
        return HttpSession(f"http://{info.host}:{info.port}{info.schema or ''}", session)

    def dbapi(self, connection_id: str) -> Any:
        return sqlite3.connect(str(self.get(connection_id).host))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings under the test's own folder."""
    return load_settings(tmp_path / "home", lambda _option: None)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """moto's S3, over HTTP on the loopback interface. A process of its own: delta-rs asks while it holds the GIL."""
    with object_store() as url:
        yield url


@pytest.fixture
def bucket(s3_server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of the test's own; the machine's credentials reach it."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": s3_server, "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    name = f"b{abs(hash(request.node.nodeid))}-{os.getpid()}"
    boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1").create_bucket(Bucket=name)
    return name


@pytest.fixture
def home(tmp_path: Path, write: Callable[..., Path]) -> Iterator[Home]:
    from tests.conftest import MINIMAL
    from tests.integration.home import Home  # it needs what is above

    manifest = write(MINIMAL, folder="product")
    (manifest.parent / "things.csv").write_text("id,label\n1,a\n2,b\n")
    found = Home(tmp_path / "home", manifest)
    yield found
    found.close()


@pytest.fixture(
    params=[
        "delta",
        "delta-partitioned",
        "parquet",
        "parquet-partitioned",
        "postgres",
        "iceberg",
        "iceberg-partitioned",
        "s3-delta",
        "s3-parquet",
        "s3-iceberg",
    ],
)
def shelf(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Shelf:
    """Every kind of target, one after the other."""
    from tests.integration.shelf import InsideShelf, Shelf  # it needs what is above

    name = str(request.param)
    if name.startswith("postgres"):
        info = info_of(request.getfixturevalue("database"))
        shelf_of = InsideShelf if name == "postgres-inside" else Shelf
        return shelf_of({"to": "postgres", "connection": "db", "table": "mart.things"}, settings, info)
    kind = name.removeprefix("s3-").split("-")[0]
    root = f"s3://{request.getfixturevalue('bucket')}" if name.startswith("s3") else str(tmp_path)
    partitions = {"partition_by": ["p"]} if name.endswith("partitioned") else {}
    if kind == "iceberg":
        catalog = ConnectionInfo("ice", "sqlite", host=str(tmp_path / "catalog.db"))
        table = {"to": kind, "connection": "ice", "table": "mart.things", "location": f"{root}/products/things"}
        return Shelf({**table, **partitions}, settings, catalog)
    return Shelf({"to": kind, "location": f"{root}/products/things", **partitions}, settings)
