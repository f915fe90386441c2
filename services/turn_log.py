"""The events of one turn on their way from the event loop to the view that shows them."""

from collections.abc import Callable

from models.events import Answer, DocumentProgress, Ended, Event, Failed, Started
from services.arrivals import Arrivals
from utils.errors import Unavailable

Numbered = tuple[str, Event]  # the event's id, `<message id>:<place in the turn>`, and the event


def event_id(message_id: str, number: int) -> str:
    return f"{message_id}:{number}"


class TurnLog(Arrivals[Numbered]):
    """Ends with Ended or Failed, or without them when a reader who waits for a turn is sent away."""

    def __init__(self, message_id: str, leave: Callable[[], object] = lambda: None) -> None:
        super().__init__(lambda numbered: isinstance(numbered[1], Ended | Failed), leave)
        self.message_id = message_id

    def put(self, number: int, event: Event) -> None:
        """Adds the event with that place in the turn."""
        self.add((event_id(self.message_id, number), event))

    def wait_for_model(self, seconds: float) -> None:
        """Waits for the model's first event, at most so long. Raises the error of a turn that failed before it."""
        self.peek_until(self._is_of_model, seconds)

    def _is_of_model(self, numbered: Numbered) -> bool:
        match numbered[1]:
            case Failed(error):
                self.leave()
                raise error
            case Started() | DocumentProgress(stage="queued" | "extracting"):  # a file may yet be unreadable
                return False
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
        raise Unavailable()  # the reader was sent away
