"""The kinds of answers, as the documentation describes them; `routes` says which address gives which."""

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from utils.errors import (
    ChatError,
    DocumentUnreadable,
    NotFound,
    ProviderNotConfigured,
    RateLimited,
    StoreUnavailable,
    TurnInProgress,
    UpstreamBadRequest,
    UpstreamBusy,
    UpstreamError,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)

EVENT_STREAM = "text/event-stream"
BINARY = {"type": "string", "format": "binary"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A success. `model` is the object that is sent, or each item of a stream; `body` is a JSON Schema of what is no object.

    `examples` are by name; an object without any gets one made of those of its fields. `headers` are by name.
    """

    status: int
    description: str
    media_type: str = ""
    model: type[BaseModel] | None = None
    body: dict[str, Any] | None = None
    examples: tuple[tuple[str, str], ...] = ()
    headers: tuple[str, ...] = ()


def json(model: type[BaseModel], status: int = 200, description: str = "", headers: tuple[str, ...] = ()) -> Answer:
    """One JSON object."""
    return Answer(status, description or HTTPStatus(status).phrase, "application/json", model, headers=headers)


def stream(
    items: type[BaseModel],
    description: str,
    examples: dict[str, bytes],
    media_type: str = EVENT_STREAM,
    headers: tuple[str, ...] = (),
) -> Answer:
    """A text that comes bit by bit; each of its items, the `data:` of an event, is one of the models of `items`.

    `examples` are whole texts by their names.
    """
    shown = tuple((name, text.decode()) for name, text in examples.items())
    sent = ("Cache-Control", "X-Accel-Buffering", *headers)
    return Answer(200, description, media_type, items, {"type": "string"}, shown, sent)


def text(media_type: str, example: str, description: str, headers: tuple[str, ...] = ()) -> Answer:
    return Answer(200, description, media_type, body={"type": "string"}, examples=(("text", example),), headers=headers)


def binary(media_type: str, description: str, status: int = 200, headers: tuple[str, ...] = ()) -> Answer:
    return Answer(status, description, media_type, body=BINARY, headers=headers)


def empty(status: int, description: str, headers: tuple[str, ...] = ()) -> Answer:
    return Answer(status, description, headers=headers)


def counted(answer: Answer) -> Answer:
    """An answer to what a limit counts."""
    return replace(answer, headers=(*answer.headers, "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"))


# what may go wrong beside parameters and bodies
STORED = (StoreUnavailable(store="redis"),)
NO_SESSION = (NotFound(what="session"), *STORED)
NO_DOCUMENT = (NotFound(what="document"), *STORED)
LOCKED = (*NO_SESSION, TurnInProgress())
MESSAGE = (NotFound(what="message"),)
FILE = (DocumentUnreadable(),)
READERS = (RateLimited(retry_after=5), *STORED)
MODEL: tuple[ChatError, ...] = (
    UpstreamError(upstream="qwen-plus"),
    UpstreamRejected(upstream="qwen-plus", status=401),
    UpstreamUnreachable(upstream="qwen-plus"),
    UpstreamBusy(upstream="qwen-plus"),
    UpstreamTimeout(upstream="qwen-plus"),
)
SPEECH = (
    UpstreamError(upstream="DashScope"),
    UpstreamRejected(upstream="DashScope", status=401),
    UpstreamBusy(upstream="DashScope"),
    ProviderNotConfigured(setting="DASHSCOPE_API_KEY"),
    UpstreamTimeout(upstream="DashScope"),
)
TURN = (RateLimited(retry_after=12), TurnInProgress(), *MODEL, UpstreamBadRequest(upstream="qwen-plus", status=400), *STORED)
