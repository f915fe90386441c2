"""Reads OpenAI-compatible answers from bytes: server-sent events, or one JSON completion where a server does not stream.

Servers differ in much; what is tolerated here was met in one of them. What cannot be an answer is an UpstreamError.
"""

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from utils.errors import ChatError, UpstreamError
from utils.http_client import LOGGED_CHARS, error_of, for_log

log = logging.getLogger(__name__)

REASONING = "reasoning_content"
OPEN, CLOSE = "<think>", "</think>"
MAX_BYTES = 16_000_000  # of one event, or of a completion that is not streamed


class Thoughts:
    """Parts thoughts from answer where a server leaves `<think>…</think>` at the start of the content."""

    def __init__(self) -> None:
        self._state: Literal["start", "thinking", "gap", "answer"] = "start"
        self._held = ""

    def split(self, text: str, *, last: bool = False) -> tuple[str, str]:
        """(thoughts, answer) that are certain by now; `last` gives out what was held back as a possible tag."""
        if self._state == "answer":
            return "", text
        text, self._held = self._held + text, ""
        if self._state == "start":
            stripped = text.lstrip()
            if not stripped.startswith(OPEN):
                if OPEN.startswith(stripped) and not last:
                    self._held = text
                    return "", ""
                self._state = "answer"
                return "", text
            self._state, text = "thinking", stripped.removeprefix(OPEN).lstrip("\n")
        return self._think(text, last) if self._state == "thinking" else ("", self._skip_gap(text))

    def _think(self, text: str, last: bool) -> tuple[str, str]:
        thoughts, closed, answer = text.partition(CLOSE)
        if closed:
            self._state = "gap"
            return thoughts, self._skip_gap(answer)
        keep = 0 if last else _overlap(thoughts)
        self._held = thoughts[len(thoughts) - keep :]
        return thoughts[: len(thoughts) - keep], ""

    def _skip_gap(self, text: str) -> str:
        text = text.lstrip()
        if text:
            self._state = "answer"
        return text


def _overlap(text: str) -> int:
    """How many characters at the end of `text` may be the beginning of the closing tag."""
    return next((n for n in range(min(len(CLOSE) - 1, len(text)), 0, -1) if text.endswith(CLOSE[:n])), 0)


@dataclass(slots=True)
class Call:
    """A tool call of the answer. `args` are what has come since the last `take`."""

    slot: int
    id: str
    name: str
    args: str = ""
    told: bool = False

    def take(self) -> ToolCallChunk:
        first = not self.told
        chunk = tool_call_chunk(
            name=self.name if first else None, args=self.args, id=self.id if first else None, index=self.slot
        )
        self.told, self.args = True, ""
        return chunk


@dataclass(slots=True)
class Calls:
    """The tool calls of one answer, told apart by index; by id where a server gives one index to all or none."""

    calls: list[Call] = field(default_factory=list)
    of_index: dict[Any, Call] = field(default_factory=dict)
    changed: dict[int, Call] = field(default_factory=dict)

    def add(self, delta: dict[str, Any]) -> None:
        function = delta.get("function") or {}
        id, name, index = delta.get("id") or "", function.get("name") or "", delta.get("index")
        call = self.of_index.get(index) if index is not None else (self.calls[-1] if self.calls and not name else None)
        if call is None or (id and name and id != call.id):
            call = Call(len(self.calls), id or f"call_{uuid.uuid4().hex[:24]}", name)
            self.calls.append(call)
            self.of_index[index] = call
        call.name = call.name or name
        args = function.get("arguments")
        call.args += args if isinstance(args, str) else orjson.dumps(args).decode() if args is not None else ""
        self.changed[call.slot] = call

    def take(self) -> list[ToolCallChunk]:
        chunks = [call.take() for call in self.changed.values() if call.name]
        self.changed = {slot: call for slot, call in self.changed.items() if not call.name}
        return chunks


