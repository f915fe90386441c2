"""Invented citations reach no client, whichever format it reads, and every format tells the same sources."""

import json
import re
import uuid
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from websockets.sync.client import connect

from fakes.documents import chinese_pdf
from fakes.replies import Reply, text, tool_call
from fakes.upstream import Answer, Request, Upstream
from fixtures.server import Server

PAGES = [
    "第一章 总则。本手册适用于全体员工。",
    "第二章 考勤。员工每日工作八小时，上午九点上班。",
    "第三章 年假。入职满三年的员工每年享有十五天带薪年假。未休的年假折算为工资。",
]
# the numbers of the passages are those of a search for 年假, so page 3 is [1]
PIECES = [
    "年假十五",
    "天 ",
    "[",
    "1",
    "]",
    "，而",
    "且 [",
    "7",
    "]",
    "。未休的折算为工资【1",
    "】【",
    "12",
    "†source】",
    "；另见[9",
    ",1]。",
]
ANSWER = "年假十五天 [1]，而且。未休的折算为工资[1]；另见[1]。"
INVENTED = re.compile(r"\[(?:7|9|12|9, ?1)\]|【")


def searching(request: Request) -> Answer | None:
    """Searches first, then says what is invented in part, a token at a time."""
    if request.messages[-1]["role"] == "tool":
        return Reply((text(PIECES),), interval=0.002)
    return tool_call("search_documents", {"query": "年假"}) if "search_documents" in request.tools else None


def fill(server: Server, session: str) -> str:
    """Uploads the handbook and waits until it can be searched; its id."""
    files = {"file": ("员工手册.pdf", chinese_pdf(PAGES))}
    document = server.api.post("documents", data={"session_id": session}, files=files).json()["documents"][0]
    with server.api.stream("GET", f"documents/{document['id']}/events") as response:
        states = [line for line in response.iter_lines() if line.startswith("data: ")]
    assert json.loads(states[-1].removeprefix("data: "))["status"] == "ready"
    id: str = document["id"]
    return id


@pytest.fixture(scope="module")
def _filled(_shared_server: Server) -> str:
    name = f"cite:{uuid.uuid4()}"
    fill(_shared_server, name)
    return name


@pytest.fixture
def session(_filled: str, server: Server, scripted: Upstream) -> str:
    """A session with the handbook, in which nothing was said yet."""
    server.api.post("clear_current_chat_history", json={"session_id": _filled})
    scripted.on(searching)
    return _filled


def lines_of(raw: str, prefix: str = "data: ") -> list[Any]:
    found = [line.removeprefix(prefix) for line in raw.splitlines() if line.startswith(prefix)]
    return [json.loads(line) for line in found if line != "[DONE]"]


Read = Callable[[Server, str], tuple[str, str, list[dict[str, Any]]]]  # what came, the answer and its sources


def native_whole(server: Server, session: str) -> tuple[str, str, list[dict[str, Any]]]:
    raw = server.api.post("chat", json={"message": "年假？", "session_id": session}).text
    turn = json.loads(raw)
    return raw, turn["response"], turn["sources"]


def native_stream(server: Server, session: str) -> tuple[str, str, list[dict[str, Any]]]:
    raw = server.api.post("chat", json={"message": "年假？", "session_id": session, "stream": True}).text
    events = lines_of(raw)
    sources = next(event["data"]["sources"] for event in events if event["type"] == "sources")
    assert events[-1]["data"]["sources"] == sources and events[-1]["data"]["full_text"] == ANSWER
    return raw, "".join(event["data"]["content"] for event in events if event["type"] == "chunk"), sources


def websocket(server: Server, session: str) -> tuple[str, str, list[dict[str, Any]]]:
    with connect(f"{server.url.replace('http', 'ws')}/ws/chat/{session}") as client:
        client.send(json.dumps({"message": "年假？"}))
        frames = [client.recv(timeout=20)]
        while json.loads(frames[-1])["type"] != "end":
            frames.append(client.recv(timeout=20))
    events = [json.loads(frame) for frame in frames]
    answer = "".join(event["data"]["content"] for event in events if event["type"] == "chunk")
    return "\n".join(map(str, frames)), answer, events[-1]["data"]["sources"]


def simple_whole(server: Server, session: str) -> tuple[str, str, list[dict[str, Any]]]:
    raw = server.api.post(f"{server.url}/chat", json={"message": "年假？", "session_id": session}).text
    return raw, json.loads(raw)["assistant_reply"], json.loads(raw)["sources"]


