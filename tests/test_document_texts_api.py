"""Pages and chunks of documents over HTTP, and searches that bring the neighbours of their hits."""

import uuid
from typing import Any

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


def test_a_hit_leads_to_its_chunk_and_its_neighbours(offline_server: Server, handbook: tuple[str, str]) -> None:
    session, document = handbook
    body = {"session_id": session, "query": "差旅由谁审批", "k": 2, "neighbours": 1}
    best = offline_server.api.post("documents/search", json=body).json()["results"][0]
    assert best["page"] == 3 and "第3章 差旅" in best["context"]
    chunks = get(offline_server, f"{document}/chunks", first=best["chunk"] - 1, count=3)
    assert chunks["total"] == 5
    before, own, after = chunks["chunks"]
    assert (own["text"], own["start"], own["end"]) == (best["text"], best["start"], best["end"])
    assert (best["before"], best["after"]) == ([before], [after])
    assert (before["page"], before["heading"][-1]) == (2, "第2章 报销")


def test_neighbours_come_only_when_they_are_asked_for(offline_server: Server, handbook: tuple[str, str]) -> None:
    body = {"session_id": handbook[0], "query": "差旅由谁审批"}
    best = offline_server.api.post("documents/search", json=body).json()["results"][0]
    assert not {"before", "after"} & best.keys()
    assert offline_server.api.post("documents/search", json={**body, "neighbours": 4}).status_code == 422
