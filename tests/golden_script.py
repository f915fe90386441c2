"""One script of turns, as events, which every wire format renders: its golden file is `golden/<format>.txt`."""

from collections.abc import Sequence
from dataclasses import replace

from models.events import (
    Answer,
    Chunk,
    DocumentProgress,
    Ended,
    Event,
    Failed,
    Reasoning,
    Source,
    SourcesFound,
    Started,
    ToolCall,
    ToolCalled,
    ToolReturned,
    Usage,
)
from utils.errors import UpstreamError, UpstreamTimeout

Batch = Sequence[Event]

SESSION, MESSAGE = "会话-1".encode().hex(), "msg_2"
START = Started(SESSION, MESSAGE)
SOURCES = (
    Source("doc_1", "员工手册.pdf", 13, "年假为“十五天”。\nAnnual leave: 15 days.", 0.9, number=3, start=5204, end=5236),
    Source("doc_2", "notes.md", None, "五年以上", 0.5, number=1),
)
SEARCH = ToolCall("call_1", "search_documents", {"query": "年假"}, "ok", "[3] 年假为十五天。", 12)
VISIT = ToolCall("call_2", "visit_url", {"url": "http://10.0.0.1/"}, "error", "不允许访问该地址。", 3)


def _called(call: ToolCall) -> ToolCalled:
    return ToolCalled(call.id, call.name, call.args)


def _returned(call: ToolCall) -> ToolReturned:
    return ToolReturned(call.id, call.name, call.status, call.result)


def _answer(response: str) -> Answer:
    return Answer(SESSION, MESSAGE, response, "qwen-plus", "stop", usage=Usage(100, 9))


SCRIPT: dict[str, list[Batch]] = {
    "text": [
        [START, Chunk("你")],
        [],
        [Chunk("好，\n"), Chunk('"世界" </script> 🙂')],
        [Ended(_answer('你好，\n"世界" </script> 🙂'))],
    ],
    "thoughts": [
        [START, Reasoning("先想"), Reasoning("一想。"), Chunk("好。")],
        [Ended(replace(_answer("好。"), reasoning="先想一想。"))],
    ],
    "two tools at once, one of which fails, then sources": [
        [START, DocumentProgress("doc_1", "extracting", 0.5), Chunk("我查一下。"), _called(SEARCH), _called(VISIT)],
        [_returned(VISIT)],
        [_returned(SEARCH), Chunk("\n\n"), Chunk("五年以上的十五天 [3][1]。")],
        [
            SourcesFound(SOURCES),
            Ended(replace(_answer("我查一下。\n\n五年以上的十五天 [3][1]。"), sources=SOURCES, tool_calls=(VISIT, SEARCH))),
        ],
    ],
    "one tool after another": [
        [START, Reasoning("查。"), _called(SEARCH), _returned(SEARCH), _called(VISIT), _returned(VISIT), Chunk("十五天。")],
        [Ended(replace(_answer("十五天。"), reasoning="查。", tool_calls=(SEARCH, VISIT)))],
    ],
    "cut at its longest": [[START, Chunk("很长"), Ended(replace(_answer("很长"), finish_reason="length"))]],
    "stopped in mid-text": [[START, Chunk("从前")], [Ended(replace(_answer("从前"), finish_reason="stopped"))]],
    "stopped while a tool runs": [[START, _called(SEARCH)], [Ended(replace(_answer(""), finish_reason="stopped"))]],
    "failed before the first token": [[START], [Failed(UpstreamTimeout(upstream="qwen"))]],
    "failed before it began": [[], [Failed(UpstreamTimeout(upstream="qwen"))]],
    "failed in mid-answer": [[START, Chunk("从前")], [Failed(UpstreamError(upstream="qwen"))]],
    "failed while a tool runs": [[START, Chunk("我查"), _called(SEARCH)], [Failed(UpstreamError(upstream="qwen"))]],
    "reader sent away": [[START, Chunk("从前")], []],
}


def numbered(batches: list[Batch]) -> list[list[tuple[str, Event]]]:
    """The batches as a reader gets them, each event with its id."""
    found, number = [], 0
    for batch in batches:
        found.append([(f"{MESSAGE}:{number + place}", event) for place, event in enumerate(batch)])
        number += len(batch)
    return found
