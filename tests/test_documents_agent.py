"""The agent and its tools for documents over HTTP, with a scripted model and without any; a real worker reads the files."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.documents import chinese_pdf, docx, english_pdf
from fakes.replies import tool_call
from fakes.upstream import Upstream
from fixtures.server import Server
from models.prompts import WEAK

RULES = [
    "第一章 总则。本手册适用于全体员工。",
    "第二章 考勤。员工每日工作八小时，上午九点上班。",
    "第三章 年假。入职满三年的员工每年享有十五天带薪年假。",
    "第四章 病假。病假须在三日内提交医院证明。",
    "第五章 报销。差旅费用应在返回后十个工作日内报销。",
    "第六章 保密。员工不得向外人透露客户名单。",
]
LEASE = [
    "Lease of the warehouse in Leeds between Acme Ltd and Mr Brown.",
    "Payment is due within thirty days after the invoice has been received.",
    "The warranty covers the roof for five years.",
]
ORDER = [
    "Purchase order 77 for forty office chairs.",
    "The payment is to be made within sixty days.",
    "Delivery is free.",
]


def fill(server: Server) -> str:
    """A session with three documents that are ready."""
    session = f"agent:{uuid.uuid4()}"
    files = [
        ("file", ("员工手册.pdf", chinese_pdf(RULES))),
        ("file", ("Lease.pdf", english_pdf(LEASE))),
        ("file", ("Order.docx", docx(ORDER))),
    ]
    for document in server.api.post("documents", data={"session_id": session}, files=files).json()["documents"]:
        with server.api.stream("GET", f"documents/{document['id']}/events") as response:
            states = [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line.startswith("data: ")]
        assert states[-1]["status"] == "ready", states[-1]
    return session


@pytest.fixture(scope="module")
def offline_session(offline_server: Server) -> str:
    return fill(offline_server)


@pytest.fixture(scope="module")
def model_session(_shared_server: Server) -> str:
    return fill(_shared_server)


@pytest.fixture
def asked(server: Server, scripted: Upstream, model_session: str) -> Iterator[Any]:
    """Has the model call a tool, then answer with `[1]`; gives the events of the turn."""

    def ask(tool: str, args: dict[str, Any], message: str = "问题", answer: str = "如此 [1]。") -> list[dict[str, Any]]:
        scripted.reply(tool_call(tool, args))
        scripted.reply(answer)
        return server.events("chat", json={"message": message, "session_id": model_session, "stream": True})

    yield ask
    server.api.post("clear_current_chat_history", json={"session_id": model_session})


def data(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(event["data"] for event in events if event["type"] == kind)
    return found


def pages(sources: list[dict[str, Any]]) -> list[tuple[str, int | None]]:
    return [(source["filename"], source["page"]) for source in sources]


def test_several_queries_are_searched_at_once(asked) -> None:
    queries = ["带薪年假有几天", "病假要提交什么"]
    events = asked("search_documents", {"query": "年假和病假", "queries": queries}, answer="十五天 [1]，证明 [2]。")
    kinds = [event["type"] for event in events]
    assert kinds == ["start", "tool_call", "tool_result", *["chunk"] * kinds.count("chunk"), "sources", "end"]
    assert data(events, "tool_call")["args"]["queries"] == queries
    result = data(events, "tool_result")
    assert result["status"] == "ok"
    assert {("员工手册.pdf", 3), ("员工手册.pdf", 4)} == set(pages(data(events, "sources")["sources"])[:2])


def test_named_documents_are_searched_side_by_side(asked) -> None:
    events = asked(
        "search_documents", {"query": "payment term", "documents": ["lease", "ORDER.docx"]}, "Compare.", "Thirty [1], sixty."
    )
    result = data(events, "tool_result")["result"]
    assert "thirty days" in result and "sixty days" in result and "员工手册" not in result
    assert result.index("Lease.pdf") < result.index("Order.docx")
    assert pages(data(events, "sources")["sources"]) == [("Lease.pdf", 2)]


def test_documents_are_described(asked) -> None:
    result = data(asked("describe_documents", {}), "tool_result")["result"]
    assert "员工手册.pdf（共 6 页）\n" in result and "Order.docx\n" in result
    assert RULES[0] in result and ORDER[0] in result  # the scripted model repeats what it is to summarise


def test_pages_are_read_and_cited(asked) -> None:
    events = asked("read_document", {"document": "员工手册", "first_page": 3, "last_page": 5}, answer="见 [2] 和 [1]。")
    result = data(events, "tool_result")["result"]
    assert result.startswith("员工手册.pdf：第 3 至 5 页，共 6 页。\n\n[1] 员工手册.pdf，第 3 页\n" + RULES[2])
    assert RULES[4] in result and RULES[5] not in result
    sources = data(events, "sources")["sources"]
    assert pages(sources) == [("员工手册.pdf", 4), ("员工手册.pdf", 3)]
    assert sources[0]["quote"] in RULES[3]


def test_parts_of_a_document_without_pages_are_read(asked) -> None:
    events = asked("read_document", {"document": "Order"}, "Read the order.")
    assert "Order.docx has no pages: part 1 of 1." in data(events, "tool_result")["result"]
    assert pages(data(events, "sources")["sources"]) == [("Order.docx", None)]


def test_a_model_is_told_that_nothing_fits(asked, scripted: Upstream) -> None:
    events = asked("search_documents", {"query": "How far is Mars from the Sun?"}, "Mars?", "The documents do not say.")
    assert data(events, "tool_result")["result"].startswith(WEAK["en"])
    assert "[1] " in data(events, "tool_result")["result"]  # the nearest ones are shown, and may be cited
    assert events[-1]["data"]["sources"] == []
    cited = asked("search_documents", {"query": "How far is Mars from the Sun?"}, "Mars?", "As [1] says.")
    assert [source["cited"] for source in data(cited, "sources")["sources"]] == [True]


def test_a_name_that_there_is_not_is_answered_with_the_names(asked) -> None:
    result = data(asked("read_document", {"document": "合同.pdf", "first_page": 1}), "tool_result")
    assert (
        result["status"] == "ok" and "没有名为 “合同.pdf” 的文档" in result["result"] and "- Lease.pdf" in result["result"]
    )


@pytest.mark.parametrize(
    ("question", "words"), [("年假呢？", "本次对话的文档："), ("And leave?", "Documents of this conversation:")]
)
def test_the_prompt_names_the_documents_in_the_language_of_the_question(
    server: Server, scripted: Upstream, model_session: str, question: str, words: str
) -> None:
    scripted.reply("?")
    server.chat(question, model_session)
    assert f"{words}\n- 员工手册.pdf\n- Lease.pdf\n- Order.docx" in scripted.requests[-1].messages[0]["content"]
    assert {"search_documents", "read_document", "describe_documents"} <= set(scripted.requests[-1].tools)


def offline(server: Server, session: str, question: str) -> dict[str, Any]:
    answer = server.chat(question, session)
    server.api.post("clear_current_chat_history", json={"session_id": session})
    return answer


def test_without_a_model_each_part_of_a_question_is_answered(offline_server: Server, offline_session: str) -> None:
    answer = offline(offline_server, offline_session, "带薪年假有几天？病假须提交什么？")
    leave, illness = answer["response"].split("**")[2::2]
    assert "十五天带薪年假" in leave and "第 3 页" in leave and "医院证明" in illness and "第 4 页" in illness
    assert set(pages(answer["sources"])) == {("员工手册.pdf", 3), ("员工手册.pdf", 4)}
    english = offline(offline_server, offline_session, "When is payment due, and how long does the warranty cover the roof?")
    assert "thirty days" in english["response"] and "five years" in english["response"]


@pytest.mark.parametrize("question", ["这些文件讲什么？", "What are these documents about?"])
def test_without_a_model_the_summaries_are_told(offline_server: Server, offline_session: str, question: str) -> None:
    answer = offline(offline_server, offline_session, question)
    assert answer["tool_calls"][0]["name"] == "describe_documents"
    assert all(name in answer["response"] for name in ("员工手册.pdf", "Lease.pdf", "Order.docx", "Purchase order 77"))
    one = offline(offline_server, offline_session, "总结一下员工手册.pdf")
    assert "第一章 总则" in one["response"] and "Purchase" not in one["response"]


@pytest.mark.parametrize(
    ("question", "shown", "hidden", "cited"),
    [
        ("总结员工手册.pdf第3到5页", RULES[2:5], [RULES[1], RULES[5]], [3, 4, 5]),
        ("summarise pages 2–3 of Lease.pdf", LEASE[1:], LEASE[:1], [2, 3]),
        ("《员工手册》第 6 页写了什么", RULES[5:], RULES[:5], [6]),
    ],
)
def test_without_a_model_pages_are_shown(
    offline_server: Server, offline_session: str, question: str, shown: list[str], hidden: list[str], cited: list[int]
) -> None:
    answer = offline(offline_server, offline_session, question)
    assert all(text in answer["response"] for text in shown), answer["response"]
    assert not any(text in answer["response"] for text in hidden)
    assert [source["page"] for source in answer["sources"] if source["cited"]] == cited


@pytest.mark.parametrize(
    "question",
    ["比较 Lease.pdf 和 Order.docx 的 payment", "Compare Lease.pdf and Order.docx: within how many days is payment due?"],
)
def test_without_a_model_two_documents_are_compared(offline_server: Server, offline_session: str, question: str) -> None:
    answer = offline(offline_server, offline_session, question)
    assert "**Lease.pdf**" in answer["response"] and "**Order.docx**" in answer["response"]
    assert "thirty days" in answer["response"] and "sixty days" in answer["response"]
    assert {source["filename"] for source in answer["sources"]} == {"Lease.pdf", "Order.docx"}


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("珠穆朗玛峰的海拔是多少米？", "文档中没有找到相关内容"),
        ("How far is Mars from the Sun?", "The documents do not say"),
    ],
)
def test_without_a_model_it_is_said_that_the_documents_do_not_answer(
    offline_server: Server, offline_session: str, question: str, words: str
) -> None:
    answer = offline(offline_server, offline_session, question)
    assert words in answer["response"]
    assert "> " not in answer["response"] and "[1]" not in answer["response"]
    assert answer["sources"] == [] and answer["tool_calls"][0]["result"].startswith(tuple(WEAK.values()))


def long_page(topic: str) -> str:
    return "\n".join(f"{topic}事项由第{line}组在每月{line}日之前办理，并报主管部门备案。" for line in range(1, 31))


@pytest.fixture(scope="module")
def with_base(offline_server: Server) -> str:
    """A session without files of its own, and a knowledge base with two."""
    api = offline_server.api
    base, session = api.post("knowledge_bases", json={"name": "制度库"}).json()["id"], f"agent:{uuid.uuid4()}"
    files = [
        ("file", ("差旅制度.md", "# 差旅制度\n\n出差住宿标准为每晚四百元。".encode())),
        ("file", ("流程.pdf", chinese_pdf([long_page(topic) for topic in ("采购", "报销", "培训")]))),
    ]
    for document in api.post(f"knowledge_bases/{base}/documents", files=files).json()["documents"]:
        with api.stream("GET", f"documents/{document['id']}/events") as response:
            states = [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line.startswith("data: ")]
        assert states[-1]["status"] == "ready", states[-1]
    assert api.put(f"sessions/{session}/knowledge_bases/{base}").is_success
    return session


def test_documents_of_a_knowledge_base_are_searched_described_and_read_too(offline_server: Server, with_base: str) -> None:
    found = offline(offline_server, with_base, "出差住宿标准是多少？")
    assert "每晚四百元" in found["response"] and found["sources"][0]["filename"] == "差旅制度.md"
    alone = offline(offline_server, with_base, "差旅制度.md 规定的住宿标准是多少？")
    assert alone["tool_calls"][-1]["args"]["documents"] == ["差旅制度.md"] and "每晚四百元" in alone["response"]
    told = offline(offline_server, with_base, "这些文件讲什么？")
    assert "差旅制度.md" in told["response"] and "流程.pdf（共 3 页）" in told["response"]


def test_a_long_page_is_condensed_to_sentences_that_stand_on_it(offline_server: Server, with_base: str) -> None:
    answer = offline(offline_server, with_base, "总结 流程.pdf 第2到3页")
    said = [line.removeprefix("> ") for line in answer["response"].splitlines() if line.startswith("> ") and "—" not in line]
    sentences = [part for line in said for part in line.split("。") if part]
    page = long_page("报销") + long_page("培训")
    assert sentences and all(sentence in page.replace("\n", "") for sentence in sentences)
    assert len("".join(sentences)) < len(page) / 1.3
    assert [(source["page"], source["cited"]) for source in answer["sources"]] == [(2, True), (3, True)]
    assert all(source["quote"] in page for source in answer["sources"])


def upload(server: Server, path: str, *files: tuple[str, bytes], **data: str) -> list[str]:
    """Uploads files and waits until they are read; how each has ended."""
    ended = []
    for document in server.api.post(path, data=data, files=[("file", file) for file in files]).json()["documents"]:
        with server.api.stream("GET", f"documents/{document['id']}/events") as response:
            states = [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line.startswith("data: ")]
        ended.append(states[-1]["status"])
    return ended


@pytest.fixture(scope="module")
def with_copies(offline_server: Server) -> str:
    """A session with two versions of a rule, of which its knowledge base has one too, and a text."""
    api, session = offline_server.api, f"agent:{uuid.uuid4()}"
    base = api.post("knowledge_bases", json={"name": "旧规章"}).json()["id"]
    old, new = (
        ("管理制度2025.pdf", chinese_pdf(RULES[:4])),
        ("管理制度2026.pdf", chinese_pdf([*RULES[:2], "年假为二十天。", *RULES[3:]])),
    )
    text = ("手册.md", "# 手册\n\n租金为每月五千元，租期三年，到年底为止。".encode())
    assert upload(offline_server, "documents", old, new, text, session_id=session) == ["ready"] * 3
    assert upload(offline_server, f"knowledge_bases/{base}/documents", old, text) == ["ready"] * 2
    assert api.put(f"sessions/{session}/knowledge_bases/{base}").is_success
    return session


def test_which_document_is_asked_and_the_answer_goes_on(offline_server: Server, with_copies: str) -> None:
    which = offline_server.chat("总结第3到4页", with_copies)["response"]
    assert which == "请指明文档。\n- 管理制度2025.pdf（共 4 页）\n- 管理制度2026.pdf（共 6 页）"
    answer = offline(offline_server, with_copies, "管理制度2025.pdf")
    assert RULES[2] in answer["response"] and RULES[3] in answer["response"] and RULES[0] not in answer["response"]
    assert "管理制度2025.pdf：第 3 至 4 页，共 4 页。以下是" in answer["response"]
    last = offline(offline_server, with_copies, "管理制度2026最后一页讲什么？")
    assert RULES[5] in last["response"] and "管理制度2026.pdf：第 6 页，共 6 页。" in last["response"]
    assert RULES[4] in offline(offline_server, with_copies, "第5页写了什么")["response"]  # one document alone has five pages


def test_what_the_session_and_its_base_both_hold_is_quoted_once(offline_server: Server, with_copies: str) -> None:
    answer = offline(offline_server, with_copies, "月租多少钱？")
    assert answer["response"].count("租金为每月五千元") == 1
    assert len(answer["sources"]) == len({source["quote"] for source in answer["sources"]})


def test_versions_are_compared_however_they_are_named(offline_server: Server, with_copies: str) -> None:
    for question in ("比较管理制度2025.pdf和管理制度2026.pdf的年假", "2025版和2026版管理制度在年假方面有什么不同？"):
        answer = offline(offline_server, with_copies, question)
        first, second = answer["response"].split("**")[2::2]
        assert "十五天" in first and "二十天" in second, answer["response"]


@pytest.mark.parametrize(
    ("question", "words"), [("年假有几天？", "无法读取该文档：文件已损坏"), ("How much leave?", "the file is damaged")]
)
def test_a_session_whose_documents_have_failed_says_why(offline_server: Server, question: str, words: str) -> None:
    session = f"agent:{uuid.uuid4()}"
    assert upload(offline_server, "documents", ("坏.pdf", b"%PDF-1.4 broken"), session_id=session) == ["failed"]
    answer = offline(offline_server, session, question)["response"]
    assert f"坏.pdf{'：' if '年' in question else ': '}" in answer and words in answer
