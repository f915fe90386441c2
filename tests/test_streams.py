"""Turns that other requests read: from any worker, late, again, and from where a lost connection ended."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import redis

from fakes.replies import hang, status, text
from fakes.upstream import Upstream
from fixtures.server import Server


@pytest.fixture
def session() -> str:
    return f"stream:{uuid.uuid4()}"


class Reader:
    """A reader of a session's stream, over a connection of its own."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()
        self.last_id = ""
        self.retry = False

    def next(self) -> dict[str, Any] | None:
        """The next event; None at the end of the stream."""
        for line in self._lines:
            if line.startswith("id: "):
                self.last_id = line.removeprefix("id: ")
            elif line.startswith("retry: "):
                self.retry = True
            elif line.startswith("data: "):
                event: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return event
        return None

    def rest(self) -> list[dict[str, Any]]:
        return list(iter(self.next, None))


@contextmanager
def reading(server: Server, session: str, last_event_id: str = "") -> Iterator[Reader]:
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    with httpx.stream("GET", f"{server.url}/api/v1/chat/{session}/stream", headers=headers, timeout=30) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield Reader(response)


def start(server: Server, session: str, message: str = "讲个故事") -> str:
    """Starts a turn as seed 001's client does; its message id."""
    response = httpx.post(f"{server.url}/api/v1/chat/{session}/stream", json={"message": message}, timeout=30)
    assert response.status_code == 202 and response.json()["session_id"] == session
    message_id: str = response.json()["message_id"]
    return message_id


def spoken(events: list[dict[str, Any]]) -> str:
    return "".join(event["data"]["content"] for event in events if event["type"] == "chunk")


def test_a_reader_who_waits_gets_the_turn_that_is_posted_next(server: Server, session: str) -> None:
    with reading(server, session) as reader:
        message_id = start(server, session)
        events = reader.rest()
    assert [event["type"] for event in (events[0], events[-1])] == ["start", "end"]
    assert events[0]["data"] == {"session_id": session, "message_id": message_id}
    assert spoken(events) == events[-1]["data"]["full_text"] == "回声: 讲个故事"


def test_a_reader_who_comes_after_the_turn_has_ended_gets_it_whole_once(
    server: Server, scripted: Upstream, session: str
) -> None:
    message_id = start(server, session)
    wait_for_answer(server, scripted, session)
    with reading(server, session) as reader:
        events = reader.rest()
    assert events[0]["data"]["message_id"] == message_id and events[-1]["type"] == "end"
    with reading(server, session) as reader:  # it has been seen: this one waits for the next turn
        another = start(server, session, "再来")
        events = reader.rest()
    assert events[0]["data"]["message_id"] == another and spoken(events) == "回声: 再来"


def test_a_turn_that_its_own_request_shows_is_not_kept_for_another_reader(server: Server, session: str) -> None:
    server.chat("一", session)
    with reading(server, session) as reader:
        start(server, session, "二")
        assert spoken(reader.rest()) == "回声: 二"


