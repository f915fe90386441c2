"""The WebSocket, with a real client."""

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from fakes.replies import hang, text
from fakes.upstream import Upstream
from fixtures.server import MakeServer, Server


@pytest.fixture
def session() -> str:
    return f"ws:{uuid.uuid4()}"


@contextmanager
def connected(server: Server, session: str, **options: Any) -> Iterator[ClientConnection]:
    with connect(f"{server.url.replace('http', 'ws')}/ws/chat/{session}", **options) as client:
        yield client


def received(client: ClientConnection, last: str = "end") -> list[dict[str, Any]]:
    """The frames up to one of that type."""
    frames: list[dict[str, Any]] = []
    while not frames or frames[-1]["type"] != last:
        frames.append(json.loads(client.recv(timeout=20)))
    return frames


def send(client: ClientConnection, **frame: Any) -> None:
    client.send(json.dumps(frame, ensure_ascii=False))


def test_a_question_is_answered_with_the_native_events(server: Server, session: str) -> None:
    with connected(server, session) as client:
        send(client, message="你好")
        frames = received(client)
    assert [frame["type"] for frame in frames] == ["start", "chunk", "end"]
    message_id = frames[0]["data"]["message_id"]
    assert [frame["id"] for frame in frames] == [f"{message_id}:{number}" for number in range(3)]
    assert frames[-1]["data"]["full_text"] == "回声: 你好" and frames[-1]["data"]["session_id"] == session


def test_questions_are_answered_one_after_the_other(server: Server, session: str) -> None:
    with connected(server, session) as client:
        for message in "一二三":
            send(client, message=message)
        ends = [received(client)[-1] for _ in range(3)]
    assert [end["data"]["full_text"] for end in ends] == ["回声: 一", "回声: 二", "回声: 三"]


def test_a_stop_is_heard_while_the_answer_comes(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply(text("从前"), hang(), text("有座山。"))
    with connected(server, session) as client:
        send(client, message="讲个故事")
        received(client, "chunk")
        send(client, type="stop")
        end = received(client)[-1]
        assert end["data"]["finish_reason"] == "stopped" and end["data"]["full_text"] == "从前"
        assert scripted.requests[0].disconnected.wait(1)
        send(client, message="再来")
        assert received(client)[-1]["data"]["full_text"] == "回声: 再来"


def test_a_lost_connection_is_resumed(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply(text("从前"), hang(), text("有座山。"))
    with connected(server, session) as client:
        send(client, message="讲个故事")
        last = received(client, "chunk")[-1]
    with connected(server, session) as client, connected(server, session) as late:
        send(client, type="resume", last_event_id=last["id"])
        send(late, type="resume")
        received(late, "chunk")
        scripted.release()
        assert [frame["type"] for frame in received(client)] == ["chunk", "end"]
        assert received(late)[-1]["data"]["full_text"] == "从前有座山。"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", "invalid_json"),
        ("[]", "invalid_field"),
        ('{"message": ""}', "invalid_field"),
        ('{"message": "你好", "temperature": 9}', "invalid_field"),
        ('{"type": "?"}', "invalid_field"),
        ('{"message": "二", "parent_id": "msg_0"}', "not_found"),
    ],
)
def test_a_wrong_frame_is_an_error_and_the_connection_stays(server: Server, session: str, frame: str, code: str) -> None:
    with connected(server, session) as client:
        client.send(frame)
        error = received(client, "error")[-1]
        assert error["data"]["code"] == code and error["data"]["message"]
        send(client, message="你好")
        assert received(client)[-1]["data"]["full_text"] == "回声: 你好"


def test_messages_speak_the_language_of_the_client(server: Server, session: str) -> None:
    with connected(server, session, additional_headers={"Accept-Language": "zh-CN"}) as client:
        client.send("{")
        assert received(client, "error")[-1]["data"]["message"] == "请求体不是有效的 JSON。"


@pytest.mark.parametrize(
    ("origin", "status"), [("https://evil.example", 403), ("null", 403), ("http://127.0.0.1.evil.example", 403)]
)
def test_pages_of_other_sites_are_refused(server: Server, session: str, origin: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused, connected(server, session, origin=origin):
        pass
    assert refused.value.response.status_code == status


def test_a_page_of_ours_is_let_in(server: Server, session: str) -> None:
    with connected(server, session, origin=server.url) as client:
        send(client, message="你好")
        assert received(client)[-1]["type"] == "end"


def test_a_wrong_session_id_is_refused(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused, connected(server, "a%20b"):
        pass
    assert refused.value.response.status_code == 422


def test_who_only_waits_is_sent_away_when_the_server_ends(make_server: MakeServer, scripted: Upstream) -> None:
    server = make_server(LLM_API_URL=scripted.url, LLM_API_KEY="k", LLM_MODEL="scripted")
    with connected(server, "s") as client, server.api.stream("GET", "chat/s/stream") as waiting:
        send(client, message="你好")
        received(client)
        with server.api.stream("GET", "chat/s2/stream") as other:
            lines, others = waiting.iter_lines(), other.iter_lines()
            assert next(others).startswith(":")
            server.processes["web"].terminate()
            assert "retry: 1000" in list(others)
            assert any(line.startswith("data: ") for line in lines)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
        assert closed.value.rcvd and closed.value.rcvd.code == 1012
    assert server.processes["web"].wait(20) == 0


def test_an_answer_is_finished_before_the_server_ends(make_server: MakeServer, scripted: Upstream) -> None:
    server = make_server(LLM_API_URL=scripted.url, LLM_API_KEY="k", LLM_MODEL="scripted")
    scripted.reply(text("从前"), hang(), text("有座山。"))
    with connected(server, "s") as client:
        send(client, message="讲个故事")
        received(client, "chunk")
        with ExitStack() as stack:  # in each worker somebody waits, and is sent away when it hears the signal
            urls = [f"{server.url}/api/v1/chat/waiting-{number}/stream" for number in range(10)]
            waiting = [stack.enter_context(httpx.stream("GET", url, timeout=20)).iter_lines() for url in urls]
            assert all(next(lines).startswith(":") for lines in waiting)
            server.processes["web"].terminate()
            assert all("retry: 1000" in list(lines) for lines in waiting)
        with pytest.raises(TimeoutError):  # longer than the time between two looks
            client.recv(timeout=3)
        scripted.release()
        assert received(client)[-1]["data"]["full_text"] == "从前有座山。"
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=10)
    assert server.processes["web"].wait(20) == 0
