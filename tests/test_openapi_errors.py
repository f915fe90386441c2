"""What goes wrong while a request is served is what the OpenAPI document says, and nothing that it does not say happens."""

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api_calls import ASK, BY_OPERATION, CALLS, COMPLETIONS, EVENTS, LAST, Call, Stage
from described import Described
from fakes.dashscope import DashScope, refusal
from fakes.replies import status
from routes import description
from utils.session_storage import SessionStorage

DESCRIBED = Described(description.document)
OPERATIONS = sorted(name for name in DESCRIBED.operations if not name.startswith("GET /ws/"))
TURNS = [name for name in OPERATIONS if name.startswith("POST ") and "429" in DESCRIBED.operations[name]["responses"]]
UPSTREAM = {502: 500, 503: 429, 504: 504}  # what an upstream says, by what our client is told


def check(operation: str, answer: httpx.Response, code: int) -> None:
    """Fails unless an answer is as described, and has that code if and only if the operation describes it."""
    if not (answer.is_success and answer.headers.get("content-type", "").startswith(EVENTS)):
        DESCRIBED.check(operation, answer)
    described = str(code) in DESCRIBED.operations[operation]["responses"]
    assert (answer.status_code == code) == described, f"{operation} {answer.status_code} {answer.headers}"


def at_once(ask: Callable[[Any], None], what: Sequence[Any]) -> None:
    """Asks for each of these, several at a time, where one waits long for its error."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, what))


TEXTS = [f"GET /api/v1/documents/{{document_id}}/{what}" for what in ("pages", "chunks")]
NOBODY: dict[str, Any] = {
    "POST /api/v1/chat": {"json": {**ASK, "parent_id": "msg_0"}},
    "POST /api/v1/chat/{session_id}": {"json": {**ASK, "parent_id": "msg_0"}},
    "POST /api/v1/chat/{session_id}/stream": {
        "json": {**ASK, "parent_id": "msg_0"},
        "headers": {"Accept": EVENTS},
    },
    "POST /api/v1/clear_current_chat_history": {"json": {"session_id": "nobody"}},
    "POST /api/v1/restore_chat_history": {"json": {"session_id": "nobody"}},
    "GET /api/v1/documents": {"params": {"session_id": "nobody"}},
    "POST /api/v1/documents/search": {"json": {"session_id": "nobody", "query": "x"}},
    "GET /api/v1/tools": {"params": {"session_id": "nobody"}},
    "PATCH /conversations/{session_id}": {"json": {"title": "x"}},
    "POST /conversations/{session_id}/branch": {"json": {"message_id": "msg_0"}},
    COMPLETIONS: {"json": {"model": "anthropic/nothing", "messages": [{"role": "user", "content": "x"}]}},
    "POST /v1/embeddings": {"json": {"model": "nothing", "input": "x"}},
    "POST /v1/audio/speech": {"json": {"model": "nothing", "input": "x"}},
}
AGAIN = {
    "id": "nobody",
    "trigger": "regenerate-message",
    "messageId": "msg_0",
    "messages": [{"role": "user", "content": "x"}],
}
NOBODY |= {f"POST /api/chat{path}": {"json": AGAIN} for path in ("", "/claude", "/local")}
RACES = {"POST /api/v1/documents", "POST /api/v1/chat_with_file"}  # the session is deleted during the upload


@pytest.mark.parametrize("operation", sorted({*OPERATIONS} - RACES - {LAST.operation}))
def test_what_is_not_there(stage: Stage, narrow: Stage, operation: str) -> None:
    asked = narrow if operation == COMPLETIONS else stage  # whose model takes no other name
    request = NOBODY.get(operation) or BY_OPERATION[operation].named(stage).request
    check(operation, asked.ask(operation, **request), 404)


def hold(stage: Stage) -> str:
    """A conversation whose lock another worker has."""
    session = stage.named("new")

    async def begin() -> None:
        storage = SessionStorage(stage.server.redis_url, ttl=3600, lock_ttl=60_000, wait=1)
        await storage.begin(f"local/{session}")
        await storage.redis.persist(f"worker:{storage.worker_id}")  # it lives on, however slow this machine is
        await storage.redis.aclose()

    asyncio.run(begin())
    return session


def test_a_session_that_is_held(stage: Stage, narrow: Stage) -> None:
    def ask(operation: str) -> None:
        asked = narrow if operation == LAST.operation else stage  # where nothing is lost
        session = hold(asked)
        request = BY_OPERATION[operation].named(stage).request
        names = {"session_id": session, "id": session, "chatId": session, "message_id": "msg_0"}
        names |= {"model": "agent"} if operation == COMPLETIONS else {}
        for place in request.keys() & {"json", "data", "params"}:
            request[place] = {**request[place], **names}
        check(operation, asked.ask(operation, session, **{"headers": {"Accept": EVENTS}, **request}), 409)

    at_once(ask, [operation for operation in OPERATIONS if operation not in TEXTS])


@pytest.mark.parametrize("operation", TEXTS)
def test_a_document_that_is_still_read(narrow: Stage, operation: str) -> None:
    """There is no worker that would read it."""
    document = narrow.upload(narrow.named("unused"))
    check(operation, narrow.ask(operation, document), 409)


@pytest.mark.parametrize("code", UPSTREAM)
def test_a_model_that_fails(stage: Stage, code: int) -> None:
    calls = [BY_OPERATION[operation].named(stage) for operation in TURNS]
    stage.upstream.on(lambda request: status(UPSTREAM[code]))

    def ask(one: Call) -> None:
        heard = {"headers": {"Accept": EVENTS}} if one.operation.endswith("/stream") else {}
        answer = replace(one, request={**one.request, **heard}).send(stage)
        check(one.operation, answer, code)
        assert code != 503 or int(answer.headers["retry-after"]) > 0

    at_once(ask, calls)


@pytest.mark.parametrize("one", [one for one in CALLS if one.operation not in TURNS and "resumed" not in str(one)], ids=str)
def test_nothing_else_needs_the_model(stage: Stage, one: Call) -> None:
    named = one.named(stage)
    stage.upstream.on(lambda request: status(500))
    assert named.send(stage).status_code == one.status


@pytest.mark.parametrize("code", UPSTREAM)
@pytest.mark.parametrize("operation", ["POST /api/v1/tts", "POST /v1/audio/speech"])
def test_speech_that_fails(stage: Stage, speaking: DashScope, operation: str, code: int) -> None:
    usual, speaking.reply = speaking.reply, lambda request: refusal(UPSTREAM[code], "Refused")
    answer = BY_OPERATION[operation].send(stage)
    speaking.reply = usual
    check(operation, answer, code)


@pytest.mark.parametrize("code", UPSTREAM)
def test_embeddings_that_fail(narrow: Stage, code: int) -> None:
    narrow.upstream.reply(status(UPSTREAM[code]), to="embeddings")
    check("POST /v1/embeddings", narrow.ask("POST /v1/embeddings", json={"model": "vectors", "input": "年假"}), code)


@pytest.mark.parametrize("path", ["/api/chat/claude", "/api/chat/local", "/api/v1/tts", "/v1/audio/speech"])
def test_what_is_not_configured(narrow: Stage, path: str) -> None:
    request = BY_OPERATION[f"POST {path}"].request
    answer = narrow.ask(f"POST {path}", headers={"X-Forwarded-For": f"2001:db8::{len(path)}"}, **request)
    assert "provider_not_configured" in answer.text
    check(f"POST {path}", answer, 503)


class TestLimits:
    @pytest.mark.parametrize("operation", TURNS)
    def test_of_turns(self, narrow: Stage, operation: str) -> None:
        client = {"X-Forwarded-For": "192.0.2.2"}
        told = narrow.server.api.post("chat", json=ASK, headers=client)
        assert told.status_code == 429 or {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"} <= set(told.headers)
        answer = narrow.ask(operation, headers=client, **BY_OPERATION[operation].request)
        check(operation, answer, 429)
        assert int(answer.headers["retry-after"]) > 0

    @pytest.mark.parametrize("operation", [name for name in OPERATIONS if name.startswith("GET ")])
    def test_of_readers(self, narrow: Stage, operation: str) -> None:
        with narrow.server.api.stream("GET", "chat/quiet/stream") as reader:
            next(reader.iter_raw())
            answer = narrow.ask(operation, params={"chatId": "x", "session_id": "nobody"})
        check(operation, answer, 429)
        assert answer.status_code != 429 or int(answer.headers["retry-after"]) > 0


NEEDS_REDIS = re.compile(r" /chat$| /api/v1/chat(?!_with_file)|/(stream|stop|clear\w*|restore\w*|branch|context|health)$")


@pytest.mark.parametrize("operation", sorted({*OPERATIONS} - {LAST.operation}))
def test_without_redis(without_redis: Stage, operation: str) -> None:
    """What SQL alone can answer is answered, and what has no session."""
    request = BY_OPERATION[operation].request
    for place in request.keys() & {"json", "params"}:
        request = {**request, place: {**request[place], "session_id": "nobody", "message_id": "msg_0"}}
    answer = without_redis.ask(operation, **{"params": {"session_id": "nobody", "chatId": "nobody"}, **request})
    if answer.status_code == 503:
        check(operation, answer, 503)
    else:
        check(operation, answer, 0)
        assert not NEEDS_REDIS.search(operation)
