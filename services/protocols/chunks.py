"""The simplest format: pieces of the answer, `{"chunk": …}`, then `{"done": true}`, with `sources` where there are any.

Tools are not told.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from models.events import Answer, Chunk, Ended, Event, Failed
from models.schemas_config import SimpleChatBody
from models.turns import SessionKey, Turn
from utils.errors import ChatError, Language, Unavailable

HEARTBEAT = b": keep-alive\n\n"
QUESTION = "user_message"


def parse(body: SimpleChatBody, owner: str, language: Language) -> Turn:
    """A turn from a validated body; a session that has no name yet gets one."""
    return Turn(
        key=SessionKey(owner, body.session_id or str(uuid.uuid4())),
        message=body.message,
        system_prompt=body.system_prompt,
        model=body.model,
        temperature=body.temperature,
        max_tokens=body.max_tokens,
        temporary=body.temporary,
        language=language,
        extra={QUESTION: body.message},
    )


def whole(answer: Answer) -> dict[str, Any]:
    """A finished turn as one JSON object."""
    return {
        "session_id": answer.session_id,
        QUESTION: answer.extra[QUESTION],
        "assistant_reply": answer.response,
        **_sources(answer),
    }


def stream(batches: Iterable[Sequence[tuple[str, Event]]], language: Language) -> Iterator[bytes]:
    """Server-sent events; a comment in the place of a batch that shows nothing. They always end with `done`."""
    ended = False
    for batch in batches:
        yield b"".join(_event(data) for _, event in batch for data in _render(event, language)) or HEARTBEAT
        ended = ended or any(isinstance(event, Ended | Failed) for _, event in batch)
    if not ended:  # the reader was sent away
        yield b"".join(map(_event, _failure(Unavailable(), language)))


def _render(event: Event, language: Language) -> Iterator[dict[str, Any]]:
    match event:
        case Chunk(content):
            yield {"chunk": content}
        case Ended(answer):
            yield {"done": True, **_sources(answer)}
        case Failed(error):
            yield from _failure(error, language)


def _sources(answer: Answer) -> dict[str, Any]:
    """Nothing where there are none: the documented answer has no such field."""
    return {"sources": [asdict(source) for source in answer.sources]} if answer.sources else {}


def _failure(error: ChatError, language: Language) -> Iterator[dict[str, Any]]:
    yield {"error": error.message(language), "code": error.code}
    yield {"done": True}


def _event(data: dict[str, Any]) -> bytes:
    # with the blanks of the documentation, for clients that compare texts
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
