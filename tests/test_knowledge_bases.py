"""Knowledge bases over HTTP, and what holds for all documents: content is there once, reading is cancelled and retried."""

import json
import sqlite3
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from fakes.replies import hang, text
from fakes.upstream import Upstream
from fixtures.ingestion import eventually
from fixtures.server import MakeServer, Server
from models import documents
from models.database import Database, now
from models.database import documents as document_rows
from models.documents import Document
from models.vector_db_manager import VectorStore

Json = dict[str, Any]
RULES = "员工手册\n\n第三章 休假\n\n工作满五年的员工，年假为十五天。\n"
TRAVEL = "差旅制度\n\n出差住宿标准为每晚四百元。\n"
SLOW = "值得一看的文件，概要要很久。\n"


@pytest.fixture
def session() -> str:
    return f"test:{uuid.uuid4()}"


@pytest.fixture
def base(server: Server) -> str:
    return make(server)


def make(server: Server, name: str = "人事制度") -> str:
    made = server.api.post("knowledge_bases", json={"name": name, "description": "员工手册"})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def upload(server: Server, base: str, *contents: str, name: str = "手册.md") -> list[Json]:
    files = [("file", (name, content.encode())) for content in contents]
    answer = server.api.post(f"knowledge_bases/{base}/documents", files=files)
    assert answer.status_code == 202, answer.text
    items: list[Json] = answer.json()["documents"]
    return items


def read(server: Server, document_id: str) -> Json:
    """The document when nothing works on it any more."""
    with server.api.stream("GET", f"documents/{document_id}/events") as response:
        lines = [line for line in response.iter_lines() if line.startswith("data: ")]
    state: Json = json.loads(lines[-1].removeprefix("data: "))
    return state


def found(server: Server, session: str, query: str, **more: Any) -> list[str]:
    """The names of the documents whose passages a session finds."""
    answer = server.api.post("documents/search", json={"session_id": session, "query": query, **more})
    assert answer.status_code == 200, answer.text
    return [hit["filename"] for hit in answer.json()["results"]]


def folder(server: Server, document: Json) -> Path:
    return server.data / "uploads" / document["knowledge_base_id"] / document["id"]


def files(server: Server, holder: str) -> set[str]:
    """The documents whose files lie there, and what is not accepted yet."""
    uploads = server.data / "uploads"
    return {
        path.name for place in (holder, "incoming") if (uploads / place).is_dir() for path in (uploads / place).iterdir()
    }


def stored(server: Server, document: Json) -> bool:
    """Whether the vector store has the document."""
    return bool(VectorStore(server.env["CHROMA_URL"], BUNDLED).load([document["id"]]))


BUNDLED = "universal-sentence-encoder-multilingual-3"


@pytest.fixture
def slow(server: Server, scripted: Upstream, base: str) -> Iterator[Json]:
    """A document of the base whose reading has come to its summary, and stays there until the model is released."""
    scripted.on(lambda request: (text("好"), hang(), text("的")) if "值得一看" in request.question else None)
    (document,) = upload(server, base, SLOW + base)
    eventually(lambda: any(request.hanging.is_set() for request in scripted.requests))
    yield document
    scripted.release()


def test_a_base_is_made_changed_filled_searched_and_deleted(server: Server, base: str) -> None:
    address = f"knowledge_bases/{base}"
    assert server.api.patch(address, json={"name": " 制度 \n 汇编 "}).json()["name"] == "制度 汇编"
    items = upload(server, base, RULES, TRAVEL)
    assert [item["knowledge_base_id"] for item in items] == [base] * 2
    assert {read(server, item["id"])["status"] for item in items} == {"ready"}
    shown = server.api.get(address).json()
    assert (shown["name"], shown["description"], shown["document_count"]) == ("制度 汇编", "员工手册", 2)
    hits = server.api.post(f"{address}/search", json={"query": "年假有几天？", "k": 1}).json()["results"]
    assert [hit["document_id"] for hit in hits] == [items[0]["id"]] and "十五天" in hits[0]["text"]
    assert server.api.get(f"documents/{items[1]['id']}/content").text == TRAVEL
    assert all(stored(server, item) for item in items)
    assert server.api.delete(f"documents/{items[1]['id']}").json()["deleted"]
    assert not stored(server, items[1])
    assert server.api.get(address).json()["document_count"] == 1
    deleted = server.api.delete(address).json()
    assert deleted == {"id": base, "deleted": {"documents": 1, "passages": deleted["deleted"]["passages"]}}
    assert deleted["deleted"]["passages"] >= 1
    for gone in (address, f"documents/{items[0]['id']}"):
        assert server.api.get(gone).status_code == 404
    assert not (server.data / "uploads" / base).exists()
    assert not stored(server, items[0])


