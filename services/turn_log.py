"""The events of one turn on their way from the engine, on the event loop, to the view that shows them, in its thread."""

import time
from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue

from models.events import Answer, DocumentProgress, Ended, Event, Failed, Started

HEARTBEAT_SECONDS = 10  # clients are promised one every 15
Numbered = tuple[int, Event]


class TurnLog:
    """Written from the event loop, read by one other thread. An event's number is its place in the turn."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Numbered] = SimpleQueue()
        self._seen: list[Numbered] = []
        self._count = 0

    def append(self, event: Event) -> None:
        """Adds an event; the reader sees it at once."""
        self._queue.put((self._count, event))
        self._count += 1

    def wait_for_model(self, seconds: float) -> None:
        """Waits for the model's first event, at most so long. Raises the error of a turn that failed before it."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                numbered = self._queue.get(timeout=left)
            except Empty:
                return
            match numbered[1]:
                case Failed(error):
                    raise error
                case Started() | DocumentProgress(stage="queued" | "extracting"):  # a file may yet be unreadable
                    self._seen.append(numbered)
                case _:
                    self._seen.append(numbered)
                    return

    def batches(self) -> Iterator[Sequence[Numbered]]:
        """All events, in batches of what has arrived meanwhile; an empty batch when nothing came for 10 s."""
        batch, self._seen = self._seen, []
        while True:
            try:
                batch = batch or [self._queue.get(timeout=HEARTBEAT_SECONDS)]
                while not self._queue.empty():
                    batch.append(self._queue.get_nowait())
            except Empty:
                pass
            yield batch
            if batch and isinstance(batch[-1][1], Ended | Failed):
                return
            batch = []

    def answer(self) -> Answer:
        """The whole turn, once it has ended. Raises its error if it failed."""
        for batch in self.batches():
            for _, event in batch:
                match event:
                    case Ended(answer):
                        return answer
                    case Failed(error):
                        raise error
        raise AssertionError("a turn ends with Ended or Failed")
