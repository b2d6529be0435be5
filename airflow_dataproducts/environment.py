"""What Airflow lends the engine: its connections, settings and the place of the catalog."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine.connections import ConnectionInfo, HttpSession
from airflow_dataproducts.exceptions import ConfigurationError
from airflow_dataproducts.settings import SECTION, Settings, load_settings

if TYPE_CHECKING:
    from airflow_dataproducts.catalog.store import Catalog

CATALOG_CONNECTION = "dataproducts_catalog"


def airflow_home() -> Path:
    """``$AIRFLOW_HOME``, as Airflow finds it."""
    return Path(os.path.expandvars(os.environ.get("AIRFLOW_HOME", "~/airflow"))).expanduser()


def site_settings() -> Settings:
    """The ``[dataproducts]`` section of airflow.cfg, or its ``AIRFLOW__DATAPRODUCTS__*`` variables."""
    from airflow.sdk.configuration import conf

    return load_settings(airflow_home(), lambda option: conf.get(SECTION, option, fallback=None))


class AirflowConnections:
    """Connections from Airflow's secrets backends: variables, vaults, or the metadata database by way of the API."""

    def get(self, connection_id: str) -> ConnectionInfo:
        """See :class:`airflow_dataproducts.engine.connections.Connections`."""
        found = _connection(connection_id)
        return ConnectionInfo(
            id=connection_id,
            type=found.conn_type or "",
            host=found.host,
            port=found.port,
            login=found.login,
            password=found.password,
            schema=found.schema,
            extra=found.extra_dejson,
        )

    def dbapi(self, connection_id: str) -> Any:
        """See :class:`airflow_dataproducts.engine.connections.Connections`."""
        return _sql_hook(connection_id).get_conn()

    def http(self, connection_id: str) -> HttpSession:
        """See :class:`airflow_dataproducts.engine.connections.Connections`."""
        _connection(connection_id)
        try:
            from airflow.providers.http.hooks.http import HttpHook
        except ImportError:
            raise ConfigurationError(
                "inputs from REST APIs need Airflow's HTTP provider: pip install 'airflow-dataproducts[http]'"
            ) from None
        hook = HttpHook(method="GET", http_conn_id=connection_id)
        session = hook.get_conn()  # which finds out the address, too
        return HttpSession(hook.base_url, session)

    def sqlalchemy_url(self, connection_id: str) -> str:
        """SQLAlchemy's URL of a database, with its password in it.

        Raises:
            ConfigurationError: there is no such connection, or its type is no SQL database.
        """
        info = self.get(connection_id)
        if info.is_postgres:
            return info.sqlalchemy_url()
        if info.type == "sqlite":
            return f"sqlite:///{info.host}"
        return str(_sql_hook(connection_id).get_uri())


def _sql_hook(connection_id: str) -> Any:
    found = _connection(connection_id)
    try:
        hook = found.get_hook()
    except Exception as error:  # noqa: BLE001 - a hook may fail to load for any reason; the user needs to know which
        raise ConfigurationError(
            f"connection {connection_id} is of type {found.conn_type!r}, for which no hook is installed: {error}"
        ) from None
    if not hasattr(hook, "get_conn") or not hasattr(hook, "get_records"):
        raise ConfigurationError(f"connection {connection_id} is of type {found.conn_type!r}, which is no SQL database")
    return hook


def _connection(connection_id: str) -> Any:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

    try:
        return BaseHook.get_connection(connection_id)
    except (AirflowException, AirflowRuntimeError) as error:
        if "defined" not in str(error) and "NOT_FOUND" not in str(error).upper():
            raise ConfigurationError(f"connection {connection_id} cannot be read: {error}") from None
        variable = f"AIRFLOW_CONN_{connection_id.upper()}"
        raise ConfigurationError(
            f"there is no Airflow connection {connection_id!r}; add it under Admin > Connections or as {variable}"
        ) from None


def site_catalog(settings: Settings) -> Catalog:
    """The catalog behind the connection ``dataproducts_catalog``, or the SQLite file where there is none.

    Raises:
        ConfigurationError: the connection is neither PostgreSQL nor SQLite.
    """
    import sqlalchemy as sa

    from airflow_dataproducts.catalog.store import Catalog

    try:
        info = AirflowConnections().get(CATALOG_CONNECTION)
    except ConfigurationError:
        return Catalog(sa.URL.create("sqlite", database=str(Path(settings.catalog) / "catalog.db")))
    if info.is_postgres:
        socket = {"host": info.host} if info.host and info.host.startswith("/") else {}
        return Catalog(
            sa.URL.create(
                "postgresql+psycopg",
                info.login,
                info.password,
                None if socket else info.host,
                info.port,
                info.schema,
                socket,
            )
        )
    if info.type == "sqlite":
        # The file is the host: Airflow's own URI of a SQLite connection loses the leading slash.
        return Catalog(sa.URL.create("sqlite", database=info.host))
    raise ConfigurationError(f"connection {CATALOG_CONNECTION} is of type {info.type!r}; use postgres or sqlite")
