"""The speech endpoint of DashScope (Qwen-TTS, streamed), on loopback.

    with DashScope() as dashscope:
        ...
        assert dashscope.spoken == ["你好。"]

The samples that it speaks are the text itself in UTF-16, so that a test can read what it hears.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

from fakes.website import Reply, Request, Website

PATH = "/api/v1/services/aigc/multimodal-generation/generation"


class DashScope(Website):
    """`key` and `voices` are the only ones accepted; `reply` makes the answer; `piece` is the size of a piece in bytes."""

    def __init__(self, key: str = "sk-test") -> None:
        super().__init__()
        self.key = key
        self.voices = {"Cherry", "Ethan"}
        self.piece = 7
        self.reply: Callable[[Request], Reply] = self._speak
        self.on(PATH, lambda request: self.reply(request))

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The bodies of all requests."""
        return [json.loads(request.body) for request in self.requests]

    @property
    def spoken(self) -> list[str]:
        return [body["input"]["text"] for body in self.asked]

    def _speak(self, request: Request) -> Reply:
        body = json.loads(request.body)
        text, voice = body["input"]["text"], body["input"]["voice"]
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return refusal(401, "InvalidApiKey")
        if voice not in self.voices or sum(1 + (character > "\u2e7f") for character in text) > 600:
            return refusal(400, "InvalidParameter")
        if request.headers.get("x-dashscope-sse") != "enable":
            return refusal(400, "InvalidParameter.Stream")
        return stream(*(event(piece) for piece in self.pieces(text)), event(b"", finish_reason="stop"))

    def pieces(self, text: str) -> list[bytes]:
        samples = text.encode("utf-16-le")
        return [samples[start : start + self.piece] for start in range(0, len(samples), self.piece)]


def event(samples: bytes, finish_reason: str = "null") -> bytes:
    """One event of a stream; the last one carries the address of the whole file instead of samples."""
    url = "http://127.0.0.1:1/whole.wav" if finish_reason == "stop" else ""
    audio = {"data": base64.b64encode(samples).decode(), "url": url, "id": "audio_1", "expires_at": 1_800_000_000}
    output = {"text": None, "choices": None, "finish_reason": finish_reason, "audio": audio}
    return _sse("result", 200, {"output": output, "usage": {"characters": 2}, "request_id": "r-1"})


def failed_event(code: str, status: int) -> bytes:
    return _sse("error", status, {"code": code, "message": "no", "request_id": "r-1"})


def stream(*events: bytes, hang: bool = False) -> Reply:
    return Reply(events, headers={"Content-Type": "text/event-stream;charset=UTF-8"}, hang=hang)


def refusal(status: int, code: str) -> Reply:
    body = {"code": code, "message": "no, sk-test", "request_id": "r-1"}
    return Reply(json.dumps(body), status, {"Content-Type": "application/json"})


def _sse(kind: str, status: int, data: dict[str, Any]) -> bytes:
    return f"id:1\nevent:{kind}\n:HTTP_STATUS/{status}\ndata:{json.dumps(data)}\n\n".encode()
