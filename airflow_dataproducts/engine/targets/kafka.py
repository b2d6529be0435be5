"""Messages in a Kafka topic: one for each row of a run, however often the run is tried.

A run sends its messages in one transaction, so that readers of committed messages see all of them or none. Every message
says in its headers which run and row it is. A run notes where the topic ended before it began (as the committed offsets of
a consumer group of its own); one that is tried again looks at what came since and sends only what is not there, which also
holds where a broker knows no transactions. Kafka forgets a group's offsets, after seven days by default.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine.kafka import PATIENCE, Offsets, configuration, consumer, ends, messages, one_line
from airflow_dataproducts.engine.targets import Publication
from airflow_dataproducts.engine.targets.kafka_messages import Message, Writer
from airflow_dataproducts.exceptions import DataProductsError, PublishError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.connections import ConnectionInfo
    from airflow_dataproducts.engine.storage import Place
    from airflow_dataproducts.engine.targets import Keep, PastVersion, Request
    from airflow_dataproducts.manifest.outputs import KafkaPublish

_RUN, _ROW, _ROWS = "dataproducts-run", "dataproducts-row", "dataproducts-rows"
_BEGUN, _DONE = "begun", "done"
_QUEUE = 50_000
"""Messages that may wait to be sent."""


class KafkaTarget:
    """A topic, as an output of a product writes to it."""

    columns_in_files = False

    def __init__(self, output: str, publish: KafkaPublish, info: ConnectionInfo) -> None:
        self._output = output
        self._publish = publish
        self._info = info

    def draft(self, _run: str) -> Place | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`. Files are not what is published here."""
        return None

    def published(self, run_id: str) -> Publication | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        with self._errors(), consumer(self._info, self._group(run_id)) as client:
            state, since = self._noted(client)
            if state is None:
                return None
            if state.startswith(_DONE):
                return self._publication(int(state.removeprefix(_DONE)), since)
            there, rows = self._there(client, run_id, since)
            return self._publication(rows, since) if rows and len(there) == rows else None

    def current(self, _columns: tuple[str, ...]) -> pads.Dataset | None:
        """See :class:`airflow_dataproducts.engine.targets.Target`. A topic is no table."""
        return None

    def publish(self, request: Request) -> Publication:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        writer = Writer(request.output, self._publish, self._info)
        with self._errors(), self._producer() as producer, consumer(self._info, self._group(request.run_id)) as client:
            state, since = self._noted(client)
            if state is None:
                since = {number: high for number, (_, high) in ends(client, self._publish.topic).items()}
                self._note(client, _BEGUN, since)
            elif state.startswith(_DONE):
                return self._publication(int(state.removeprefix(_DONE)), since)
            there, _ = self._there(client, request.run_id, since)
            rows = request.dataset.count_rows()
            left = (each for each in enumerate(writer.messages(request.dataset)) if each[0] not in there)
            if len(there) < rows:
                said = {_RUN: request.run_id, "dataproducts-version": request.version, _ROWS: str(rows)}
                self._send(producer, left, said)
            self._note(client, f"{_DONE}{rows}", since)
        return self._publication(rows, since)

    def versions(self) -> list[PastVersion]:
        """See :class:`airflow_dataproducts.engine.targets.Target`. Messages are not taken back."""
        return []

    def rollback(self, revision: str) -> Publication:
        """See :class:`airflow_dataproducts.engine.targets.Target`."""
        raise PublishError(f"{self._publish.topic} cannot go back to {revision}: messages are not taken back")

    def tidy(self, _keep: Keep) -> int:
        """See :class:`airflow_dataproducts.engine.targets.Target`. Kafka itself forgets messages and groups."""
        return 0

    def _send(self, producer: Any, rows: Iterable[tuple[int, Message]], said: Mapping[str, str]) -> None:
        """Send rows by their numbers, all in one transaction."""
        producer.begin_transaction()
        try:
            failed: list[Any] = []
            for row, message in rows:
                self._produce(producer, message, {**said, _ROW: str(row)}, failed)
            producer.flush(PATIENCE)
            self._all_arrived(producer, failed)
            producer.commit_transaction(PATIENCE)
        except BaseException:
            producer.abort_transaction(PATIENCE)
            raise

    def _produce(self, producer: Any, message: Message, headers: Any, failed: list[Any]) -> None:
        key, value = message
        while len(producer) >= _QUEUE:
            producer.poll(0.1)
        producer.produce(
            self._publish.topic, value, key, headers=headers,
            on_delivery=lambda error, _message: failed.append(error) if error is not None else None,
        )  # fmt: skip
        producer.poll(0)

    def _all_arrived(self, producer: Any, failed: list[Any]) -> None:
        if failed or len(producer):
            reason = failed[0].str() if failed else "the brokers are silent"
            raise PublishError(f"topic {self._publish.topic}: {reason}; what was sent is not committed")

    def _there(self, client: Any, run_id: str, since: Offsets) -> tuple[set[int], int]:
        """The numbers of the rows of a run that are in the topic, and how many it has; 0 where none is there."""
        now = ends(client, self._publish.topic)
        since = {number: since.get(number, low) for number, (low, _) in now.items()}
        until = {number: high for number, (_, high) in now.items()}
        found: set[int] = set()
        rows = 0
        for batch in messages(client, self._publish.topic, since, until):
            for message in batch:
                headers = dict(message.headers() or ())
                if headers.get(_RUN) == run_id.encode():
                    found.add(int(headers[_ROW]))
                    rows = int(headers[_ROWS])
        return found, rows

    def _noted(self, client: Any) -> tuple[str | None, Offsets]:
        """What a run has said of itself, and where the topic ended before it."""
        from confluent_kafka import TopicPartition

        partitions = [TopicPartition(self._publish.topic, number) for number in ends(client, self._publish.topic)]
        noted = [each for each in client.committed(partitions, timeout=PATIENCE) if each.offset >= 0]
        if not noted:
            return None, {}
        return noted[0].metadata, {each.partition: each.offset for each in noted}

    def _note(self, client: Any, state: str, since: Offsets) -> None:
        from confluent_kafka import TopicPartition

        told = [TopicPartition(self._publish.topic, number, at, metadata=state) for number, at in since.items()]
        client.commit(offsets=told, asynchronous=False)

    @contextmanager
    def _producer(self) -> Iterator[Any]:
        """A producer that ends whatever an attempt before it has left open."""
        from confluent_kafka import Producer

        wanted = {
            "transactional.id": f"dataproducts.{self._output}", "partitioner": "murmur2_random",
            "compression.type": "zstd", "linger.ms": 20, "queue.buffering.max.messages": 2 * _QUEUE,
        }  # fmt: skip
        producer = Producer(configuration(self._info, **wanted))
        producer.init_transactions(PATIENCE)
        yield producer

    def _group(self, run_id: str) -> str:
        digest = hashlib.sha256(f"{self._output} {self._publish.topic} {run_id}".encode()).hexdigest()
        return f"dataproducts.{self._output}.{digest[:12]}"

    def _publication(self, rows: int, since: Offsets) -> Publication:
        return Publication("kafka", self._publish.topic, json.dumps(since), rows)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        place = f"connection {self._info.id}: topic {self._publish.topic}"
        try:
            with one_line(place):
                yield
        except PublishError:
            raise
        except DataProductsError as error:
            raise PublishError(f"{place} was not written: {error}") from None
