"""Topics in and out: nothing lost, nothing twice, by librdkafka's own brokers."""

from __future__ import annotations

import datetime as dt
import io
import json
import random
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import fastavro
import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from deltalake import DeltaTable

from airflow_dataproducts import runtime
from airflow_dataproducts.engine.connections import ConnectionInfo
from airflow_dataproducts.engine.kafka import unframed
from airflow_dataproducts.engine.targets import Request, open_target
from airflow_dataproducts.exceptions import (
    ConfigurationError,
    ManifestError,
    PublishError,
    SourceChangedError,
    SourceError,
)
from airflow_dataproducts.manifest.outputs import Output
from airflow_dataproducts.plan import load_plan
from tests.integration.conftest import KnownConnections
from tests.integration.dying import Calls
from tests.integration.home import Home
from tests.integration.kafka_brokers import CONTEXT, brokers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_dataproducts.settings import Settings

    Write = Callable[..., Path]

EVENTS = """
apiVersion: dataproducts/v1
kind: DataProduct
name: events
domain: test
version: 1.0.0
description: Events.
owner: {team: core}
schedule: manual
inputs:
  events:
    connection: kafka
    topic: TOPIC
    types: {id: bigint, amount: "decimal(20,2)", tags: "array<string>", at: timestamptz}
outputs:
  events:
    transform: SELECT *, _partition AS part, _key AS key FROM events
    publish: {to: delta, mode: append}
    contract:
      primary_key: [id]
      columns:
        - {name: id, type: bigint}
        - {name: amount, type: "decimal(20,2)"}
        - {name: tags, type: "array<string>"}
        - {name: at, type: timestamptz}
        - {name: part, type: integer}
        - {name: key, type: string}
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with brokers() as found:
        yield found


@pytest.fixture
def kafka(address: str) -> ConnectionInfo:
    return ConnectionInfo("kafka", "kafka", extra={"bootstrap.servers": address, "log_level": 0})


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    return f"t{abs(hash(request.node.nodeid))}"


def send(info: ConnectionInfo, topic: str, *values: Any, key: str | None = None) -> None:
    producer = Producer(dict(info.extra))
    for value in values:
        raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
        producer.produce(topic, raw, key)
    assert producer.flush(10) == 0


def received(info: ConnectionInfo, topic: str) -> list[Any]:
    """Every message of a topic."""
    consumer = Consumer(
        {**info.extra, "group.id": "test", "enable.partition.eof": True, "auto.offset.reset": "earliest"}
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found, left = [], set(partitions)
    while left:
        for message in consumer.consume(1000, 0.2):
            error = message.error()
            if error is None:
                found.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
    consumer.close()
    return found


@pytest.fixture
def home(tmp_path: Path, write: Write, kafka: ConnectionInfo, topic: str) -> Iterator[Home]:
    found = Home(tmp_path / "home", write(EVENTS.replace("TOPIC", topic), folder="p"), kafka)
    yield found
    found.close()


def ids(home: Home) -> list[int]:
    table = DeltaTable(str(home.data / "events" / "events")).to_pyarrow_table()
    return sorted(table["id"].to_pylist())


def test_messages_become_rows_exactly(home: Home, kafka: ConnectionInfo, topic: str) -> None:
    moment = "2026-01-01T12:00:00+02:00"
    exact = b'{"id": 9007199254740993, "amount": 123456789012345678.91, "tags": ["a", "b"], "at": "%s", "more": 1}'
    send(kafka, topic, exact % moment.encode(), key="k1")
    send(kafka, topic, {"id": 2})
    assert home.run("r1") == {"events": 2}
    table = DeltaTable(str(home.data / "events" / "events")).to_pyarrow_table()
    row = max(table.to_pylist(), key=lambda each: each["id"])
    assert row["id"] == 9007199254740993
    assert row["amount"] == Decimal("123456789012345678.91")
    assert (row["tags"], row["key"]) == (["a", "b"], "k1")
    assert row["at"] == dt.datetime.fromisoformat(moment)


def test_each_message_once(home: Home, kafka: ConnectionInfo, topic: str) -> None:
    send(kafka, topic, *({"id": number} for number in range(100)))
    assert home.run("r1") == {"events": 100}
    assert home.run("r2") == {"events": 100}, "no new messages"
    send(kafka, topic, *({"id": number} for number in range(100, 110)))
    home.run("r3")
    home.run("r3")
    assert ids(home) == list(range(110))


def test_a_run_that_reads_again_reads_as_far_as_it_did(home: Home, kafka: ConnectionInfo, topic: str) -> None:
    send(kafka, topic, {"id": 1})
    run = home.open("r1")
    first = runtime.extract(run, run.plan.extracts[0])
    send(kafka, topic, {"id": 2})
    assert runtime.extract(home.open("r1"), run.plan.extracts[0])["rows"] == first["rows"] == 1
    home.run("r1")
    home.run("r2")
    assert ids(home) == [1, 2]


def test_days_are_read_again(home: Home, kafka: ConnectionInfo, topic: str) -> None:
    manifest = home.manifest.read_text().replace("mode: append", "mode: merge")
    home.manifest.write_text(manifest)
    send(kafka, topic, {"id": 1})
    home.run("r1")
    today = dt.datetime.now(dt.UTC).date()
    tomorrow = str(today + dt.timedelta(days=1))
    for window, rows in (((str(today), tomorrow), 1), (("2020-01-01", "2020-01-02"), 0)):
        asked = runtime.Options(start=window[0], end=window[1])
        run = home.open(f"r{window[0]}", asked)
        assert runtime.extract(run, run.plan.extracts[0])["rows"] == rows


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"no json", r"the message at offset 0 of partition \d is not what the manifest says"),
        (b"[1]", r"the message at offset 0 of partition \d is not what the manifest says"),
        (b'{"id": "secret"}', "xxxxxx"),
    ],
)
def test_what_is_no_message(home: Home, kafka: ConnectionInfo, topic: str, message: bytes, says: str) -> None:
    send(kafka, topic, message)
    with pytest.raises(SourceChangedError, match=says) as error:
        home.run("r1")
    assert "secret" not in str(error.value)


def test_a_message_without_a_value_is_a_row_of_its_key(home: Home, kafka: ConnectionInfo, topic: str) -> None:
    home.manifest.write_text(home.manifest.read_text().replace("primary_key: [id]", "primary_key: [key]"))
    send(kafka, topic, None, key="gone")
    assert home.run("r1") == {"events": 1}


def test_offsets_that_are_gone_are_told(home: Home, kafka: ConnectionInfo, topic: str) -> None:
    send(kafka, topic, {"id": 1})
    home.run("r1")
    catalog = home.open("r2").catalog
    run = home.open("r0")
    catalog.run_started(run.plan, "r0")
    catalog.run_finished(run.key, {"events": json.dumps(dict.fromkeys(range(4), 1000))})
    with pytest.raises(SourceChangedError, match="before 1000, which was read last; run with --full"):
        home.run("r2")
    assert home.run("r3", runtime.Options(full=True)) == {"events": 1}


def test_brokers_that_are_not_there(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_dataproducts.engine.kafka.PATIENCE", 1.0)
    home.infos[0] = ConnectionInfo("kafka", "kafka", extra={"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    with pytest.raises(SourceError, match="input events: connection kafka: topic"):
        home.run("r1")
    home.infos[0] = ConnectionInfo("kafka", "kafka")
    with pytest.raises(ConfigurationError, match="its extra lacks bootstrap"):
        home.run("r1")


def test_the_whole_message_where_no_fields_are_named(
    tmp_path: Path, write: Write, kafka: ConnectionInfo, topic: str
) -> None:
    text = EVENTS.replace("TOPIC", topic)
    text = text[: text.index("    types:")] + text[text.index("outputs:") :]
    text = (
        text[: text.index("    transform:")]
        + """\
    transform: SELECT CAST(_value->>'$.id' AS BIGINT) AS id, _timestamp AS at FROM events
    publish: {to: delta, mode: append}
    contract: {columns: [{name: id, type: bigint}, {name: at, type: timestamptz}]}
