"""Reading inputs: each source gives a stream of Arrow batches, in bounded memory and with exact types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataproducts.manifest.inputs import FileInput, HttpInput, KafkaInput, ProductInput, QueryInput, TableInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from airflow_dataproducts.engine.connections import Connections
    from airflow_dataproducts.engine.moment import Moment
    from airflow_dataproducts.engine.staging import Stream
    from airflow_dataproducts.manifest.inputs import Input
    from airflow_dataproducts.settings import Settings


@dataclass(frozen=True, slots=True)
class Published:
    """A version of another product's output, ready to be read.

    Attributes:
        product: ``<domain>.<name>``.
        output: the output's name.
        version: semantic version of its contract.
        kind: ``delta``, ``parquet``, ``iceberg`` or ``postgres``.
        location: folder, URI or table.
        connection: the Airflow connection that reaches it; None for a disk or the machine's own credentials.
    """

    product: str
    output: str
    version: str
    kind: str
    location: str
    connection: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source is read with.

    Attributes:
        connections: Airflow's connections.
        settings: the site's.
        published: finds the current version of another product's output.
        watermark: greatest cursor value already published, as text; None to read from the start.
        upto: greatest cursor value to read, as text; None to read to the end.
        window: read from here, which is part of it, to there, which is not, as text; None for no such limits.
        moment: when the run runs.
    """

    connections: Connections
    settings: Settings
    published: Callable[[ProductInput], Published]
    watermark: str | None = None
    upto: str | None = None
    window: tuple[str, str] | None = None
    moment: Moment | None = None

    @property
    def bounds(self) -> list[tuple[str, str]]:
        """What the cursor's values must be: comparisons and values as text."""
        if self.window is not None:
            return [(">=", self.window[0]), ("<", self.window[1])]
        limits = ((">", self.watermark), ("<=", self.upto))
        return [(sign, value) for sign, value in limits if value is not None]


def open_source(name: str, source: Input, reading: Reading) -> AbstractContextManager[Stream]:
    """Open an input for one pass over its rows.

    Raises:
        ConfigurationError: its connection is missing or of a wrong type.
        SourceChangedError: it is not what the manifest says.
        SourceError: it cannot be reached, or breaks off on the way (then while the stream is read).
    """
    if isinstance(source, TableInput | QueryInput):
        if reading.connections.get(source.connection).is_postgres:
            from airflow_dataproducts.engine.sources import postgres

            return postgres.open_query(name, source, reading)
        from airflow_dataproducts.engine.sources import dbapi

        return dbapi.open_query(name, source, reading)
    if isinstance(source, FileInput):
        from airflow_dataproducts.engine.sources import files

        return files.open_files(name, source, reading)
    if isinstance(source, HttpInput):
        from airflow_dataproducts.engine.sources import http

        return http.open_endpoint(name, source, reading)
    if isinstance(source, KafkaInput):
        from airflow_dataproducts.engine.sources import kafka

        return kafka.open_topic(name, source, reading)
    assert isinstance(source, ProductInput)  # noqa: S101 - the last of the union's members
    from airflow_dataproducts.engine.sources import product

    return product.open_product(name, source, reading)
