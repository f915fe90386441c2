"""Reads what a local model generates: tokens become whole characters, these become thoughts, answer and tool calls.

Which parts a text has is said by a response template, Transformers' own notation for it. Where a model brings none, it is
taken to write as Qwen, Hermes and many others do: `<think>…</think>`, and `<tool_call>…</tool_call>` around JSON or, where
its chat template shows it so, around `<function=…><parameter=…>`.
"""

import json
import logging
import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from models.chat_stream import CLOSE, OPEN, REASONING

log = logging.getLogger(__name__)

CALL, CALL_END = "<tool_call>", "</tool_call>"
MARKS = (OPEN, CLOSE, CALL, CALL_END)
THOUGHT_FIELDS = ("reasoning_content", "thinking", "reasoning")  # as response templates name them
UNFINISHED = "\ufffd"  # what a decoder makes of the first bytes of a character
NAME = re.compile(r'"name"\s*:\s*"([^"]*)"')

_CALL_FIELDS = {
    "json": {
        "open": CALL,
        "close": CALL_END,
        "content": "json",
        "content_args": {"allow_non_json": True},
        "transform": {"function": "{content}"},
        "repeats": True,
    },
    "tags": {
        "open_pattern": rf"{CALL}\s*<function=(?P<name>[^>]+)>",
        "close_pattern": rf"(</function>\s*)?{CALL_END}",
        "content": "xml-inline",
        "content_args": {"tag_pattern": r"<parameter=(?P<key>[^>]+)>\n?(?P<value>.*?)\n?</parameter>"},
        "transform": {"function": {"name": "{name}", "arguments": "{content}"}},
        "repeats": True,
    },
}


class Parser(Protocol):
    """What is used of Transformers' ResponseParser."""

    def feed(self, text: str) -> list[dict[str, Any]]: ...
    def finalize(self) -> tuple[dict[str, Any], list[dict[str, Any]]]: ...


def response_template(chat_template: str, *, tools: bool) -> dict[str, Any]:
    """The response template for a model that brings none. Without `tools`, nothing is a call of one."""
    fields: dict[str, Any] = {
        "reasoning_content": {"open": OPEN, "close": CLOSE, "content": "text"},
        "content": {"content": "text"},
    }
    if tools:
        fields["tool_calls"] = _CALL_FIELDS["tags" if "<function=" in chat_template else "json"]
    return {"start_anchor_pattern": r"\A", "fields": fields}


class Detokenizer:
    """Tokens in, text out, each character as soon as it is whole. `decode` makes a text of token ids."""

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._before: list[int] = []  # said already; decoders treat the start of a text in ways of their own
        self._new: list[int] = []

    def feed(self, token: int) -> str:
        self._new.append(token)
        text = self._text()
        if text.endswith(UNFINISHED):
            return ""
        self._before, self._new = self._new, []
        return text

    def rest(self) -> str:
        """What is left at the end, without a character that was cut off."""
        return self._text().rstrip(UNFINISHED)

    def _text(self) -> str:
        return self._decode(self._before + self._new)[len(self._decode(self._before)) :]


class Outlet:
    """Lets text out up to the first of some stop sequences, without the white space at its ends.

    What may be the start of a stop sequence is held back until that is certain.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self.stopped = False
        self._stop = [sequence for sequence in stop if sequence]
        self._held = ""
        self._begun = False

    def feed(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        if not self._begun:
            text = text.lstrip()
        found = [place for sequence in self._stop if (place := text.find(sequence)) >= 0]
        self.stopped = bool(found)
        end = min(found) if found else len(text) - self._doubtful(text)
        self._held = "" if found else text[end:]
        self._begun = self._begun or end > 0
        return text[:end]

    def rest(self) -> str:
        """What was held back, at the end of the answer."""
        return self._held.rstrip()

    def _doubtful(self, text: str) -> int:
        """How many characters at the end may belong to a stop sequence, or to white space at the end of all."""
        starts = [n for sequence in self._stop for n in range(1, len(sequence)) if text.endswith(sequence[:n])]
        return max([len(text) - len(text.rstrip()), *starts])


class AnswerReader:
    """Text in, chunks out: `feed` what was generated, `last` gives the rest. `stopped` when no more is wanted."""

    def __init__(self, parser: Parser, stop: Sequence[str] = ()) -> None:
        self.calls = 0
        self._broken = False
        self._parser = parser
        self._answer, self._thoughts = Outlet(stop), Outlet()

    @property
    def stopped(self) -> bool:
        return self._answer.stopped or self._broken

    def feed(self, text: str) -> list[AIMessageChunk]:
        return self._read(lambda: self._parser.feed(text))

    def last(self) -> list[AIMessageChunk]:
        chunks = [] if self.stopped else self._read(lambda: self._parser.finalize()[1])
        return chunks + _said(self._thoughts.rest(), self._answer.rest())

    def _read(self, parse: Callable[[], list[dict[str, Any]]]) -> list[AIMessageChunk]:
        try:
            events = parse()
        except (ValueError, LookupError) as error:  # a call that its own template cannot read; the parser cannot go on
            log.warning("A tool call of the local model cannot be read: %s", error)
            self._broken = True
            return [self._call({})]
        return [chunk for event in events for chunk in self._chunks(event)]

    def _chunks(self, event: dict[str, Any]) -> list[AIMessageChunk]:
        match event:
            case {"type": "region_chunk", "field": "content", "text": text}:
                return _said("", self._answer.feed(text))
            case {"type": "region_chunk", "field": field, "text": text} if field in THOUGHT_FIELDS:
                return _said(self._thoughts.feed(text), "")
            case {"type": "region_close", "field": "tool_calls", "value": value}:
                return [self._call(call) for call in (value if isinstance(value, list) else [value])]
        return []

    def _call(self, value: Any) -> AIMessageChunk:
        call = value.get("function", value) if isinstance(value, dict) else value
        if isinstance(call, dict):
            name, args = str(call.get("name", "")), call.get("arguments", {})
            args = args if isinstance(args, str) else json.dumps(args, ensure_ascii=False)
        else:  # no JSON: whoever runs the tools says so to the model
            args = str(call)
            name = found[1] if (found := NAME.search(args)) else ""
        chunk = tool_call_chunk(name=name, args=args, id=f"call_{uuid.uuid4().hex[:24]}", index=self.calls)
        self.calls += 1
        return AIMessageChunk(content="", tool_call_chunks=[chunk])


def _said(thoughts: str, answer: str) -> list[AIMessageChunk]:
    if not (thoughts or answer):
        return []
    return [AIMessageChunk(content=answer, additional_kwargs={REASONING: thoughts} if thoughts else {})]