"""
    )
    home = Home(tmp_path / "home", write(text, folder="p"), kafka)
    send(kafka, topic, {"id": 5})
    assert home.run("r1") == {"events": 1}
    assert ids(home) == [5]
    home.close()


class Registry(BaseHTTPRequestHandler):
    """A schema registry."""

    schemas: dict[int, str] = {}  # noqa: RUF012 - shared on purpose

    def do_GET(self) -> None:
        number = int(self.path.rpartition("/")[2])
        if number not in self.schemas:
            self.send_error(404)
            return
        self._answer({"schema": self.schemas[number]})

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = len(self.schemas) + 1
        self.schemas[number] = told["schema"]
        self._answer({"id": number})

    def _answer(self, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Silence."""


@pytest.fixture
def registry() -> Iterator[str]:
    Registry.schemas = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


COLUMNS = [
    {"name": "id", "type": "bigint", "description": "Number"},
    {"name": "amount", "type": "decimal(20,2)"},
    {"name": "at", "type": "timestamptz"},
    {"name": "day", "type": "date"},
    {"name": "tags", "type": "array<string>"},
]
ROWS = pa.table({
    "id": pa.array(range(1, 7), pa.int64()),
    "amount": pa.array([Decimal("123456789012345678.91"), None, *[Decimal("0.10")] * 4], pa.decimal128(20, 2)),
    "at": pa.array([dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)] * 6, pa.timestamp("us", "UTC")),
    "day": pa.array([dt.date(2026, 1, 1)] * 6), "tags": pa.array([["a", None]] * 6, pa.list_(pa.string())),
})  # fmt: skip


