"""OpenAI's wire format, from pieces of a completion, and from errors, to bytes. The agent's is in test_golden."""

import base64
import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from models.completions import Completed, Delta, Piece, TokenCount, ToolDelta
from models.events import Answer, Failed, Usage
from services.protocols import openai
from services.protocols.openai import Wire
from utils.errors import (
    BadRequest,
    ChatError,
    DocumentUnreadable,
    Forbidden,
    InvalidField,
    ModelNotFound,
    NotFound,
    OptionNotSupported,
    ProviderNotConfigured,
    RateLimited,
    RequestRefused,
    StoreUnavailable,
    TooLarge,
    TurnInProgress,
    Unauthorized,
    UnsupportedType,
    UpstreamBusy,
    UpstreamTimeout,
)

HEAD = '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"qwen","system_fingerprint":null,'
TOKEN = {"token": "好", "logprob": -0.1, "bytes": [229, 165, 189], "top_logprobs": []}
CALLS = [
    Delta(tool_calls=(ToolDelta(0, "", "call_a", "f"), ToolDelta(1, '{"x"', "call_b", "g"))),
    Delta(tool_calls=(ToolDelta(1, ":1}"), ToolDelta(0, "{}"))),
    Delta(finish_reason="tool_calls"),
]


def wire(**options: Any) -> Wire:
    return Wire("chatcmpl-1", "qwen", 1_700_000_000, **options)


def events(*batches: Sequence[Piece], **options: Any) -> list[str]:
    text = b"".join(wire(**options).stream_of(batches, "zh")).decode()
    assert text.endswith("\n\n")
    return text.removesuffix("\n\n").split("\n\n")


def chunk(index: int, delta: str, finish_reason: str = "null", logprobs: str = "null", tail: str = "") -> str:
    choice = f'{{"index":{index},"delta":{delta},"logprobs":{logprobs},"finish_reason":{finish_reason}}}'
    return f'data: {HEAD}"choices":[{choice}]{tail}}}'


ROLE = '{"role":"assistant","content":"","refusal":null}'


def test_a_stream_to_the_letter() -> None:
    pieces = [Delta(reasoning="想"), Delta(content="好，\n"), Delta(content="🙂", finish_reason="stop")]
    assert events(pieces[:1], [], pieces[1:], [Completed(TokenCount(3, 2))]) == [
        chunk(0, ROLE),
        chunk(0, '{"reasoning_content":"想"}'),
        ": ping",
        chunk(0, '{"content":"好，\\n"}'),
        chunk(0, '{"content":"🙂"}'),
        chunk(0, "{}", '"stop"'),
        "data: [DONE]",
    ]


def test_usage_comes_last_where_it_was_asked_for() -> None:
    null = ',"usage":null'
    assert events([Delta(content="好", finish_reason="stop"), Completed(TokenCount(3, 2, 1, 1))], include_usage=True) == [
        chunk(0, ROLE, tail=null),
        chunk(0, '{"content":"好"}', tail=null),
        chunk(0, "{}", '"stop"', tail=null),
        f'data: {HEAD}"choices":[],"usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,'
        '"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":1}}}',
        "data: [DONE]",
    ]


def test_each_choice_begins_with_its_role_and_ends_with_its_reason() -> None:
    pieces = [Delta(1, "乙"), Delta(0, "甲"), Delta(1, finish_reason="stop"), Delta(0, finish_reason="length")]
    assert events([*pieces, Completed(None)]) == [
        chunk(1, ROLE),
        chunk(1, '{"content":"乙"}'),
        chunk(0, ROLE),
        chunk(0, '{"content":"甲"}'),
        chunk(1, "{}", '"stop"'),
        chunk(0, "{}", '"length"'),
        "data: [DONE]",
    ]


def test_the_pieces_of_a_tool_call_name_it_once() -> None:
    shown = events([*CALLS, Completed(None)])
    first = (
        '{"index":0,"id":"call_a","type":"function","function":{"name":"f","arguments":""}},'
        '{"index":1,"id":"call_b","type":"function","function":{"name":"g","arguments":"{\\"x\\""}}'
    )
    more = '{"index":1,"function":{"arguments":":1}"}},{"index":0,"function":{"arguments":"{}"}}'
    assert shown[1:3] == [chunk(0, f'{{"tool_calls":[{first}]}}'), chunk(0, f'{{"tool_calls":[{more}]}}')]


def test_log_probabilities_stand_with_their_text() -> None:
    shown = events([Delta(content="好", logprobs=(TOKEN,)), Completed(None)])
    assert json.loads(shown[1].removeprefix("data: "))["choices"][0]["logprobs"] == {"content": [TOKEN], "refusal": None}