def simple_stream(server: Server, session: str) -> tuple[str, str, list[dict[str, Any]]]:
    raw = server.api.post(f"{server.url}/chat", json={"message": "年假？", "session_id": session, "stream": True}).text
    *pieces, done = lines_of(raw)
    return raw, "".join(piece["chunk"] for piece in pieces), done["sources"]


def openai(stream: bool) -> Read:
    def read(server: Server, session: str) -> tuple[str, str, list[dict[str, Any]]]:
        messages = [{"role": "user", "content": "年假？"}]
        body = {"model": "agent", "messages": messages, "session_id": session, "stream": stream}
        raw = server.api.post(f"{server.url}/v1/chat/completions", json=body).text
        if not stream:
            return raw, json.loads(raw)["choices"][0]["message"]["content"], json.loads(raw)["sources"]
        chunks = lines_of(raw)
        answer = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
        return raw, answer, chunks[-1]["sources"]

    return read


def front_end(protocol: str, *, stream: bool = True) -> Read:
    def read(server: Server, session: str) -> tuple[str, str, list[dict[str, Any]]]:
        body = {"id": session, "messages": [{"role": "user", "content": "年假？"}], "stream": stream}
        raw = server.api.post(f"{server.url}/api/chat", params={"protocol": protocol}, json=body).text
        if not stream:
            return raw, json.loads(raw)["content"], json.loads(raw)["sources"]
        if protocol == "ui":
            parts = lines_of(raw)
            answer = "".join(part["delta"] for part in parts if part["type"] == "text-delta")
            return raw, answer, [part["providerMetadata"]["passage"] for part in parts if part["type"] == "source-document"]
        if protocol == "data":
            passages = [part["providerMetadata"]["passage"] for part in lines_of(raw, "h:")]
            return raw, "".join(lines_of(raw, "0:")), passages
        return raw, "".join(part["textDelta"] for part in lines_of(raw, "0:")), lines_of(raw, "d:")[0]["sources"]

    return read


@pytest.mark.parametrize(
    "read",
    [
        native_whole,
        native_stream,
        websocket,
        simple_whole,
        simple_stream,
        openai(stream=False),
        openai(stream=True),
        front_end("ui"),
        front_end("data"),
        front_end("seed"),
        front_end("ui", stream=False),
    ],
    ids=["native", "native-sse", "websocket", "simple", "simple-sse", "openai", "openai-sse", "ui", "data", "seed", "json"],
)
def test_no_format_shows_what_is_invented_and_each_tells_the_sources(read: Read, server: Server, session: str) -> None:
    raw, answer, sources = read(server, session)
    assert answer == ANSWER and not INVENTED.search(raw)
    assert [(source["number"], source["page"], source["cited"]) for source in sources] == [(1, 3, True)]
    assert sources[0]["quote"] in PAGES[2] and "年假" in sources[0]["quote"]


def test_what_is_stored_and_exported_and_told_to_the_model_is_the_checked_answer(
    server: Server, scripted: Upstream, session: str
) -> None:
    sources = server.chat("年假？", session)["sources"]
    shown = [
        server.api.get(f"{server.url}/conversations/{session}/history").text,
        server.api.get(f"{server.url}/sessions/{session}").text,
        server.api.get(f"{server.url}/conversations/{session}/export", params={"format": "json"}).text,
        server.api.get(f"{server.url}/conversations/{session}/export", params={"format": "markdown"}).text,
    ]
    for page in shown:
        assert ANSWER in page and not INVENTED.search(page)
    for page in shown[:2]:
        assert json.loads(page)["messages"][-1]["sources"] == sources
    assert json.loads(shown[2])["conversations"][0]["messages"][-1]["sources"] == sources
    assert "- \\[1\\] 员工手册.pdf, page 3: “" in shown[3]
    scripted.requests.clear()
    server.chat("还有呢？", session)
    told = json.dumps(scripted.requests[0].messages[1:], ensure_ascii=False)
    assert "年假十五天，而且。" in told and PAGES[2] in told
    assert not re.search(r"\[\d", told)  # a number is of one turn