def request_of(topic: str, run: str, rows: pa.Table = ROWS, **publish: Any) -> Request:
    to = {"to": "kafka", "connection": "kafka", "topic": topic, **publish}
    output = Output.model_validate({"contract": {"columns": COLUMNS, "primary_key": ["id"]}, "publish": to})
    return Request("a.b", "1.2.0", "out", output, run, pads.dataset(rows))


def publish(request: Request, info: ConnectionInfo, settings: Settings) -> int:
    target = open_target("a.b", "out", request.output, KnownConnections(info), settings)
    assert target.versions() == []
    assert target.current(("id",)) is None
    return target.publish(request).rows


def test_a_message_for_each_row(kafka: ConnectionInfo, topic: str, settings: Settings) -> None:
    Producer(dict(kafka.extra)).list_topics(topic, timeout=10)
    assert publish(request_of(topic, "r1"), kafka, settings) == 6
    assert publish(request_of(topic, "r1"), kafka, settings) == 6
    found = received(kafka, topic)
    assert sorted(message.key() for message in found) == [b"1", b"2", b"3", b"4", b"5", b"6"]
    first = next(message for message in found if message.key() == b"1")
    assert json.loads(first.value()) == {
        "id": 1, "amount": "123456789012345678.91", "at": "2026-01-01T12:00:00+00:00", "day": "2026-01-01", "tags": ["a", None],
    }  # fmt: skip
    assert dict(first.headers())["dataproducts-run"] == b"r1"
    assert publish(request_of(topic, "r2"), kafka, settings) == 6, "another run's rows are messages of their own"
    assert len(received(kafka, topic)) == 12


def test_avro_with_a_registry_goes_round(kafka: ConnectionInfo, topic: str, settings: Settings, registry: str) -> None:
    info = ConnectionInfo("kafka", "kafka", extra={**kafka.extra, "schema.registry.url": registry})
    Producer(dict(kafka.extra)).list_topics(topic, timeout=10)
    publish(request_of(topic, "r1", format="avro", key=["day", "id"]), info, settings)
    first = min(received(kafka, topic), key=lambda message: message.key())
    assert json.loads(first.key()) == {"day": "2026-01-01", "id": 1}
    number, body = unframed(first.value())
    schema = json.loads(Registry.schemas[number])
    assert schema["fields"][0] == {"name": "id", "type": ["null", "long"], "default": None, "doc": "Number"}
    row = fastavro.schemaless_reader(io.BytesIO(body), schema, None)
    assert row == ROWS.to_pylist()[0]


