"""REST APIs as inputs, served by a real web server on this machine."""

from __future__ import annotations

import base64
import json
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from airflow_dataproducts.engine.connections import ConnectionInfo
from airflow_dataproducts.engine.sources import Reading, open_source
from airflow_dataproducts.exceptions import SourceChangedError, SourceError
from airflow_dataproducts.manifest.inputs import Input
from tests.integration.conftest import KnownConnections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataproducts.settings import Settings

RECORDS = [
    {"id": number, "price": number + 0.10, "name": f"n{number}", "day": f"2026-01-0{number}"} for number in range(1, 8)
]


class Api:
    """A server that gives RECORDS in every way of paging there is, and fails when told to."""

    def __init__(self) -> None:
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.asked: list[str] = []
        self.logins: list[str | None] = []
        self.body: bytes | None = None
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(self.path)
                api.logins.append(self.headers.get("Authorization"))
                if api.failures:
                    code, headers = api.failures.pop(0)
                    self._answer(code, b"no", headers)
                    return
                parts = urlsplit(self.path)
                asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
                body, headers = api.page(parts.path, asked, api.address)
                self._answer(200, api.body if api.body is not None else json.dumps(body).encode(), headers)

            def _answer(self, code: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(code)
                for name, value in {
                    "Content-Type": "application/json",
                    "Content-Length": str(len(body)),
                    **headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/api"

    def page(self, path: str, asked: dict[str, str], address: str) -> tuple[Any, dict[str, str]]:
        size = int(asked.get("size", 3))
        start = int(asked.get("offset", (int(asked.get("page", 1)) - 1) * size))
        after = [record for record in RECORDS if str(record["day"]) >= asked.get("since", "")]
        some = after[start : start + size]
        more = start + size if start + size < len(after) else None
        match path.rsplit("/", 1)[-1]:
            case "all":
                return after, {}
            case "cursor":
                start = int(asked.get("after", 0))
                more = start + size if start + size < len(RECORDS) else None
                return {"data": {"items": RECORDS[start : start + size]}, "meta": {"next": more}}, {}
            case "link":
                link = {"Link": f'<{address}/link?offset={more}>; rel="next"'} if more else {}
                return some, link
            case "elsewhere":
                return some, {"Link": '<http://example.com/api/link?offset=3>; rel="next"'}
        return {"items": some}, {}


@pytest.fixture
def api() -> Iterator[Api]:
    found = Api()
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def read(settings: Settings, api: Api, watermark: str | None = None, **fields: Any) -> pa.Table:
    given: Input = TypeAdapter(Input).validate_python({"connection": "api", **fields})
    info = ConnectionInfo(
        "api", "http", host="127.0.0.1", port=api.server.server_port, schema="/api", login="me", password="secret"
    )
    reading = Reading(KnownConnections(info), settings, lambda _: pytest.fail("no product"), watermark)
    with open_source("orders", given, reading) as stream:
        return pa.Table.from_batches(list(stream.batches), stream.schema)


@pytest.mark.parametrize(
    ("fields", "requests"),
    [
        ({"endpoint": "all"}, 1),
        ({"endpoint": "pages", "records": "items", "paging": {"by": "page", "size_param": "size", "size": 3}}, 3),
        ({"endpoint": "pages", "records": "items", "paging": {"by": "page"}}, 4),
        ({"endpoint": "pages", "records": "items", "paging": {"by": "offset", "param": "offset", "size_param": "size", "size": 7}}, 2),
        ({"endpoint": "cursor", "records": "data.items", "paging": {"by": "cursor", "param": "after", "next": "meta.next"}}, 3),
        ({"endpoint": "/link", "paging": {"by": "link"}}, 3),
    ],
)  # fmt: skip
def test_every_way_of_paging(settings: Settings, api: Api, fields: dict[str, Any], requests: int) -> None:
    table = read(settings, api, **fields)
    assert table["id"].to_pylist() == list(range(1, 8))
    assert len(api.asked) == requests
    assert set(api.logins) == {"Basic " + base64.b64encode(b"me:secret").decode()}


def test_values_are_what_was_written(settings: Settings, api: Api) -> None:
    api.body = b"""[{"big": 9223372036854775807, "exact": 0.10, "mixed": 1, "ok": true, "tags": ["a"], "who": {"n": 1.50}},
                    {"exact": 12345678901234567890.123456789, "mixed": "x", "late": 3, "tags": null}]"""
    table = read(settings, api, endpoint="all", types={"exact": "decimal(38,9)"})
    assert table.to_pylist() == [
        {"big": 2**63 - 1, "exact": Decimal("0.10"), "mixed": "1", "ok": True, "tags": '["a"]', "who": '{"n":"1.50"}', "late": None},
        {"big": None, "exact": Decimal("12345678901234567890.123456789"), "mixed": "x", "ok": None, "tags": None, "who": None, "late": 3},
    ]  # fmt: skip


def test_only_what_is_new(settings: Settings, api: Api) -> None:
    fields = {"endpoint": "all", "cursor": "day", "since": "since"}
    assert read(settings, api, "2026-01-05", **fields)["id"].to_pylist() == [6, 7]
    assert api.asked == ["/api/all?since=2026-01-05"]


def test_what_passes_is_waited_for(settings: Settings, api: Api) -> None:
    api.failures = [(429, {"Retry-After": "0"}), (503, {}), (502, {})]
    assert read(settings, api, endpoint="all").num_rows == 7
    assert len(api.asked) == 4


@pytest.mark.parametrize(
    "case",  # how the server fails, what it answers, the input, the error and its message
    [
        ([(404, {})], None, {"endpoint": "all"}, SourceChangedError, "input orders: connection api: all: answered 404 Not Found"),
        ([(401, {})], None, {"endpoint": "all"}, SourceChangedError, "answered 401 Unauthorized"),
        ([(503, {"Retry-After": "0"})] * 9, None, {"endpoint": "all"}, SourceError, "answered 503 Service Unavailable, 5 times"),
        ([], b"<html>", {"endpoint": "all"}, SourceChangedError, "answered application/json, which is no JSON"),
        ([], b'{"a": 1}', {"endpoint": "all"}, SourceChangedError, "the answer is no list of records; say where"),
        ([], b"[]", {"endpoint": "all"}, SourceChangedError, "all has no records, and the manifest names no types"),
        ([], None, {"endpoint": "all", "types": {"colour": "string"}}, SourceChangedError, "no record has colour (they have id, price"),
        ([], None, {"endpoint": "all", "types": {"name": "integer"}}, SourceChangedError, "Could not convert string"),
        ([], None, {"endpoint": "elsewhere", "paging": {"by": "link"}}, SourceChangedError, "the next page is on another host, example.com"),
    ],
)  # fmt: skip
def test_answers_that_cannot_be_used(settings: Settings, api: Api, case: tuple[Any, ...]) -> None:
    api.failures, api.body, fields, error, message = case
    with pytest.raises(error) as caught:
        read(settings, api, **fields)
    assert message in str(caught.value)
    assert "n1" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_no_server(settings: Settings, api: Api) -> None:
    api.server.shutdown()
    api.server.server_close()
    with pytest.raises(SourceError, match="no answer that can be used"):
        read(settings, api, endpoint="all")


def test_an_empty_answer_with_types_is_an_empty_table(settings: Settings, api: Api) -> None:
    api.body = b"[]"
    table = read(settings, api, endpoint="all", types={"id": "bigint"})
    assert (table.num_rows, table.schema.field("id").type) == (0, pa.int64())
