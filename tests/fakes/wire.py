"""How an answer looks on the wire: OpenAI's chat completions and embeddings, Anthropic's messages."""

import base64
import hashlib
import math
import struct
from collections.abc import Iterator
from typing import Any

import orjson

from fakes.replies import Call, Event, Fault, Raw, Reply, Status, Text

CREATED = 1_700_000_000
DIMENSIONS = 64


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _call_deltas(call: Call, index: int) -> Iterator[dict[str, Any]]:
    yield {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    for start in range(0, len(call.args), 8):
        yield {"index": index, "function": {"arguments": call.args[start : start + 8]}}


def _openai_usage(reply: Reply) -> dict[str, int]:
    sent, made = reply.tokens
    return {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}


def _deltas(reply: Reply) -> Iterator[dict[str, Any] | Event | Raw | Fault]:
    index = 0
    for part in reply.parts:
        if isinstance(part, Text):
            yield from ({part.field: piece} for piece in part.pieces)
        elif isinstance(part, Call):
            yield from ({"tool_calls": [tool]} for tool in _call_deltas(part, index))
            index += 1
        elif isinstance(part, Event) and part.delta:
            yield part.data
        elif not isinstance(part, Status):
            yield part


def openai_stream(reply: Reply, body: dict[str, Any]) -> Iterator[bytes | Fault]:
    """Chat completion chunks as server-sent events."""
    head = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": CREATED, "model": body.get("model")}
    count = body.get("n") or 1

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return b"".join(_data({**head, "choices": [{"index": n, **choice}]}) for n in range(count))

    yield chunk({"role": "assistant", "content": ""})
    for item in _deltas(reply):
        if isinstance(item, dict):
            yield chunk(item)
        elif isinstance(item, Event):
            yield _data(item.data)
        else:
            yield item.data if isinstance(item, Raw) else item
    if reply.finish_reason is not None:
        yield chunk({}, reply.finish_reason)
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _data({**head, "choices": [], "usage": _openai_usage(reply)})
    if reply.done:
        yield b"data: [DONE]\n\n"


def openai_whole(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    """A chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.joined("content") or None, "refusal": None}
    if thought := reply.joined("reasoning_content", "reasoning"):
        message["reasoning_content"] = thought
    if reply.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.args}}
            for call in reply.calls
        ]
    choice = {"message": message, "logprobs": None, "finish_reason": reply.finish_reason}
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": CREATED,
        "model": body.get("model"),
        "choices": [{"index": n, **choice} for n in range(body.get("n") or 1)],
        "usage": _openai_usage(reply),
    }


STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def _anthropic_usage(reply: Reply) -> dict[str, int]:
    return {"input_tokens": reply.tokens[0], "output_tokens": reply.tokens[1]}


def _block(part: Text | Call) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A content block as it starts, and its deltas."""
    if isinstance(part, Call):
        pieces = [part.args[start : start + 8] for start in range(0, len(part.args), 8)]
        start = {"type": "tool_use", "id": part.id, "name": part.name, "input": {}}
        return start, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    if part.field == "content":
        return {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in part.pieces]
    thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in part.pieces]
    return {"type": "thinking", "thinking": "", "signature": ""}, [
        *thoughts,
        {"type": "signature_delta", "signature": "c2ln"},
    ]


def _named(value: dict[str, Any]) -> bytes:
    return b"event: " + value["type"].encode() + b"\n" + _data(value)


def anthropic_stream(reply: Reply, body: dict[str, Any]) -> Iterator[bytes | Fault]:
    """Anthropic's messages stream."""
    message = {**_anthropic_message(reply, body), "content": [], "stop_reason": None}
    yield _named({"type": "message_start", "message": message})
    index = 0
    for part in reply.parts:
        if isinstance(part, Text | Call):
            start, deltas = _block(part)
            yield _named({"type": "content_block_start", "index": index, "content_block": start})
            for piece in deltas:
                yield _named({"type": "content_block_delta", "index": index, "delta": piece})
            yield _named({"type": "content_block_stop", "index": index})
            index += 1
        elif isinstance(part, Event):
            yield _named(part.data)
        elif not isinstance(part, Status):
            yield part.data if isinstance(part, Raw) else part
    if reply.finish_reason is not None:
        end = {"stop_reason": STOP_REASONS[reply.finish_reason], "stop_sequence": None}
        yield _named({"type": "message_delta", "delta": end, "usage": _anthropic_usage(reply)})
    if reply.done:
        yield _named({"type": "message_stop"})


def _anthropic_message(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": body.get("model"),
        "stop_sequence": None,
        "usage": _anthropic_usage(reply),
    }


def anthropic_whole(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    """A message of Anthropic."""
    content: list[dict[str, Any]] = []
    for part in reply.parts:
        if isinstance(part, Call):
            content.append({"type": "tool_use", "id": part.id, "name": part.name, "input": orjson.loads(part.args)})
        elif isinstance(part, Text):
            kind = "text" if part.field == "content" else "thinking"
            content.append({"type": kind, kind: str(part), **({"signature": "c2ln"} if kind == "thinking" else {})})
    stop = STOP_REASONS[reply.finish_reason or "stop"]
    return {**_anthropic_message(reply, body), "content": content, "stop_reason": stop}


def vector(content: Any, dimensions: int = DIMENSIONS) -> list[float]:
    """A unit vector of a text's characters and pairs of them: like texts have like vectors."""
    content = str(content)
    values = [0.0] * dimensions
    for gram in (*content, *(content[n : n + 2] for n in range(len(content) - 1))):
        values[int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=4).digest()) % dimensions] += 1
    length = math.sqrt(sum(value * value for value in values)) or 1
    return [value / length for value in values]


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request for embeddings, as lists or, where asked, in base64."""
    given = body["input"]
    texts = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
    rows = []
    for index, content in enumerate(texts):
        values: Any = vector(content, body.get("dimensions") or DIMENSIONS)
        if body.get("encoding_format") == "base64":
            values = base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
        rows.append({"object": "embedding", "index": index, "embedding": values})
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return {"object": "list", "data": rows, "model": body.get("model"), "usage": usage}
