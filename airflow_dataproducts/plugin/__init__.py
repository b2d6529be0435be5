"""The Airflow plugin: mounts the catalog's API in the api-server, and shows alarms on the home page.

Airflow loads plugins in every process; FastAPI and the catalog are imported only by the process that gets a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import FastAPI

URL_PREFIX = "/dataproducts"


class LazyApi:
    """An ASGI application that is built when it is first called."""

    def __init__(self) -> None:
        self._app: FastAPI | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request (ASGI 3)."""
        if self._app is None:
            from airflow_dataproducts.plugin.api import build_api

            self._app = build_api()
        await self._app(scope, receive, send)


class DataProductsPlugin(AirflowPlugin):
    """Registers the API under ``/dataproducts``, and what the home page shows of it."""

    name = "airflow_dataproducts"
    fastapi_apps = [{"app": LazyApi(), "url_prefix": URL_PREFIX, "name": "Data products"}]  # noqa: RUF012 - as declared
    react_apps = [  # noqa: RUF012 - as declared
        {"name": "Data products' alarms", "bundle_url": f"{URL_PREFIX}/static/alarms.js", "destination": "dashboard", "url_route": "data-products-alarms"}
    ]  # fmt: skip
