"""Rows as messages: JSON with exact numbers as text, or Avro by a schema that is made from the contract."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine.kafka import Registry, framed
from airflow_dataproducts.exceptions import PublishError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.dataset as pads

    from airflow_dataproducts.engine.connections import ConnectionInfo
    from airflow_dataproducts.manifest.contract import Contract
    from airflow_dataproducts.manifest.outputs import KafkaPublish, Output
    from airflow_dataproducts.manifest.types import DataType

Message = tuple[bytes | None, bytes]
"""Key and value."""
_ROWS = 10_000
_AVRO: dict[str, Any] = {
    "string": "string", "integer": "int", "bigint": "long", "float": "float", "double": "double", "boolean": "boolean",
    "date": {"type": "int", "logicalType": "date"}, "time": {"type": "long", "logicalType": "time-micros"},
    "timestamp": {"type": "long", "logicalType": "local-timestamp-micros"},
    "timestamptz": {"type": "long", "logicalType": "timestamp-micros"},
    "uuid": {"type": "string", "logicalType": "uuid"}, "json": "string", "binary": "bytes",
}  # fmt: skip


class Writer:
    """Makes the messages of an output's rows.

    Args:
        output: the output's manifest.
        publish: how it is published.
        info: the connection, whose schema registry gets the Avro schema.
    """

    def __init__(self, output: Output, publish: KafkaPublish, info: ConnectionInfo) -> None:
        contract = output.contract
        self._columns = [column.name for column in contract.columns]
        self._key = publish.key or contract.primary_key
        self._schema: Any = None
        self._number: int | None = None
        if publish.format == "avro":
            import fastavro

            schema = avro_schema(contract, publish.topic)
            registry = Registry(info)
            self._number = registry.register(f"{publish.topic}-value", schema) if registry.url else None
            self._schema = fastavro.parse_schema(schema)

    def messages(self, data: pads.Dataset) -> Iterator[Message]:
        """Key and value of each row, in the order of the rows."""
        for batch in data.to_batches(columns=self._columns, batch_size=_ROWS):
            for row in batch.to_pylist():
                yield self._key_of(row), self._value(row)

    def _key_of(self, row: dict[str, Any]) -> bytes | None:
        """The key's only value as text, or its values as a JSON object; None where there is no key."""
        if not self._key:
            return None
        if len(self._key) == 1:
            value = _plain(row[self._key[0]])
            return None if value is None else (value if isinstance(value, str) else json.dumps(value)).encode()
        return _json({name: row[name] for name in self._key})

    def _value(self, row: dict[str, Any]) -> bytes:
        if self._schema is None:
            return _json(row)
        import fastavro

        body = io.BytesIO()
        fastavro.schemaless_writer(body, self._schema, row)
        return framed(self._number, body.getvalue())


def avro_schema(contract: Contract, topic: str) -> dict[str, Any]:
    """The Avro schema of a contract's rows: a record whose fields may all be null, as rows may lack any value.

    Raises:
        PublishError: a column's type has no Avro counterpart.
    """
    fields = []
    for column in contract.columns:
        field = {"name": column.name, "type": ["null", _avro(column.type, column.name)], "default": None}
        fields.append({**field, "doc": column.description} if column.description else field)
    name = "".join(each if each.isalnum() else "_" for each in topic)
    return {"type": "record", "name": name if name[0].isalpha() else f"_{name}", "fields": fields}


def _avro(kind: DataType, name: str) -> Any:
    if kind.name == "decimal":
        return {"type": "bytes", "logicalType": "decimal", "precision": kind.precision, "scale": kind.scale}
    if kind.item is not None:
        return {"type": "array", "items": ["null", _avro(kind.item, name)]}
    if kind.name not in _AVRO:
        raise PublishError(f"column {name}: the type {kind} is not written as Avro; use json, or format: json")
    return _AVRO[kind.name]


def _json(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, default=_plain, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    """What JSON has no word for: exact numbers, moments and bytes as text."""
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, Decimal) else value
