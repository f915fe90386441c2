"""What readers meet at the edges: odd ids, turns that are refused or wait, sessions that are cleared meanwhile."""

import contextlib
import json
import sqlite3
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import redis
from websockets.sync.client import connect

from fakes.replies import hang, text
from fakes.upstream import Upstream
from fixtures.server import MakeServer, Server

LONGEST = 15  # seconds until a stream must have ended


@pytest.fixture
def session() -> str:
    return f"edge:{uuid.uuid4()}"


@pytest.fixture(scope="module")
def hasty_server(make_server: MakeServer, scripted: Upstream) -> Server:
    """Where no turn waits for another one, and a user has few readers."""
    return make_server(
        LLM_API_URL=scripted.url,
        LLM_API_KEY="k",
        LLM_MODEL="scripted",
        WORKERS="1",
        TURN_WAIT_SECONDS="0",
        STREAMS_PER_USER="2",
    )


@pytest.fixture
def hasty(hasty_server: Server, scripted: Upstream) -> Server:
    scripted.on(lambda request: None)
    scripted.requests.clear()
    return hasty_server


def read(server: Server, session: str, last_event_id: str = "") -> list[dict[str, Any]]:
    """The events of a session's stream, to its end."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    url, until, events = f"{server.url}/api/v1/chat/{session}/stream", time.monotonic() + LONGEST, []
    with httpx.stream("GET", url, headers=headers, timeout=LONGEST) as response:
        assert response.status_code == 200, response.read()
        for line in response.iter_lines():
            assert time.monotonic() < until, "heartbeats only"
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))
    return events


def start(server: Server, session: str, message: str) -> str:
    """Starts a turn for a reader; its message id."""
    response = httpx.post(f"{server.url}/api/v1/chat/{session}/stream", json={"message": message}, timeout=30)
    message_id: str = response.raise_for_status().json()["message_id"]
    return message_id


def half_said(server: Server, scripted: Upstream, session: str) -> str:
    """Starts a turn that says one half of its answer, and the other one when the model is released; its message id."""
    scripted.requests.clear()
    scripted.reply(text("从前"), hang(), text("有座山。"))
    message_id = start(server, session, "讲个故事")
    assert scripted.arrived(1)[0].hanging.wait(10)
    return message_id


def said(events: list[dict[str, Any]]) -> str:
    """The answer with which a stream has ended."""
    answer: str = events[-1]["data"]["full_text"]
    return answer


def wait_for_answers(server: Server, scripted: Upstream, session: str, count: int) -> None:
    """Waits until the model was asked so often, and the turn of the last time has ended."""
    assert scripted.arrived(count)[-1].finished.wait(10)
    assert server.api.post("restore_chat_history", json={"session_id": session}).status_code == 200


@pytest.mark.parametrize("number", [2, 999])
def test_who_has_seen_the_end_or_says_more_gets_the_next_turn(
    server: Server, scripted: Upstream, session: str, number: int
) -> None:
    message_id = start(server, session, "一")
    assert said(read(server, session)) == "回声: 一"
    start(server, session, "二")
    wait_for_answers(server, scripted, session, 2)  # it may begin and end while the reader is on his way
    assert said(read(server, session, f"{message_id}:{number}")) == "回声: 二"


def test_who_says_that_he_has_seen_more_than_there_is_sees_the_end(hasty: Server, scripted: Upstream, session: str) -> None:
    message_id = half_said(hasty, scripted, session)
    url = f"{hasty.url}/api/v1/chat/{session}/stream"
    with httpx.stream("GET", url, headers={"Last-Event-ID": f"{message_id}:999"}, timeout=LONGEST) as response:
        lines = response.iter_lines()
        assert next(lines).startswith(":")
        scripted.release()
        assert [json.loads(line[6:])["type"] for line in lines if line.startswith("data: ")] == ["end"]


def test_a_refused_turn_does_not_hide_the_one_that_runs(hasty: Server, scripted: Upstream, session: str) -> None:
    half_said(hasty, scripted, session)
    for _ in range(2):
        assert hasty.api.post(f"chat/{session}", json={"message": "二"}).status_code == 409
    with httpx.stream("GET", f"{hasty.url}/api/chat/{session}/stream", timeout=LONGEST) as resumed:
        assert resumed.status_code == 200
        scripted.release()
        assert "有座山。" in resumed.read().decode()


def test_turns_that_wait_for_their_reader_are_read_one_after_the_other(
    server: Server, scripted: Upstream, session: str
) -> None:
    half_said(server, scripted, session)
    start(server, session, "二")
    scripted.release()
    wait_for_answers(server, scripted, session, 2)
    assert said(read(server, session)) == "从前有座山。"
    assert said(read(server, session)) == "回声: 二"


def test_a_turn_that_never_began_keeps_no_reader(server: Server, scripted: Upstream, session: str) -> None:
    with redis.Redis.from_url(server.redis_url) as client:  # it was refused because Redis did not answer in time
        client.zadd(f"unseen:local/{session}", {"msg_0": time.time()})
    start(server, session, "一")
    wait_for_answers(server, scripted, session, 1)
    assert said(read(server, session)) == "回声: 一"


def test_clearing_stops_turns_that_wait_too(server: Server, scripted: Upstream, session: str) -> None:
    half_said(server, scripted, session)
    scripted.on(lambda request: [text("前"), hang()] if "等" in request.question else None)
    for number in range(3):
        start(server, session, f"等{number}")
    assert server.api.post("clear_current_chat_history", json={"session_id": session}).status_code == 200
    with sqlite3.connect(server.data / "chat.db") as connection:  # those that came after it are stopped, too
        mine = "FROM messages JOIN conversations c ON c.id = conversation_id WHERE session_id = ? AND role = 'assistant'"
        while sorted(row[0] for row in connection.execute(f"SELECT status {mine}", (session,))) != ["stopped"] * 4:
            server.api.post(f"chat/{session}/stop")


def test_readers_are_counted_until_they_leave(hasty: Server, scripted: Upstream, session: str) -> None:
    url = f"{hasty.url}/api/v1/chat/{session}/stream"
    with httpx.stream("GET", url, timeout=LONGEST), httpx.stream("GET", url, timeout=LONGEST):
        refused = httpx.get(url, timeout=LONGEST)
        assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 0
        hasty.chat("你好", session)  # both see its end
    for _ in range(5):
        start(hasty, session, "一")
        assert said(read(hasty, session)) == "回声: 一"
        assert httpx.get(f"{hasty.url}/api/chat?chatId={session}-none", timeout=LONGEST).status_code == 204


def test_a_resumed_websocket_waits_for_nothing(server: Server, session: str) -> None:
    with connect(f"{server.url.replace('http', 'ws')}/ws/chat/{session}") as client:
        client.send('{"type": "resume"}')
        client.send('{"message": "你好"}')
        assert json.loads(client.recv(timeout=10))["type"] == "start"


def test_an_answer_whose_request_is_over_finishes_after_sigterm(make_server: MakeServer, scripted: Upstream) -> None:
    server = make_server(LLM_API_URL=scripted.url, LLM_API_KEY="k", LLM_MODEL="scripted")
    half_said(server, scripted, "s")
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(server.stop, "web")
        with contextlib.suppress(httpx.TransportError):  # until nothing is accepted any more
            while httpx.get(f"{server.url}/api/v1/health/live", timeout=1):
                pass
        scripted.release()
        assert stopped.result() == 0
    with sqlite3.connect(server.data / "chat.db") as connection:
        answer = connection.execute("SELECT content, status FROM messages WHERE role = 'assistant'").fetchall()
    assert answer == [("从前有座山。", "complete")]
