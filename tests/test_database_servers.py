"""The whole product on PostgreSQL, MySQL and MariaDB: two web workers and an ingestion worker."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from fakes.replies import tool_call
from fakes.upstream import Upstream
from fixtures.databases import SERVERS, DatabaseServer
from fixtures.server import MakeServer, Server

LEAVE = "入职满三年的员工每年享有十五天带薪年假 🏖️。"


@pytest.fixture(scope="module", params=SERVERS)
def database_server(request: pytest.FixtureRequest) -> DatabaseServer:
    server: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture(scope="module")
def served(database_server: DatabaseServer, make_server: MakeServer, scripted: Upstream) -> Server:
    return make_server(
        ingest=True,
        DATABASE_URL=database_server.new(),
        LLM_API_URL=scripted.url,
        LLM_API_KEY="k",
        LLM_MODEL="scripted",
        TURN_WAIT_SECONDS="60",
    )


@pytest.fixture
def session() -> str:
    return f"test:{uuid.uuid4()}"


def told(scripted: Upstream) -> list[str]:
    """What the model was last told, but for the system prompt."""
    return [message["content"] for message in scripted.requests[-1].messages if message["role"] != "system"]


def forget(server: Server) -> None:
    """Empties the memory, so that it is made anew from the database."""
    with redis.Redis.from_url(server.redis_url) as client:
        client.flushdb()


def test_history_is_known_to_every_worker_cleared_and_restored(served: Server, scripted: Upstream, session: str) -> None:
    for number in range(6):
        served.chat(f"第{number}句 👍", session)
        forget(served)
    served.chat("完", session)
    assert told(scripted) == [line for n in range(6) for line in (f"第{n}句 👍", f"回声: 第{n}句 👍")] + ["完"]
    cleared = served.api.post("clear_current_chat_history", json={"session_id": session}).json()
    assert cleared["cleared_messages"] == 14
    served.chat("新", session)
    assert told(scripted) == ["新"]
    restored = served.api.post("restore_chat_history", json={"session_id": session}).json()
    assert restored == {"session_id": session, "restored_messages": 14}
    served.chat("再", session)
    assert len(told(scripted)) == 17


def test_a_hundred_turns_at_once_are_stored_complete_and_in_order(served: Server, scripted: Upstream, session: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: served.chat(f"问{n}", f"{session}:{n % 10}"), range(100)))
    assert [answer["response"] for answer in answers] == [f"回声: 问{n}" for n in range(100)]
    forget(served)
    served.chat("完", f"{session}:7")
    questions = told(scripted)[:-1:2]
    assert sorted(questions) == sorted(f"问{n}" for n in range(7, 100, 10))
    assert told(scripted)[1::2] == [f"回声: {question}" for question in questions]


def test_a_document_is_read_found_and_deleted(served: Server, scripted: Upstream, session: str) -> None:
    file = "员工手册.txt", f"{LEAVE}\n报销须附发票。".encode()
    response = served.api.post("documents", data={"session_id": session}, files={"file": file})
    document = response.json()["documents"][0]
    served.api.get(f"documents/{document['id']}/events")  # ends when the document has been read
    scripted.reply(tool_call("search_documents", {"query": "年假"}))
    scripted.reply(f"{LEAVE}[1]")
    answer = served.chat("有几天年假？", session)
    assert [(source["filename"], source["cited"]) for source in answer["sources"]] == [("员工手册.txt", True)]
    listed = served.api.get("documents", params={"session_id": session}).json()["documents"]
    assert [(found["id"], found["status"]) for found in listed] == [(document["id"], "ready")]
    assert served.api.delete(f"documents/{document['id']}").is_success
    assert served.api.get(f"documents/{document['id']}").status_code == 404


def test_a_server_that_was_away_serves_again(database_server: DatabaseServer, served: Server, session: str) -> None:
    served.chat("之前", session)
    database_server.stop()
    try:
        response = served.api.post("chat", json={"message": "其间", "session_id": session})
        assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
        assert response.headers["retry-after"] == "5"
        assert served.api.get("health").json()["checks"]["database"]["status"] == "down"
    finally:
        database_server.start()
    deadline = time.monotonic() + 20
    while not served.api.get("health/ready").is_success:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    served.chat("之后", session)
