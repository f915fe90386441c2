"""Documents and pictures over HTTP, from upload to the answer that cites them."""

import contextlib
import json
import re
import sqlite3
import uuid
from typing import Any

import httpx
import pytest

from fakes.documents import chinese_pdf, scanned_pdf, text_image
from fakes.replies import text, tool_call
from fakes.upstream import Upstream
from fixtures.server import MakeServer, Server

LEAVE = "入职满三年的员工每年享有十五天带薪年假，未休部分折算为工资。"


def handbook() -> bytes:
    """A Chinese PDF of twenty pages; page 13 says what nothing else says."""
    topics = ["考勤", "报销", "差旅", "采购", "保密", "培训", "绩效", "福利", "安全", "合同"]
    pages = [
        "\n".join(
            f"第{page}章第{line}条 {topics[(page + line) % 10]}事项由各部门负责人审批后办理。" for line in range(1, 16)
        )
        for page in range(1, 21)
    ]
    pages[12] += "\n" + LEAVE
    return chinese_pdf(pages)


@pytest.fixture
def session() -> str:
    return f"test:{uuid.uuid4()}"


def upload(server: Server, session: str, name: str, data: bytes) -> dict[str, Any]:
    """Uploads a file and waits until it has been read."""
    response = server.api.post("documents", data={"session_id": session}, files={"file": (name, data)})
    assert response.status_code == 202, response.text
    document: dict[str, Any] = response.json()["documents"][0]
    assert document["filename"] == name and document["status"] in ("queued", "processing")
    return watched(server, document["id"])[-1]


