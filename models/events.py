"""The typed events of a turn, in the order in which they may occur.

Started, then any of DocumentProgress, Chunk, Reasoning, ToolCalled and its ToolReturned, SourcesFound; last exactly one of
Ended or Failed. A wire format renders these and knows nothing else.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from utils.errors import ChatError

ToolStatus = Literal["ok", "error"]
FinishReason = Literal["stop", "length", "content_filter", "stopped", "tool_limit"]


@dataclass(frozen=True, slots=True)
class Source:
    """A passage: `page` is 1-based (None where the format has no pages), `quote` stands in the document.

    `number` is that of its markers `[n]` in the answer, None when it is not cited. `start` and `end` are the offsets of the
    quote in the document's extracted text, in characters; None where they are not known.
    """

    document_id: str
    filename: str
    page: int | None
    quote: str
    score: float
    cited: bool = True
    number: int | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One finished call; `result` is text, cut at `TOOL_RESULT_CHARS`; `ms` is the time that it took."""

    id: str
    name: str
    args: dict[str, Any]
    status: ToolStatus
    result: str
    ms: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of all model calls of a turn."""

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def as_dict(self) -> dict[str, int]:
        return {**asdict(self), "total_tokens": self.total_tokens}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole turn, as it is when it has ended. `extra` is what a route adds: `image`, `document`."""

    session_id: str
    message_id: str
    response: str
    model: str
    finish_reason: FinishReason
    reasoning: str = ""
    sources: tuple[Source, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Started:
    session_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class DocumentProgress:
    """`progress` runs from 0 to 1."""

    id: str
    stage: str
    progress: float


@dataclass(frozen=True, slots=True)
class Chunk:
    content: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    content: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    id: str
    name: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolReturned:
    id: str
    name: str
    status: ToolStatus
    result: str


@dataclass(frozen=True, slots=True)
class SourcesFound:
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    answer: Answer


@dataclass(frozen=True, slots=True)
class Failed:
    error: ChatError


Event = Started | DocumentProgress | Chunk | Reasoning | ToolCalled | ToolReturned | SourcesFound | Ended | Failed
