"""Several workers, many clients, and workers that die."""

import contextlib
import json
import os
import random
import signal
import sqlite3
import threading
import time
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from fakes.replies import Reply, hang, text
from fakes.upstream import Upstream
from fixtures.server import MakeServer, Server


@pytest.fixture(scope="module")
def own_server(make_server: MakeServer, scripted: Upstream) -> Server:
    """A server whose workers may be killed."""
    return make_server(LLM_API_URL=scripted.url, LLM_API_KEY="k", LLM_MODEL="scripted")


def transcripts(server: Server, prefix: str) -> dict[str, list[tuple[str, str, str]]]:
    """The (role, content, status) of each session whose id begins with `prefix`, in order."""
    found = defaultdict(list)
    with sqlite3.connect(server.data / "chat.db") as connection:
        rows = connection.execute(
            "SELECT c.session_id, role, content, status FROM messages JOIN conversations c ON c.id = conversation_id"
            " WHERE c.session_id LIKE ? ORDER BY conversation_id, seq",
            (f"{prefix}%",),
        )
        for session, *message in rows:
            found[session].append(tuple(message))
    return found


def test_a_thousand_turns_from_32_clients_are_complete_and_in_order(own_server: Server, scripted: Upstream) -> None:
    prefix = f"load-{uuid.uuid4().hex[:8]}"
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda n: own_server.chat(f"问{n}", f"{prefix}-{n % 50}"), range(1000)))
    assert [answer["response"] for answer in answers] == [f"回声: 问{n}" for n in range(1000)]
    found = transcripts(own_server, prefix)
    assert len(found) == 50
    for session, messages in found.items():
        questions = {content for role, content, _ in messages if role == "user"}
        number = int(session.rpartition("-")[2])
        assert questions == {f"问{n}" for n in range(number, 1000, 50)}
        for question, answer in zip(messages[::2], messages[1::2], strict=True):
            assert answer == ("assistant", f"回声: {question[1]}", "complete")
    session = f"{prefix}-7"
    own_server.chat("完", session)
    told = [message["content"] for message in scripted.requests[-1].messages[1:-1]]
    assert told == [content for _, content, _ in found[session]]
    scripted.requests.clear()


def test_a_killed_worker_loses_no_question_and_its_readers_are_told(own_server: Server, scripted: Upstream) -> None:
    prefix = f"kill-{uuid.uuid4().hex[:8]}"
    sessions = [f"{prefix}-{number}" for number in range(10)]
    scripted.on(lambda request: [text("前半"), hang(), text("后半")] if request.question == "第一问" else None)
    scripted.requests.clear()
    for session in sessions:
        start(own_server, session, "第一问")
    for request in scripted.arrived(10):
        assert request.hanging.wait(10)
    for session in sessions:  # what has been said so far can be read in any worker
        assert read_until(own_server, session, "chunk")[-1]["data"]["content"] == "前半"
    with ThreadPoolExecutor(10) as pool:
        readers = [pool.submit(survive, own_server, session) for session in sessions]
        os.kill(own_server.workers()[0], signal.SIGKILL)
        killed = time.monotonic()
        died = wait_for_marks(own_server, prefix, scripted)
        assert time.monotonic() - killed < 15
        scripted.release()
        seen = [reader.result() for reader in readers]
        answers = list(pool.map(lambda session: ask(own_server, "第二问", session), sessions))
    assert died
    assert all(answer == "回声: 第二问" for answer in answers)
    found = transcripts(own_server, prefix)
    for session, events in zip(sessions, seen, strict=True):
        said = "".join(event["data"]["content"] for event in events if event["type"] == "chunk")
        end = events[-1]["data"].get("code", events[-1]["type"])
        assert (said, end) == (("前半", "store_unavailable") if session in died else ("前半后半", "end"))
        first = ("assistant", "前半", "interrupted") if session in died else ("assistant", "前半后半", "complete")
        second = [("user", "第二问", "complete"), ("assistant", "回声: 第二问", "complete")]
        assert found[session] == [("user", "第一问", "complete"), first, *second]
    scripted.on(lambda request: None)


