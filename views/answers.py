"""The kinds of answers, as the documentation describes them; `routes` says which address gives which."""

from collections.abc import Callable
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
DONE = {"const": "[DONE]", "description": "The end."}
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: an object, or each item of a stream, is a `model`, of whose reference `schema` makes that of the body.

    `examples` are texts by name; an object gets one made of those of its fields. `headers` are by name.
    """

    status: int
    description: str
    media_type: str = ""
    model: type[BaseModel] | None = None
    schema: Callable[[Schema], Schema] = dict
    examples: tuple[tuple[str, str], ...] = ()
    headers: tuple[str, ...] = ()


def json(model: type[BaseModel], status: int = 200, description: str = "", headers: tuple[str, ...] = ()) -> Answer:
    """One JSON object."""
    return Answer(status, description or HTTPStatus(status).phrase, "application/json", model, headers=headers)


def events(
    items: type[BaseModel],
    description: str,
    examples: dict[str, bytes],
    headers: tuple[str, ...] = (),
    done: bool = False,
) -> Answer:
    """Server-sent events, each with one of the models of `items`; with `done`, `[DONE]` follows the last one.

    The schema is that of one event, as OpenAPI 3.2 has it for items of a stream. `examples` are whole texts by their names.
    """

    def event(reference: Schema) -> Schema:
        data: Schema = {"type": "string", "contentMediaType": "application/json", "contentSchema": reference}
        properties = {
            "id": {"type": "string", "description": "Where the format has it: the turn and the event's place in it."},
            "data": {"anyOf": [data, DONE]} if done else data,
        }
        return {"type": "object", "description": "One event.", "properties": properties, "required": ["data"]}

    return _streamed(items, description, examples, headers, EVENT_STREAM, event)


def lines(
    items: type[BaseModel],
    description: str,
    examples: dict[str, bytes],
    headers: tuple[str, ...] = (),
    media_type: str = EVENT_STREAM,
) -> Answer:
    """Lines of a code and JSON, each one of the models of `items`."""

    def line(reference: Schema) -> Schema:
        content = {"contentMediaType": "application/json", "contentSchema": reference}
        return {"type": "string", "description": "Lines; the schema is that of one.", **content}

    return _streamed(items, description, examples, headers, media_type, line)


def _streamed(
    items: type[BaseModel],
    description: str,
    examples: dict[str, bytes],
    headers: tuple[str, ...],
    media_type: str,
    schema: Callable[[Schema], Schema],
) -> Answer:
    shown = tuple((name, text.decode()) for name, text in examples.items())
    sent = ("Cache-Control", "X-Accel-Buffering", *headers)
    return Answer(200, description, media_type, items, schema, shown, sent)


def text(media_type: str, example: str, description: str, headers: tuple[str, ...] = ()) -> Answer:
    shown = (("text", example),)
    return Answer(200, description, media_type, schema=lambda _: {"type": "string"}, examples=shown, headers=headers)


def binary(media_type: str, description: str, status: int = 200, headers: tuple[str, ...] = ()) -> Answer:
    return Answer(status, description, media_type, schema=lambda _: BINARY, headers=headers)


def empty(status: int, description: str, headers: tuple[str, ...] = ()) -> Answer:
    return Answer(status, description, headers=headers)


def counted(answer: Answer) -> Answer:
    """An answer to what a limit counts."""
    return replace(answer, headers=(*answer.headers, "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"))


# what may go wrong beside parameters and bodies
STORED = (StoreUnavailable(store="redis"),)
NO_SESSION = (NotFound(what="session"), *STORED)
NO_DOCUMENT = (NotFound(what="document"), *STORED)
NO_BASE = (NotFound(what="knowledge base"), *STORED)
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
