"""What the scripted upstream may answer.

A reply is a row of parts: `text("你好")`, `reasoning("…")`, `tool_call("search", {"query": "年假"})`, and between them
faults, such as `hang()` or `cut()`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

PIECE = re.compile(r"[A-Za-z0-9_'.]+\s?|.", re.DOTALL)
AUTO = "auto"


@dataclass(frozen=True)
class Text:
    """Text in pieces, one delta each; `field` is where the delta holds it."""

    pieces: tuple[str, ...]
    field: str = "content"

    def __str__(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    args: str  # JSON


@dataclass(frozen=True)
class Event:
    """Any JSON as one event of the stream; of an OpenAI stream, `delta` puts it into a well-formed chunk."""

    data: dict[str, Any]
    delta: bool = False


@dataclass(frozen=True)
class Raw:
    data: bytes


@dataclass(frozen=True)
class Fault:
    kind: Literal["hang", "hang before headers", "cut", "reset"]


@dataclass(frozen=True)
class Status:
    """A whole HTTP answer in the place of a stream."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


Part = Text | Call | Event | Raw | Fault | Status


@dataclass(frozen=True)
class Reply:
    """`finish_reason` None: the stream ends without one; `done` False: without [DONE]. `interval` is the time in seconds
    between two events, `packet` the bytes sent at once (0: as many as there are). `whole`: not streamed, although asked."""

    parts: tuple[Part, ...]
    finish_reason: str | None = AUTO
    usage: tuple[int, int] | None = None
    interval: float = 0
    packet: int = 0
    done: bool = True
    whole: bool = False
    rendered: dict[Any, list["bytes | Fault"]] = field(default_factory=dict)  # for replies that are used again

    def __post_init__(self) -> None:
        if self.finish_reason == AUTO:
            object.__setattr__(self, "finish_reason", "tool_calls" if self.calls else "stop")

    @property
    def calls(self) -> list[Call]:
        return [part for part in self.parts if isinstance(part, Call)]

    def joined(self, *fields: str) -> str:
        return "".join(str(part) for part in self.parts if isinstance(part, Text) and part.field in fields)

    @property
    def tokens(self) -> tuple[int, int]:
        """(input, output); where the script names none, 11 and the number of pieces."""
        return self.usage or (11, sum(len(part.pieces) if isinstance(part, Text) else 5 for part in self.parts))


def text(content: str | Sequence[str]) -> Text:
    """Words and Chinese characters become a delta each; give a list to choose the deltas."""
    return Text(tuple(PIECE.findall(content) if isinstance(content, str) else content))


def reasoning(content: str | Sequence[str], field: str = "reasoning_content") -> Text:
    return Text(text(content).pieces, field)


def tool_call(name: str, args: dict[str, Any] | str, id: str | None = None) -> Call:
    """`args` as a string is sent as it is, so that it may be broken JSON."""
    encoded = args if isinstance(args, str) else orjson.dumps(args).decode()
    return Call(id or f"call_{name}_{sum(encoded.encode()) % 9973}", name, encoded)


def delta(data: dict[str, Any]) -> Event:
    return Event(data, delta=True)


def event(data: dict[str, Any]) -> Event:
    return Event(data)


def raw(data: bytes) -> Raw:
    return Raw(data)


def hang(before: Literal["headers", "next"] = "next") -> Fault:
    """Nothing more comes until `Upstream.release()`."""
    return Fault("hang before headers" if before == "headers" else "hang")


def cut() -> Fault:
    """The connection is closed in mid-stream."""
    return Fault("cut")


def reset() -> Fault:
    """The connection is reset (RST)."""
    return Fault("reset")


def status(
    code: int, body: dict[str, Any] | list[Any] | str = "", content_type: str = "application/json", **headers: str
) -> Status:
    """`status(429, retry_after="2")`: underscores in the names of headers become hyphens."""
    error = body or {"error": {"message": f"scripted status {code}", "type": "scripted", "param": None, "code": None}}
    data = error.encode() if isinstance(error, str) else orjson.dumps(error)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Status(code, data, {"Content-Type": content_type, **names})


def html(code: int = 200) -> Status:
    return status(code, "<!doctype html><html><body><h1>网关错误 Bad gateway</h1></body></html>", "text/html; charset=utf-8")


def empty() -> Status:
    """200, an event stream, and not a byte in it."""
    return Status(200, b"", {"Content-Type": "text/event-stream"})
