"""Kafka: clients from Airflow's connection, and how messages are written as JSON or Avro."""

from __future__ import annotations

import json
import logging
import struct
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.exceptions import ConfigurationError, SourceChangedError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_dataproducts.engine.connections import ConnectionInfo

PATIENCE = 30.0
"""Seconds without a word from the brokers after which they count as gone."""
_BATCH = 10_000
_PAUSE = 0.2
"""Seconds that a batch may take to fill."""
_REGISTRY = "schema.registry."
_MAGIC = b"\x00"
_HEADER = struct.Struct(">cI")
"""Confluent's wire format: a zero byte, then the schema's id in the registry."""
Offsets = dict[int, int]
"""By partition, the offset of the next message to read."""

log = logging.getLogger("airflow_dataproducts.kafka")


def configuration(info: ConnectionInfo, **own: Any) -> dict[str, Any]:
    """A client's configuration: the connection's extra, as Airflow's Kafka provider has it, and what this use needs.

    Raises:
        ConfigurationError: confluent-kafka is not installed, or the connection says nothing of brokers.
    """
    try:
        import confluent_kafka  # noqa: F401
    except ImportError:
        raise ConfigurationError("Kafka needs confluent-kafka: pip install 'airflow-dataproducts[kafka]'") from None
    found = {key: value for key, value in info.extra.items() if not key.startswith(_REGISTRY)}
    host = f"{info.host}:{info.port or 9092}" if info.host else None
    found.setdefault("bootstrap.servers", host)
    if not found["bootstrap.servers"]:
        raise ConfigurationError(f"connection {info.id}: its extra lacks bootstrap.servers")
    return {**found, **own, "logger": log}


@contextmanager
def consumer(info: ConnectionInfo, group: str) -> Iterator[Any]:
    """A consumer that commits nothing by itself, sees what was committed, and says where a partition ends.

    Args:
        info: of type kafka.
        group: the consumer group.
    """
    from confluent_kafka import Consumer

    wanted = configuration(
        info, **{"group.id": group, "enable.auto.commit": False, "enable.partition.eof": True,
                 "isolation.level": "read_committed", "auto.offset.reset": "error"},
    )  # fmt: skip
    with closing(Consumer(wanted)) as found:
        yield found


@contextmanager
def one_line(place: str) -> Iterator[None]:
    """Turns what the client says into one line."""
    from confluent_kafka import KafkaError, KafkaException

    try:
        yield
    except KafkaException as error:
        found = error.args[0]
        gone = isinstance(found, KafkaError) and found.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        kind = SourceChangedError if gone else SourceError
        raise kind(f"{place}: {found.str() if isinstance(found, KafkaError) else found}") from None


def ends(client: Any, topic: str) -> dict[int, tuple[int, int]]:
    """The first offset that is still there, and the one after the last, of each partition.

    Raises:
        SourceChangedError: there is no such topic.
    """
    from confluent_kafka import TopicPartition

    described = client.list_topics(topic, timeout=PATIENCE).topics[topic]
    if described.error is not None or not described.partitions:
        raise SourceChangedError(f"there is no topic {topic}")
    return {
        number: client.get_watermark_offsets(TopicPartition(topic, number), timeout=PATIENCE)
        for number in sorted(described.partitions)
    }


def messages(client: Any, topic: str, since: Offsets, until: Offsets) -> Iterator[list[Any]]:
    """The messages of some partitions, in batches; ``since`` moves on to where each was read.

    Args:
        client: a consumer.
        topic: the topic.
        since: where to begin.
        until: where to end; what is beyond is not read.

    Raises:
        SourceError: the brokers are silent.
    """
    from confluent_kafka import KafkaError, KafkaException, TopicPartition

    left = {number for number, offset in since.items() if offset < until.get(number, 0)}
    if not left:
        return
    client.assign([TopicPartition(topic, number, since[number]) for number in sorted(left)])
    heard = time.monotonic()
    while left:
        found = client.consume(_BATCH, _PAUSE)
        if found:
            heard = time.monotonic()
        elif time.monotonic() - heard > PATIENCE:
            raise SourceError(f"no word from the brokers for {PATIENCE:g} seconds")
        batch = []
        for message in found:
            number = message.partition()
            error = message.error()
            if error is None and message.offset() < until[number]:
                batch.append(message)
                since[number] = message.offset() + 1
            elif error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                raise KafkaException(error)
            if error is not None or message.offset() + 1 >= until[number]:
                left.discard(number)
        if batch:
            yield batch


@dataclass(slots=True)
class Registry:
    """A schema registry, as the connection's extra names it (``schema.registry.url``); asked over HTTP.

    Attributes:
        info: the connection.
    """

    info: ConnectionInfo

    @property
    def url(self) -> str | None:
        """Its address; None where there is none."""
        found = self.info.extra.get("schema.registry.url")
        return str(found).rstrip("/") if found else None

    def schema(self, number: int) -> dict[str, Any]:
        """The schema of an id."""
        return json.loads(self._ask("GET", f"/schemas/ids/{number}")["schema"])  # type: ignore[no-any-return]

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """The id of a schema, which is registered where it is new."""
        told = {"schema": json.dumps(schema), "schemaType": "AVRO"}
        return int(self._ask("POST", f"/subjects/{subject}/versions", json=told)["id"])

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        import requests

        login = str(self.info.extra.get("schema.registry.basic.auth.user.info") or "").partition(":")
        auth = (login[0], login[2]) if login[0] else None
        place = f"connection {self.info.id}: the schema registry"
        try:
            answer = requests.request(method, f"{self.url}{path}", auth=auth, timeout=PATIENCE, **more)
        except requests.RequestException as error:
            raise SourceError(f"{place}: {type(error).__name__}: no answer that can be used") from None
        if answer.status_code >= 400:  # noqa: PLR2004 - RFC 9110, 15.5 and 15.6
            kind = SourceError if answer.status_code >= 500 else SourceChangedError  # noqa: PLR2004
            raise kind(f"{place} answered {answer.status_code} to {path}")
        return dict(answer.json())


def framed(number: int | None, body: bytes) -> bytes:
    """An Avro message with its schema's id before it, where it has one."""
    return body if number is None else _HEADER.pack(_MAGIC, number) + body


def unframed(value: bytes) -> tuple[int, bytes]:
    """The schema's id, and the Avro message.

    Raises:
        ValueError: it does not begin as Confluent's wire format does.
    """
    if len(value) < _HEADER.size or value[:1] != _MAGIC:
        raise ValueError("the message does not begin with a schema's id")
    return _HEADER.unpack_from(value)[1], value[_HEADER.size :]