def test_a_failure_is_an_error_object_and_the_end() -> None:
    said = '"message":"上游服务未及时响应：qwen。","type":"server_error","param":null,"code":"upstream_timeout"'
    shown = events([Delta(content="从")], [Failed(UpstreamTimeout(upstream="qwen"))])
    assert shown[2:] == [f'data: {{"error":{{{said}}}}}', "data: [DONE]"]


def test_a_completion_as_one_object() -> None:
    pieces = [Delta(reasoning="想"), Delta(content="查。", logprobs=(TOKEN,)), *CALLS, Completed(TokenCount(3, 2), "fp_1")]
    assert wire().whole_of(pieces) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "qwen",
        "system_fingerprint": "fp_1",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "查。",
                    "refusal": None,
                    "reasoning_content": "想",
                    "tool_calls": [
                        {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                        {"id": "call_b", "type": "function", "function": {"name": "g", "arguments": '{"x":1}'}},
                    ],
                },
                "logprobs": {"content": [TOKEN], "refusal": None},
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def test_content_is_null_beside_calls_and_refusals_only() -> None:
    def content(*pieces: Delta) -> Any:
        return wire().whole_of(pieces)["choices"][0]["message"]["content"]

    assert content(*CALLS) is None and content(Delta(refusal="不")) is None
    assert content(Delta(finish_reason="stop")) == ""


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("stopped", "stop"),
        ("tool_limit", "length"),
    ],
)
def test_how_a_turn_ended_in_openais_words(reason: Any, told: str) -> None:
    answer = Answer("s", "msg_1", "好", "qwen", reason, usage=Usage(3, 2))
    whole = wire(session=True).whole(answer)
    assert whole["choices"][0]["finish_reason"] == told
    assert (whole["sources"], whole["session_id"], whole["message_id"]) == ([], "s", "msg_1")
    assert wire().whole(answer)["session_id"] is None


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (BadRequest(), 400, "invalid_request_error"),
        (Unauthorized(), 401, "authentication_error"),
        (Forbidden(), 403, "permission_error"),
        (NotFound(what="address"), 404, "invalid_request_error"),
        (ModelNotFound(model="x"), 404, "invalid_request_error"),
        (TurnInProgress(), 409, "invalid_request_error"),
        (TooLarge(limit=1), 413, "invalid_request_error"),
        (UnsupportedType(type="x"), 400, "invalid_request_error"),
        (InvalidField(), 400, "invalid_request_error"),
        (DocumentUnreadable(), 400, "invalid_request_error"),
        (OptionNotSupported(option="n", model="agent"), 400, "invalid_request_error"),
        (RequestRefused(model="qwen"), 400, "invalid_request_error"),
        (RateLimited(), 429, "rate_limit_error"),
        (ChatError(), 500, "server_error"),
        (UpstreamBusy(upstream="qwen"), 503, "server_error"),
        (StoreUnavailable(store="redis"), 503, "server_error"),
        (ProviderNotConfigured(setting="X"), 503, "server_error"),
        (UpstreamTimeout(upstream="qwen"), 504, "server_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ChatError) else None,
)
def test_errors_have_openais_status_and_type(error: ChatError, status: int, kind: str) -> None:
    shown = openai.error(error, "zh")["error"]
    assert (openai.status(error), shown["type"]) == (status, kind) and set(shown) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("field", "param"),
    [
        ("messages.0.content.list[Part].1.type", "messages[0].content[1].type"),
        ("messages.3.content.str", "messages[3].content"),
        ("input.list[constrained-str].2", "input[2]"),
        ("message", "messages"),
        ("format", "response_format"),
    ],
)
def test_a_fault_has_the_place_that_the_client_knows(field: str, param: str) -> None:
    faults = [{"field": "model", "message": "missing"}] if "." in field else []
    error = InvalidField(errors=[*faults, {"field": field, "message": "wrong"}])
    shown = openai.error(error, "en")["error"]
    assert shown["param"] == param and shown["message"].endswith(f"{param}: wrong")


def test_vectors_in_base64_are_little_endian_floats() -> None:
    vectors = np.array([[0.5, -1.0], [0.25, 2.0]], np.float32)
    shown = openai.embeddings(vectors, "m", 7, "base64")
    assert struct.unpack("<2f", base64.b64decode(shown["data"][1]["embedding"])) == (0.25, 2.0)
    assert openai.embeddings(vectors, "m", 7, "float")["data"][1]["embedding"] == [0.25, 2.0]
    assert shown["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
