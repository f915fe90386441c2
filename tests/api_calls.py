"""At least one call of every operation, for each kind of answer that it gives when all goes well."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from fakes.documents import text_image
from fakes.replies import hang, text, tool_call
from fakes.upstream import Upstream
from fixtures.server import Server

JSON, EVENTS, LINES, MARKDOWN = "application/json", "text/event-stream", "text/plain", "text/markdown"
ASK = {"message": "工作满五年有多少天年假？"}
PLAIN = [{"role": "user", "content": "你好"}]
SDK4 = [{"role": "user", "content": "你好", "parts": [{"type": "text", "text": "你好"}]}]
SDK5 = [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "你好"}]}]
WORDS = [{"role": "user", "content": "北京天气如何？"}]
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
HANDBOOK = "员工手册\n\n第三章 休假\n\n工作满五年的员工，年假为十五天。\n"
BUNDLED = "universal-sentence-encoder-multilingual-3"


@dataclass
class Stage:
    """A server, its scripted model, and the names that stand in calls as `{talk}`: see `named`."""

    server: Server
    upstream: Upstream
    document: str = ""
    message: str = ""
    talk: str = field(default_factory=lambda: f"talk-{uuid.uuid4()}")

    def named(self, name: str) -> str:
        """`talk`, its `document` and `message`; `unused`, `new`, `talked`: a session of that kind; `spare`: a document.

        `base`: a knowledge base.
        """
        if name in ("talk", "document", "message"):
            return str(getattr(self, name))
        session = f"{name}-{uuid.uuid4()}"
        if name == "new":
            self.server.api.post(f"{self.server.url}/conversations", json={"session_id": session}).raise_for_status()
        elif name == "talked":
            self.server.chat("你好", session)
        elif name == "spare":
            return self.upload(session)
        elif name == "base":
            made = self.server.api.post("knowledge_bases", json={"name": "人事制度"})
            return str(made.raise_for_status().json()["id"])
        return session

    def upload(self, session: str) -> str:
        """A document in a session."""
        files = {"file": ("员工手册.md", HANDBOOK.encode())}
        response = self.server.api.post("documents", data={"session_id": session}, files=files)
        return str(response.raise_for_status().json()["documents"][0]["id"])

    def prepare(self) -> None:
        """Makes the conversation `talk`: a document that has been read, an answer that cites it, a picture of a model."""
        self.document = self.upload(self.talk)
        self.server.api.get(f"documents/{self.document}/events")  # ends when it has been read
        self.upstream.reply(tool_call("search_documents", {"query": "年假"}))
        self.upstream.reply(text("十五天 [1]。"))
        self.message = self.server.chat(ASK["message"], self.talk)["message_id"]

    def ask(self, operation: str, name: str = "nobody", **request: Any) -> httpx.Response:
        """The answer to an operation with `name` in its path; a stream that has begun is not read."""
        method, template = operation.split(" ")
        with self.server.api.stream(method, self.server.url + re.sub(r"\{\w+\}", name, template), **request) as answer:
            if not answer.headers.get("content-type", "").startswith(EVENTS):
                answer.read()
        return answer


@dataclass(frozen=True)
class Call:
    """`status` and `media_type` are what is expected; names in braces in path, query and JSON are those of Stage."""

    operation: str
    status: int = 200
    media_type: str = JSON
    path: dict[str, str] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    before: Callable[[Stage, dict[str, str]], None] = lambda stage, path: None

    def __str__(self) -> str:
        return f"{self.operation} {self.status} {self.media_type}"

    def named(self, stage: Stage) -> "Call":
        """The call with names in the place of braces."""
        return replace(self, path=_filled(self.path, stage), request=_filled(self.request, stage))

    def send(self, stage: Stage) -> httpx.Response:
        """The whole answer; a model that hangs goes on when the answer has begun."""
        method, template = self.operation.split(" ")
        one = self.named(stage)
        self.before(stage, one.path)
        with stage.server.api.stream(method, stage.server.url + template.format(**one.path), **one.request) as answer:
            parts = []
            for part in answer.iter_bytes():
                parts.append(part)
                stage.upstream.release()
        return httpx.Response(answer.status_code, headers=_plain(answer.headers), content=b"".join(parts))


def _plain(headers: httpx.Headers) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name not in ("transfer-encoding", "content-encoding")]


def _filled(value: Any, stage: Stage) -> Any:
    if isinstance(value, dict):
        return {name: _filled(part, stage) for name, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, stage) for part in value]
    if isinstance(value, str) and value.startswith("{") and value.endswith("}"):
        return stage.named(value[1:-1])
    return value


def call(
    operation: str, status: int = 200, media_type: str = JSON, path: str = "", before: Any = None, **request: Any
) -> Call:
    """`path` names what stands in the place of the path's only parameter."""
    name = operation.partition("{")[2].partition("}")[0]
    extra = {} if before is None else {"before": before}
    return Call(operation, status, media_type, {name: path} if name else {}, request, **extra)


