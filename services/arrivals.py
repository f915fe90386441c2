"""What comes from the worker's event loop for one view, in its thread."""

import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

HEARTBEAT_SECONDS = 10  # clients are promised one every 15
Item = TypeVar("Item")


class Arrivals(Generic[Item]):
    """Written from the event loop, read by one other thread, which calls `leave` when it stops reading.

    `is_last` tells the item with which everything ends.
    """

    def __init__(self, is_last: Callable[[Item], bool], leave: Callable[[], object] = lambda: None) -> None:
        self.leave = leave
        self._is_last = is_last
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._seen: list[Item] = []

    def add(self, item: Item) -> None:
        """Adds an item; the reader sees it at once."""
        self._queue.put(item)

    def close(self) -> None:
        """Sends the reader away before the end."""
        self._queue.put(None)

    def peek_until(self, awaited: Callable[[Item], bool], seconds: float) -> None:
        """Waits for such an item, at most so long. Whatever came stays to be read. What `awaited` raises is passed on."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                item = self._queue.get(timeout=left)
            except Empty:
                return
            if item is None:
                self._queue.put(None)
                return
            self._seen.append(item)
            if awaited(item):
                return

    def batches(self) -> Iterator[Sequence[Item]]:
        """All items, in batches of what has arrived meanwhile; an empty batch when nothing came for 10 s."""
        batch, self._seen = self._seen, []
        while True:
            going = self._gather(batch)
            if batch or going:
                yield batch
            if not going or (batch and self._is_last(batch[-1])):
                return
            batch = []

    def _gather(self, batch: list[Item]) -> bool:
        """Adds what has arrived, and waits for it if that is nothing; False when the reader is sent away."""
        try:
            while not batch or not self._queue.empty():
                item = self._queue.get(timeout=HEARTBEAT_SECONDS)
                if item is None:
                    return False
                batch.append(item)
        except Empty:
            pass
        return True
