"""What all views share: the services, who asks, in which language, and how a turn is shown."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Protocol
from urllib.parse import quote

from flask import Response, current_app, jsonify, request
from pydantic import BaseModel, ValidationError, model_validator
from werkzeug.http import dump_options_header

from models.events import Answer, Event
from models.turns import SessionKey, Turn
from services.chat_service import Prepare
from services.protocols import native
from services.turn_log import TurnLog
from services.wiring import Services
from utils.errors import InvalidField, Language, UnsupportedType
from utils.field_faults import described
from views.departures import on_departure

LOCAL_OWNER = "local"
FIRST_EVENT_SECONDS = 10
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
EVENT_STREAM = "text/event-stream"
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


class WireFormat(Protocol):
    """What a module of `services.protocols` offers."""

    def stream(self, batches: Iterator[Sequence[tuple[str, Event]]], language: Language) -> Iterator[bytes]: ...

    def whole(self, answer: Answer) -> dict[str, Any]: ...


class RawForm(BaseModel):
    """A form whose fields stay the text that was sent: "123" is a message, not a number."""

    @model_validator(mode="before")
    @classmethod
    def _as_sent(cls, data: dict[str, Any]) -> dict[str, Any]:
        if request.mimetype and request.mimetype not in FORMS:
            raise UnsupportedType(type=request.mimetype)
        return {**data, **request.form.to_dict()}


def services() -> Services:
    found: Services = current_app.extensions["services"]
    return found


def owner() -> str:
    return LOCAL_OWNER


def session(session_id: str) -> SessionKey:
    """The session of that name which belongs to who asks."""
    return SessionKey(owner(), session_id)


def named_or_new(session_id: str | None) -> SessionKey:
    """The session of that name, or one that has none yet."""
    return session(session_id or str(uuid.uuid4()))


def invalid_fields(error: ValidationError) -> InvalidField:
    """What pydantic found wrong, without what was sent."""
    return InvalidField(errors=[described(fault) for fault in error.errors(include_url=False)])


def language() -> Language:
    return "zh" if request.accept_languages.best_match(["en", "zh"]) == "zh" else "en"


def attachment(filename: str, plain: str) -> str:
    """The header that names a file; `plain` is what clients call it that read ASCII only, where its name is not."""
    ending = PurePosixPath(filename).suffix
    ascii_name = filename if filename.isascii() else f"{plain}{ending if ending.isascii() else ''}"
    return dump_options_header("attachment", {"filename": ascii_name, "filename*": f"UTF-8''{quote(filename, safe='')}"})


def answer(turn: Turn, stream: bool, prepare: Prepare | None = None, wire: WireFormat = native) -> Response:
    """Starts a turn and shows it in a wire format: as a stream, or whole."""
    events = services().chat.start(turn, prepare)
    if turn.history is not None:
        on_departure(services().background.loop, events.leave)
    if not stream:
        return jsonify(wire.whole(events.answer()))
    events.wait_for_model(FIRST_EVENT_SECONDS)
    return shown(events, turn.language, wire)


def shown(events: TurnLog, language: Language, wire: WireFormat = native) -> Response:
    """A turn as a stream. The module of a wire format has MEDIA_TYPE and HEADERS where they are not the usual ones."""
    content_type = getattr(wire, "MEDIA_TYPE", f"{EVENT_STREAM}; charset=utf-8")
    headers = getattr(wire, "HEADERS", None)
    return streamed(wire.stream(events.batches(), language), content_type, headers, events.leave)


def streamed(
    parts: Iterable[bytes],
    content_type: str = f"{EVENT_STREAM}; charset=utf-8",
    headers: Mapping[str, str] | None = None,
    on_close: Callable[[], object] | None = None,
) -> Response:
    """A response that is sent as it comes, through proxies too. `on_close` is called when its reader has left."""
    response = Response(parts, content_type=content_type, headers={**STREAM_HEADERS, **(headers or {})})
    if on_close is not None:
        response.call_on_close(on_close)
    return response
