"""librdkafka's own brokers, in a process of their own. They know no transactions: what is sent is there at once."""

from __future__ import annotations

import multiprocessing
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

CONTEXT = multiprocessing.get_context("spawn")


def serve(pipe: Connection) -> None:
    """Brokers, until the process is killed."""
    from confluent_kafka import Producer

    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    pipe.send(f"{broker.host}:{broker.port}")
    while True:
        time.sleep(60)


@contextmanager
def brokers() -> Iterator[str]:
    """The address of brokers on the loopback interface."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()