def watched(server: Server, document_id: str) -> list[dict[str, Any]]:
    """The states that the events of a document tell, until it is done."""
    with server.api.stream("GET", f"documents/{document_id}/events") as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = [line for line in response.iter_lines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_without_a_key_the_answer_quotes_page_13_and_only_in_its_session(offline_server: Server, session: str) -> None:
    server = offline_server
    response = server.api.post(
        "chat_with_file",
        data={"session_id": session, "message": "入职满三年的员工有几天带薪年假？"},
        files={"file": ("员工手册.pdf", handbook())},
    )
    assert response.status_code == 200, response.text
    answer = response.json()
    assert "十五天带薪年假" in answer["response"] and "第 13 页" in answer["response"]
    assert answer["sources"][0]["page"] == 13 and answer["sources"][0]["cited"]
    assert "十五天带薪年假" in answer["sources"][0]["quote"]
    document = answer["document"]
    assert document["status"] == "ready" and document["page_count"] == 20 and document["summary"]
    assert [page["page"] for page in document["pages"]] == list(range(1, 21))
    elsewhere = server.chat("入职满三年的员工有几天带薪年假？", session + "x")
    assert "十五天" not in elsewhere["response"] and elsewhere["sources"] == []
    server.api.post("clear_current_chat_history", json={"session_id": session})
    again = server.chat("带薪年假有几天？", session)
    assert again["sources"][0]["page"] == 13  # documents stay when the history is cleared


def test_every_quote_stands_on_the_page_that_is_named(offline_server: Server, session: str) -> None:
    server = offline_server
    for name, data in (("员工手册.pdf", handbook()), ("周报.txt", "本周完成了采购流程的培训。".encode())):
        upload(server, session, name, data)
    for question in ("年假有几天？", "采购事项由谁审批？", "请总结一下"):
        answer = server.chat(question, session)
        for source in answer["sources"]:
            hits = server.api.post("documents/search", json={"session_id": session, "query": source["quote"], "k": 50})
            texts = [hit["text"] for hit in hits.json()["results"] if hit["page"] == source["page"]]
            assert any(source["quote"] in text for text in texts)
        for block in re.findall(r"((?:> .*\n)+)>? ?\n?> — (.*?)(?:，第 (\d+) 页.*?)? \[", answer["response"]):
            said, file, page = block
            passages = server.api.post("documents/search", json={"session_id": session, "query": said, "k": 50}).json()
            same = [p["text"] for p in passages["results"] if p["filename"] == file and str(p["page"] or "") == page]
            lines = [line.removeprefix("> ").rstrip("…") for line in said.splitlines() if line.strip("> ")]
            assert all(any(line in text for text in same) for line in lines), (said, file, page)


def test_the_agent_searches_and_cites(server: Server, scripted: Upstream, session: str) -> None:
    upload(server, session, "员工手册.pdf", handbook())
    scripted.reply(tool_call("search_documents", {"query": "带薪年假"}))
    scripted.reply("十五天 [1]。")
    events = server.events("chat", json={"message": "年假几天？", "session_id": session, "stream": True})
    result = next(event["data"] for event in events if event["type"] == "tool_result")
    assert result["status"] == "ok" and "[1] 员工手册.pdf，第 13 页" in result["result"] and LEAVE in result["result"]
    sources = next(event["data"]["sources"] for event in events if event["type"] == "sources")
    assert [(source["page"], source["cited"]) for source in sources] == [(13, True)]
    assert sources == events[-1]["data"]["sources"]
    assert "员工手册.pdf" in scripted.requests[-1].messages[0]["content"]


def test_a_stream_with_a_file_tells_its_progress(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply("好的。")
    with server.api.stream(
        "POST",
        "chat_with_file",
        data={"session_id": session, "message": "123", "stream": "true"},
        files={"file": ("员工手册.pdf", handbook())},
    ) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
    events = [json.loads(line) for line in lines]
    progress = [event["data"]["progress"] for event in events if event["type"] == "document"]
    assert progress and progress == sorted(progress) and progress[-1] == 1
    assert [event["type"] for event in events].index("start") == 0
    assert events[-1]["type"] == "end" and events[-1]["data"]["document"]["status"] == "ready"
    assert scripted.requests[-1].question == "123"  # a form's text is not taken for a number
    assert "员工手册.pdf" in scripted.requests[-1].messages[0]["content"]


def test_a_file_that_takes_too_long_is_202_and_the_message_is_not_run(make_server: MakeServer, session: str) -> None:
    server = make_server(FILE_WAIT_SECONDS="0.2")  # and nobody reads files
    response = server.api.post(
        "chat_with_file", data={"session_id": session, "message": "读"}, files={"file": ("a.txt", "你好".encode())}
    )
    assert response.status_code == 202
    assert response.json()["session_id"] == session and response.json()["document"]["status"] == "queued"
    assert server.api.post("clear_current_chat_history", json={"session_id": session}).json()["cleared_messages"] == 0


@pytest.mark.parametrize(
    ("name", "data", "status", "code"),
    [
        ("空.txt", b"", 422, "document_unreadable"),
        ("程序.pdf", b"\x7fELF\x02\x01\x01" + bytes(200), 415, "unsupported_type"),
        ("坏.pdf", b"%PDF-1.7\n" + b"nothing here\n" * 9, 422, "document_unreadable"),
        ("密.pdf", chinese_pdf(["秘密"], password="x"), 422, "document_unreadable"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    server: Server, session: str, name: str, data: bytes, status: int, code: str
) -> None:
    for stream in ("false", "true"):
        response = server.api.post(
            "chat_with_file",
            data={"session_id": session, "message": "读", "stream": stream},
            files={"file": (name, data)},
            headers={"Accept-Language": "zh"},
        )
        assert response.status_code == status, response.text
        assert response.json()["code"] == code and response.headers["content-type"] == "application/problem+json"
        assert not response.json()["detail"].isascii()


def test_a_file_that_is_too_large_is_413(make_server: MakeServer, session: str) -> None:
    server = make_server(UPLOAD_MAX_BYTES="1000")
    for path, field in (("documents", "file"), ("chat_with_image", "image")):
        response = server.api.post(path, data={"session_id": session, "message": "x"}, files={field: ("a.txt", b"x" * 1001)})
        assert response.status_code == 413, response.text
    huge = server.api.post("documents", data={"session_id": session}, files={"file": ("a.txt", b"x" * 20_000_000)})
    assert huge.status_code == 413 and huge.json()["code"] == "too_large"


def test_a_scanned_page_is_read(server: Server, session: str) -> None:
    document = upload(server, session, "扫描.pdf", scanned_pdf([["合同编号 20260718", "甲方：北京某某公司"]]))
    assert document["status"] == "ready" and document["pages"][0]["method"] == "ocr"
    found = server.api.post("documents/search", json={"session_id": session, "query": "合同编号"}).json()["results"]
    assert "20260718" in found[0]["text"] and found[0]["page"] == 1


def test_search_gives_original_text_with_offsets_and_strictly_within_the_session(server: Server, session: str) -> None:
    body = "第一段講述臺灣的歷史。\n\n第二段介紹颱風的形成原因。\n"
    document = upload(server, session, "颱風.txt", body.encode("big5"))
    found = server.api.post("documents/search", json={"session_id": session, "query": "台风", "k": 1}).json()["results"]
    assert found[0]["filename"] == "颱風.txt" and "颱風的形成原因" in found[0]["text"] and found[0]["page"] is None
    assert body.strip()[found[0]["start"] : found[0]["end"]] == found[0]["text"]
    server.chat("你好", session + "x")
    other = server.api.post("documents/search", json={"session_id": session + "x", "query": "台风"})
    assert other.json() == {"results": []}
    stolen = {"session_id": session + "x", "query": "台风", "document_ids": [document["id"]]}
    assert server.api.post("documents/search", json=stolen).status_code == 404
    assert server.api.post("documents/search", json={"session_id": "nobody", "query": "台风"}).status_code == 404


def test_several_files_at_once_list_and_delete(server: Server, session: str) -> None:
    files = [("file", (f"{name}.md", f"# {name}\n\n{name}的内容。".encode())) for name in ("甲", "乙", "丙")]
    accepted = server.api.post("documents", data={"session_id": session}, files=files).json()["documents"]
    for document in accepted:
        assert watched(server, document["id"])[-1]["status"] == "ready"
    listed = server.api.get("documents", params={"session_id": session}).json()["documents"]
    assert [document["filename"] for document in listed] == ["甲.md", "乙.md", "丙.md"]
    content = server.api.get(f"documents/{listed[0]['id']}/content")
    assert content.text == "# 甲\n\n甲的内容。" and content.headers["content-disposition"].startswith("attachment")
    assert content.headers["x-content-type-options"] == "nosniff"
    folder = next((server.data / "uploads").glob(f"*/{listed[0]['id']}"))
    assert server.api.delete(f"documents/{listed[0]['id']}").json() == {"id": listed[0]["id"], "deleted": True}
    assert not folder.exists()
    for call in ("", "/content", "/events"):
        assert server.api.get(f"documents/{listed[0]['id']}{call}").status_code == 404
    found = server.api.post("documents/search", json={"session_id": session, "query": "甲的内容"}).json()["results"]
    assert {result["filename"] for result in found} <= {"乙.md", "丙.md"}


def test_of_several_files_all_are_taken_or_none(server: Server, session: str) -> None:
    server.chat("你好", session)
    files = [("file", ("a.txt", b"good")), ("file", ("b.exe", b"\x7fELF\x02\x01\x01" + bytes(99)))]
    assert server.api.post("documents", data={"session_id": session}, files=files).status_code == 415
    assert server.api.get("documents", params={"session_id": session}).json() == {"documents": []}


def test_a_picture_becomes_part_of_the_conversation(make_server: MakeServer, scripted: Upstream, session: str) -> None:
    server = make_server(
        ingest=True, LLM_API_URL=scripted.url, LLM_API_KEY="k", LLM_MODEL="scripted", VISION_MODEL="eyes", LLM_VISION="true"
    )
    scripted.requests.clear()
    response = server.api.post(
        "chat_with_image",
        data={"session_id": session, "message": "一共多少钱？"},
        files={"image": ("发票.png", text_image(["发票 合计 42 元"]))},
    )
    assert response.status_code == 200, response.text
    image = response.json()["image"]
    assert "42" in image["ocr_text"] and image["description"] == scripted.image_text
    described, asked = scripted.requests
    assert described.body["model"] == "eyes" and len(described.images) == 1
    assert asked.body["model"] == "scripted" and len(asked.images) == 1
    server.chat("图里还有什么？", session)
    told = json.dumps(scripted.requests[-1].messages, ensure_ascii=False)
    assert "42" in told and scripted.image_text in told and len(scripted.requests[-1].images) == 1


def test_a_picture_without_a_vision_model_gives_its_text_and_says_so(offline_server: Server, session: str) -> None:
    response = offline_server.api.post(
        "chat_with_image", data={"session_id": session}, files={"image": ("a.png", text_image(["会议时间 下午三点"]))}
    ).json()
    assert "下午三点" in response["image"]["ocr_text"].replace(" ", "") and response["image"]["description"] is None
    assert "VISION_MODEL" in response["response"]


def test_a_temporary_session_ends_with_its_documents(make_server: MakeServer, session: str) -> None:
    server = make_server(ingest=True)
    response = server.api.post(
        "chat_with_file",
        data={"session_id": session, "message": "说了什么？", "temporary": "true"},
        files={"file": ("机密.txt", "绝密计划代号长城。".encode())},
    )
    assert "绝密计划" in response.json()["response"]
    document_id = response.json()["document"]["id"]
    with contextlib.closing(sqlite3.connect(server.data / "chat.db", timeout=20)) as database, database:
        database.execute("UPDATE conversations SET expires_at = '2020-01-01' WHERE session_id = ?", (session,))
    assert wait_for_404(server.api, f"documents/{document_id}")
    assert server.api.get("documents", params={"session_id": session}).status_code == 404


def wait_for_404(api: httpx.Client, path: str) -> bool:
    """Asks until the answer is 404; each question is an HTTP request of its own."""
    return any(api.get(path).status_code == 404 for _ in range(5000))


def test_tools_of_a_session_that_begins(server: Server) -> None:
    tools = {tool["name"]: tool for tool in server.api.get("tools").json()["tools"]}
    own = {"search_documents", "describe_documents", "read_document"}
    assert set(tools) == {*own, "web_search", "visit_url", "crawl_site", "current_time"}
    assert not any(tools[name]["available"] for name in own)
    chinese = server.api.get("tools", headers={"Accept-Language": "zh"}).json()["tools"]
    assert {tool["name"] for tool in chinese if "文档" in tool.get("reason", "")} == own


def test_tools_are_offered_by_context(server: Server, session: str) -> None:
    server.chat("你好", session)
    tools = {tool["name"]: tool for tool in server.api.get("tools", params={"session_id": session}).json()["tools"]}
    assert not tools["search_documents"]["available"] and tools["search_documents"]["reason"]
    assert not tools["web_search"]["available"] and tools["current_time"]["available"]
    parameters = tools["search_documents"]["parameters"]
    assert set(parameters["properties"]) == {"query", "queries", "documents"} and parameters["required"] == ["query"]
    upload(server, session, "a.txt", "你好".encode())
    tools = {tool["name"]: tool for tool in server.api.get("tools", params={"session_id": session}).json()["tools"]}
    assert tools["search_documents"]["available"]


def test_the_model_is_told_only_of_tools_that_are_offered(server: Server, scripted: Upstream, session: str) -> None:
    scripted.on(lambda request: text("好"))
    server.chat("你好", session)
    assert "search_documents" not in scripted.requests[-1].tools and "current_time" in scripted.requests[-1].tools
    upload(server, session, "a.txt", "你好".encode())
    server.chat("你好", session)
    assert "search_documents" in scripted.requests[-1].tools
