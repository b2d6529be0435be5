"""Kafka topics: from the offsets that were last published to the ends that there are when reading begins.

Fields arrive as the text that the producer wrote and are cast to the types that the manifest names, so that numbers are
exact. The offsets reached are the watermark, as JSON.
"""

from __future__ import annotations

import datetime as dt
import io
import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.contract.ddl import quote
from airflow_dataproducts.contract.types import duckdb_type
from airflow_dataproducts.engine import duck
from airflow_dataproducts.engine.kafka import Offsets, Registry, consumer, ends, messages, one_line, unframed
from airflow_dataproducts.engine.staging import Stream, guarded
from airflow_dataproducts.exceptions import SourceChangedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa

    from airflow_dataproducts.engine.connections import ConnectionInfo
    from airflow_dataproducts.engine.sources import Reading
    from airflow_dataproducts.manifest.inputs import KafkaInput

_OWN = {
    "_key": "VARCHAR",
    "_value": "VARCHAR",
    "_partition": "INTEGER",
    "_offset": "BIGINT",
    "_timestamp": "TIMESTAMPTZ",
}
"""The columns that every message has. ``_value`` is there where the manifest names no fields."""


@contextmanager
def open_topic(name: str, source: KafkaInput, reading: Reading) -> Iterator[Stream]:
    """Open a topic. See :func:`airflow_dataproducts.engine.sources.open_source`."""
    import pyarrow as pa

    info = reading.connections.get(source.connection)
    place = f"input {name}: connection {source.connection}: topic {source.topic}"
    with (
        one_line(place),
        consumer(info, "airflow-dataproducts") as client,
        duck.session(reading.settings) as connection,
    ):
        since, until = _range(place, ends(client, source.topic), reading)
        rows = _Rows(place, source, info, reading)
        typed = _typed(source)

        def cast(batch: pa.RecordBatch) -> pa.Table:
            return connection.from_arrow(pa.Table.from_batches([batch])).project(typed).to_arrow_table()

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in rows.batches(messages(client, source.topic, since, until)):
                with duck.value_errors(place):
                    yield from cast(batch).to_batches()

        def reached() -> str:
            return json.dumps(since)

        schema = cast(pa.RecordBatch.from_pylist([], rows.schema)).schema
        yield Stream(schema, guarded(Stream(schema, batches()), lambda: one_line(place)), reached)


def _range(place: str, there: dict[int, tuple[int, int]], reading: Reading) -> tuple[Offsets, Offsets]:
    """Where reading begins and ends in each partition."""
    known = {} if reading.window or reading.watermark is None else _offsets(reading.watermark)
    since = {number: known.get(number, low) for number, (low, _) in there.items()}
    for number, (low, high) in there.items():
        if not low <= since[number] <= high:
            lost = f"offsets {since[number]} to {low - 1} of partition {number} are gone" if since[number] < low else (
                f"partition {number} ends at {high}, before {since[number]}, which was read last"
            )  # fmt: skip
            raise SourceChangedError(f"{place}: {lost}; run with --full to read what there is")
    until = {number: high for number, (_, high) in there.items()}
    if reading.upto is not None:  # a run that reads again reads as far as it did; partitions may have come since
        until = {number: _offsets(reading.upto).get(number, since[number]) for number in there}
    return since, until


def _offsets(text: str) -> Offsets:
    return {int(number): int(offset) for number, offset in json.loads(text).items()}


class _Rows:
    """Messages as rows of text."""

    def __init__(self, place: str, source: KafkaInput, info: ConnectionInfo, reading: Reading) -> None:
        import pyarrow as pa

        self._place = place
        self._fields = list(source.types) or ["_value"]
        self._window = tuple(map(_moment, reading.window)) if reading.window else None
        self._decode = _decoder(source, info)
        self.schema = pa.schema([pa.field(name, pa.string()) for name in (*self._fields, *_meta())])

    def batches(self, arriving: Iterator[list[Any]]) -> Iterator[pa.RecordBatch]:
        """The messages within the window, in batches."""
        import pyarrow as pa

        for batch in arriving:
            rows = [row for message in batch if (row := self._row(message)) is not None]
            yield pa.RecordBatch.from_pylist(rows, self.schema)

    def _row(self, message: Any) -> dict[str, str | None] | None:
        stamp = dt.datetime.fromtimestamp(message.timestamp()[1] / 1000, dt.UTC)
        if self._window and not self._window[0] <= stamp < self._window[1]:
            return None
        key, value = message.key(), message.value()
        try:
            found = {} if value is None else self._decode(value)
            own = {"_key": key.decode() if key is not None else None}
        except (ValueError, EOFError, IndexError, TypeError, KeyError):
            at = f"offset {message.offset()} of partition {message.partition()}"
            raise SourceChangedError(f"{self._place}: the message at {at} is not what the manifest says") from None
        own |= {
            "_partition": str(message.partition()),
            "_offset": str(message.offset()),
            "_timestamp": stamp.isoformat(),
        }
        return {**{name: _text(found.get(name)) for name in self._fields}, **own}


def _meta() -> list[str]:
    return [name for name in _OWN if name != "_value"]


def _decoder(source: KafkaInput, info: ConnectionInfo) -> Callable[[bytes], Mapping[str, Any]]:
    """What reads a message's value; it raises ValueError where it cannot."""
    if source.format == "avro":
        return _avro(source, info)
    if not source.types:
        return lambda value: {"_value": value.decode()}

    def read(value: bytes) -> Mapping[str, Any]:
        found = json.loads(value, parse_float=str)
        if not isinstance(found, dict):
            raise ValueError("no JSON object")  # noqa: TRY004 - what json raises, too
        return found

    return read


def _avro(source: KafkaInput, info: ConnectionInfo) -> Callable[[bytes], Mapping[str, Any]]:
    import fastavro

    registry = Registry(info)
    known: dict[int, Any] = {}
    own: Any = fastavro.parse_schema(json.loads(Path(source.avro_schema).read_text())) if source.avro_schema else None

    def read(value: bytes) -> Mapping[str, Any]:
        if registry.url is None:
            schema, body = own, value
        else:
            number, body = unframed(value)
            if number not in known:
                known[number] = fastavro.parse_schema(registry.schema(number))
            schema = known[number]
        found = fastavro.schemaless_reader(io.BytesIO(body), schema, own)
        return found if source.types and isinstance(found, dict) else {"_value": found}

    return read


def _text(value: Any) -> str | None:
    """A value as the text that DuckDB casts to its type."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return "".join(f"\\x{byte:02x}" for byte in value)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=_text)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _moment(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _typed(source: KafkaInput) -> str:
    kinds = {name: duckdb_type(kind) for name, kind in source.types.items()} or {"_value": "VARCHAR"}
    for name in _meta():
        kinds.setdefault(name, _OWN[name])
    return ", ".join(f"CAST({quote(name)} AS {kind}) AS {quote(name)}" for name, kind in kinds.items())