def test_a_late_reader_gets_the_running_turn_from_its_start(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply(text("从前"), hang(), text("有座山。"))
    start(server, session)
    assert scripted.arrived(1)[0].hanging.wait(10)
    with reading(server, session) as early, reading(server, session) as late:
        assert [late.next()["type"], late.next()["type"]] == ["start", "chunk"]  # type: ignore[index]
        scripted.release()
        assert spoken(early.rest()) == "从前有座山。"
        assert late.rest()[-1]["data"]["full_text"] == "从前有座山。"


def test_a_reader_who_comes_back_misses_nothing_and_sees_nothing_twice(
    server: Server, scripted: Upstream, session: str
) -> None:
    pieces = [f"第{number}句。" for number in range(40)]
    scripted.reply(text(pieces), interval=0.005)
    start(server, session)
    seen, last = [], ""
    for count in (2, 1, 3):
        with reading(server, session, last) as reader:
            seen += [reader.next() for _ in range(count)]
            last = reader.last_id
    wait_for_answer(server, scripted, session)
    for _ in range(2):  # also after the end, as often as one likes
        with reading(server, session, last) as reader:
            rest = reader.rest()
        assert spoken([event for event in (*seen, *rest) if event]) == "".join(pieces)


def test_after_the_end_of_a_turn_its_reader_waits_for_the_next(server: Server, session: str) -> None:
    start(server, session, "一")
    with reading(server, session) as reader:
        reader.rest()
        last = reader.last_id
    with reading(server, session, last) as reader:
        start(server, session, "二")
        assert spoken(reader.rest()) == "回声: 二"


def test_an_unknown_last_event_id_counts_as_none(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply(text("从前"), hang(), text("有座山。"))
    start(server, session)
    assert scripted.arrived(1)[0].hanging.wait(10)
    for unknown in ("msg_000000000000000000000000:3", "??", "msg_1:99999999999999"):
        with reading(server, session, unknown) as reader:
            assert reader.next()["type"] == "start"  # type: ignore[index]
    scripted.release()


def test_with_its_accept_header_a_post_gets_the_stream_itself(server: Server, session: str) -> None:
    events = server.events(f"chat/{session}/stream", json={"message": "你好"}, headers={"Accept": "text/event-stream"})
    assert [event["type"] for event in events] == ["start", "chunk", "end"]


def test_a_failure_reaches_the_reader_as_an_event(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply(status(401))
    start(server, session)
    with reading(server, session) as reader:
        events = reader.rest()
    assert [event["type"] for event in events] == ["start", "error"]
    assert events[-1]["data"]["code"] == "upstream_rejected"


def test_leaving_does_not_end_the_turn_and_stop_reaches_the_upstream(
    server: Server, scripted: Upstream, session: str
) -> None:
    scripted.reply(text("从前"), hang(), text("有座山。"))
    start(server, session)
    (request,) = scripted.arrived(1)
    assert request.hanging.wait(10)
    with reading(server, session) as reader:
        assert reader.next()
    assert not request.disconnected.is_set()
    with reading(server, session) as reader:
        assert reader.next() and reader.next()
        asked = time.monotonic()
        assert server.api.post(f"chat/{session}/stop").json() == {"stopped": True}
        assert request.disconnected.wait(1) and time.monotonic() - asked < 1
        end = reader.rest()[-1]
    assert end["type"] == "end" and end["data"]["finish_reason"] == "stopped" and end["data"]["full_text"] == "从前"


def test_clearing_deletes_the_events_too(server: Server, scripted: Upstream, session: str) -> None:
    start(server, session)
    wait_for_answer(server, scripted, session)
    assert server.api.post("clear_current_chat_history", json={"session_id": session}).status_code == 200
    with redis.Redis.from_url(server.redis_url) as client:
        assert [key for key in client.scan_iter() if session.encode() in key] == []


def test_another_sessions_events_are_not_shown(server: Server, session: str) -> None:
    start(server, f"{session}-a")
    with reading(server, f"{session}-a") as reader:
        reader.next()
        last = reader.last_id
        reader.rest()
    with reading(server, f"{session}-b", last) as reader:
        start(server, f"{session}-b", "我的")
        assert spoken(reader.rest()) == "回声: 我的"


def test_an_edited_question_leaves_the_old_one_on_a_branch(server: Server, scripted: Upstream, session: str) -> None:
    first = server.chat("一", session)
    second = server.chat("二", session)
    changed = server.chat("二之二", session, parent_id=first["message_id"])
    assert told(scripted) == ["一", "回声: 一", "二之二"]
    server.chat("三", session)
    assert told(scripted) == ["一", "回声: 一", "二之二", "回声: 二之二", "三"]
    server.chat("回到二", session, parent_id=second["message_id"])
    assert told(scripted) == ["一", "回声: 一", "二", "回声: 二", "回到二"]
    server.chat("重新开始", session, parent_id=None)
    assert told(scripted) == ["重新开始"]
    server.chat("接着", session, parent_id=changed["message_id"])
    assert told(scripted) == ["一", "回声: 一", "二之二", "回声: 二之二", "接着"]


def test_an_answer_is_made_anew(server: Server, scripted: Upstream, session: str) -> None:
    server.chat("一", session)
    scripted.reply("旧答")
    old = server.chat("二", session)
    scripted.reply("新答")
    new = server.api.post(f"chat/{session}/regenerate").json()
    assert new["response"] == "新答" and new["message_id"] != old["message_id"]
    assert told(scripted) == ["一", "回声: 一", "二"]
    server.chat("三", session)
    assert told(scripted) == ["一", "回声: 一", "二", "新答", "三"]
    server.api.post(f"chat/{session}/regenerate", json={"message_id": old["message_id"]})
    assert told(scripted) == ["一", "回声: 一", "二"]


def test_a_temporary_session_answers_again_from_its_memory(server: Server, scripted: Upstream, session: str) -> None:
    server.chat("一", session, temporary=True)
    old = server.chat("二", session)
    scripted.reply("新答")
    assert server.api.post(f"chat/{session}/regenerate", json={"message_id": old["message_id"]}).json()["response"] == "新答"
    server.chat("三", session)
    assert told(scripted) == ["一", "回声: 一", "二", "新答", "三"]


def test_a_branch_from_nowhere_is_404(server: Server, session: str) -> None:
    answer = server.chat("一", session)
    for body in ({"message": "二", "parent_id": "msg_0"}, {"message": "二", "parent_id": "\0"}):
        assert server.api.post(f"chat/{session}", json=body).status_code == 404
    other = f"{session}-other"
    server.chat("别人的", other)
    body = {"message": "二", "parent_id": answer["message_id"]}
    assert server.api.post(f"chat/{other}", json=body).status_code == 404
    assert server.api.post(f"chat/{session}-new/regenerate").status_code == 404
    assert server.chat("二", session)["response"] == "回声: 二"


def told(scripted: Upstream) -> list[str]:
    """What the model was told last, without the system prompt."""
    return [message["content"] for message in scripted.requests[-1].messages[1:]]


def wait_for_answer(server: Server, scripted: Upstream, session: str) -> None:
    """Waits until the turn that the model is asked for has ended: what else happens in the session comes after it."""
    assert scripted.arrived(1)[-1].finished.wait(10)
    assert server.api.post("restore_chat_history", json={"session_id": session}).status_code == 200
