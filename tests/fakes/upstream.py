"""A scripted model server on loopback: OpenAI's wire format, and Anthropic's at `/v1/messages`.

    with Upstream() as upstream:
        upstream.reply(text("你好"), tool_call("search_documents", {"query": "年假"}))  # the next answer
        upstream.on(lambda request: f"关于{request.question}")  # an answer that depends on the request
        ...
        assert upstream.requests[0].body["temperature"] == 0

Queued replies come first, then the function, then `回声: <last user message>`. As a program it answers every chat with the
same tokens, rendered beforehand: `python tests/fakes/upstream.py --port 9000 --tokens 50 --interval 0.02`.
"""

import argparse
import asyncio
import base64
import socket
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import orjson
import uvloop
from aiohttp import web

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it also runs as a program

from fakes.replies import Fault, Part, Reply, Status, Text, text
from fakes.wire import anthropic_stream, anthropic_whole, embeddings, openai_stream, openai_whole

Answer = str | Part | Reply | Sequence[Part]
Endpoint = Literal["chat", "embeddings", "models"]
ENDPOINTS: dict[str, Endpoint] = {
    "/v1/chat/completions": "chat",
    "/v1/messages": "chat",
    "/v1/embeddings": "embeddings",
    "/v1/models": "models",
}


@dataclass
class Request:
    """What one client sent. `hanging`, `disconnected` (the client left early) and `finished` are set as they happen;
    `disconnected_after` is in seconds since the request came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float = field(default_factory=time.monotonic)
    hanging: threading.Event = field(default_factory=threading.Event)
    disconnected: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)
    disconnected_after: float | None = None
    cut: bool = False

    @property
    def messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.body.get("messages", [])
        return messages

    @property
    def question(self) -> str:
        """The text of the last message of the user."""
        for message in reversed(self.messages):
            parts = _parts(message)
            if message["role"] == "user" and not any(part["type"] == "tool_result" for part in parts):
                return "".join(part["text"] for part in parts if part["type"] == "text")
        return ""

    @property
    def images(self) -> list[bytes]:
        """The pictures in the messages that came as data, decoded."""
        sources = [part.get("image_url", {}).get("url") or "" for message in self.messages for part in _parts(message)]
        data = [url.partition(",")[2] for url in sources if url.startswith("data:")]
        data += [part["source"]["data"] for message in self.messages for part in _parts(message) if part["type"] == "image"]
        return [base64.b64decode(item) for item in data]

    @property
    def tools(self) -> list[str]:
        """The names of the tools that the model may call."""
        return [tool.get("function", tool)["name"] for tool in self.body.get("tools") or []]


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content") or []
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


@contextmanager
def refusing_url() -> Iterator[str]:
    """A base URL where every connection is refused for as long as the context lasts."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound, never listening
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/v1"


