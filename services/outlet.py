"""Where the events of a turn go: to the view that started it and, if the turn has a session, to the session's streams."""

from models.event_json import encode
from models.events import Answer, Ended, Event, Failed, SourcesFound, Started
from models.turns import Turn
from services.turn_log import TurnLog
from utils.errors import ChatError
from utils.event_streams import EventStreams, Outgoing


class Outlet:
    """Numbers the events of one turn. `outgoing` is what other workers will see of it; None for a stateless turn."""

    def __init__(self, log: TurnLog, turn: Turn, streams: EventStreams) -> None:
        self._log, self._streams = log, streams
        self.outgoing = Outgoing(str(turn.key), turn.message_ids[1]) if turn.history is None else None
        self._start = Started("" if turn.history is not None else turn.key.session_id, turn.message_ids[1])
        self._started = False
        self._count = 0  # of the events of a stateless turn; the streams count the others

    def start(self) -> None:
        """Tells the readers which turn it is; only the first call does."""
        if not self._started:
            self._started = True
            self.emit(self._start)

    def emit(self, event: Event, *, ends: bool = False) -> None:
        """Shows an event to all readers."""
        self._log.put(self.publish(event, ends=ends), event)

    def publish(self, event: Event, *, ends: bool = False) -> int:
        """Shows an event to the readers in other workers, and to those who come later; its number."""
        if self.outgoing is not None:
            return self._streams.publish(self.outgoing, encode(event), ends=ends)
        self._count += 1
        return self._count - 1

    def fail(self, error: ChatError) -> None:
        """Ends the turn with an error."""
        self.emit(Failed(error), ends=True)

    def ending(self, answer: Answer, error: ChatError | None) -> list[tuple[int, Event]]:
        """Publishes how the turn ended, with the numbers of these events; `show` shows them to the view."""
        events: list[Event] = [Failed(error)] if error else [Ended(answer)]
        if answer.sources and not error:
            events.insert(0, SourcesFound(answer.sources))
        return [(self.publish(event, ends=event is events[-1]), event) for event in events]

    def show(self, numbered: list[tuple[int, Event]]) -> None:
        for number, event in numbered:
            self._log.put(number, event)
