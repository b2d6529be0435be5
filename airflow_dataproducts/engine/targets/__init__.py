"""Publishing outputs: each target makes a whole new version visible at once, and only once per run.

A version is written aside first; making it visible is one step that either happened or did not. A run that publishes
again, because its task was killed and retried, finds its own version and does nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_dataproducts.engine.kept import Kept
from airflow_dataproducts.exceptions import SourceChangedError
from airflow_dataproducts.manifest.outputs import IcebergPublish, KafkaPublish, PostgresPublish

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.connections import Connections
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.manifest.outputs import Output
    from airflow_dataproducts.settings import Settings


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be published.

    Attributes:
        product: the product's id.
        version: semantic version of the product.
        name: the output's name.
        output: its manifest.
        run_id: the run; a run publishes an output once, however often it is tried.
        data: the validated rows. Where they are a draft of the target, it is adopted as it is.
    """

    product: str
    version: str
    name: str
    output: Output
    run_id: str
    data: pads.Dataset | Kept

    @property
    def dataset(self) -> pads.Dataset:
        """The rows of a draft that is files."""
        assert not isinstance(self.data, Kept)  # noqa: S101 - the manifest lets a database make what is published in it
        return self.data


@dataclass(frozen=True, slots=True)
class Publication:
    """A version that readers can see.

    Attributes:
        kind: ``delta``, ``parquet``, ``iceberg``, ``postgres`` or ``kafka``.
        location: folder, URI, table or topic.
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


@dataclass(frozen=True, slots=True)
class PastVersion:
    """A version that can be read again.

    Attributes:
        revision: the target's own name of it.
        published_at: when it became visible, UTC.
        run_id: the run that made it; None where the target does not know.
        rows: rows in it; None where the target does not know.
        current: whether readers see it now.
        undone: whether it was taken back.
    """

    revision: str
    published_at: datetime
    run_id: str | None
    rows: int | None
    current: bool
    undone: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """Which old versions stay: the newest ``versions``, and all that were current within the last ``duration``."""

    versions: int
    duration: timedelta


class Target(Protocol):
    """A place that outputs are published to.

    Attributes:
        columns_in_files: whether the files of a draft hold the columns that are folders, too.
    """

    columns_in_files: bool

    def draft(self, run: str) -> Place | None:
        """A new folder for the files of a run's version, which no reader sees; publishing then need not move them.

        Args:
            run: the run's name as a folder's.

        Returns:
            None where files are not what is published.
        """
        ...

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

    def versions(self) -> list[PastVersion]:
        """The versions that can be gone back to, newest first."""
        ...

    def rollback(self, revision: str) -> Publication:
        """Make an old version the one that readers see, at once. Runs that are undone by it can be published again.

        Raises:
            PublishError: there is no such version.
        """
        ...

    def tidy(self, keep: Keep) -> int:
        """Delete old versions, and what killed attempts left; returns how many files, folders or tables went."""
        ...


def open_target(product: str, name: str, output: Output, connections: Connections, settings: Settings) -> Target:
    """The target of an output."""
    publish = output.publish
    if isinstance(publish, PostgresPublish):
        from airflow_dataproducts.engine.targets.postgres import PostgresTarget

        return PostgresTarget(publish.table, connections.get(publish.connection))
    if isinstance(publish, KafkaPublish):
        from airflow_dataproducts.engine.targets.kafka import KafkaTarget

        return KafkaTarget(f"{product}.{name}", publish, connections.get(publish.connection))
    place = _open(location(product, name, output, settings), publish.connection, connections)
    if isinstance(publish, IcebergPublish):
        from airflow_dataproducts.engine.targets.iceberg import IcebergTarget

        return IcebergTarget(publish.table, connections.get(publish.connection), place, settings)
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
    if isinstance(publish, KafkaPublish):
        return publish.topic
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
    if kind == "kafka":
        raise SourceChangedError(f"{where} is a Kafka topic, no table; read it by an input of its own: topic: {where}")
    if kind == "iceberg":
        from airflow_dataproducts.engine.targets import iceberg

        return iceberg.open_dataset(where, connections.get(connection or ""))
    place = _open(where, connection, connections)
    if kind == "delta":
        from airflow_dataproducts.engine.targets import delta

        return delta.open_dataset(place)
    from airflow_dataproducts.engine.targets import parquet

    return parquet.open_dataset(place)


def _open(where: str, connection: str | None, connections: Connections) -> Any:
    from airflow_dataproducts.engine.storage import open_place

    return open_place(where, connections.get(connection) if connection else None)
