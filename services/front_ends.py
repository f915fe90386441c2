"""What the wire formats of chat front ends share: the steps of a turn, the names of its ends, an answer as one object."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from models.events import (
    Answer,
    Chunk,
    Ended,
    Event,
    Failed,
    FinishReason,
    Reasoning,
    Source,
    Started,
    ToolCalled,
    ToolReturned,
)
from utils.errors import Language, Unavailable
from utils.loaders import formats

# how the AI SDK calls the ends of a turn
FINISH_REASONS: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "stopped": "other",
    "tool_limit": "other",
}
NOT_FINISHED: dict[Language, str] = {"en": "The call did not finish.", "zh": "调用未完成。"}


@dataclass(frozen=True, slots=True)
class StepBegan:
    """One call of the model begins, with the tools that it calls."""

    message_id: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    finish_reason: str


Part = Event | StepBegan | StepEnded


def in_steps(batches: Iterable[Sequence[tuple[str, Event]]], language: Language) -> Iterator[list[Part]]:
    """The events with the steps that they make up: what follows the results of tools is a step of its own.

    Whatever happens, every call gets a result, every step an end, and the last event is Ended or Failed.
    """
    steps = _Steps(language)
    for batch in batches:
        yield [part for _, event in batch for part in steps.add(event)]
    if not steps.ended:  # the turn goes on, but its reader was sent away
        yield list(steps.add(Failed(Unavailable())))


@dataclass(slots=True)
class _Steps:
    language: Language
    message_id: str = ""
    open: bool = False
    called: bool = False
    unanswered: dict[str, str] = field(default_factory=dict)  # names of tools by ids of calls
    ended: bool = False

    def add(self, event: Event) -> Iterator[Part]:
        match event:
            case Started(message_id=message_id):
                self.message_id = message_id
                yield event
                yield self._begin()
                return
            case Chunk() | Reasoning() | ToolCalled() if self.called and not self.unanswered:
                yield StepEnded("tool-calls")
                yield self._begin()
            case Ended(answer):
                yield from self._finish(FINISH_REASONS[answer.finish_reason])
            case Failed():
                yield from self._finish("error")
        match event:
            case ToolCalled(id, name):
                self.called, self.unanswered[id] = True, name
            case ToolReturned(id):
                self.unanswered.pop(id, None)
        yield event

    def _begin(self) -> StepBegan:
        self.open, self.called = True, False
        return StepBegan(self.message_id)

    def _finish(self, reason: str) -> Iterator[Part]:
        self.ended = True
        for id, name in self.unanswered.items():
            yield ToolReturned(id, name, "error", NOT_FINISHED[self.language])
        if self.open:
            yield StepEnded(reason)


def title_of(source: Source, language: Language) -> str:
    """Names file and page to a reader."""
    if source.page is None:
        return source.filename
    return f"{source.filename}，第 {source.page} 页" if language == "zh" else f"{source.filename}, page {source.page}"


def passage_of(source: Source) -> dict[str, Any]:
    """Where a quote stands, as `providerMetadata` of the AI SDK, which is keyed by who it comes from."""
    names = ("document_id", "page", "quote", "cited", "number")
    return {"passage": {name: getattr(source, name) for name in names}}


def id_of(source: Source, place: int) -> str:
    """Names a source among those of its answer, in which it has this place."""
    return f"{source.document_id}:{source.number or place}"


def media_type_of(source: Source) -> str:
    ending = PurePosixPath(source.filename.lower()).suffix.removeprefix(".")
    return next((form.media_type for form in formats() if ending in form.endings), "application/octet-stream")


def whole(answer: Answer) -> dict[str, Any]:
    """A finished turn as one JSON object, the same in all of these formats."""
    return {
        "id": answer.message_id,
        "role": "assistant",
        "content": answer.response,
        "tool_calls": [asdict(call) for call in answer.tool_calls],
        "sources": [asdict(source) for source in answer.sources],
        "usage": answer.usage.as_dict(),
        "finish_reason": answer.finish_reason,
    }