class Upstream:
    """The server, in a thread of its own between enter and exit. `url` ends in /v1, `root` does not."""

    def __init__(self, port: int = 0, models: Sequence[str] = ("scripted",), record: bool = True) -> None:
        self.requests: list[Request] = []
        self.models = list(models)
        self.image_text = "图中有一只猫。A cat."
        self._record = record
        self._socket = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._socket.setblocking(False)
        self.root = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"{self.root}/v1"
        self._queues: dict[Endpoint, deque[Reply]] = {"chat": deque(), "embeddings": deque(), "models": deque()}
        self._function: Callable[[Request], Answer | None] = lambda request: None
        self._arrived = threading.Condition()
        self._gate = asyncio.Event()
        self._started = threading.Event()
        self._stop = asyncio.Event()

    def reply(self, *parts: Part | str, to: Endpoint = "chat", **options: Any) -> None:
        """Queues one answer; `options` are the fields of Reply."""
        self._queues[to].append(Reply(tuple(text(p) if isinstance(p, str) else p for p in parts), **options))

    def on(self, function: Callable[[Request], Answer | None]) -> None:
        """Answers a chat by a function of the request; None means the default."""
        self._function = function

    def release(self) -> None:
        """Lets every request that hangs now go on."""
        self._loop.call_soon_threadsafe(self._open_gate)

    def arrived(self, count: int = 1, timeout: float = 10) -> list[Request]:
        """Waits until `count` requests have come; all that have."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, timeout):
                raise TimeoutError(f"{len(self.requests)} of {count} requests came")
            return list(self.requests)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.run, name="upstream", daemon=True)
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0)
        await runner.setup()
        await web.SockSite(runner, self._socket, backlog=4096).start()
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()

    def _open_gate(self) -> None:
        self._gate.set()
        self._gate = asyncio.Event()

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        body = await http.content.read()
        headers = {name.lower(): value for name, value in http.headers.items()}
        request = Request(http.path, headers, orjson.loads(body) if body else {})
        if self._record:
            with self._arrived:
                self.requests.append(request)
                self._arrived.notify_all()
        try:
            response = await self._answer(http, request)
        except (asyncio.CancelledError, ConnectionError):
            if not request.cut:
                request.disconnected_after = time.monotonic() - request.at
                request.disconnected.set()
            raise
        request.finished.set()
        return response

    async def _answer(self, http: web.BaseRequest, request: Request) -> web.StreamResponse:
        endpoint = ENDPOINTS.get(request.path)
        if endpoint is None:
            return web.json_response({"error": {"message": f"no such path: {request.path}"}}, status=404)
        queue = self._queues[endpoint]
        if queue or endpoint == "chat":
            return await self._play(http, request, queue.popleft() if queue else self._scripted(request))
        return _json(embeddings(request.body) if endpoint == "embeddings" else self._models())

    def _scripted(self, request: Request) -> Reply:
        answer = self._function(request)
        if answer is None:
            answer = self.image_text if request.images else f"回声: {request.question}"
        if isinstance(answer, Reply):
            return answer
        if isinstance(answer, str):
            return Reply((text(answer),))
        return Reply((answer,) if isinstance(answer, Part) else tuple(answer))

    def _models(self) -> dict[str, Any]:
        models = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "scripted"} for name in self.models]
        return {"object": "list", "data": models}

    async def _play(self, http: web.BaseRequest, request: Request, reply: Reply) -> web.StreamResponse:
        if Fault("hang before headers") in reply.parts:
            await self._hang(request)
        for part in reply.parts:
            if isinstance(part, Status):
                return web.Response(status=part.status, body=part.body, headers=part.headers)
        anthropic = request.path == "/v1/messages"
        if reply.whole or not request.body.get("stream"):
            for part in reply.parts:
                if isinstance(part, Fault):
                    await self._fault(http, request, part)
            return _json((anthropic_whole if anthropic else openai_whole)(reply, request.body))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(http)
        for item in _packets(reply, _rendered(reply, request.body, anthropic)):
            if isinstance(item, Fault):
                await self._fault(http, request, item)
                continue
            await response.write(item)
            if reply.interval or reply.packet:
                await asyncio.sleep(reply.interval or 0.0005)
        await response.write_eof()
        return response

    async def _hang(self, request: Request) -> None:
        gate = self._gate
        request.hanging.set()
        await gate.wait()

    async def _fault(self, http: web.BaseRequest, request: Request, fault: Fault) -> None:
        transport = http.transport
        if fault.kind == "hang before headers" or transport is None:
            return
        if fault.kind == "hang":
            await self._hang(request)
            return
        request.cut = True
        if fault.kind == "reset":
            linger = struct.pack("ii", 1, 0)  # closing sends RST instead of FIN
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()
        else:
            transport.close()
        await asyncio.Event().wait()  # the lost connection cancels this handler


def _rendered(reply: Reply, body: dict[str, Any], anthropic: bool) -> list[bytes | Fault]:
    key = (anthropic, *(str(body.get(name)) for name in ("model", "n", "stream_options")))
    if key not in reply.rendered:
        reply.rendered[key] = list((anthropic_stream if anthropic else openai_stream)(reply, body))
    return reply.rendered[key]


def _packets(reply: Reply, items: list[bytes | Fault]) -> Iterator[bytes | Fault]:
    """The events as they are sent: one by one when paced, cut anywhere with `packet`, else all between two faults."""
    if reply.interval:
        yield from items
        return
    run: list[bytes] = []
    for item in [*items, None]:
        if isinstance(item, bytes):
            run.append(item)
            continue
        data = b"".join(run)
        run.clear()
        size = reply.packet or len(data)
        yield from (data[start : start + size] for start in range(0, len(data), size or 1))
        if item is not None:
            yield item


def _json(value: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


def main() -> None:
    parser = argparse.ArgumentParser(description="A model server that answers every chat with the same tokens.")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--interval", type=float, default=0.0, help="seconds between tokens")
    options = parser.parse_args()
    fixed = Reply((Text(("词语", *(["words "] * (options.tokens - 1)))),), interval=options.interval)
    upstream = Upstream(options.port, record=False)
    upstream.on(lambda request: fixed)
    print(upstream.url, flush=True)
    upstream.run()


if __name__ == "__main__":
    main()
