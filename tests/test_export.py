"""Conversations as files: JSON with everything, Markdown that what was said cannot break."""

import json
import uuid
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from fakes.replies import reasoning, text, tool_call
from fakes.upstream import Upstream
from fixtures.server import MakeServer, Server
from services.exports import BLOCK
from services.markdown_export import conversation, fenced, plain, quoted

ROW = {
    "session_id": "s1",
    "title": "预算 # 与 *年假*",
    "created_at": "2025-10-02T10:00:00+00:00",
    "updated_at": "2025-10-02T10:30:00+00:00",
    "message_count": 2,
}
QUESTION: dict[str, Any] = {
    "role": "user",
    "content": "预算是多少？",
    "status": "complete",
    "created_at": "2025-10-02T10:00:00+00:00",
    "reasoning": "",
    "sources": [],
    "tool_calls": [],
    "model": "",
    "attachments": [],
}
ANSWER: dict[str, Any] = {**QUESTION, "role": "assistant", "content": "三十万元。[1]", "model": "qwen_max"}
HOSTILE = [
    "# 标题\n## 用户 · 假的\n\n---\n",
    "```python\n没有结束的代码",
    "~~~~\n`````",
    "<details>\n<summary>",
    "</details></blockquote>",
    "<!-- 没有结束的注释",
    "<script>alert(1)</script>\n\n<style>\n\n<textarea>",
    "段落 <b>粗体 <!-- 注释",
    "\t<b>缩进\n\n    <i>代码",
    "- 列表\n\n  1. <u>内层\n\n     ```\n     <x>",
    "> 引用\n> <p>",
    ">" * 90 + " <script>",
    "[1]: http://example.com\n| a | b |\n|---|---|\n| <b> | ` |",
    "a\rb\r\nc\u2028# d\u2029<b>\x0c# e",
    "\\<b> &lt;i> <?php <![CDATA[ <!DOCTYPE html",
    "`未闭合 <b> `` <i> `",
]