def asked(stage: Stage, path: dict[str, str]) -> None:
    """A turn runs, which nobody reads."""
    stage.server.api.post(f"chat/{path['session_id']}/stream", json=ASK).raise_for_status()


def running(stage: Stage, path: dict[str, str]) -> None:
    """A turn runs, and stays in the middle of its answer."""
    session = path.get("id", "resumed-chat")
    stage.upstream.reply(text("从前"), hang(), text("有座山。"))
    count = len(stage.upstream.requests)
    stage.server.api.post(f"chat/{session}/stream", json=ASK).raise_for_status()
    assert stage.upstream.arrived(count + 1)[-1].hanging.wait(10)


def cleared(stage: Stage, path: dict[str, str]) -> None:
    stage.server.api.post("clear_current_chat_history", json={"session_id": stage.talk}).raise_for_status()


def attached(stage: Stage, path: dict[str, str]) -> None:
    address = f"sessions/{path['session_id']}/knowledge_bases/{path['knowledge_base_id']}"
    stage.server.api.put(address).raise_for_status()


def called_weather(stage: Stage, path: dict[str, str]) -> None:
    stage.upstream.reply(tool_call("get_weather", {"city": "北京"}))


def picture() -> dict[str, Any]:
    return {"files": {"image": ("出口.png", text_image(["出口 EXIT"]))}}


def handbook(field: str = "file") -> dict[str, Any]:
    return {"files": {field: ("员工手册.md", HANDBOOK.encode())}}


def _front_end(path: str) -> list[Call]:
    operation = f"POST /api/chat{path}"
    return [
        call(operation, json={"messages": PLAIN, "stream": False}),
        call(operation, media_type=EVENTS, json={"messages": PLAIN}),
        call(operation, media_type=EVENTS, json={"id": "{unused}", "messages": SDK5, "trigger": "submit-message"}),
        call(operation, media_type=LINES, json={"id": "{unused}", "messages": SDK4}),
    ]