class AnswerReader:
    """Bytes in, chunks out: `feed` what has arrived, then `take` all of it as one chunk; `last` when nothing more comes."""

    def __init__(self, upstream: str, secret: str = "") -> None:
        self.done = False
        self._upstream = upstream
        self._secret = secret
        self._rest = b""
        self._format: Literal["unknown", "events", "json"] = "unknown"
        self._thinking = Thoughts()
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._logprobs: list[Any] = []
        self._calls = Calls()
        self._usage: dict[str, Any] | None = None
        self._info: dict[str, Any] = {}
        self._empty = True

    def feed(self, data: bytes) -> None:
        """Raises UpstreamError, or what an error object in the stream amounts to."""
        self._rest = self._rest + data if self._rest else data
        if len(self._rest) > MAX_BYTES:
            raise self._broken("an event without an end", self._rest[:LOGGED_CHARS])
        if self._format == "unknown":
            start = self._rest.lstrip()[:1]
            if start == b"<":
                raise self._broken("HTML", self._rest)
            if start:
                self._format = "json" if start == b"{" else "events"
        if self._format == "events":
            lines = self._rest.split(b"\n")
            self._rest = lines.pop()
            for line in lines:
                self._line(line)

    def take(self) -> ChatGenerationChunk | None:
        """What has been read since the last call; None when that is nothing that a reader would see."""
        if not (self._text or self._thoughts or self._calls.changed):
            return None
        message = self._message()
        if not (message.content or message.additional_kwargs or message.tool_call_chunks):
            return None
        return ChatGenerationChunk(message=message, generation_info=self._logprobs_info())

    def last(self) -> ChatGenerationChunk:
        """The rest, with finish reason and usage. Raises UpstreamError when the answer is cut off or empty."""
        if self._format == "json":
            self._event(self._rest)
        elif self._rest:
            self._line(self._rest)
        self._rest = b""
        if not self.done and "finish_reason" not in self._info:
            raise self._broken("an answer without an end", b"")
        message = self._message(last=True)
        if self._empty:
            raise self._broken("an empty answer", b"")
        info = {"finish_reason": "stop", **self._info, **(self._logprobs_info() or {})}
        return ChatGenerationChunk(message=message, generation_info=info)

    def _line(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return  # comments, ids, names of events, blank lines
        payload = line[5:].strip()
        if payload == b"[DONE]":
            self.done = True
        elif payload:
            self._event(payload)

    def _event(self, payload: bytes) -> None:
        try:
            event = orjson.loads(payload)
        except orjson.JSONDecodeError:
            raise self._broken("broken JSON", payload) from None
        if not isinstance(event, dict):
            raise self._broken("JSON that is no object", payload)
        if event.get("error") or event.get("object") == "error":
            raise self._reported(event, payload)
        if isinstance(usage := event.get("usage"), dict):
            self._usage = usage  # some send a running total with each event: only the last one counts
        try:
            for choice in event.get("choices") or ():
                if not choice.get("index"):
                    self._choice(choice, event)
        except (AttributeError, TypeError):
            raise self._broken("an unknown shape", payload) from None

    def _choice(self, choice: dict[str, Any], event: dict[str, Any]) -> None:
        delta = choice.get("delta") or choice.get("message") or {}
        if content := delta.get("content") or delta.get("refusal"):
            for kind, text in _pieces(content):
                thoughts, answer = self._thinking.split(text) if kind == "text" else (text, "")
                self._keep(thoughts, answer)
        if isinstance(thought := delta.get(REASONING) or delta.get("reasoning"), str):
            self._keep(thought, "")
        for call in delta.get("tool_calls") or ():
            self._calls.add(call)
        if logprobs := (choice.get("logprobs") or {}).get("content"):
            self._logprobs += logprobs
        if reason := choice.get("finish_reason"):
            known = {"model_name": event.get("model"), "system_fingerprint": event.get("system_fingerprint")}
            self._info = {"finish_reason": reason, **{name: value for name, value in known.items() if value}}

    def _keep(self, thoughts: str, answer: str) -> None:
        if thoughts:
            self._thoughts.append(thoughts)
        if answer:
            self._text.append(answer)

    def _message(self, *, last: bool = False) -> AIMessageChunk:
        if last:
            self._keep(*self._thinking.split("", last=True))
        text, thoughts, calls = "".join(self._text), "".join(self._thoughts), self._calls.take()
        self._text.clear()
        self._thoughts.clear()
        if text or thoughts or calls:
            self._empty = False
        return AIMessageChunk(
            content=text,
            additional_kwargs={REASONING: thoughts} if thoughts else {},
            tool_call_chunks=calls,
            usage_metadata=_usage(self._usage) if last and self._usage else None,
            response_metadata={"model_provider": "openai"} if last else {},
            chunk_position="last" if last else None,
        )

    def _logprobs_info(self) -> dict[str, Any] | None:
        if not self._logprobs:
            return None
        logprobs, self._logprobs = self._logprobs, []
        return {"logprobs": {"content": logprobs}}

    def _reported(self, event: dict[str, Any], payload: bytes) -> ChatError:
        self._log("an error object", payload)
        error = event.get("error")
        code = str(error.get("code") if isinstance(error, dict) else event.get("code"))
        status = int(code) if code.isdecimal() else {"rate_limit_exceeded": 429}.get(code, 500)
        return error_of(status, self._upstream, {})

    def _broken(self, what: str, payload: bytes) -> UpstreamError:
        self._log(what, payload)
        return UpstreamError(upstream=self._upstream)

    def _log(self, what: str, payload: bytes) -> None:
        log.warning("%s sent %s: %s", self._upstream, what, for_log(payload.decode(errors="replace"), self._secret))


def read_choices(body: bytes, upstream: str, secret: str = "") -> list[ChatGenerationChunk]:
    """Every choice of a completion that is not streamed. Raises as AnswerReader does."""
    try:
        completion = orjson.loads(body)
        choices = [{**choice, "index": 0} for choice in completion["choices"]]
    except (ValueError, LookupError, TypeError):
        completion, choices = {}, []
    parts = [orjson.dumps({**completion, "choices": [choice]}) for choice in choices] or [body]
    chunks = []
    for part in parts:
        reader = AnswerReader(upstream, secret)
        reader.feed(part)
        chunks.append(reader.last())
    return chunks


def _pieces(content: Any) -> Iterator[tuple[Literal["text", "thought"], str]]:
    """The texts in a content, which is a string or a list of typed parts."""
    if isinstance(content, str):
        yield "text", content
        return
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            yield "text", part
        elif isinstance(part, dict) and part.get("type") == "thinking":
            yield from (("thought", text) for _, text in _pieces(part.get("thinking")))
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            yield "text", part["text"]


def _usage(usage: dict[str, Any]) -> UsageMetadata:
    sent, made = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    metadata = UsageMetadata(input_tokens=sent, output_tokens=made, total_tokens=usage.get("total_tokens") or sent + made)
    if reasoning := (usage.get("completion_tokens_details") or {}).get("reasoning_tokens"):
        metadata["output_token_details"] = {"reasoning": reasoning}
    if cached := (usage.get("prompt_tokens_details") or {}).get("cached_tokens"):
        metadata["input_token_details"] = {"cache_read": cached}
    return metadata
