"""What is understood of a question without a language model."""

import pytest

from models.questions import split, understood

KNOWN = ["员工手册.pdf", "合同A.pdf", "Contract B.docx"]


@pytest.mark.parametrize(
    "question",
    [
        "这份文件讲什么",
        "总结一下",
        "请总结这份文档",
        "这份报告的主要内容是什么？",
        "What is this document about?",
        "summarise the file",
        "Give me a short overview, please",
        "tl;dr",
    ],
)
def test_a_question_for_the_whole_has_no_topic(question: str) -> None:
    wish = understood(question, KNOWN)
    assert (wish.kind, wish.topic, wish.documents) == ("about", "", ())


@pytest.mark.parametrize(
    "question",
    [
        "请总结付款条款",
        "tell me about annual leave",
        "年假有几天？",
        "比较高的费用有哪些？",
        "What is the population of Leeds?",
        "你好",
        "hello",
    ],
)
def test_any_other_question_is_searched_as_it_is(question: str) -> None:
    wish = understood(question, KNOWN)
    assert (wish.kind, wish.topic, wish.documents, wish.parts) == ("search", question, (), ())


@pytest.mark.parametrize(
    ("question", "pages"),
    [
        ("总结第3到5页", (3, 5)),
        ("第3页至第5页讲了什么", (3, 5)),
        ("概括 3-5 页", (3, 5)),
        ("第三页到第十二页说了什么", (3, 12)),
        ("第二十一页写了什么", (21, 21)),
        ("前两页的摘要", (1, 2)),
        ("summarise pages 3–5", (3, 5)),
        ("Summarize pages 3 to 5, please", (3, 5)),
        ("summary of pp. 10-12", (10, 12)),
        ("What is on page 7?", (7, 7)),
        ("summarise the first three pages", (1, 3)),
        ("第 7 页写了什么？", (7, 7)),
    ],
)
def test_pages_are_recognised(question: str, pages: tuple[int, int]) -> None:
    wish = understood(question, KNOWN)
    assert (wish.kind, wish.topic, wish.pages) == ("pages", "", pages)


def test_a_question_about_pages_keeps_its_topic_and_document() -> None:
    wish = understood("《员工手册》第12页的付款期限是多少", KNOWN)
    assert (wish.kind, wish.topic, wish.documents, wish.pages) == ("pages", "付款期限是多少", ("员工手册.pdf",), (12, 12))


@pytest.mark.parametrize(
    ("question", "topic", "documents"),
    [
        ("比较合同A.pdf和contract b.docx的付款期限", "付款期限", ("合同A.pdf", "Contract B.docx")),
        ("员工手册和合同A对年假的规定有什么不同", "对年假的规定有什么", ("员工手册.pdf", "合同A.pdf")),
        ("比较这三份文件的付款期限", "付款期限", tuple(KNOWN)),
        ("合同A.pdf、员工手册.pdf 的签订日期", "签订日期", ("合同A.pdf", "员工手册.pdf")),
    ],
)
def test_documents_to_compare_are_named_in_the_order_of_the_question(
    question: str, topic: str, documents: tuple[str, ...]
) -> None:
    wish = understood(question, KNOWN)
    assert (wish.kind, wish.topic, wish.documents) == ("compare", topic, documents)


def test_a_comparison_without_a_topic_is_one_of_the_whole_documents() -> None:
    wish = understood("请比较员工手册.pdf和合同A.pdf", KNOWN)
    assert (wish.kind, wish.documents) == ("about", ("员工手册.pdf", "合同A.pdf"))


def test_a_name_that_is_an_ordinary_word_does_not_narrow_a_search() -> None:
    assert understood("员工手册里年假有几天？", KNOWN).documents == ()
    assert understood("《员工手册》里年假有几天？", KNOWN).documents == ("员工手册.pdf",)


def test_a_name_inside_another_one_is_not_found() -> None:
    assert understood("旧员工手册.pdf 的年假规定", ["旧员工手册.pdf", "员工手册.pdf"]).documents == ("旧员工手册.pdf",)


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("年假和病假分别有几天？", ["年假有几天", "病假有几天"]),
        ("北京、上海和广州分别有多少人？", ["北京有多少人", "上海有多少人", "广州有多少人"]),
        ("谁负责华东地区，预算是多少？", ["谁负责华东地区", "预算是多少"]),
        ("我入职三年了。年假有几天？病假工资怎么算？", ["年假有几天", "病假工资怎么算"]),
        (
            "What is the notice period, and who signed the contract?",
            ["What is the notice period", "who signed the contract"],
        ),
        ("What is X100 and how many people does Acme employ?", ["What is X100", "how many people does Acme employ"]),
        ("What are the term and the warranty respectively?", ["What are the term", "What are the warranty"]),
    ],
)
def test_a_compound_question_is_split(question: str, parts: list[str]) -> None:
    assert split(question) == parts
    assert understood(question, KNOWN).parts == tuple(parts)


@pytest.mark.parametrize(
    "question",
    [
        "年假有几天？",
        "研发和销售部门的预算是多少？",
        "和解协议何时签订？",
        "What is the role of supply and demand?",
        "Who are Smith and Jones?",
        "我入职三年了，年假有几天？",
    ],
)
def test_a_simple_question_is_not_split(question: str) -> None:
    assert split(question) == []


def test_of_many_parts_four_are_searched() -> None:
    assert len(split("甲组有谁？乙组有谁？丙组有谁？丁组有谁？戊组有谁？")) == 4
