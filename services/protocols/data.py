"""The data stream of the AI SDK 4: one part a line, a code and its JSON. An unknown code ends the stream with an error."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

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
    ToolCalled,
    ToolReturned,
    Usage,
)
from services.front_ends import FINISH_REASONS, Part, StepBegan, StepEnded, id_of, in_steps, passage_of, title_of
from services.front_ends import whole as whole
from utils.errors import Language

MEDIA_TYPE = "text/plain; charset=utf-8"
HEADERS = {"x-vercel-ai-data-stream": "v1"}
HEARTBEAT = b"2:[]\n"


def stream(batches: Iterable[Sequence[tuple[str, Event]]], language: Language) -> Iterator[bytes]:
    """The events of one turn, as lines."""
    for parts in in_steps(batches, language):
        lines = [
            b"%s:%s\n" % (code.encode(), orjson.dumps(value)) for part in parts for code, value in _render(part, language)
        ]
        yield b"".join(lines) or HEARTBEAT


def _render(part: Part, language: Language) -> Iterator[tuple[str, Any]]:
    match part:
        case Chunk(content):
            yield "0", content
        case Reasoning(content):
            yield "g", content
        case StepBegan(message_id):
            yield "f", {"messageId": message_id}
        case StepEnded(finish_reason):
            yield "e", {"finishReason": finish_reason, "isContinued": False}
        case ToolCalled(id, name, args):
            yield "9", {"toolCallId": id, "toolName": name, "args": args}
        case ToolReturned(id, result=result):
            yield "a", {"toolCallId": id, "result": result}
        case SourcesFound(sources):
            yield from (("h", _source(source, place, language)) for place, source in enumerate(sources, 1))
        case DocumentProgress(id, stage, progress):
            yield "2", [{"type": "document", "document_id": id, "stage": stage, "progress": progress}]
        case Ended() | Failed():
            yield from _end(part, language)


def _end(part: Ended | Failed, language: Language) -> Iterator[tuple[str, Any]]:
    match part:
        case Ended(answer):
            yield "d", {"finishReason": FINISH_REASONS[answer.finish_reason], "usage": _usage(answer.usage)}
        case Failed(error):
            yield "3", error.message(language)
            yield "d", {"finishReason": "error", "usage": _usage(Usage())}


def _usage(usage: Usage) -> dict[str, int]:
    return {"promptTokens": usage.input_tokens, "completionTokens": usage.output_tokens}


def _source(source: Source, place: int, language: Language) -> dict[str, Any]:
    """This format knows sources by their address only, so it is that of the document, on this server."""
    page = f"#page={source.page}" if source.page else ""
    return {
        "sourceType": "url",
        "id": id_of(source, place),
        "url": f"/api/v1/documents/{source.document_id}/content{page}",
        "title": title_of(source, language),
        "providerMetadata": passage_of(source),
    }
