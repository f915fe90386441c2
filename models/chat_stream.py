"""Reads OpenAI-compatible answers from bytes: server-sent events, or one JSON completion where a server does not stream.

Servers differ in much; what is tolerated here was met in one of them. What cannot be an answer is an UpstreamError.
"""

import logging
from typing import Any, Literal

import orjson
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from models.chat_parts import Calls, pieces, usage_metadata
from utils.errors import ChatError, UpstreamError
from utils.http_client import LOGGED_CHARS, error_of, for_log

log = logging.getLogger(__name__)

REASONING = "reasoning_content"
REFUSAL = "refusal"
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


class Choice:
    """One of the answers to a request: what has come of it since the last `take`."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.empty = True
        self._thinking = Thoughts()
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._refusal: list[str] = []
        self._logprobs: list[Any] = []
        self._calls = Calls()

    def add(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta") or choice.get("message") or {}
        if refusal := delta.get(REFUSAL):
            self._refusal.append(refusal)
        if content := delta.get("content") or refusal:
            for kind, text in pieces(content):
                thoughts, answer = self._thinking.split(text) if kind == "text" else (text, "")
                self._keep(thoughts, answer)
        if isinstance(thought := delta.get(REASONING) or delta.get("reasoning"), str):
            self._keep(thought, "")
        for call in delta.get("tool_calls") or ():
            self._calls.add(call)
        if logprobs := (choice.get("logprobs") or {}).get("content"):
            self._logprobs += logprobs
        self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def take(self) -> ChatGenerationChunk | None:
        """None when nothing came that a reader would see."""
        if not (self._text or self._thoughts or self._calls.changed):
            return None
        message = self._message()
        if not (message.content or message.additional_kwargs or message.tool_call_chunks):
            return None
        return ChatGenerationChunk(message=message, generation_info=self._take_logprobs() or None)

    def last(self, usage: dict[str, Any] | None, info: dict[str, Any]) -> ChatGenerationChunk:
        """The rest, with finish reason, usage, and what else is known of the answer."""
        self._keep(*self._thinking.split("", last=True))
        message = self._message(
            usage_metadata=usage_metadata(usage) if usage else None,
            response_metadata={"model_provider": "openai"},
            chunk_position="last",
        )
        info = {"finish_reason": self.finish_reason or "stop", **info, **self._take_logprobs()}
        return ChatGenerationChunk(message=message, generation_info=info)

    def _keep(self, thoughts: str, answer: str) -> None:
        if thoughts:
            self._thoughts.append(thoughts)
        if answer:
            self._text.append(answer)

    def _message(self, **fields: Any) -> AIMessageChunk:
        text, thoughts, refusal = "".join(self._text), "".join(self._thoughts), "".join(self._refusal)
        calls = self._calls.take()
        for taken in (self._text, self._thoughts, self._refusal):
            taken.clear()
        if text or thoughts or calls:
            self.empty = False
        extra = {name: value for name, value in ((REASONING, thoughts), (REFUSAL, refusal)) if value}
        return AIMessageChunk(content=text, additional_kwargs=extra, tool_call_chunks=calls, **fields)

    def _take_logprobs(self) -> dict[str, Any]:
        logprobs, self._logprobs = self._logprobs, []
        return {"logprobs": {"content": logprobs}} if logprobs else {}


class AnswerReader:
    """Bytes in, chunks out: `feed` what has arrived, then `take` it, one chunk for each choice; `last` when no more comes.

    Chunks come with the index of their choice.
    """

    def __init__(self, upstream: str, secret: str = "") -> None:
        self.done = False
        self._upstream = upstream
        self._secret = secret
        self._rest = b""
        self._format: Literal["unknown", "events", "json"] = "unknown"
        self._choices: dict[int, Choice] = {}
        self._usage: dict[str, Any] | None = None
        self._info: dict[str, Any] = {}

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

    def take(self) -> list[tuple[int, ChatGenerationChunk]]:
        """What has been read since the last call, as far as a reader would see it."""
        taken = [(index, choice.take()) for index, choice in self._choices.items()]
        return [(index, chunk) for index, chunk in taken if chunk is not None]

    def last(self, *, may_be_empty: bool = False) -> list[tuple[int, ChatGenerationChunk]]:
        """The rest of each choice, with finish reason; usage is with the first one.

        Raises UpstreamError when the answer is cut off, or empty: `may_be_empty` lets a choice pass that says why it ended.
        """
        if self._format == "json":
            self._event(self._rest)
        elif self._rest:
            self._line(self._rest)
        self._rest = b""
        choices = sorted(self._choices.items())
        if not self.done and not (choices and all(choice.finish_reason for _, choice in choices)):
            raise self._broken("an answer without an end", b"")
        usages = [self._usage] + [None] * len(choices)
        chunks = [(index, choice.last(usage, self._info)) for (index, choice), usage in zip(choices, usages, strict=False)]
        if not choices or any(one.empty and not (may_be_empty and one.finish_reason) for _, one in choices):
            raise self._broken("an empty answer", b"")
        return chunks

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
                self._choice(choice, event)
        except (AttributeError, TypeError):
            raise self._broken("an unknown shape", payload) from None

    def _choice(self, choice: dict[str, Any], event: dict[str, Any]) -> None:
        index = choice.get("index") or 0
        if index not in self._choices:
            self._choices[index] = Choice()
        self._choices[index].add(choice)
        if choice.get("finish_reason"):
            known = {"model_name": event.get("model"), "system_fingerprint": event.get("system_fingerprint")}
            self._info = {name: value for name, value in known.items() if value}

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
