"""What all views share: the services, who asks, in which language, and how a turn is shown."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from flask import Response, current_app, jsonify, request
from pydantic import BaseModel, model_validator

from models.events import Answer, Event
from models.turns import SessionKey, Turn
from services.chat_service import Prepare
from services.protocols import native
from services.wiring import Services
from utils.errors import Language

LOCAL_OWNER = "local"
FIRST_EVENT_SECONDS = 10
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
EVENT_STREAM = "text/event-stream; charset=utf-8"


class WireFormat(Protocol):
    """What a module of `services.protocols` offers."""

    def stream(self, batches: Iterator[Sequence[tuple[str, Event]]], language: Language) -> Iterator[bytes]: ...

    def whole(self, answer: Answer) -> dict[str, Any]: ...


class RawForm(BaseModel):
    """A form whose fields stay the text that was sent: "123" is a message, not a number."""

    @model_validator(mode="before")
    @classmethod
    def _as_sent(cls, data: dict[str, Any]) -> dict[str, Any]:
        return {**data, **request.form.to_dict()}


def services() -> Services:
    found: Services = current_app.extensions["services"]
    return found


def owner() -> str:
    return LOCAL_OWNER


def session(session_id: str) -> SessionKey:
    """The session of that name which belongs to who asks."""
    return SessionKey(owner(), session_id)


def language() -> Language:
    return "zh" if request.accept_languages.best_match(["en", "zh"]) == "zh" else "en"


def answer(turn: Turn, stream: bool, prepare: Prepare | None = None, wire: WireFormat = native) -> Response:
    """Starts a turn and shows it in a wire format: as a stream, or whole."""
    events = services().chat.start(turn, prepare)
    if not stream:
        return jsonify(wire.whole(events.answer()))
    events.wait_for_model(FIRST_EVENT_SECONDS)
    response = streamed(wire.stream(events.batches(), turn.language))
    response.call_on_close(events.leave)
    return response


def streamed(parts: Iterator[bytes], content_type: str = EVENT_STREAM, headers: dict[str, str] | None = None) -> Response:
    """A response that is sent as it comes, through proxies too."""
    return Response(parts, content_type=content_type, headers={**STREAM_HEADERS, **(headers or {})})
