"""OpenAI's wire format: chat completions, whole and as chunks, of the agent and of a model itself; models; errors."""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from numpy import float32
from numpy.typing import NDArray

from models.completions import Completed, Delta, Piece, TokenCount, ToolDelta
from models.events import Answer, Chunk, Ended, Event, Failed, FinishReason, Reasoning, Started
from utils.errors import ChatError, InvalidField, Language, ModelNotFound, RequestRefused, Unavailable, UnsupportedType

HEARTBEAT = b": ping\n\n"
DONE = b"data: [DONE]\n\n"
FINISH_REASONS: dict[FinishReason, str] = {"stopped": "stop", "tool_limit": "length"}
ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
PARAMS = {"message": "messages", "text": "input", "format": "response_format"}  # our names for what OpenAI names otherwise
STEP = re.compile(r"[a-z]\w*|\d+")
TYPES = {"str", "int", "float", "bool", "list", "dict"}  # which pydantic adds to the place of a fault


@dataclass(frozen=True, slots=True)
class Wire:
    """One completion on the wire. `created` is in seconds since 1970; a `session` is named with the answer of the agent."""

    id: str
    model: str
    created: int
    include_usage: bool = False
    session: bool = False

    def whole(self, answer: Answer) -> dict[str, Any]:
        """A finished turn of the agent."""
        delta = Delta(content=answer.response, reasoning=answer.reasoning, finish_reason=_finish_reason(answer))
        return {**self._completion([delta], _usage_of(answer)), **self._extras(answer)}

    def stream(self, batches: Iterable[Sequence[tuple[str, Event]]], language: Language) -> Iterator[bytes]:
        """A turn of the agent as chunks; a comment in the place of a batch that shows nothing."""
        ended = False
        for batch in batches:
            yield b"".join(part for _, event in batch for part in self._event(event, language)) or HEARTBEAT
            ended = ended or any(isinstance(event, Ended | Failed) for _, event in batch)
        if not ended:
            yield _failed(Unavailable(), language)

    def whole_of(self, pieces: Iterable[Piece]) -> dict[str, Any]:
        """The completion that these pieces are."""
        deltas: list[Delta] = []
        end = Completed(None)
        for piece in pieces:
            if isinstance(piece, Delta):
                deltas.append(piece)
            elif isinstance(piece, Completed):
                end = piece
        return {**self._completion(deltas, end.usage), "system_fingerprint": end.fingerprint or None}

    def stream_of(self, batches: Iterable[Sequence[Piece]], language: Language) -> Iterator[bytes]:
        """The same as chunks."""
        begun: set[int] = set()
        for batch in batches:
            yield b"".join(part for piece in batch for part in self._piece(piece, begun, language)) or HEARTBEAT

    def _event(self, event: Event, language: Language) -> Iterator[bytes]:
        match event:
            case Started():
                yield self._chunk(_role())
            case Chunk(content):
                yield self._chunk({"content": content})
            case Reasoning(content):
                yield self._chunk({"reasoning_content": content})
            case Ended(answer):
                yield self._chunk({}, finish_reason=_finish_reason(answer), extras=self._extras(answer))
                yield from self._end(_usage_of(answer))
            case Failed(error):
                yield _failed(error, language)

    def _piece(self, piece: Piece, begun: set[int], language: Language) -> Iterator[bytes]:
        match piece:
            case Delta():
                if piece.choice not in begun:
                    begun.add(piece.choice)
                    yield self._chunk(_role(), piece.choice)
                if delta := _delta(piece):
                    yield self._chunk(delta, piece.choice, _logprobs(piece.logprobs))
                if piece.finish_reason:
                    yield self._chunk({}, piece.choice, finish_reason=piece.finish_reason)
            case Completed(usage):
                yield from self._end(usage)
            case Failed(error):
                yield _failed(error, language)

    def _chunk(
        self,
        delta: dict[str, Any],
        choice: int = 0,
        logprobs: dict[str, Any] | None = None,
        finish_reason: str | None = None,
        extras: dict[str, Any] | None = None,
    ) -> bytes:
        choices = [{"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}]
        usage = {"usage": None} if self.include_usage else {}
        return _data({**self._head("chat.completion.chunk"), "choices": choices, **usage, **(extras or {})})

    def _end(self, usage: TokenCount | None) -> Iterator[bytes]:
        if self.include_usage:
            yield _data({**self._head("chat.completion.chunk"), "choices": [], "usage": _usage(usage)})
        yield DONE

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "system_fingerprint": None}

    def _completion(self, deltas: Sequence[Delta], usage: TokenCount | None) -> dict[str, Any]:
        of_choice: dict[int, list[Delta]] = {}
        for delta in deltas:
            of_choice.setdefault(delta.choice, []).append(delta)
        choices = [_choice(index, own) for index, own in sorted(of_choice.items())]
        return {**self._head("chat.completion"), "choices": choices, "usage": _usage(usage)}

    def _extras(self, answer: Answer) -> dict[str, Any]:
        return {
            "sources": [asdict(source) for source in answer.sources],
            "session_id": answer.session_id if self.session else None,
            "message_id": answer.message_id if self.session else None,
        }


def error(failure: ChatError, language: Language) -> dict[str, Any]:
    """An error as clients of OpenAI's API expect it."""
    code = status(failure)
    faults = sorted(failure.faults(language), key=lambda fault: -fault["field"].count("."))  # the innermost fault says most
    message, param = failure.message(language), None
    if faults:
        param = _param(faults[0]["field"])
        if type(failure) is InvalidField:
            fault = faults[0]["message"]
            message = f"{message}{param}：{fault}" if language == "zh" else f"{message} {param}: {fault}"
    return {
        "error": {
            "message": message,
            "type": ERROR_TYPES.get(code, "server_error" if code >= 500 else "invalid_request_error"),
            "param": param,
            "code": (isinstance(failure, RequestRefused) and failure.reason) or failure.code,
        }
    }


def status(failure: ChatError) -> int:
    """The HTTP status of an error there: invalid requests are 400."""
    return 400 if isinstance(failure, InvalidField | UnsupportedType) else failure.status


def models(names: Iterable[tuple[str, str]], created: int) -> list[dict[str, Any]]:
    """Models, each given as its name and who owns it."""
    return [{"id": name, "object": "model", "created": created, "owned_by": owner} for name, owner in names]


def model(names: Iterable[tuple[str, str]], created: int, name: str) -> dict[str, Any]:
    """The model of that name. Raises ModelNotFound."""
    found = next((one for one in models(names, created) if one["id"] == name), None)
    if found is None:
        raise ModelNotFound(model=name)
    return found


def embeddings(vectors: NDArray[float32], name: str, tokens: int, encoding: str) -> dict[str, Any]:
    """Vectors, one row for each text, as lists or as base64 of little-endian floats."""
    rows: list[Any] = vectors.tolist()
    if encoding == "base64":
        rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    return {"object": "list", "data": data, "model": name, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def _data(value: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % orjson.dumps(value)


def _failed(failure: ChatError, language: Language) -> bytes:
    return _data(error(failure, language)) + DONE


def _param(field: str) -> str:
    """`messages[0].content` for `messages.0.content.list[Part]`."""
    steps = [step for step in re.split(r"[.\[\]]+", field) if STEP.fullmatch(step) and step not in TYPES]
    first, *rest = steps or [field]
    return PARAMS.get(first, first) + "".join(f"[{step}]" if step.isdecimal() else f".{step}" for step in rest)


def _role() -> dict[str, Any]:
    return {"role": "assistant", "content": "", "refusal": None}


def _finish_reason(answer: Answer) -> str:
    return FINISH_REASONS.get(answer.finish_reason, answer.finish_reason)


def _usage_of(answer: Answer) -> TokenCount:
    return TokenCount(answer.usage.input_tokens, answer.usage.output_tokens)


def _usage(count: TokenCount | None) -> dict[str, Any] | None:
    if count is None:
        return None
    usage: dict[str, Any] = {
        "prompt_tokens": count.prompt,
        "completion_tokens": count.completion,
        "total_tokens": count.prompt + count.completion,
    }
    if count.cached:
        usage["prompt_tokens_details"] = {"cached_tokens": count.cached}
    if count.reasoning:
        usage["completion_tokens_details"] = {"reasoning_tokens": count.reasoning}
    return usage


def _logprobs(tokens: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    return {"content": list(tokens), "refusal": None} if tokens else None


def _delta(piece: Delta) -> dict[str, Any]:
    texts = {"content": piece.content, "reasoning_content": piece.reasoning, "refusal": piece.refusal}
    delta: dict[str, Any] = {name: text for name, text in texts.items() if text}
    if piece.tool_calls:
        delta["tool_calls"] = [_tool_delta(call) for call in piece.tool_calls]
    return delta


def _tool_delta(call: ToolDelta) -> dict[str, Any]:
    if not call.id:
        return {"index": call.index, "function": {"arguments": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments}
    return {"index": call.index, "id": call.id, "type": "function", "function": function}


def _choice(index: int, deltas: Sequence[Delta]) -> dict[str, Any]:
    content, refusal = "".join(delta.content for delta in deltas), "".join(delta.refusal for delta in deltas)
    calls = _calls([call for delta in deltas for call in delta.tool_calls])
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if not content and (calls or refusal) else content,
        "refusal": refusal or None,
    }
    if reasoning := "".join(delta.reasoning for delta in deltas):
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs([token for delta in deltas for token in delta.logprobs]),
        "finish_reason": next((delta.finish_reason for delta in reversed(deltas) if delta.finish_reason), "stop"),
    }


def _calls(pieces: Sequence[ToolDelta]) -> list[dict[str, Any]]:
    calls = []
    for index in sorted({piece.index for piece in pieces}):
        own = [piece for piece in pieces if piece.index == index]
        function = {"name": own[0].name, "arguments": "".join(piece.arguments for piece in own)}
        calls.append({"id": own[0].id, "type": "function", "function": function})
    return calls
