"""The native wire format, from events to bytes."""

import json
from typing import Any

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
from services.protocols import native
from utils.errors import Language, UpstreamTimeout

SOURCE = Source("doc_1", "报告.pdf", 13, "年假为十五天。", 0.9, number=2, start=70, end=77)
ANSWER = Answer(
    session_id="s:1",
    message_id="msg_1",
    response="十五天 [1]。",
    model="qwen",
    finish_reason="stop",
    sources=(SOURCE,),
    tool_calls=(ToolCall("call_1", "search_documents", {"query": "年假"}, "ok", "[1] …", 12),),
    usage=Usage(100, 9),
    extra={"document": {"id": "doc_1"}},
)


def render(*batches: list[Event], language: Language = "en") -> list[str]:
    numbered, place = [], 0
    for batch in batches:
        numbered.append([(f"msg_1:{place + offset}", event) for offset, event in enumerate(batch)])
        place += len(batch)
    lines = b"".join(native.stream(numbered, language)).decode().split("\n\n")[:-1]
    return lines[:-1] if lines[-1] == "retry: 1000" else lines


def data(line: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(line.split("data: ", 1)[1])
    return parsed


def test_each_event_has_its_type_and_data_and_nothing_else() -> None:
    script: list[Event] = [
        Started("s:1", "msg_1"),
        DocumentProgress("doc_1", "extracting", 0.5),
        Reasoning("想"),
        ToolCalled("call_1", "search_documents", {"query": "年假"}),
        ToolReturned("call_1", "search_documents", "ok", "[1] …"),
        Chunk("十五天\n\n[1]。"),
        SourcesFound((SOURCE,)),
    ]
    assert [data(line) for line in render(script)] == [
        {"type": "start", "data": {"session_id": "s:1", "message_id": "msg_1"}},
        {"type": "document", "data": {"id": "doc_1", "stage": "extracting", "progress": 0.5}},
        {"type": "reasoning", "data": {"content": "想"}},
        {"type": "tool_call", "data": {"id": "call_1", "name": "search_documents", "args": {"query": "年假"}}},
        {"type": "tool_result", "data": {"id": "call_1", "name": "search_documents", "status": "ok", "result": "[1] …"}},
        {"type": "chunk", "data": {"content": "十五天\n\n[1]。"}},
        {"type": "sources", "data": {"sources": [native.asdict(SOURCE)]}},
    ]


def test_the_end_is_the_turn_with_its_full_text() -> None:
    end = data(render([Started("s:1", "msg_1"), Ended(ANSWER)])[1])
    assert end["type"] == "end"
    assert end["data"] == {"full_text": "十五天 [1]。", **native.whole(ANSWER)}


def test_a_turn_as_one_object() -> None:
    assert native.whole(ANSWER) == {
        "session_id": "s:1",
        "message_id": "msg_1",
        "response": "十五天 [1]。",
        "sources": [
            {
                "document_id": "doc_1",
                "filename": "报告.pdf",
                "page": 13,
                "quote": "年假为十五天。",
                "score": 0.9,
                "cited": True,
                "number": 2,
                "start": 70,
                "end": 77,
            }
        ],
        "tool_calls": [
            {
                "id": "call_1",
                "name": "search_documents",
                "args": {"query": "年假"},
                "status": "ok",
                "result": "[1] …",
                "ms": 12,
            }
        ],
        "usage": {"input_tokens": 100, "output_tokens": 9, "total_tokens": 109},
        "model": "qwen",
        "finish_reason": "stop",
        "document": {"id": "doc_1"},
    }


def test_ids_go_on_over_batches_and_an_empty_batch_is_a_comment() -> None:
    lines = render([Started("s:1", "msg_1")], [], [Chunk("a"), Chunk("b")])
    assert [line.split("\n")[0] for line in lines] == ["id: msg_1:0", ": keep-alive", "id: msg_1:1", "id: msg_1:2"]


def test_an_error_says_it_in_the_language_of_the_reader() -> None:
    failed: list[Event] = [Failed(UpstreamTimeout(upstream="qwen"))]
    english, chinese = data(render(failed)[0]), data(render(failed, language="zh")[0])
    assert english == {
        "type": "error",
        "data": {"message": "The upstream service did not answer in time: qwen.", "code": "upstream_timeout"},
    }
    assert chinese["data"]["message"] == "上游服务未及时响应：qwen。"


def test_a_stream_without_an_end_asks_its_reader_to_come_back() -> None:
    assert b"".join(native.stream([[]], "en")) == b": keep-alive\n\nretry: 1000\n\n"
    assert b"retry:" not in b"".join(native.stream([[("msg_1:0", Started("s", "msg_1")), ("msg_1:1", Ended(ANSWER))]], "en"))