def test_200_readers_of_20_turns_come_and_go_and_miss_nothing(own_server: Server, scripted: Upstream) -> None:
    prefix = f"read-{uuid.uuid4().hex[:8]}"
    sessions = [f"{prefix}-{number}" for number in range(20)]
    spoken = [f"第{number}句，说说{chr(0x4E00 + number)}。" for number in range(60)]
    scripted.on(lambda request: Reply((text(spoken), hang(), text("完。")), interval=0.02))
    scripted.requests.clear()
    for session in sessions:
        start(own_server, session, "讲个故事")
    begun = threading.Semaphore(0)

    def read_all(number: int) -> list[dict[str, Any]]:
        first = read_until(own_server, sessions[number % 20], "start")  # a turn that has ended waits for nobody
        begun.release()
        return first + survive(own_server, sessions[number % 20], first[-1]["id"], number)

    with ThreadPoolExecutor(200) as pool:
        reading = [pool.submit(read_all, number) for number in range(200)]
        for _ in range(200):
            assert begun.acquire(timeout=60)
        for request in scripted.arrived(20):
            assert request.hanging.wait(60)
        scripted.release()
        read = [reader.result() for reader in reading]
    whole = "".join(spoken) + "完。"
    for events in read:
        assert events[0]["type"] == "start" and events[-1]["type"] == "end"
        said = "".join(event["data"]["content"] for event in events if event["type"] == "chunk")
        assert said == whole == events[-1]["data"]["full_text"]
    scripted.on(lambda request: None)
    scripted.requests.clear()


def test_sigterm_lets_answers_finish(make_server: MakeServer, scripted: Upstream) -> None:
    server = make_server(LLM_API_URL=scripted.url, LLM_API_KEY="k", LLM_MODEL="scripted")
    scripted.requests.clear()
    scripted.reply(text("前半"), hang(), text("后半"))
    with ThreadPoolExecutor(2) as pool:
        turn = pool.submit(server.chat, "讲", "s")
        assert scripted.arrived(1)[0].hanging.wait(10)
        stopped = pool.submit(server.stop, "web")
        with contextlib.suppress(httpx.TransportError):  # until nothing is accepted any more
            while httpx.get(f"{server.url}/api/v1/health/live", timeout=1):
                pass
        scripted.release()
        assert turn.result()["response"] == "前半后半"
        assert stopped.result() == 0


def start(server: Server, session: str, message: str) -> None:
    httpx.post(
        f"{server.url}/api/v1/chat/{session}/stream", json={"message": message}, timeout=60, verify=False
    ).raise_for_status()


def read_until(server: Server, session: str, kind: str | None, last_id: str = "", most: int = 10**9) -> list[dict[str, Any]]:
    """The events of a turn after `last_id`, up to one of a kind, to the end of the stream, or to `most`."""
    events: list[dict[str, Any]] = []
    url = f"{server.url}/api/v1/chat/{session}/stream"
    with httpx.stream(
        "GET", url, headers={"Last-Event-ID": last_id} if last_id else {}, timeout=60, verify=False
    ) as response:
        for line in response.raise_for_status().iter_lines():
            if line.startswith("id: "):
                last_id = line.removeprefix("id: ")
            elif line.startswith("data: "):
                events.append({"id": last_id, **json.loads(line.removeprefix("data: "))})
                if events[-1]["type"] == kind or len(events) >= most:
                    break
    return events


def survive(server: Server, session: str, last_id: str = "", seed: int = 0) -> list[dict[str, Any]]:
    """The events of a turn after `last_id`, over connections that break off at random and come back."""
    chance = random.Random(seed)
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] not in ("end", "error"):
        with contextlib.suppress(httpx.TransportError):  # the worker died
            events += read_until(server, session, None, events[-1]["id"] if events else last_id, chance.randint(3, 60))
    return events


def wait_for_marks(server: Server, prefix: str, scripted: Upstream) -> set[str]:
    """The sessions whose answers are marked as interrupted, once these are as many as the model has lost readers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        lost = sum(request.disconnected.is_set() for request in scripted.requests)
        found = transcripts(server, prefix).items()
        marked = {session for session, messages in found if messages[1][2] == "interrupted"}
        if lost and len(marked) == lost:
            return marked
        time.sleep(0.1)
    raise TimeoutError("not every answer was marked")


def ask(server: Server, message: str, session: str) -> str:
    """A turn over a connection of its own, as a new client would open it."""
    response = httpx.post(f"{server.url}/api/v1/chat", json={"message": message, "session_id": session}, timeout=60)
    answer: str = response.raise_for_status().json()["response"]
    return answer
