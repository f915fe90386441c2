"""The WebSocket: JSON text frames in, the native events out."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
from flask import Blueprint, request
from flask_sock import Sock
from pydantic import BaseModel, ValidationError
from simple_websocket import ConnectionClosed, Server

from models.events import Failed
from models.schemas import SessionChatBody, SessionPath
from models.schemas_events import WebSocketResume
from models.turns import SessionKey
from services.protocols import native
from services.turn_log import TurnLog
from services.wiring import Services
from utils.errors import ChatError, Forbidden, InvalidField, InvalidJson, Language, TurnInProgress
from views.common import invalid_fields, language, services, session
from views.rate_limit import admit

MOST_WAITING = 10  # turns of one connection that wait for the one before them
LOOK_SECONDS = 2.0  # between two looks whether the server is about to end
GOODBYE_SECONDS = 1.0
SHUTTING_DOWN = 1012
Body = TypeVar("Body", bound=BaseModel)

blueprint = Blueprint("websocket", __name__)
sock = Sock()


@blueprint.before_request
def check() -> None:
    """Refuses wrong names, and pages of other sites, to which a browser would lend its user's cookies and network."""
    _valid(SessionPath, request.view_args or {})
    origin = request.headers.get("Origin")
    allowed = services().settings.CORS_ORIGINS
    if origin and urlsplit(origin).netloc != request.host and origin not in allowed and "*" not in allowed:
        raise Forbidden()


def chat(ws: Server, session_id: str) -> None:
    """A conversation over a WebSocket: JSON text frames in, the native events out.

    In: `{"message": …}` with the options of a turn, `{"type": "stop"}`, `{"type": "resume", "last_event_id": …}`. Out: the
    events of a turn, each with its `id`; what is wrong with a frame is an `error` without one. Turns are answered one after
    the other. A connection that is lost ends no turn: the next one resumes it. 1012 closes it when the server restarts.
    """
    Connection(ws, services(), session(session_id), language()).serve()


sock.route("/ws/chat/<session_id>", bp=blueprint)(chat)


class Connection:
    """One WebSocket. What is asked is answered by a thread of its own, so that a stop is heard meanwhile."""

    def __init__(self, ws: Server, found: Services, key: SessionKey, speech: Language) -> None:
        self.ws, self.services, self.key, self.language = ws, found, key, speech
        self.asked: SimpleQueue[Callable[[], TurnLog | None] | None] = SimpleQueue()
        self.sending = threading.Lock()
        self.idle = threading.Event()  # nothing is being answered
        self.idle.set()

    def serve(self) -> None:
        """Answers until either side ends the connection."""
        threading.Thread(target=self._answer, name="websocket", daemon=True).start()
        try:
            for data in self._received():
                try:
                    self._ask(data)
                except ChatError as error:
                    self._send(native.render(Failed(error), self.language))
        finally:
            self.asked.put(None)
            self._hang_up()

    def _hang_up(self) -> None:
        """Waits for the client's goodbye. The thread that reads would else stay with a socket that is closed under it."""
        with suppress(ConnectionClosed):
            self.ws.close()
        self.ws.thread.join(GOODBYE_SECONDS)
        with suppress(OSError):
            self.ws.sock.shutdown(socket.SHUT_RDWR)
        self.ws.thread.join()

    def _received(self) -> Iterator[str | bytes]:
        while not (self.services.draining.is_set() and self.idle.is_set()):
            if (data := self.ws.receive(timeout=LOOK_SECONDS)) is not None:
                yield data
        self.ws.close(SHUTTING_DOWN)

    def _ask(self, data: str | bytes) -> None:
        try:
            frame = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise InvalidJson() from error
        if not isinstance(frame, dict):
            raise InvalidField.at("body", "must be a JSON object", "须为 JSON 对象")
        if self.asked.qsize() >= MOST_WAITING:
            raise TurnInProgress()
        chat = self.services.chat
        match frame.get("type", "message"):
            case "stop":
                chat.stop(self.key)
            case "resume":
                resume = _valid(WebSocketResume, frame)
                self.asked.put(lambda: chat.watch.running(self.key, resume.last_event_id))
            case "message":
                body = _valid(SessionChatBody, frame)
                admit()
                self.asked.put(lambda: chat.start(native.parse(body, body.message, self.key, self.language)))
            case _:
                raise InvalidField.at("type", "must be message, stop or resume", "只能是 message、stop 或 resume")

    def _answer(self) -> None:
        while (ask := self.asked.get()) is not None:
            self.idle.clear()
            try:
                if (events := ask()) is not None:
                    self._show(events)
            except ChatError as error:
                self._send(native.render(Failed(error), self.language))
            except ConnectionClosed:
                return
            finally:
                self.idle.set()

    def _show(self, events: TurnLog) -> None:
        try:
            for batch in events.batches():
                for event_id, event in batch:
                    self._send({"id": event_id, **native.render(event, self.language)})
                if not self.ws.connected:
                    return
        finally:
            events.leave()

    def _send(self, frame: dict[str, Any]) -> None:
        with self.sending:
            self.ws.send(orjson.dumps(frame).decode())


def _valid(kind: type[Body], frame: dict[str, Any]) -> Body:
    try:
        return kind.model_validate(frame)
    except ValidationError as error:
        raise invalid_fields(error) from error
