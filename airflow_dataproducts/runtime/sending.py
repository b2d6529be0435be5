"""Sending what waits in the outbox: in order, at least once, with patience."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from airflow_dataproducts.exceptions import DataProductsError
from airflow_dataproducts.runtime.run import log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from airflow_dataproducts.catalog.outbox import Outbox, Waiting

CLAIMED = timedelta(minutes=2)
"""How long a message is one process's own; one that was killed meanwhile leaves it to another."""
LONGEST = timedelta(minutes=15)
"""Between two tries."""


class DeliveryError(DataProductsError):
    """A channel did not take a message.

    Attributes:
        retry_after: what the channel asks to wait; None where it says nothing.
    """

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Channel(Protocol):
    """A way to tell people."""

    def send(self, message: Waiting) -> Mapping[str, Any] | None:
        """Send a message.

        Returns:
            What later messages about the same incident need to stand beside this one; None where there is nothing.

        Raises:
            DeliveryError: the channel did not take it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the messages that waited."""

    sent: int = 0
    failed: int = 0
    dead: int = 0


def flush(outbox: Outbox, channels: Callable[[str], Channel], clock: Callable[[], datetime], expire: timedelta) -> Sent:
    """Send what waits.

    Args:
        outbox: the catalog's.
        channels: the channel of a name.
        clock: the time.
        expire: how long a message is tried before it is given up.
    """
    sent = failed = dead = 0
    while waiting := outbox.waiting(clock()):
        for message in waiting:
            now = clock()
            if not outbox.claim(message.id, now, now + CLAIMED):
                continue
            try:
                reference = channels(message.told.channel).send(message)
            except DataProductsError as error:
                failed += 1
                dead += _put_off((outbox, expire), message, error, clock())
            else:
                sent += 1
                outbox.sent(message.id, reference, clock())
    return Sent(sent, failed, dead)


def _put_off(site: tuple[Outbox, timedelta], message: Waiting, error: DataProductsError, now: datetime) -> bool:
    outbox, expire = site
    tries = message.tries + 1
    wait = getattr(error, "retry_after", None) or min(timedelta(seconds=10 * 2 ** min(tries, 10)), LONGEST)
    is_dead = now - message.created_at > expire
    log.warning(
        "a message by %s to %s was not sent, try %s: %s", message.told.channel, message.told.address, tries, error
    )
    outbox.failed(message.id, str(error), tries, now if is_dead else now + wait, dead=is_dead)
    return is_dead
