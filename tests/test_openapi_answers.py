"""What a running server answers is what its OpenAPI document says: every operation, every kind of answer, every error."""

import http.client
import json
import re

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from api_calls import ASK, CALLS, JSON, LAST, Call, Stage, handbook
from described import Described, Json
from routes import description

DESCRIBED = Described(description.document)
OPERATIONS = DESCRIBED.operations
WEBSOCKET = "GET /ws/chat/{session_id}"
FORMS = {name for name, operation in OPERATIONS.items() if "multipart" in str(operation.get("requestBody"))}
BODIES = {name for name, operation in OPERATIONS.items() if "requestBody" in operation} - FORMS


def describing(code: int) -> list[str]:
    return [name for name, operation in OPERATIONS.items() if str(code) in operation["responses"] and name != WEBSOCKET]


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
        answer = stage.ask(WEBSOCKET, headers=headers)
        assert answer.status_code == code
        DESCRIBED.check(WEBSOCKET, answer)
        assert code != 426 or answer.headers["upgrade"] == "websocket"


class TestBodies:
    @pytest.mark.parametrize("operation", sorted(BODIES))
    def test_no_json(self, stage: Stage, operation: str) -> None:
        answer = stage.ask(operation, content=b'{"', headers={"Content-Type": JSON})
        assert answer.status_code == 400
        DESCRIBED.check(operation, answer)

    @pytest.mark.parametrize("operation", sorted(BODIES | FORMS))
    def test_another_type(self, stage: Stage, operation: str) -> None:
        answer = stage.ask(operation, content=b"x", headers={"Content-Type": "application/xml"})
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
        wrong = {
            "session_id": "a b",
            "message_id": 5,
            "model": 5,
            "title": 5,
            "text": 5,
            "user_id": 5,
            "id": "a b",
            "name": 5,
        }
        body = {"data": {"session_id": "a b"}} if operation in FORMS else {"json": wrong}
        answer = stage.ask(operation, **body, **({"files": {"x": b"x"}} if operation in FORMS else {}))
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
        answer = stage.ask(operation, "y" * 300)
        assert answer.status_code == (400 if " /v1/" in operation else 422)
        DESCRIBED.check(operation, answer)

    WRONG = {"limit": "0", "cursor": "x" * 101, "q": "x" * 201, "branches": "x", "before": "x" * 65, "format": "x"}
    WRONG |= {
        "session_id": "a b",
        "chatId": "a b",
        "protocol": "x",
        "user_id": "",
        "last_event_id": "x" * 101,
        "temporary": "x",
        "first": "-1",
        "last": "0",
        "count": "0",
    }

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
        answer = stage.ask(operation, params={name: self.WRONG[name]})
        assert answer.status_code == 422
        DESCRIBED.check(operation, answer)

    def test_of_the_header(self, stage: Stage) -> None:
        operation = "GET /api/v1/chat/{session_id}/stream"
        answer = stage.ask(operation, headers={"Last-Event-ID": "x" * 101})
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


def test_everything_may_be_deleted(narrow: Stage) -> None:
    narrow.named("new")
    answer = LAST.send(narrow)
    assert answer.status_code == 200 and answer.json()["deleted"]["conversations"] >= 1
    DESCRIBED.check(LAST.operation, answer)
