"""Publishing outputs: each target makes a whole new version visible at once, and only once per run.

A version is written aside first; making it visible is one step that either happened or did not. A run that publishes
again, because its task was killed and retried, finds its own version and does nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from airflow_dataproducts.manifest.outputs import PostgresPublish

if TYPE_CHECKING:
    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.connections import Connections
    from airflow_dataproducts.manifest.outputs import Output
    from airflow_dataproducts.settings import Settings


KEEP_VERSIONS = 3
KEEP_FOR = timedelta(hours=1)
"""An old version is deleted when there are this many newer ones and it is this old: readers may still be at work on it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be published.

    Attributes:
        product: the product's id.
        version: semantic version of the product.
        name: the output's name.
        output: its manifest.
        run_id: the run; a run publishes an output once, however often it is tried.
        data: the validated rows.
    """

    product: str
    version: str
    name: str
    output: Output
    run_id: str
    data: pads.Dataset


@dataclass(frozen=True, slots=True)
class Publication:
    """A version that readers can see.

    Attributes:
        kind: ``delta``, ``parquet`` or ``postgres``.
        location: folder, URI or table.
        revision: the target's own name of the version.
        rows: rows that readers see now.
    """

    kind: str
    location: str
    revision: str
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for XCom."""
        return asdict(self)


class Target(Protocol):
    """A place that outputs are published to."""

    def published(self, run_id: str) -> Publication | None:
        """What this run has published here; None if it has not."""
        ...

    def current(self, columns: tuple[str, ...]) -> pads.Dataset | None:
        """The rows that readers see now, at least their ``columns``; None before the first version."""
        ...

    def publish(self, request: Request) -> Publication:
        """Make the request's rows visible.

        Raises:
            PublishError: the target cannot be written; readers still see the version before.
        """
        ...


def open_target(product: str, name: str, output: Output, connections: Connections, settings: Settings) -> Target:
    """The target of an output."""
    publish = output.publish
    if isinstance(publish, PostgresPublish):
        from airflow_dataproducts.engine.targets.postgres import PostgresTarget

        return PostgresTarget(publish.table, connections.get(publish.connection))
    place = _open(location(product, name, output, settings), publish.connection, connections)
    if publish.to == "delta":
        from airflow_dataproducts.engine.targets.delta import DeltaTarget

        return DeltaTarget(place)
    from airflow_dataproducts.engine.targets.parquet import ParquetTarget

    return ParquetTarget(place, settings)


def location(product: str, name: str, output: Output, settings: Settings) -> str:
    """Where an output is: its own location, or ``<storage>/<domain>/<product>/<output>``."""
    publish = output.publish
    if isinstance(publish, PostgresPublish):
        return publish.table
    given = publish.location or own_folder(product, name)
    if "://" in given or given.startswith("/"):
        return given.rstrip("/")
    return f"{settings.storage.rstrip('/')}/{given.strip('/')}"


def own_folder(product: str, name: str) -> str:
    """An output's folder under the site's storage, where the manifest names no other."""
    return f"{product.replace('.', '/', 1)}/{name}"


def open_published(kind: str, where: str, connection: str | None, connections: Connections) -> pads.Dataset:
    """The current version of a published output, fixed for as long as the dataset is used.

    Raises:
        SourceError: it cannot be read.
        SourceChangedError: there is nothing.
    """
    if kind == "postgres":
        from airflow_dataproducts.engine.targets import postgres

        return postgres.open_dataset(where, connections.get(connection or ""))
    place = _open(where, connection, connections)
    if kind == "delta":
        from airflow_dataproducts.engine.targets import delta

        return delta.open_dataset(place)
    from airflow_dataproducts.engine.targets import parquet

    return parquet.open_dataset(place)


def _open(where: str, connection: str | None, connections: Connections) -> Any:
    from airflow_dataproducts.engine.storage import open_place

    return open_place(where, connections.get(connection) if connection else None)