def tree(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark").parse(markdown)


def headings(markdown: str) -> list[str]:
    tokens = tree(markdown)
    pairs = pairwise(tokens)
    return [following.content for token, following in pairs if token.type == "heading_open" and token.level == 0]


def tags(markdown: str) -> list[str]:
    """All HTML of a Markdown text, block by block."""
    found = []
    for token in tree(markdown):
        found += [token.content.strip()] if token.type == "html_block" else []
        found += [child.content for child in token.children or () if child.type == "html_inline"]
    return found


def document(*messages: dict[str, Any], prompt: str = "", documents: list[dict[str, Any]] | None = None) -> str:
    return "".join(conversation(ROW, prompt, [], documents or [], messages, "zh"))


def test_a_transcript_says_who_said_what_when() -> None:
    source = {"filename": "报告_终.pdf", "page": 3, "quote": "预算为\n三十万元", "cited": True, "number": 2}
    answer = {**ANSWER, "sources": [source], "status": "stopped"}
    shown = document(QUESTION, answer)
    assert headings(shown) == [
        "预算 \\# 与 \\*年假\\*",
        "用户 · 2025-10-02 10:00 UTC",
        "助手 · 2025-10-02 10:00 UTC · qwen\\_max · 已停止",
    ]
    assert "> 预算是多少？\n" in shown and "> 三十万元。[1]\n" in shown
    assert "来源：\n\n- \\[2\\] 报告\\_终.pdf，第 3 页: “预算为 三十万元”\n" in shown


def test_the_words_are_in_the_readers_language() -> None:
    source = {"filename": "a.txt", "page": None, "quote": "x" * 1_000, "cited": False}
    shown = "".join(conversation(ROW, "Be brief.", [], [], [{**ANSWER, "sources": [source]}], "en"))
    assert "## Assistant ·" in shown and "Related passages, not cited:" in shown and "<summary>System prompt" in shown
    assert "x" * 299 + "…" in shown and "x" * 300 not in shown


def test_tool_calls_and_thoughts_are_folded() -> None:
    call = {"id": "c", "name": "search_documents", "args": {"query": "`年假`"}, "status": "ok", "ms": 12}
    shown = document({**ANSWER, "reasoning": "</details>想一想", "tool_calls": [{**call, "result": "```\n</details>"}]})
    assert tags(shown) == [
        "<details>\n<summary>思考过程</summary>",
        "</details>",
        "<details>\n<summary>search_documents · ok · 12 ms</summary>",
        "</details>",
    ]
    codes = [token.content for token in tree(shown) if token.type == "fence"]
    assert json.loads(codes[0]) == {"query": "`年假`"} and codes[1] == "```\n</details>\n"


def test_documents_and_pictures_are_listed() -> None:
    report = {"filename": "1. 报告.pdf", "page_count": 13, "summary": "# 概要\n\n预算"}
    picture = {"filename": "图*.png", "description": "一张发票", "ocr_text": "合计 <300>"}
    shown = document({**QUESTION, "attachments": [picture]}, documents=[report], prompt="请简短。")
    assert "- 1\\. 报告.pdf（13 页）\n\n  > # 概要" in shown and "- 图片： 图\\*.png\n" in shown
    assert headings(shown)[1] == "文档" and len(headings(shown)) == 3 and "> 请简短。" in shown


@pytest.mark.parametrize("content", HOSTILE)
def test_what_was_said_breaks_no_structure(content: str) -> None:
    plain_one = document(QUESTION, ANSWER, QUESTION)
    for place in range(2):
        messages = [{**QUESTION}, {**ANSWER}]
        messages[place]["content"] = content
        shown = document(*messages, QUESTION)
        assert headings(shown) == headings(plain_one) and tags(shown) == []
        assert sum(token.type == "blockquote_open" and token.level == 0 for token in tree(shown)) == 3


fragments = st.sampled_from(
    ["<b>", "</p>", "<!--", "-->", "`", "``", "```", "\n", "\n\n", " ", "    ", "\t", "- ", "> ", "1. ", "字", "<pre>", "\\"]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(fragments, max_size=20).map("".join))
def test_no_mixture_of_markup_leaves_its_quote(content: str) -> None:
    shown = quoted(content)
    assert tags(shown) == []
    outer = [token for token in tree(shown + "\n# 之后\n") if token.level == 0]
    assert [token.type for token in outer] == [
        "blockquote_open",
        "blockquote_close",
        "heading_open",
        "inline",
        "heading_close",
    ] or ([token.type for token in outer] == ["blockquote_open", "blockquote_close", "heading_open", "heading_close"])


def test_html_in_code_stays_as_it_is() -> None:
    code = "用 `<div>` 标签：\n\n```html\n<p>a &lt; b</p>\n\t<b>\n```\n\n- 列表\n\n  ```\n  <i>\n  ```"
    assert quoted(code) == "".join(f"> {line}\n" if line else ">\n" for line in code.split("\n"))
    assert "1 < 2 <https://example.com>" in quoted("1 < 2 <https://example.com>")


def test_a_very_long_text_is_quoted_in_no_time() -> None:
    shown = quoted("<b>`" * 200_000)
    assert "<" not in shown and shown.startswith("> &lt;b>`")


@given(st.text(min_size=1, max_size=40))
@settings(max_examples=300, deadline=None)
def test_plain_text_means_itself(content: str) -> None:
    words = " ".join(content.split())
    for before in ("", "# ", "- "):
        inlines = [token for token in tree(f"{before}{plain(content)}\n") if token.type == "inline"]
        said = "".join(child.content for token in inlines for child in token.children or ())
        assert said.replace("\ufffd", "\0") == words


@given(st.lists(st.sampled_from(["`", "~", "\n", "字", " "]), max_size=12).map("".join))
def test_code_ends_at_its_own_fence(content: str) -> None:
    (code,) = tree(fenced(content, "text"))
    assert code.type == "fence" and code.content.rstrip() == content.rstrip()


@pytest.fixture
def session() -> str:
    return f"test:{uuid.uuid4()}"


@pytest.fixture
def root(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def test_a_conversation_is_exported_whole(server: Server, root: httpx.Client, scripted: Upstream, session: str) -> None:
    response = server.api.post(
        "documents", data={"session_id": session}, files={"file": ("预算.txt", "预算为三十万元。".encode())}
    )
    document_id = response.json()["documents"][0]["id"]
    with server.api.stream("GET", f"documents/{document_id}/events") as events:
        events.read()
    scripted.reply(tool_call("search_documents", {"query": "预算"}))
    scripted.reply(reasoning("想一想"), text("预算为三十万元[1]。"))
    server.chat("预算/是多少？", session, system_prompt="请简短。")
    server.api.post(f"chat/{session}/regenerate")
    exported = root.get(f"conversations/{session}/export")
    assert exported.status_code == 200 and exported.headers["content-type"] == "application/json"
    assert exported.headers["cache-control"] == "no-store" and exported.headers["x-content-type-options"] == "nosniff"
    kind, _, name = exported.headers["content-disposition"].partition("; filename*=UTF-8''")
    assert (kind, unquote(name)) == ("attachment; filename=conversation.json", "预算 是多少？.json")
    assert exported.json()["exported_at"] and "configs" not in exported.json()
    (found,) = exported.json()["conversations"]
    assert found["session_id"] == session and found["title"] == "预算/是多少？" and found["system_prompt"] == "请简短。"
    (kept,) = found["documents"]
    assert (kept["filename"], kept["text"], kept["status"]) == ("预算.txt", "预算为三十万元。", "ready") and kept["summary"]
    assert [message["active"] for message in found["messages"]] == [True, False, True]
    old = found["messages"][1]
    assert old["reasoning"] == "想一想" and old["sources"][0]["filename"] == "预算.txt" and old["tool_calls"][0]["result"]
    assert old["parent_id"] == found["messages"][0]["id"] and "path" not in exported.text
    markdown = root.get(f"conversations/{session}/export", params={"format": "markdown"}, headers={"Accept-Language": "zh"})
    assert markdown.headers["content-type"] == "text/markdown; charset=utf-8"
    assert unquote(markdown.headers["content-disposition"]).endswith("预算 是多少？.md")
    assert headings(markdown.text)[:2] == ["预算/是多少？", "文档"] and "三十万元[1]" not in markdown.text
    assert root.get(f"conversations/{session}/export", params={"format": "pdf"}).status_code == 422


def test_cleared_messages_are_not_exported(server: Server, root: httpx.Client, session: str) -> None:
    server.chat("秘密", session)
    server.api.post("clear_current_chat_history", json={"session_id": session})
    for form in ("json", "markdown"):
        assert "回声" not in root.get(f"conversations/{session}/export", params={"format": form}).text


def test_all_conversations_are_exported_in_one_stream(make_server: MakeServer, scripted: Upstream) -> None:
    server = make_server(LLM_API_URL=scripted.url, LLM_API_KEY="k", LLM_MODEL="scripted")
    scripted.on(lambda request: "长" * BLOCK)
    for number in range(4):
        server.chat(f"问题{number}", f"s{number}")
    scripted.on(lambda request: None)
    server.chat("过客", "passing", temporary=True)
    body = {
        "user_id": "甲",
        "model_type": "custom",
        "custom_api_url": "https://example.com/v1",
        "custom_api_key": "sk-geheim-123",
    }
    assert httpx.post(f"{server.url}/api/config", json=body).status_code == 200
    with server.api.stream("GET", "user_data") as response:
        assert response.headers["transfer-encoding"] == "chunked"
        assert "filename*=UTF-8''conversations-" in response.headers["content-disposition"]
        everything = json.loads(response.read())
    assert [one["session_id"] for one in everything["conversations"]] == ["s0", "s1", "s2", "s3"]
    assert all(one["messages"][1]["content"] == "长" * BLOCK for one in everything["conversations"])
    assert everything["configs"][0]["user_id"] == "甲" and "geheim" not in json.dumps(everything)
    markdown = server.api.get("user_data", params={"format": "markdown"}).text
    assert [title for title in headings(markdown) if "问题" in title] == [f"问题{number}" for number in range(4)]
    assert "过客" not in markdown