def test_bases_are_listed_in_pages(offline_server: Server) -> None:
    names = [make(offline_server) for _ in range(3)]
    seen: list[str] = []
    cursor: Json = {}
    while True:
        page = offline_server.api.get("knowledge_bases", params={"limit": 2, **cursor}).json()
        seen += [one["id"] for one in page["knowledge_bases"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert [name for name in seen if name in names] == names


@pytest.mark.parametrize(
    "body", [{"name": " \n "}, {"name": "x" * 201}, {"name": None}, {}, {"name": "a", "description": 1}]
)
def test_what_is_no_base_is_refused(server: Server, body: Json) -> None:
    assert server.api.post("knowledge_bases", json=body).status_code == 422


def in_base(name: str, base: str) -> Document:
    """A row of a base."""
    return Document(name, None, f"{name}.txt", "text/plain", 3, name, now(), knowledge_base_id=base)


def test_a_base_belongs_to_its_owner(server: Server, session: str) -> None:
    database = sqlite3.connect(server.data / "chat.db", timeout=10)
    theirs, present = f"kb_{uuid.uuid4().hex[:24]}", "2025-10-02 10:00:00.000000"
    with database:
        database.execute("INSERT OR IGNORE INTO owners VALUES ('anna', ?)", (present,))
        row = (theirs, "anna", "别人的", "", 0, present, present)
        database.execute("INSERT INTO knowledge_bases VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    database.close()
    path = f"documents/{theirs}_doc"
    product = Database(server.env["DATABASE_URL"])
    documents.add(product, in_base(f"{theirs}_doc", theirs))
    unknown = "kb_000000000000000000000000"
    server.chat("你好", session)

    def answers(base: str, document: str) -> list[tuple[int, str]]:
        address, attached = f"knowledge_bases/{base}", f"sessions/{session}/knowledge_bases/{base}"
        asked = [
            *(server.api.get(one) for one in (address, f"{address}/documents", document, f"{document}/content")),
            *(server.api.delete(one) for one in (address, attached, document)),
            *(server.api.post(f"{document}/{what}") for what in ("cancel", "retry")),
            server.api.get(f"{document}/events"),
            server.api.put(attached),
            server.api.patch(address, json={"name": "我的"}),
            server.api.post(f"{address}/search", json={"query": "年假"}),
            server.api.post(f"{address}/documents", files={"file": ("a.txt", b"abc")}),
        ]
        return [(one.status_code, one.json()["detail"]) for one in asked]

    seen = answers(theirs, path)
    assert seen == answers(unknown, "documents/doc_0") and {status for status, _ in seen} == {404}
    assert theirs not in server.api.get("knowledge_bases", params={"limit": 200}).text
    kept = documents.load(product, f"{theirs}_doc")
    assert kept is not None and kept.status == "queued"
    with product.write() as connection:  # what nobody could ever read
        connection.exec_driver_sql("DELETE FROM owners WHERE id = 'anna'")
    product.close()


def test_a_session_searches_the_bases_that_are_attached_to_it(server: Server, base: str, session: str) -> None:
    (theirs,) = upload(server, base, RULES, name="手册.md")
    own = server.api.post("documents", data={"session_id": session}, files={"file": ("差旅.md", TRAVEL.encode())})
    for item in (theirs, *own.json()["documents"]):
        assert read(server, item["id"])["status"] == "ready"
    assert found(server, session, "年假几天？出差住宿几元？") == ["差旅.md"]
    attached = f"sessions/{session}/knowledge_bases"
    assert server.api.put(f"{attached}/{base}").json()["id"] == base
    assert server.api.put(f"{attached}/{base}").status_code == 200  # again
    assert [one["id"] for one in server.api.get(attached).json()["knowledge_bases"]] == [base]
    assert httpx.get(f"{server.url}/sessions/{session}").json()["knowledge_bases"] == [base]
    assert set(found(server, session, "年假几天？出差住宿几元？")) == {"手册.md", "差旅.md"}
    assert found(server, session, "年假几天？", document_ids=[theirs["id"]]) == ["手册.md"]
    tools = server.api.get("tools", params={"session_id": session}).json()["tools"]
    assert next(tool for tool in tools if tool["name"] == "search_documents")["available"]
    assert server.api.delete(f"{attached}/{base}").json()["detached"]
    assert server.api.delete(f"{attached}/{base}").status_code == 404
    assert found(server, session, "年假几天？出差住宿几元？") == ["差旅.md"]
    body = {"session_id": session, "query": "年假", "document_ids": [theirs["id"]]}
    assert server.api.post("documents/search", json=body).status_code == 404


def test_a_base_without_files_of_the_session_answers_its_questions(offline_server: Server, session: str) -> None:
    base = make(offline_server)
    (item,) = upload(offline_server, base, RULES, name="手册.md")
    read(offline_server, item["id"])
    assert offline_server.api.put(f"sessions/{session}/knowledge_bases/{base}").status_code == 200  # makes the session
    answer = offline_server.chat("工作满五年的年假有几天？", session)
    assert "十五天" in answer["response"] and answer["sources"][0]["document_id"] == item["id"]
    offline_server.api.delete(f"knowledge_bases/{base}")
    assert offline_server.api.get(f"sessions/{session}/knowledge_bases").json() == {"knowledge_bases": []}
    assert "十五天" not in offline_server.chat("再说一遍，年假有几天？", f"{session}x")["response"]


def test_a_temporary_session_may_have_a_base(server: Server, base: str, session: str) -> None:
    attached = f"sessions/{session}/knowledge_bases"
    assert server.api.put(f"{attached}/{base}", params={"temporary": "true"}).status_code == 200
    assert [one["id"] for one in server.api.get(attached).json()["knowledge_bases"]] == [base]
    listed = httpx.get(f"{server.url}/conversations", params={"limit": 200}).json()["conversations"]
    assert session not in [row["session_id"] for row in listed]


def test_the_same_file_is_kept_once(server: Server, base: str, session: str) -> None:
    first, second = upload(server, base, RULES, RULES)
    assert first["id"] == second["id"] and second["duplicate"] and "duplicate" not in first
    done = read(server, first["id"])
    (again,) = upload(server, base, RULES, name="另一个名字.md")
    assert again == {**{name: done[name] for name in again if name != "duplicate"}, "duplicate": True}
    assert files(server, base) == {first["id"]}
    assert len(server.api.get(f"knowledge_bases/{base}/documents").json()["documents"]) == 1
    form = {"data": {"session_id": session}, "files": {"file": ("手册.md", RULES.encode())}}
    own = [server.api.post("documents", **form).json()["documents"][0] for _ in range(2)]
    assert own[0]["id"] == own[1]["id"] != first["id"] and own[1]["duplicate"]  # a session is another holder


def test_a_file_that_is_sent_twice_at_once_is_kept_once(server: Server, base: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        sent = [item for items in threads.map(lambda _: upload(server, base, RULES * 500), range(8)) for item in items]
    assert len({item["id"] for item in sent}) == 1
    assert sorted(item.get("duplicate", False) for item in sent) == [False] + [True] * 7
    assert files(server, base) == {sent[0]["id"]}
    assert read(server, sent[0]["id"])["status"] == "ready"


def test_a_known_file_is_used_in_a_turn_without_being_read_again(server: Server, scripted: Upstream, session: str) -> None:
    form = {"data": {"session_id": session, "message": "读"}, "files": {"file": ("手册.md", RULES.encode())}}
    scripted.on(lambda request: text("好的。"))
    ids = {server.api.post("chat_with_file", **form).json()["document"]["id"] for _ in range(2)}
    assert len(ids) == 1
    assert len(server.api.get("documents", params={"session_id": session}).json()["documents"]) == 1


def test_when_one_of_several_files_is_refused_what_was_there_stays(server: Server, base: str) -> None:
    (kept,) = upload(server, base, RULES)
    sent = [("file", ("手册.md", content)) for content in (RULES.encode(), TRAVEL.encode(), b"")]
    assert server.api.post(f"knowledge_bases/{base}/documents", files=sent).status_code == 422
    assert [one["id"] for one in server.api.get(f"knowledge_bases/{base}/documents").json()["documents"]] == [kept["id"]]
    assert files(server, base) == {kept["id"]}


def test_reading_is_cancelled_and_goes_on_where_it_was(server: Server, scripted: Upstream, base: str, slow: Json) -> None:
    pages = (folder(server, slow) / "pages.jsonl").read_bytes()
    address = f"documents/{slow['id']}"
    cancelled = server.api.post(f"{address}/cancel", headers={"Accept-Language": "zh"}).json()
    assert (cancelled["status"], cancelled["stage"], cancelled["progress"]) == ("failed", "done", 1)
    assert cancelled["error"] == {"code": "cancelled", "message": "文档的读取已取消，可以重试。"}
    assert server.api.post(f"{address}/cancel").json()["status"] == "failed"  # again
    assert server.api.post(f"knowledge_bases/{base}/search", json={"query": "值得一看"}).json() == {"results": []}
    assert server.api.get(f"{address}/content").status_code == 200
    assert read(server, slow["id"])["error"]["code"] == "cancelled"
    scripted.on(lambda request: text("概要"))
    retried = server.api.post(f"{address}/retry")
    assert retried.status_code == 202 and "error" not in retried.json()
    done = read(server, slow["id"])
    assert (done["status"], done["summary"]) == ("ready", "概要")
    assert (folder(server, slow) / "pages.jsonl").read_bytes() == pages  # no page was read twice
    for what, status in (("cancel", 200), ("retry", 202)):  # nothing is left to do
        answer = server.api.post(f"{address}/{what}")
        assert (answer.status_code, answer.json()["status"]) == (status, "ready")


def test_a_cancelled_file_that_is_uploaded_again_is_read(server: Server, scripted: Upstream, base: str, slow: Json) -> None:
    server.api.post(f"documents/{slow['id']}/cancel")
    scripted.on(lambda request: text("概要"))
    (again,) = upload(server, base, SLOW + base)
    assert again["id"] == slow["id"] and again["duplicate"] and again["status"] in ("queued", "processing")
    assert read(server, slow["id"])["status"] == "ready"


def test_a_turn_whose_file_is_cancelled_says_so(server: Server, scripted: Upstream, session: str) -> None:
    scripted.on(lambda request: (text("好"), hang(), text("的")) if "值得一看" in request.question else None)
    form = {"data": {"session_id": session, "message": "读", "stream": "true"}}
    form |= {"files": {"file": ("慢.txt", (SLOW + session).encode())}}
    with ThreadPoolExecutor(1) as thread:
        turn = thread.submit(lambda: server.api.post("chat_with_file", **form))
        eventually(lambda: any(request.hanging.is_set() for request in scripted.requests))
        listed = server.api.get("documents", params={"session_id": session}).json()["documents"]
        server.api.post(f"documents/{listed[0]['id']}/cancel")
        answer = turn.result(30)
    scripted.release()
    assert '"code":"cancelled"' in answer.text.replace(" ", "") and answer.status_code in (200, 409)


def test_a_file_that_cannot_be_read_is_read_anew(server: Server, base: str) -> None:
    (item,) = upload(server, base, "%PDF-1.7\n" + "nothing here\n" * 9, name="坏.pdf")
    failed = read(server, item["id"])
    assert failed["error"]["reason"] == "damaged"
    assert server.api.post(f"documents/{item['id']}/retry").json()["status"] in ("queued", "processing", "failed")
    assert read(server, item["id"])["error"]["reason"] == "damaged"


def test_a_base_is_deleted_while_it_is_read(server: Server, base: str, slow: Json) -> None:
    assert server.api.delete(f"knowledge_bases/{base}").json()["deleted"] == {"documents": 1, "passages": 0}
    assert server.api.get(f"documents/{slow['id']}").status_code == 404
    eventually(lambda: not (server.data / "uploads" / base).exists())
    assert not stored(server, slow)


def test_documents_of_a_large_base_come_in_pages(server: Server, base: str) -> None:
    database, count = Database(server.env["DATABASE_URL"]), 1_100
    names = [f"{base}_{number:04}" for number in range(count)]
    with database.write() as connection:
        columns = ("id", "knowledge_base_id", "content_key", "filename", "media_type", "bytes", "sha256", "updated_at")
        made = [in_base(name, base) for name in names]
        rows = [{column: getattr(one, column) for column in columns} for one in made]
        failed = {"status": "failed", "stage": "done", "error": "empty", "created_at": now()}
        connection.execute(document_rows.insert(), [row | failed for row in rows])
    seen: list[str] = []
    cursor: Json = {}
    while len(seen) <= count:
        answer = server.api.get(f"knowledge_bases/{base}/documents", params={"limit": 200, **cursor}).json()
        seen += [one["id"] for one in answer["documents"]]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
    assert seen == names
    assert server.api.get("knowledge_bases", params={"limit": 200}).json()["knowledge_bases"][-1]["document_count"] == count
    assert server.api.delete(f"knowledge_bases/{base}").json()["deleted"] == {"documents": count, "passages": 0}
    database.close()


def test_bases_are_exported_and_deleted_with_all_else(make_server: MakeServer, session: str) -> None:
    server = make_server(ingest=True)
    base = make(server, "制度<汇编>")
    (item,) = upload(server, base, RULES, name="手册.md")
    read(server, item["id"])
    server.api.put(f"sessions/{session}/knowledge_bases/{base}")
    data = server.api.get("user_data").json()
    (exported,) = data["knowledge_bases"]
    assert (exported["id"], exported["name"], exported["document_count"]) == (base, "制度<汇编>", 1)
    assert exported["documents"][0]["id"] == item["id"] and "十五天" in exported["documents"][0]["text"]
    assert data["conversations"][0]["knowledge_bases"] == [base]
    shown = server.api.get("user_data", params={"format": "markdown"}, headers={"Accept-Language": "zh"}).text
    assert "# 知识库 · 制度\\<汇编\\>" in shown and "- 手册.md" in shown and "知识库： 制度" in shown
    deleted = server.api.delete("user_data").json()["deleted"]
    assert (deleted["knowledge_bases"], deleted["documents"], deleted["conversations"]) == (1, 1, 1)
    assert deleted["passages"] >= 1
    assert server.api.get("knowledge_bases").json() == {"knowledge_bases": [], "next_cursor": None}
    assert server.api.get(f"documents/{item['id']}").status_code == 404
    assert not (server.data / "uploads" / base).exists()


def test_a_batch_with_one_bad_file_names_it_and_keeps_none(server: Server, base: str, session: str) -> None:
    files = [("file", ("手册.md", RULES.encode())), ("file", ("空.md", b" \n"))]
    for path, form in ((f"knowledge_bases/{base}/documents", {}), ("documents", {"session_id": session})):
        answer = server.api.post(path, files=files, data=form, headers={"Accept-Language": "zh"})
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["filename"]) == (422, "document_unreadable", "空.md")
        assert problem["detail"] == "空.md：无法读取该文档：文件中没有文字。"
    assert server.api.get(f"knowledge_bases/{base}/documents").json()["documents"] == []
    program = [files[0], ("file", ("setup.exe", b"MZ\0\0\1\2"))]
    refused = server.api.post(f"knowledge_bases/{base}/documents", files=program).json()
    assert refused["filename"] == "setup.exe" and refused["detail"].startswith("setup.exe: Files or bodies of the type ")
