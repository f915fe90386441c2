"""The native wire format: one JSON object, or server-sent events `{"type": …, "data": {…}}` without an `event:` field."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from models.events import (
    Answer,
    Chunk,
    DocumentProgress,
    Ended,
    Event,
    Failed,
    Reasoning,
    SourcesFound,
    Started,
    ToolCalled,
    ToolReturned,
)
from models.schemas import Question, RegenerateBody, TurnOptions
from models.tools import Tool
from models.turns import Branch, SessionKey, Turn
from utils.errors import Language

HEARTBEAT = b": keep-alive\n\n"


def parse(body: TurnOptions, message: str, key: SessionKey, language: Language) -> Turn:
    """A turn from a validated body."""
    branch = None
    if isinstance(body, Question) and "parent_id" in body.model_fields_set:
        branch = Branch("after", body.parent_id)
    return Turn(
        key=key,
        message=message,
        system_prompt=body.system_prompt,
        model=body.model,
        temperature=body.temperature,
        max_tokens=body.max_tokens,
        temporary=body.temporary,
        language=language,
        branch=branch,
    )


def parse_again(body: RegenerateBody, key: SessionKey, language: Language) -> Turn:
    """A turn that makes an answer anew."""
    return Turn(
        key=key,
        message="",
        model=body.model,
        temperature=body.temperature,
        max_tokens=body.max_tokens,
        language=language,
        branch=Branch("again", body.message_id),
    )


def whole(answer: Answer) -> dict[str, Any]:
    """A finished turn as one JSON object."""
    return {
        "session_id": answer.session_id,
        "message_id": answer.message_id,
        "response": answer.response,
        "sources": [asdict(source) for source in answer.sources],
        "tool_calls": [asdict(call) for call in answer.tool_calls],
        "usage": answer.usage.as_dict(),
        "model": answer.model,
        "finish_reason": answer.finish_reason,
        **answer.extra,
    }


def stream(batches: Iterable[Sequence[tuple[str, Event]]], language: Language) -> Iterator[bytes]:
    """Server-sent events; each has an id that names its turn and its place in it."""
    ended = False
    for batch in batches:
        parts = []
        for event_id, event in batch:
            parts.append(b"id: %s\ndata: %s\n\n" % (event_id.encode(), orjson.dumps(render(event, language))))
            ended = ended or isinstance(event, Ended | Failed)
        yield b"".join(parts) or HEARTBEAT
    if not ended:  # nothing happened for long: the client is to come back
        yield b"retry: 1000\n\n"


def render(event: Event, language: Language) -> dict[str, Any]:
    """An event as `{"type": …, "data": {…}}`."""
    kind, data = _render(event, language)
    return {"type": kind, "data": data}


def _render(event: Event, language: Language) -> tuple[str, dict[str, Any]]:
    match event:
        case Chunk(content):
            return "chunk", {"content": content}
        case Reasoning(content):
            return "reasoning", {"content": content}
        case Started():
            return "start", asdict(event)
        case DocumentProgress():
            return "document", asdict(event)
        case ToolCalled():
            return "tool_call", asdict(event)
        case ToolReturned():
            return "tool_result", asdict(event)
        case SourcesFound():
            return "sources", asdict(event)
        case Ended(answer):
            return "end", {"full_text": answer.response, **whole(answer)}
        case Failed(error):
            return "error", {"message": error.message(language), "code": error.code}


def documents(states: Iterable[dict[str, Any] | None]) -> Iterator[bytes]:
    """The states of a document as server-sent events; None becomes a heartbeat."""
    for state in states:
        yield HEARTBEAT if state is None else b"data: %s\n\n" % orjson.dumps(state)


def tools(offered: Iterable[tuple[Tool, str | None]]) -> list[dict[str, Any]]:
    """The agent's tools, each with the reason why it is not offered, if it is not."""
    return [
        {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.args.model_json_schema(),
            "available": reason is None,
            **({"reason": reason} if reason else {}),
        }
        for tool, reason in offered
    ]
