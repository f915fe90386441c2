"""Lines of a code and a typed JSON object, for front ends that hand `{role, content}` messages to a backend of their own.

There is no line for thoughts, sources or a heartbeat; sources stand in the last one, where there are any.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from models.events import Chunk, Ended, Event, Failed, ToolCalled, ToolReturned
from services.front_ends import FINISH_REASONS, Part, in_steps
from services.front_ends import whole as whole
from utils.errors import Language


def stream(batches: Iterable[Sequence[tuple[str, Event]]], language: Language) -> Iterator[bytes]:
    """The events of one turn, as lines; nothing is sent of a batch that shows nothing."""
    for parts in in_steps(batches, language):
        lines = [
            b"%s:%s\n" % (code.encode(), orjson.dumps(value)) for part in parts for code, value in _render(part, language)
        ]
        if lines:
            yield b"".join(lines)


def _render(part: Part, language: Language) -> Iterator[tuple[str, dict[str, Any]]]:
    match part:
        case Chunk(content):
            yield "0", {"type": "text-delta", "textDelta": content}
        case ToolCalled(id, name, args):
            yield "9", {"type": "tool-call", "toolCallId": id, "toolName": name, "args": args}
        case ToolReturned(id, name, _, result):
            yield "a", {"type": "tool-result", "toolCallId": id, "toolName": name, "result": result}
        case Ended(answer):
            sources = {"sources": [asdict(source) for source in answer.sources]} if answer.sources else {}
            yield "d", {"type": "finish", "finishReason": FINISH_REASONS[answer.finish_reason], **sources}
        case Failed(error):
            yield "3", {"type": "error", "error": error.message(language)}
            yield "d", {"type": "finish", "finishReason": "error"}
