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
        "目录",
        "What is in these files?",
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
        "哪些文件提到年假？",
        "What documents are needed for a visa?",
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
        ("總結第2到3頁", (2, 3)),
        ("最后一页讲什么？", (-1, -1)),
        ("倒数第二页说了什么", (-2, -2)),
        ("第3页到最后一页的摘要", (3, -1)),
        ("What is on the last page?", (-1, -1)),
        ("summarise the last three pages", (-3, -1)),
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
        ("员工手册和合同A对年假的规定有什么不同", "年假的规定", ("员工手册.pdf", "合同A.pdf")),
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


@pytest.mark.parametrize(
    ("question", "topic"),
    [
        ("员工手册里年假有几天？", "年假有几天"),
        ("根据员工手册，年假有几天？", "年假有几天"),
        ("員工手冊裡年假有幾天？", "年假有幾天"),
        ("《员工手册》里年假有几天？", "年假有几天"),
    ],
)
def test_a_name_without_its_extension_narrows_a_search_where_something_stands_in_it(question: str, topic: str) -> None:
    wish = understood(question, KNOWN)
    assert (wish.kind, wish.topic, wish.documents) == ("search", topic, ("员工手册.pdf",))
    english = understood("What is the notice period in the contract b?", KNOWN)
    assert (english.topic, english.documents) == ("What is the notice period", ("Contract B.docx",))


def test_a_name_that_is_an_ordinary_word_does_not_narrow_a_search() -> None:
    assert understood("员工手册年假有几天？", KNOWN).documents == ()
    assert understood("How much annual leave is there?", ["leave.pdf"]).documents == ()


@pytest.mark.parametrize(
    ("question", "known", "topic"),
    [
        ("比较管理制度2025.pdf和管理制度2026.pdf的年假", ["管理制度2025.pdf", "管理制度2026.pdf"], "年假"),
        ("2025版和2026版管理制度在年假方面有什么不同？", ["管理制度2025.pdf", "管理制度2026.pdf"], "年假"),
        ("新旧办法的报销规定有什么不同？", ["新办法.pdf", "旧办法.pdf"], "报销规定"),
        ("新舊辦法的報銷規定有什麼不同？", ["新办法.pdf", "旧办法.pdf"], "報銷規定"),
        ("新办法和旧办法的和解协议有何不同", ["新办法.pdf", "旧办法.pdf"], "和解协议"),
        ("Compare annual leave in the two documents.", ["old.pdf", "new.pdf"], "annual leave"),
        ("What is the difference between old and new about sick pay?", ["old.pdf", "new.pdf"], "sick pay"),
        ("How do old.pdf and new.pdf differ on sick pay?", ["old.pdf", "new.pdf"], "sick pay"),
        ("How do the 2025 and 2026 rules differ on leave?", ["Rules 2025.pdf", "Rules 2026.pdf"], "leave"),
    ],
)
def test_documents_to_compare_are_found_however_they_are_named(question: str, known: list[str], topic: str) -> None:
    wish = understood(question, known)
    assert (wish.kind, wish.topic, sorted(wish.documents)) == ("compare", topic, sorted(known))


def test_names_that_are_not_known_are_parted_too() -> None:
    assert understood("手册2025.pdf和手册2026.pdf的年假", []).documents == ("手册2025.pdf", "手册2026.pdf")
    assert understood("和平協議.pdf 何時簽訂", []).documents == ("和平協議.pdf",)


def test_two_documents_are_not_chosen_from_three() -> None:
    assert understood("比较这两份文件的付款期限", KNOWN).documents == ()


@pytest.mark.parametrize(
    ("question", "known", "documents"),
    [
        ("管理制度第9页写了什么", ["管理制度2025.pdf", "手册.md"], ("管理制度2025.pdf",)),
        ("管理制度第9页写了什么", ["管理制度2025.pdf", "管理制度2026.pdf"], ("管理制度",)),
        ("总结员工手册第3到5页", KNOWN, ("员工手册.pdf",)),
        ("第9页的管理制度", ["管理制度2025.pdf"], ()),
    ],
)
def test_a_part_of_a_name_before_pages_names_the_document(
    question: str, known: list[str], documents: tuple[str, ...]
) -> None:
    assert understood(question, known).documents == documents


@pytest.mark.parametrize(
    "question", ["知识库里有哪些文件？", "有什么文档", "列出所有文件", "which files are there?", "List the documents"]
)
def test_a_question_for_the_names_of_documents_is_one(question: str) -> None:
    assert understood(question, KNOWN).kind == "list"


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("你好", "greeting"),
        ("您好！", "greeting"),
        ("hello", "greeting"),
        ("Hi there!", "greeting"),
        ("What can you do?", "greeting"),
        ("谢谢", "thanks"),
        ("好的，谢谢你！", "thanks"),
        ("thanks a lot", "thanks"),
        ("謝謝", "thanks"),
    ],
)
def test_small_talk_is_no_question(question: str, kind: str) -> None:
    assert understood(question, KNOWN).kind == kind


@pytest.mark.parametrize(
    ("question", "topic"),
    [
        ("What is the term in Lease.pdf?", "What is the term"),
        ("What does Lease.pdf say about payment?", "payment"),
        ("Lease.pdf 的付款期限是多久？", "付款期限是多久"),
        ("总结 Lease.pdf 的付款条款", "付款条款"),
    ],
)
def test_what_is_left_of_a_question_without_names_can_be_read(question: str, topic: str) -> None:
    wish = understood(question, ["Lease.pdf"])
    assert (wish.kind, wish.topic, wish.documents) == ("search", topic, ("Lease.pdf",))


def test_a_name_inside_another_one_is_not_found() -> None:
    assert understood("旧员工手册.pdf 的年假规定", ["旧员工手册.pdf", "员工手册.pdf"]).documents == ("旧员工手册.pdf",)


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("年假和病假分别有几天？", ["年假有几天", "病假有几天"]),
        ("北京、上海和广州分别有多少人？", ["北京有多少人", "上海有多少人", "广州有多少人"]),
        ("谁负责华东地区，预算是多少？", ["谁负责华东地区", "预算是多少"]),
        ("年假要提前多久申请？病假需要什么？报销期限？", ["年假要提前多久申请", "病假需要什么", "报销期限"]),
        ("谁签的？何时签的？年假有几天？", ["谁签的", "何时签的", "年假有几天"]),
        ("The notice period? The warranty? Who signed?", ["The notice period", "The warranty", "Who signed"]),
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