def test_avro_in(
    tmp_path: Path, write: Write, kafka: ConnectionInfo, topic: str, settings: Settings, registry: str
) -> None:
    """By the registry, and by a file; the same rows."""
    Producer(dict(kafka.extra)).list_topics(topic, timeout=10)
    with_registry = ConnectionInfo("kafka", "kafka", extra={**kafka.extra, "schema.registry.url": registry})
    for name, info, more in (("a", with_registry, ""), ("b", kafka, "avro_schema: events.avsc, ")):
        own = f"{topic}{name}"
        Producer(dict(kafka.extra)).list_topics(own, timeout=10)
        publish(request_of(own, "r1", format="avro"), info, settings)
        text = EVENTS.replace("topic: TOPIC", f"topic: {own}").replace(
            "    types: {", f"    format: avro\n    types: {{{more}", 1
        )
        if more:
            text = text.replace(more, "", 1).replace("format: avro\n", "format: avro\n    avro_schema: events.avsc\n")
        manifest = write(text, folder=name)
        (manifest.parent / "events.avsc").write_text(json.dumps(_schema_of(topic=own)))
        home = Home(tmp_path / name, manifest, info)
        assert home.run("r1") == {"events": 6}
        table = DeltaTable(str(home.data / "events" / "events")).to_pyarrow_table().sort_by("id")
        assert table["amount"].to_pylist()[0] == Decimal("123456789012345678.91")
        assert table["tags"].to_pylist()[0] == ["a", None]
        home.close()


def _schema_of(topic: str) -> Any:
    from airflow_dataproducts.engine.targets.kafka_messages import avro_schema

    return avro_schema(request_of(topic, "r").output.contract, topic)


def die(topic: str, run: str, info: ConnectionInfo, settings: Settings, at: int) -> None:
    """Publish in a process that kills itself at a Python call."""
    many = pa.concat_tables([ROWS] * 50)
    with Calls(at):
        publish(request_of(topic, run, many), info, settings)


@pytest.mark.slow
def test_killed_at_any_point_each_row_is_one_message(kafka: ConnectionInfo, topic: str, settings: Settings) -> None:
    Producer(dict(kafka.extra)).list_topics(topic, timeout=10)
    dice, killed, many = random.Random(5), 0, pa.concat_tables([ROWS] * 50)
    for number in range(12):
        at = dice.randint(500, 60_000)
        process = CONTEXT.Process(target=die, args=(topic, f"r{number}", kafka, settings, at))
        process.start()
        process.join(120)
        killed += process.exitcode == -9
        assert publish(request_of(topic, f"r{number}", many), kafka, settings) == 300
        rows = [
            int(headers["dataproducts-row"])
            for message in received(kafka, topic)
            if (headers := dict(message.headers()))["dataproducts-run"] == f"r{number}".encode()
        ]
        assert sorted(rows) == list(range(300))
    assert killed > 6


def test_a_topic_that_cannot_be_written_or_read_back(kafka: ConnectionInfo, topic: str, settings: Settings) -> None:
    request = request_of(topic, "r1")
    target = open_target("a.b", "out", request.output, KnownConnections(kafka), settings)
    with pytest.raises(PublishError, match="messages are not taken back"):
        target.rollback("1")
    from airflow_dataproducts.engine.targets import open_published

    with pytest.raises(SourceChangedError, match="is a Kafka topic, no table"):
        open_published("kafka", topic, "kafka", KnownConnections(kafka))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "{to: delta, mode: append}",
            "{to: kafka, connection: k, topic: t, mode: merge}",
            "messages are only appended",
        ),
        (
            "{to: delta, mode: append}",
            "{to: kafka, connection: k, topic: t, key: [x]}",
            "found 'x', which is no column",
        ),
        ("    topic: TOPIC\n", "    topic: TOPIC\n    avro_schema: a.avsc\n", "avro_schema is for format: avro"),
        (
            "    topic: TOPIC\n",
            "    topic: TOPIC\n    format: avro\n    avro_schema: a.avsc\n",
            "a.avsc does not exist",
        ),
    ],
)
def test_lint(write: Write, old: str, new: str, says: str) -> None:
    assert old in EVENTS
    with pytest.raises(ManifestError) as error:
        load_plan(write(EVENTS.replace(old, new)))
    assert says in str(error.value)
