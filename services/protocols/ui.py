"""The UI message stream of the AI SDK 5, 6 and 7: server-sent events, each a chunk of one assistant message.

A client of an early minor version gives up at a chunk or a key that it does not know, so only what all of them know is sent.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import orjson

from models.events import (
    Chunk,
    DocumentProgress,
    Ended,
    Event,
    Failed,
    Reasoning,
    Source,
    SourcesFound,
    Started,
    ToolCalled,
    ToolReturned,
)
from services.front_ends import Part, StepBegan, StepEnded, id_of, in_steps, media_type_of, passage_of, title_of
from services.front_ends import whole as whole
from utils.errors import Language

HEADERS = {"x-vercel-ai-ui-message-stream": "v1"}
HEARTBEAT = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"
Piece = dict[str, Any]


def stream(batches: Iterable[Sequence[tuple[str, Event]]], language: Language) -> Iterator[bytes]:
    """The events of one turn; a replay gives the same ids."""
    message = _Message(language)
    for parts in in_steps(batches, language):
        pieces = [b"data: %s\n\n" % orjson.dumps(piece) for part in parts for piece in message.render(part)]
        yield b"".join(pieces) or HEARTBEAT
    yield DONE


class _Message:
    """Knows which part of the message is open: a text or a thought, begun and not ended."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.kind = ""
        self.number = 0

    def render(self, part: Part) -> Iterator[Piece]:
        match part:
            case Chunk(content) | Reasoning(content):
                yield from self._delta("text" if isinstance(part, Chunk) else "reasoning", content)
                return
            case DocumentProgress(id, stage, progress):  # transient: not a part of the message
                document = {"document_id": id, "stage": stage, "progress": progress}
                yield {"type": "data-document", "data": document, "transient": True}
                return
        yield from self._close()
        match part:
            case Started(message_id=message_id):
                yield {"type": "start", "messageId": message_id}
            case StepBegan():
                yield {"type": "start-step"}
            case StepEnded():
                yield {"type": "finish-step"}
            case ToolCalled() | ToolReturned():
                yield _tool(part)
            case SourcesFound(sources):
                yield from (_source(source, place, self.language) for place, source in enumerate(sources, 1))
            case Ended(answer):
                yield {"type": "abort" if answer.finish_reason == "stopped" else "finish"}
            case Failed(error):
                yield from ({"type": "error", "errorText": error.message(self.language)}, {"type": "finish"})

    def _delta(self, kind: Literal["text", "reasoning"], content: str) -> Iterator[Piece]:
        if kind != self.kind:
            content = content.lstrip("\n")  # it parted this text from the one before the tool calls
            if not content:
                return
            yield from self._close()
            self.kind, self.number = kind, self.number + 1
            yield {"type": f"{kind}-start", "id": self._id}
        yield {"type": f"{kind}-delta", "id": self._id, "delta": content}

    def _close(self) -> Iterator[Piece]:
        if self.kind:
            yield {"type": f"{self.kind}-end", "id": self._id}
            self.kind = ""

    @property
    def _id(self) -> str:
        return f"{self.kind}-{self.number}"


def _tool(event: ToolCalled | ToolReturned) -> Piece:
    piece: Piece = {"toolCallId": event.id, "providerExecuted": True}  # or the client would run it too
    match event:
        case ToolCalled(_, name, args):
            return {"type": "tool-input-available", "toolName": name, "input": args, **piece}
        case ToolReturned(_, _, "ok", result):
            return {"type": "tool-output-available", "output": result, **piece}
    return {"type": "tool-output-error", "errorText": event.result, **piece}


def _source(source: Source, place: int, language: Language) -> Piece:
    return {
        "type": "source-document",
        "sourceId": id_of(source, place),
        "mediaType": media_type_of(source),
        "title": title_of(source, language),
        "filename": source.filename,
        "providerMetadata": passage_of(source),
    }
