"""A server that speaks Slack's Web API on the loopback interface, remembers what it was told, and can be unwell."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Slack:
    """What the server was told, and how it is.

    Attributes:
        url: its address.
        posted: the messages that it took, in order.
        updated: the changes to messages.
        answers: statuses that the next requests get in place of 200; 0 stands for no answer in time.
    """

    url: str = ""
    posted: list[dict[str, Any]] = field(default_factory=list)
    updated: list[dict[str, Any]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    refuses: str | None = None


@contextmanager
def slack() -> Iterator[Slack]:
    """Such a server."""
    state = Slack()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            status = state.answers.pop(0) if state.answers else 200
            if status == 0:
                time.sleep(2)
                return
            if status != HTTPStatus.OK:
                self._answer(
                    status,
                    {
                        "ok": False,
                        "error": "ratelimited" if status == HTTPStatus.TOO_MANY_REQUESTS else "internal_error",
                    },
                )
            elif state.refuses:
                self._answer(200, {"ok": False, "error": state.refuses})
            elif self.path.endswith("chat.update"):
                state.updated.append(body)
                self._answer(200, {"ok": True, "channel": body["channel"], "ts": body["ts"]})
            else:
                state.posted.append(body)
                self._answer(200, {"ok": True, "channel": "C1", "ts": f"{len(state.posted)}.0"})

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            if status == HTTPStatus.TOO_MANY_REQUESTS:
                self.send_header("Retry-After", "7")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/api/"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def slack_connection(url: str, token: str | None) -> str:
    """The connection of this server as Airflow reads it from a variable; of the real Slack where there is a token."""
    extra = {} if token else {"base_url": url}
    return json.dumps({"conn_type": "slack", "password": token or "xoxb-none", "extra": extra})
