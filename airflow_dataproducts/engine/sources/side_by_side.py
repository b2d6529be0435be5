"""Reading several parts of one source at once."""

from __future__ import annotations

import queue
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_Item = TypeVar("_Item")
_AHEAD = 2
"""Items that wait for the reader, for each part: they bound the memory."""
_PATIENCE = 0.2
"""Seconds after which a part that waits for room looks whether it is still wanted."""


def side_by_side(parts: Sequence[Callable[[], Iterator[_Item]]]) -> Iterator[_Item]:
    """The items of all parts, as they come. Each part is read in a thread of its own.

    The first error of a part ends all of them. Parts end, and let go what they hold, when nobody reads any more.

    Args:
        parts: each opens a part and gives its items.
    """
    meeting: _Meeting[_Item] = _Meeting(_AHEAD * len(parts))
    with ExitStack() as stack:
        threads = [threading.Thread(target=meeting.read, args=(part,), daemon=True) for part in parts]
        for thread in threads:
            stack.callback(thread.join)
        stack.callback(meeting.over.set)
        for thread in threads:
            thread.start()
        yield from meeting.items(len(parts))


class _Meeting(Generic[_Item]):
    """Where those who read parts meet the one who wants their items."""

    def __init__(self, room: int) -> None:
        self._waiting: queue.Queue[_Item | BaseException | None] = queue.Queue(room)
        self.over = threading.Event()

    def read(self, part: Callable[[], Iterator[_Item]]) -> None:
        """Put a part's items, and None once it has ended."""
        try:
            if all(self._put(item) for item in part()):
                self._put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the items are read
            self._put(error)

    def items(self, parts: int) -> Iterator[_Item]:
        """All items of so many parts."""
        while parts:
            item = self._waiting.get()
            if item is None:
                parts -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield item

    def _put(self, item: _Item | BaseException | None) -> bool:
        """Whether the item found room before it was all over."""
        while not self.over.is_set():
            try:
                self._waiting.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
            return True
        return False