CHAT = [
    call("POST /api/v1/chat", json=ASK),
    call("POST /api/v1/chat", json={**ASK, "session_id": "{talk}"}),
    call("POST /api/v1/chat", media_type=EVENTS, json={**ASK, "session_id": "{talk}", "stream": True}),
    call("POST /api/v1/chat_with_image", data={"message": "这是什么？"}, **picture()),
    call("POST /api/v1/chat_with_image", media_type=EVENTS, data={"stream": "true"}, **picture()),
    call("POST /api/v1/chat_with_file", data={"message": "年假几天？"}, **handbook()),
    call("POST /api/v1/chat_with_file", media_type=EVENTS, data={"stream": "true"}, **handbook()),
    call("POST /api/v1/chat/{session_id}", path="{unused}", json=ASK),
    call("POST /api/v1/chat/{session_id}", media_type=EVENTS, path="{unused}", json={**ASK, "stream": True}),
    call("POST /api/v1/chat/{session_id}/regenerate", path="{talked}"),
    call("POST /api/v1/chat/{session_id}/regenerate", media_type=EVENTS, path="{talked}", json={"stream": True}),
    call("POST /api/v1/chat/{session_id}/stream", 202, path="{unused}", json=ASK),
    call("POST /api/v1/chat/{session_id}/stream", media_type=EVENTS, path="{unused}", json=ASK, headers={"Accept": EVENTS}),
    call("GET /api/v1/chat/{session_id}/stream", media_type=EVENTS, path="{unused}", before=asked),
    call("POST /api/v1/chat/{session_id}/stop", path="{unused}"),
    call("POST /api/v1/clear_current_chat_history", json={"session_id": "{talked}"}),
    call("POST /api/v1/restore_chat_history", json={"session_id": "{talk}"}, before=cleared),
]
DOCUMENTS = [
    call("POST /api/v1/documents", 202, data={"session_id": "documents"}, **handbook()),
    call("GET /api/v1/documents", params={"session_id": "{talk}"}),
    call("GET /api/v1/documents/{document_id}", path="{document}"),
    call("GET /api/v1/documents/{document_id}/events", media_type=EVENTS, path="{spare}"),
    call("GET /api/v1/documents/{document_id}/content", media_type="*/*", path="{document}"),
    call("GET /api/v1/documents/{document_id}/content", 206, "*/*", path="{document}", headers={"Range": "bytes=0-5"}),
    call(
        "GET /api/v1/documents/{document_id}/content",
        304,
        "",
        path="{document}",
        headers={"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
    ),
    call("POST /api/v1/documents/{document_id}/cancel", path="{spare}"),
    call("POST /api/v1/documents/{document_id}/retry", 202, path="{document}"),
    call("DELETE /api/v1/documents/{document_id}", path="{spare}"),
    call("GET /api/v1/documents/{document_id}/pages", path="{document}"),
    call("GET /api/v1/documents/{document_id}/chunks", path="{document}", params={"count": 1}),
    call("POST /api/v1/documents/search", json={"session_id": "{talk}", "query": "年假"}),
    call("POST /api/v1/documents/search", json={"session_id": "{talk}", "query": "年假", "neighbours": 1}),
]
A_BASE, OF_SESSION = "/api/v1/knowledge_bases/{knowledge_base_id}", "/api/v1/sessions/{session_id}/knowledge_bases"
TALK_AND_BASE = {"session_id": "{talk}", "knowledge_base_id": "{base}"}
KNOWLEDGE_BASES = [
    call("POST /api/v1/knowledge_bases", 201, json={"name": "人事制度"}),
    call("GET /api/v1/knowledge_bases", params={"limit": 1}),
    call(f"GET {A_BASE}", path="{base}"),
    call(f"PATCH {A_BASE}", path="{base}", json={"description": "员工手册"}),
    call(f"DELETE {A_BASE}", path="{base}"),
    call(f"POST {A_BASE}/documents", 202, path="{base}", **handbook()),
    call(f"GET {A_BASE}/documents", path="{base}"),
    call(f"POST {A_BASE}/search", path="{base}", json={"query": "年假"}),
    call(f"GET {OF_SESSION}", path="{talk}"),
    Call(f"PUT {OF_SESSION}/{{knowledge_base_id}}", path=TALK_AND_BASE),
    Call(f"DELETE {OF_SESSION}/{{knowledge_base_id}}", path=TALK_AND_BASE, before=attached),
]
OTHERS = [
    call("POST /api/v1/tts", media_type="audio/wav", json={"text": "你好。"}),
    call("POST /api/v1/tts", media_type="audio/pcm", json={"text": "你好。", "format": "pcm"}),
    call("GET /api/v1/tools"),
    call("GET /api/v1/tools", params={"session_id": "{talk}"}),
    *(call(f"GET {path}") for path in ("/api/v1/health", "/api/v1/health/ready", "/health", "/api/health")),
    call("GET /api/v1/health/live"),
    call("GET /metrics", media_type=LINES),
    call("GET /api/config", params={"user_id": "user_1"}),
    call("POST /api/config", json={"user_id": "user_1", "max_tokens": 100}),
    call("POST /chat", json=ASK),
    call("POST /chat", media_type=EVENTS, json={**ASK, "stream": True}),
]
FRONT_ENDS = [
    *_front_end(""),
    *_front_end("/claude"),
    *_front_end("/local"),
    call("GET /api/chat", 204, "", params={"chatId": "nobody"}),
    call("GET /api/chat", media_type=LINES, before=running, params={"chatId": "resumed-chat"}),
    call("GET /api/chat", media_type=EVENTS, before=running, params={"chatId": "resumed-chat", "protocol": "seed"}),
    call("GET /api/chat/{id}/stream", 204, "", path="{unused}"),
    call("GET /api/chat/{id}/stream", media_type=EVENTS, path="{unused}", before=running),
    call("GET /api/chat/{id}/stream", media_type=LINES, path="{unused}", before=running, params={"protocol": "data"}),
    call("POST /api/chat/{id}/stop", path="{unused}"),
]
CONVERSATIONS = [
    *(call(f"POST {path}", 201, json={}) for path in ("/conversations", "/sessions", "/api/v1/context/conversations")),
    *(call(f"GET {path}") for path in ("/conversations", "/sessions", "/api/v1/context/conversations")),
    call("GET /conversations", params={"limit": 1, "q": "年假"}),
    call("PATCH /conversations/{session_id}", path="{new}", json={"title": "年假"}),
    call("GET /conversations/{session_id}/history", path="{talk}"),
    call("GET /conversations/{session_id}/history", path="{talk}", params={"branches": "all", "limit": 1}),
    call("POST /conversations/{session_id}/branch", path="{talk}", json={"message_id": "{message}"}),
    call("GET /conversations/{session_id}/export", path="{talk}"),
    call("GET /conversations/{session_id}/export", media_type=MARKDOWN, path="{talk}", params={"format": "markdown"}),
    call("GET /sessions/{session_id}", path="{talk}"),
    call("GET /api/v1/context/conversations/{session_id}", path="{talk}"),
    call("GET /api/v1/user_data"),
    call("GET /api/v1/user_data", media_type=MARKDOWN, params={"format": "markdown"}),
    call("DELETE /conversations/{session_id}", path="{talked}"),
    call("DELETE /sessions/{session_id}", path="{new}"),
    call("DELETE /api/v1/context/conversations/{session_id}/context", path="{talked}"),
]
COMPLETIONS = "POST /v1/chat/completions"
OPENAI = [
    call(COMPLETIONS, json={"model": "scripted", "messages": PLAIN}),
    call(COMPLETIONS, json={"model": "agent", "messages": PLAIN, "session_id": "{unused}"}),
    call(COMPLETIONS, json={"model": "scripted", "messages": WORDS, "tools": [WEATHER]}, before=called_weather),
    call(COMPLETIONS, media_type=EVENTS, json={"model": "agent", "messages": PLAIN, "stream": True}),
    call(
        COMPLETIONS,
        media_type=EVENTS,
        json={"model": "scripted", "messages": WORDS, "tools": [WEATHER], "stream": True},
        before=called_weather,
    ),
    call(
        COMPLETIONS,
        media_type=EVENTS,
        json={"model": "scripted", "messages": PLAIN, "stream": True, "stream_options": {"include_usage": True}},
    ),
    call("GET /v1/models"),
    Call("GET /v1/models/{model}", path={"model": "agent"}),
    call("POST /v1/embeddings", json={"model": BUNDLED, "input": "年假"}),
    call("POST /v1/embeddings", json={"model": BUNDLED, "input": ["年假"], "encoding_format": "base64"}),
    call("POST /v1/audio/speech", media_type="audio/wav", json={"model": "qwen3-tts-flash", "input": "你好。"}),
    call(
        "POST /v1/audio/speech",
        media_type="audio/pcm",
        json={"model": "qwen3-tts-flash", "input": "你好。", "response_format": "pcm"},
    ),
]
CALLS = [*CHAT, *DOCUMENTS, *KNOWLEDGE_BASES, *OTHERS, *FRONT_ENDS, *CONVERSATIONS, *OPENAI]
LAST = call("DELETE /api/v1/user_data")  # of everything
BY_OPERATION = {one.operation: one for one in reversed([*CALLS, LAST])}
