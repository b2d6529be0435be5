"""What the engine needs to know of an Airflow connection, without knowing Airflow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

_STORE = {"endpoint_url": "s3.endpoint", "region_name": "s3.region", "aws_session_token": "s3.session-token"}
POSTGRES_TYPES = frozenset({"postgres", "postgresql", "redshift"})


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """An Airflow connection's fields. The password never shows in ``repr``."""

    id: str
    type: str
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    schema: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def for_storage(self) -> ConnectionInfo:
        """The same as a connection of type aws: what a catalog's connection says of its store, in PyIceberg's names."""
        if self.type in {"aws", "s3"}:
            return self
        extra = {name: self.extra.get(other) for name, other in _STORE.items()}
        key, secret = self.extra.get("s3.access-key-id"), self.extra.get("s3.secret-access-key")
        return ConnectionInfo(self.id, "aws", login=key, password=secret, extra=extra)

    @property
    def is_postgres(self) -> bool:
        """Whether it speaks PostgreSQL's protocol."""
        return self.type in POSTGRES_TYPES

    def postgres_uri(self) -> str:
        """The connection as libpq URI (PostgreSQL manual, 32.1.1.2). A host that is a path is a Unix socket's folder."""
        login = quote(self.login or "", safe="")
        secret = f":{quote(self.password, safe='')}" if self.password else ""
        options = {key: str(value) for key, value in self.extra.items() if key in _LIBPQ}
        host = self.host or "localhost"
        if host.startswith("/"):
            options["host"], host = host, ""
        port = f":{self.port}" if self.port else ""
        at = f"{login}{secret}@" if login else ""
        query = f"?{urlencode(options)}" if options else ""
        return f"postgresql://{at}{host}{port}/{quote(self.schema or '', safe='')}{query}"

    def sqlalchemy_url(self) -> str:
        """The same for SQLAlchemy."""
        return self.postgres_uri().replace("postgresql://", "postgresql+psycopg2://", 1)


_LIBPQ = frozenset({"sslmode", "sslcert", "sslkey", "sslrootcert", "options", "connect_timeout", "application_name"})


TRIES = 5
PASSING = (429, 500, 502, 503, 504)
"""Answers of a web server that mean: later. ``Retry-After`` is honoured (RFC 9110, 10.2.3)."""


@dataclass(frozen=True, slots=True)
class HttpSession:
    """An Airflow connection's requests session, with its login, headers and address.

    Attributes:
        base_url: the connection's scheme, host, port and path.
        session: requests' session.
    """

    base_url: str
    session: Any

    def __enter__(self) -> HttpSession:
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        retry = Retry(
            total=TRIES - 1, backoff_factor=0.5, status_forcelist=PASSING, allowed_methods={"GET"},
            respect_retry_after_header=True, raise_on_status=False,
        )  # fmt: skip
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(max_retries=retry))
        return self

    def __exit__(self, *_error: object) -> None:
        self.session.close()

    def url(self, endpoint: str) -> str:
        """An endpoint's address."""
        return f"{self.base_url.rstrip('/')}/{endpoint.lstrip('/')}"

    def get(self, url: str, **options: Any) -> Any:
        """GET, tried again where the answer says: later. The options are requests'."""
        return self.session.get(url, **options)


class Connections(Protocol):
    """Where connections come from: Airflow in production."""

    def get(self, connection_id: str) -> ConnectionInfo:
        """The connection of that id.

        Raises:
            ConfigurationError: there is none; the message names it and says how to make one.
        """
        ...

    def http(self, connection_id: str) -> HttpSession:
        """A session of a web server's connection.

        Raises:
            ConfigurationError: there is no such connection, or the provider is not installed.
        """
        ...

    def dbapi(self, connection_id: str) -> Any:
        """An open DB-API connection, made by the connection type's own Airflow hook.

        Raises:
            ConfigurationError: there is no such connection, or its type is no SQL database.
        """
        ...
