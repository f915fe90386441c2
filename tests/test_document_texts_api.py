"""Pages and chunks of documents over HTTP, and searches that bring the neighbours of their hits."""

import uuid
from typing import Any
from urllib.parse import quote

import pytest

from fakes.documents import chinese_pdf
from fixtures.server import Server

TOPICS = ["考勤", "报销", "差旅", "采购", "保密"]


@pytest.fixture(scope="module")
def handbook(offline_server: Server) -> tuple[str, str]:
    """A session, and a document of five pages in it; each page is a chunk."""
    session = f"texts-{uuid.uuid4()}"
    pages = [f"第{n}章 {topic}\n{topic}事项由部门负责人审批后办理。" for n, topic in enumerate(TOPICS, 1)]
    files = {"file": ("员工手册.pdf", chinese_pdf(pages))}
    response = offline_server.api.post("documents", data={"session_id": session}, files=files)
    document: str = response.json()["documents"][0]["id"]
    offline_server.api.get(f"documents/{document}/events")  # ends when it has been read
    return session, document


def get(server: Server, path: str, **params: Any) -> dict[str, Any]:
    response = server.api.get(f"documents/{path}", params=params)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_pages_can_be_shown(offline_server: Server, handbook: tuple[str, str]) -> None:
    answer = get(offline_server, f"{handbook[1]}/pages", first=2, last=3)
    assert answer["total"] == 5
    assert [page["page"] for page in answer["pages"]] == [2, 3]
    assert all(topic in page["text"] for topic, page in zip(TOPICS[1:3], answer["pages"], strict=True))
    assert len(get(offline_server, f"{handbook[1]}/pages")["pages"]) == 5
    assert [set(page) for page in answer["pages"]] == [{"page", "text", "start", "method"}] * 2


def test_pages_that_end_before_they_begin_are_refused(offline_server: Server, handbook: tuple[str, str]) -> None:
    ask = {"url": f"documents/{handbook[1]}/pages", "params": {"first": 5, "last": 3}}
    response = offline_server.api.get(**ask, headers={"Accept-Language": "zh"})
    assert response.status_code == 422
    assert response.json()["errors"] == [{"field": "last", "message": "不能小于 first"}]


def test_a_file_has_a_plain_name_beside_its_own(offline_server: Server, handbook: tuple[str, str]) -> None:
    named = offline_server.api.get(f"documents/{handbook[1]}/content").headers["content-disposition"]
    assert named == f"attachment; filename=document.pdf; filename*=UTF-8''{quote('员工手册.pdf')}"


def test_a_hit_leads_to_its_chunk_and_its_neighbours(offline_server: Server, handbook: tuple[str, str]) -> None:
    session, document = handbook
    body = {"session_id": session, "query": "差旅由谁审批", "k": 2, "neighbours": 1}
    best = offline_server.api.post("documents/search", json=body).json()["results"][0]
    assert best["page"] == 3 and (best["heading"][-1], best["context"]) == ("第3章 差旅", "")
    chunks = get(offline_server, f"{document}/chunks", first=best["index"] - 1, count=3)
    assert chunks["total"] == 5
    before, own, after = chunks["chunks"]
    assert own == {name: best[name] for name in own}, "a hit is a chunk"
    assert (best["before"], best["after"]) == ([before], [after])
    assert (before["page"], before["heading"][-1]) == (2, "第2章 报销")


def test_neighbours_come_only_when_they_are_asked_for(offline_server: Server, handbook: tuple[str, str]) -> None:
    body = {"session_id": handbook[0], "query": "差旅由谁审批"}
    best = offline_server.api.post("documents/search", json=body).json()["results"][0]
    assert not {"before", "after"} & best.keys()
    assert offline_server.api.post("documents/search", json={**body, "neighbours": 4}).status_code == 422
