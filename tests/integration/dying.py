"""Publishing in a process of its own that ends, or is hindered, at a chosen point."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_dataproducts.engine.targets import Request
from tests.integration.shelf import InsideShelf, Shelf

if TYPE_CHECKING:
    from airflow_dataproducts.engine.connections import ConnectionInfo
    from airflow_dataproducts.settings import Settings


@dataclass(frozen=True)
class Attempt:
    """A run's attempt to publish, and what happens to it.

    Attributes:
        kind, publish_to, settings, infos: the shelf.
        run, rows, mode: what is published.
        environment: variables of the object store.
        at_call: the Python call within publish at which the process is killed; None for never.
        after: the seconds after which it is killed; None for never.
        file_bytes: the largest file that may be written, as on a full disk; None for any.
        report: the file that takes the number of calls.
    """

    kind: type[Shelf]
    publish_to: dict[str, Any]
    settings: Settings
    infos: list[ConnectionInfo]
    run: str
    rows: dict[int, str]
    mode: str
    environment: dict[str, str] = field(default_factory=dict)
    at_call: int | None = None
    after: float | None = None
    file_bytes: int | None = None
    report: str | None = None


class Calls:
    """Counts the Python calls of a block, and kills the process at one of them.

    Attributes:
        count: how many there were.
    """

    def __init__(self, kill_at: int | None = None) -> None:
        self.count = 0
        self._kill_at = kill_at

    def __enter__(self) -> Calls:
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _see(self, _frame: object, event: str, _argument: object) -> None:
        self.count += event in {"call", "c_call"}
        if self.count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def publish(attempt: Attempt) -> None:
    """Make the draft, then publish it while what is to happen happens."""
    os.environ.update(attempt.environment)
    shelf = attempt.kind(dict(attempt.publish_to), attempt.settings, *attempt.infos)
    output = shelf.output(attempt.mode)
    target = shelf.target(attempt.mode)
    # Where a database makes the draft, that is part of what may be cut off.
    data = None if isinstance(shelf, InsideShelf) else shelf.draft(attempt.run, attempt.rows, attempt.mode)
    if attempt.after is not None:
        threading.Timer(attempt.after, os.kill, (os.getpid(), signal.SIGKILL)).start()
    if attempt.file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (attempt.file_bytes, attempt.file_bytes))
    with Calls(attempt.at_call) as calls:
        data = shelf.draft(attempt.run, attempt.rows, attempt.mode) if data is None else data
        target.publish(Request("a.b", "1.0.0", "out", output, attempt.run, data))
    if attempt.report is not None:
        Path(attempt.report).write_text(str(calls.count))
    os._exit(0)  # a timer that is still to come must not wait