def test_a_temporary_session_tells_its_sources_too(server: Server, scripted: Upstream) -> None:
    name = f"cite:{uuid.uuid4()}"
    files = {"file": ("员工手册.pdf", chinese_pdf(PAGES))}
    scripted.on(searching)
    body = {"session_id": name, "message": "年假？", "temporary": "true"}
    answer = server.api.post("chat_with_file", data=body, files=files).json()
    history = server.api.get(f"{server.url}/conversations/{name}/history").json()["messages"]
    assert answer["response"] == history[-1]["content"] == ANSWER
    assert answer["sources"] and history[-1]["sources"] == answer["sources"]


def test_who_never_searched_may_not_cite(server: Server, scripted: Upstream, session: str) -> None:
    scripted.on(lambda request: "依手册 [1]，年假十五天【2】。`a[1]`")
    answer = server.chat("年假？", session)
    assert (answer["response"], answer["sources"]) == ("依手册，年假十五天。`a[1]`", [])


def test_without_documents_numbers_in_brackets_are_the_users_affair(server: Server, scripted: Upstream) -> None:
    said = "参考文献：\n[1] 张三，《论语》【2】\n[7] 李四 [1, 2]"
    scripted.on(lambda request: said)
    assert server.chat("列出参考文献", f"cite:{uuid.uuid4()}")["response"] == said


def test_an_answer_that_cites_nothing_names_what_it_was_given(server: Server, scripted: Upstream, session: str) -> None:
    def reply(request: Request) -> Answer | None:
        return "年假十五天 [8]。" if request.messages[-1]["role"] == "tool" else searching(request)

    scripted.on(reply)
    answer = server.chat("年假？", session)
    assert answer["response"] == "年假十五天。" and answer["sources"][0]["page"] == 3
    assert {(source["cited"], source["number"]) for source in answer["sources"]} == {(False, None)}


def test_passages_that_no_longer_stand_in_their_document_are_not_shown_to_the_model(
    server: Server, scripted: Upstream
) -> None:
    scripted.on(searching)
    session = f"cite:{uuid.uuid4()}"
    [path] = (server.data / "uploads").glob(f"*/{fill(server, session)}/text")
    kept = path.read_text(encoding="utf-8")
    path.write_text(kept.replace("十五天带薪年假", "二十天带薪年假"), encoding="utf-8")  # the index is behind
    answer = server.chat("年假？", session)
    result = answer["tool_calls"][0]["result"]
    assert "第 3 页" not in result and "总则" in result
    assert {source["page"] for source in answer["sources"]} <= {1, 2}
    path.write_text(kept.replace(PAGES[2], "").replace(PAGES[0], f"{PAGES[2]}{PAGES[0]}"), encoding="utf-8")
    answer = server.chat("年假？", session)
    assert answer["sources"][0]["quote"] in PAGES[2] and answer["sources"][0]["page"] == 1
    assert answer["sources"][0]["start"] == PAGES[2].index(answer["sources"][0]["quote"])
    path.unlink()
    answer = server.chat("年假？", session)
    assert "员工手册.pdf，" not in answer["tool_calls"][0]["result"] and answer["sources"] == []
    assert answer["response"] == "年假十五天，而且。未休的折算为工资；另见。"


def test_each_sentence_gets_its_own_quote(server: Server, scripted: Upstream, session: str) -> None:
    def reply(request: Request) -> Answer | None:
        if request.messages[-1]["role"] != "tool":
            return searching(request)
        found = dict(re.findall(r"\[(\d)\] 员工手册.pdf，第 (\d) 页", request.messages[-1]["content"]))
        number = {page: n for n, page in found.items()}
        return f"上班时间为上午九点 [{number['2']}]。未休的年假可以折成工资 [{number['3']}]。"

    scripted.on(reply)
    first, second = server.chat("几点上班？", session)["sources"]
    assert (first["page"], first["quote"]) == (2, "员工每日工作八小时，上午九点上班。")
    assert (second["page"], second["quote"]) == (3, "未休的年假折算为工资。")
    extracted = "\n\n".join(PAGES)
    for source in (first, second):
        assert extracted[source["start"] : source["end"]] == source["quote"]


def test_the_pieces_are_cut_where_it_hurts() -> None:
    places = [len("".join(PIECES[:count])) for count in range(len(PIECES) + 1)]
    whole = "".join(PIECES)
    cuts: Sequence[str] = [whole[start:end] for start, end in pairwise(places)]
    assert "[" in cuts and "]" in cuts and INVENTED.search(whole)
