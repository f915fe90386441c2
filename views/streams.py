"""The streams, as the documentation describes them. Their examples are what the wire formats make of one short turn."""

from collections.abc import Callable, Iterable, Sequence

from models.events import (
    Answer,
    Chunk,
    Ended,
    Event,
    Failed,
    Source,
    SourcesFound,
    Started,
    ToolCall,
    ToolCalled,
    ToolReturned,
    Usage,
)
from models.schemas import SourceView, ToolCallView
from models.schemas_documents import DocumentView
from models.schemas_events import NativeEvent, SimplePiece
from models.schemas_line_streams import DataStreamLine, SeedLine
from models.schemas_openai_answers import CompletionEvent
from models.schemas_ui_stream import UiMessageChunk
from services.protocols import chunks, data, lines, native, openai, ui
from utils.errors import UpstreamTimeout
from views import answers
from views.examples import example_of

Batches = Iterable[Sequence[tuple[str, Event]]]
SESSION, MESSAGE, MODEL = "handbook-questions", "msg_3f0c1b9d7a5e4c2f8b6d0a13", "qwen-plus"


CALL = ToolCall(**example_of(ToolCallView))
SOURCES = (Source(**example_of(SourceView)),)
ANSWER = Answer(SESSION, MESSAGE, "年假为十五天 [1]。", MODEL, "stop", "", SOURCES, (CALL,), Usage(812, 9))
TURN: tuple[Event, ...] = (
    Started(SESSION, MESSAGE),
    ToolCalled(CALL.id, CALL.name, CALL.args),
    ToolReturned(CALL.id, CALL.name, CALL.status, CALL.result),
    Chunk("年假为十五天"),
    Chunk(" [1]。"),
    SourcesFound(SOURCES),
    Ended(ANSWER),
)
FAILED: tuple[Event, ...] = (*TURN[:1], Chunk("年假为"), Failed(UpstreamTimeout(upstream=MODEL)))


def _shown(render: Callable[[Batches], Iterable[bytes]], name: str = "") -> dict[str, bytes]:
    """What a format makes of a turn and of one that fails, by the names of the examples."""
    turns = {f"{name}answer": TURN, f"{name}failure": FAILED}
    batches = {
        title: [[(f"{MESSAGE}:{number}", event)] for number, event in enumerate(turn)] for title, turn in turns.items()
    }
    return {title: b"".join(render(batch)) for title, batch in batches.items()}


NATIVE = answers.events(
    NativeEvent,
    "The turn's events, as a stream. Each has an `id`, which names its turn and its place in it.",
    _shown(lambda batches: native.stream(batches, "en")),
)
PIECES = answers.events(
    SimplePiece, "Pieces of the answer, as a stream.", _shown(lambda batches: chunks.stream(batches, "en"))
)
COMPLETION = answers.events(
    CompletionEvent,
    "Chunks, as a stream, then `data: [DONE]`; a failure is an error object before it.",
    _shown(lambda batches: openai.Wire(f"chatcmpl-{MESSAGE[4:]}", "agent", 1_760_000_000, True).stream(batches, "en")),
    done=True,
)
UI = answers.events(
    UiMessageChunk,
    "For the AI SDK 5 to 7: the UI message stream, then `data: [DONE]`.",
    _shown(lambda batches: ui.stream(batches, "en"), "ui_"),
    (*ui.HEADERS,),
    done=True,
)
LINES = answers.lines(
    SeedLine,
    "For plain messages: lines of a code and JSON, which are no server-sent events for all their media type.",
    _shown(lambda batches: lines.stream(batches, "en"), "lines_"),
)
DATA = answers.lines(
    DataStreamLine,
    "For the AI SDK 4: the data stream, lines of a code and JSON.",
    _shown(lambda batches: data.stream(batches, "en")),
    (*data.HEADERS,),
    "text/plain",
)
DOCUMENT_STATES = answers.events(
    DocumentView,
    "The document now and whenever it has changed, until it is finished.",
    {"document": b"".join(native.documents([example_of(DocumentView)]))},
)
