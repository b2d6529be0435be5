"""Iceberg's catalogs, by PyIceberg: a REST server, or a database that holds one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataproducts.engine.storage import s3_options
from airflow_dataproducts.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog

    from airflow_dataproducts.engine.connections import ConnectionInfo

_STORE = {
    "s3.access-key-id": "AWS_ACCESS_KEY_ID", "s3.secret-access-key": "AWS_SECRET_ACCESS_KEY",
    "s3.session-token": "AWS_SESSION_TOKEN", "s3.region": "AWS_REGION", "s3.endpoint": "AWS_ENDPOINT_URL",
}  # fmt: skip


def open_catalog(info: ConnectionInfo) -> Catalog:
    """The catalog of an Airflow connection. Its extras are PyIceberg's properties, and ``catalog_name`` (the connection's id); without any, S3 is reached as by boto3.

    Args:
        info: of type iceberg, whose host is the server's address and whose login is client id and secret; or of type
            postgres or sqlite, whose database holds the catalog.

    Raises:
        ConfigurationError: PyIceberg is not installed, or the connection is of another type.
    """
    try:
        from pyiceberg.catalog import load_catalog
    except ImportError:
        raise ConfigurationError("to: iceberg needs PyIceberg: pip install 'airflow-dataproducts[iceberg]'") from None

    found = {key: str(value) for key, value in info.extra.items() if isinstance(value, str | int | bool)}
    options = s3_options(info)
    store = {name: options[key] for name, key in _STORE.items() if key in options}
    # A database may hold several catalogs, by name.
    return load_catalog(found.pop("catalog_name", info.id), **{**store, **found, **_address(info)})


def _address(info: ConnectionInfo) -> Mapping[str, str]:
    if info.is_postgres:
        return {"type": "sql", "uri": info.sqlalchemy_url()}
    if info.type == "sqlite":
        return {"type": "sql", "uri": f"sqlite:///{info.host}"}
    if info.type != "iceberg":
        raise ConfigurationError(
            f"connection {info.id} is of type {info.type!r}; an Iceberg catalog's is iceberg, postgres or sqlite"
        )
    host = info.host or ""
    uri = host if "://" in host else f"https://{host}"
    credential = {"credential": f"{info.login}:{info.password or ''}"} if info.login else {}
    return {"type": "rest", "uri": f"{uri}:{info.port}" if info.port else uri, **credential}
