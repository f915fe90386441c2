"""The events of one turn on their way from the event loop to the view that shows them, in its thread."""

import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue

from models.events import Answer, DocumentProgress, Ended, Event, Failed, Started
from utils.errors import Unavailable

HEARTBEAT_SECONDS = 10  # clients are promised one every 15
Numbered = tuple[str, Event]  # the event's id, `<message id>:<place in the turn>`, and the event


def event_id(message_id: str, number: int) -> str:
    return f"{message_id}:{number}"


class TurnLog:
    """Written from the event loop, read by one other thread, which calls `leave` when it stops reading."""

    def __init__(self, message_id: str, on_leave: Callable[[], object] = lambda: None) -> None:
        self.message_id = message_id
        self.leave = on_leave
        self._queue: SimpleQueue[Numbered | None] = SimpleQueue()
        self._seen: list[Numbered] = []

    def put(self, number: int, event: Event) -> None:
        """Adds an event; the reader sees it at once."""
        self._queue.put((event_id(self.message_id, number), event))

    def close(self) -> None:
        """Sends the reader away, although the turn has not ended."""
        self._queue.put(None)

    def wait_for_model(self, seconds: float) -> None:
        """Waits for the model's first event, at most so long. Raises the error of a turn that failed before it."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                numbered = self._queue.get(timeout=left)
            except Empty:
                return
            if numbered is None:
                self._queue.put(None)
                return
            match numbered[1]:
                case Failed(error):
                    self.leave()
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
            going = self._gather(batch)
            if batch or going:
                yield batch
            if not going or (batch and isinstance(batch[-1][1], Ended | Failed)):
                return
            batch = []

    def _gather(self, batch: list[Numbered]) -> bool:
        """Adds what has arrived, and waits for it if that is nothing; False when the log was closed."""
        try:
            while not batch or not self._queue.empty():
                numbered = self._queue.get(timeout=HEARTBEAT_SECONDS)
                if numbered is None:
                    return False
                batch.append(numbered)
        except Empty:
            pass
        return True

    def answer(self) -> Answer:
        """The whole turn, once it has ended. Raises its error if it failed."""
        try:
            for batch in self.batches():
                for _, event in batch:
                    match event:
                        case Ended(answer):
                            return answer
                        case Failed(error):
                            raise error
        finally:
            self.leave()
        raise Unavailable()  # the log was closed
