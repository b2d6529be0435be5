"""A server in front of an object store, that fails one request in five and answers one in fifty too late."""

from __future__ import annotations

import http.client
import itertools
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


class _Handler(BaseHTTPRequestHandler):
    host = ""
    numbers = itertools.count(1)
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self._body()
        number = next(self.numbers)
        if number % 100 == 0:
            time.sleep(4)  # longer than Arrow waits for an answer
        if number % 5 == 0:
            self._answer(503, [], b"")
            return
        connection = http.client.HTTPConnection(self.host, timeout=30)
        sent = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
        connection.request(self.command, self.path, body, {**sent, "Content-Length": str(len(body))})
        answer = connection.getresponse()
        self._answer(answer.status, answer.getheaders(), answer.read())
        connection.close()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        length = next((value for name, value in headers if name.lower() == "content-length"), str(len(body)))
        for name, value in headers:
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        return


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


def serve(address: str, told: Connection) -> None:
    """Pass requests on to the store at an address; tells its own port."""
    _Handler.host = urlsplit(address).netloc
    server = _Server(("127.0.0.1", 0), _Handler)
    told.send(server.server_port)
    server.serve_forever()
