"""Several workers, many clients, and workers that die."""

import contextlib
import os
import signal
import sqlite3
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, wait

import httpx
import pytest

from fakes.replies import hang, text
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


def test_after_a_killed_worker_the_next_turn_of_every_session_works(own_server: Server, scripted: Upstream) -> None:
    prefix = f"kill-{uuid.uuid4().hex[:8]}"
    sessions = [f"{prefix}-{number}" for number in range(12)]
    scripted.on(lambda request: [text("前半"), hang(), text("后半")] if request.question == "第一问" else None)
    scripted.requests.clear()
    with ThreadPoolExecutor(12) as pool:
        running = [pool.submit(ask, own_server, "第一问", session) for session in sessions]
        for request in scripted.arrived(12):
            assert request.hanging.wait(10)
        os.kill(own_server.workers()[0], signal.SIGKILL)
        assert any(request.disconnected.wait(1) for request in scripted.requests)  # those of the worker that died
        scripted.release()
        wait(running)
        died = [turn.exception() is not None for turn in running]
        answers = list(pool.map(lambda session: ask(own_server, "第二问", session), sessions))
    assert any(died)
    assert all(answer == "回声: 第二问" for answer in answers)
    found = transcripts(own_server, prefix)
    for session, dead in zip(sessions, died, strict=True):
        first = ("assistant", "", "interrupted") if dead else ("assistant", "前半后半", "complete")
        second = [("user", "第二问", "complete"), ("assistant", "回声: 第二问", "complete")]
        assert found[session] == [("user", "第一问", "complete"), first, *second]
    scripted.on(lambda request: None)


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


def ask(server: Server, message: str, session: str) -> str:
    """A turn over a connection of its own, as a new client would open it."""
    response = httpx.post(f"{server.url}/api/v1/chat", json={"message": message, "session_id": session}, timeout=60)
    answer: str = response.raise_for_status().json()["response"]
    return answer
