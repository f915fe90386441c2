"""Which passages an answer rests on, and which of their words support it."""

import pytest

from models.events import Source
from models.passages import Passage
from services.citation_markers import Citation, MarkerFilter
from services.citations import QUOTE_CHARS, claim_at, sources_of

HANDBOOK = (
    "员工入职满一年后，每年享有十天带薪年假。工作满十年的，每年享有十五天。年假应当提前两周申请，由部门经理批准。\n\n"
    "差旅费用应当在出差结束后三十天内报销。住宿标准为每晚五百元，超出部分由个人承担。发票抬头必须是公司全称。"
)
ROCKETS = (
    "The Saturn V rocket produced 7.5 million pounds of thrust. An electrical fire broke out in the cabin of Apollo 1 "
    "during a test on January 27, 1967. The Apollo program landed the first humans on the Moon in 1969, after eight years "
    "of work."
)
TABLE = (
    "| 型号 | 重量 | 价格 |\n| --- | --- | --- |\n| A-1 | 20 kg | 300 元 |\n"
    "| B-2 | 35 kg | 480 元 |\n| C-3 | 50 kg | 990 元 |"
)
OFFSET = 1_000


def passage(text: str, quote: str = "", page: int | None = 3, start: int = OFFSET, id: str = "doc_1") -> Passage:
    return Passage(id, "报告.pdf", page, text, quote, start, start + len(text), 0.9)


def cited(answer: str, *passages: Passage, question: str = "") -> tuple[Source, ...]:
    """The sources of an answer that was checked whole."""
    checking = MarkerFilter(passages)
    found, rest = checking.feed(answer), checking.end()
    behind = (Citation(number, len(found.text) + start) for number, start in rest.citations)
    return sources_of(found.text + rest.text, [*found.citations, *behind], passages, question)


@pytest.mark.parametrize(
    ("answer", "text", "quote"),
    [
        ("工作满十年的员工有十五天 [1]。", HANDBOOK, "工作满十年的，每年享有十五天。"),
        ("年假要提前两周申请 [1]。", HANDBOOK, "年假应当提前两周申请，由部门经理批准。"),
        ("住宿每晚不超过五百元。[1]", HANDBOOK, "住宿标准为每晚五百元，超出部分由个人承担。"),
        ("發票抬頭必須是公司全稱 [1]。", HANDBOOK, "发票抬头必须是公司全称。"),
        ("- **报销**：出差结束后三十天内 [1]\n- 其他", HANDBOOK, "差旅费用应当在出差结束后三十天内报销。"),
        ("A fire broke out in the cabin in 1967 [1].", ROCKETS, "An electrical fire broke out in the cabin of Apollo 1"),
        ("It made 7.5 million pounds of thrust. [1] Next.", ROCKETS, "The Saturn V rocket produced 7.5 million pounds"),
        ("土星五号的推力为 7.5 百万磅 [1]。", ROCKETS, "The Saturn V rocket produced 7.5 million pounds"),
        ("人类于 1969 年首次登月 [1]。", ROCKETS, "The Apollo program landed the first humans on the Moon in 1969"),
        ("B-2 重 35 kg [1]。", TABLE, "| B-2 | 35 kg | 480 元 |"),
        ("年假须经批准。\n\n[1]", HANDBOOK, "年假应当提前两周申请，由部门经理批准。"),
        ("> 住宿标准为每晚五百元，\n> 超出部分由个人承担。\n>\n> — 报告.pdf，第 3 页 [1]", HANDBOOK, "住宿标准为每晚五百元"),
    ],
)
def test_the_quote_is_what_supports_the_sentence_that_cites_it(answer: str, text: str, quote: str) -> None:
    [source] = cited(answer, passage(text, text[:12]))
    assert source.quote.startswith(quote) and len(source.quote) < len(quote) + 80
    assert source.start is not None and source.end is not None
    assert text[source.start - OFFSET : source.end - OFFSET] == source.quote
    assert (source.number, source.cited, source.page) == (1, True, 3)


PLAN = (
    "项目计划\n\n系统预计十月一日上线，如测试未通过，上线日期可能推迟到十月二十日。\n\n"
    + "各组应当按时提交周报，逾期通报。" * 30
    + "\n\n项目办公室 · 内部资料"
)
SCHEDULE = (
    "The plan\n\nThe launch is set for 1 October and may be put off until 20 October.\n\n"
    + "Every team hands in its report on Friday. " * 20
    + "\n\nProject office, internal"
)


@pytest.mark.parametrize(
    ("text", "question", "quote"),
    [
        (PLAN, "上线日期可能推迟到哪天？", "如测试未通过，上线日期可能推迟到十月二十日。"),
        (SCHEDULE, "Until when may the launch be put off?", "may be put off until 20 October."),
    ],
)
@pytest.mark.parametrize(
    "end", ["\n>\n> — 报告.pdf，第 3 页 [1]", "\n\n— 报告.pdf, page 3 [1]", "\n\n来源：报告.pdf [1]", "\n> [1]"]
)
def test_of_a_long_quotation_the_part_that_answers_is_quoted_and_not_its_last_line(
    text: str, question: str, quote: str, end: str
) -> None:
    quotation = "\n".join(f"> {line}".rstrip() for line in text.splitlines())
    [source] = cited(f"原文：\n\n{quotation}{end}", passage(text), question=question)
    assert source.quote.endswith(quote) and len(source.quote) < len(quote) + 40
    [source] = cited(f"原文：\n\n{quotation}{end}", passage(text))
    assert source.quote.startswith(text[:4]) and "内部资料" not in source.quote and "internal" not in source.quote


def test_a_quotation_of_several_places_is_quoted_from_the_first_to_the_last() -> None:
    text = f"{TABLE}\n\n以上价格含税。"
    quotation = "> | 型号 | 重量 | 价格 |\n> | --- | --- | --- |\n> | C-3 | 50 kg | 990 元 |\n>\n> — 报告.pdf，第 3 页 [1]"
    [source] = cited(quotation, passage(text), question="C-3 多少钱？")
    assert source.quote == TABLE
    long = text.replace("| A-1", "| D-4 | 1 kg | 10 元 |\n" * 40 + "| A-1")
    [source] = cited(quotation, passage(long), question="C-3 多少钱？")
    assert source.quote == "| C-3 | 50 kg | 990 元 |"


def test_a_title_is_no_part_of_the_sentence_below_it() -> None:
    [source] = cited("满五年有十天假 [1]。", passage("员工手册\n休假\n工作满五年的员工每年有十天假。"))
    assert source.quote == "工作满五年的员工每年有十天假。"


@pytest.mark.parametrize(
    ("text", "answer", "quote"),
    [
        ("菜谱如下。\n\n[图片文字：\n烤箱预热 45 分钟]\n\n完", "烤箱要预热 45 分钟 [1]。", "烤箱预热 45 分钟"),
        ("[图片：一张柱状图。\n图中文字：\n一月 12\n二月 15]", "二月为 15 [1]。", "二月 15"),
        ("See below.\n\n[Picture text:\nBake it for 45 minutes]", "Bake for 45 minutes [1].", "Bake it for 45 minutes"),
    ],
)
def test_the_quote_of_a_picture_is_the_text_in_it(text: str, answer: str, quote: str) -> None:
    [source] = cited(answer, passage(text))
    assert source.quote == quote
    [source] = cited("Yes [1].", passage(text, text[text.index("[") :]))
    assert source.quote.count("[") == source.quote.count("]") == 0 and not source.quote.startswith(("图片", "Picture"))


def test_a_claim_of_two_sentences_gets_both() -> None:
    [source] = cited("满一年有十天带薪年假，工作满十年的有十五天 [1]。", passage(HANDBOOK, "发票"))
    assert source.quote == "员工入职满一年后，每年享有十天带薪年假。工作满十年的，每年享有十五天。"


def test_two_markers_in_a_sentence_have_a_part_of_it_each() -> None:
    other = passage("去年的住宿标准为每晚四百元。交通费实报实销。", "", 9, 5_000, "doc_2")
    first, second = cited("住宿每晚五百元 [1]，交通费实报实销 [2]。", passage(HANDBOOK), other)
    assert first.quote.startswith("住宿标准为每晚五百元") and second.quote == "交通费实报实销。"


def test_of_several_citations_of_a_passage_the_best_is_quoted() -> None:
    [source] = cited("规定见手册 [1]。发票抬头必须是公司全称 [1]。", passage(HANDBOOK, "员工"))
    assert source.quote == "发票抬头必须是公司全称。"


def test_without_anything_in_common_the_quote_is_what_fits_the_question() -> None:
    [source] = cited("Yes, exactly so [1].", passage(HANDBOOK, "年假应当提前两周申请"))
    assert source.quote == "年假应当提前两周申请"
    [source] = cited("Yes, exactly so [1].", passage("字" * 900, "不在其中"))
    assert source.quote == "字" * QUOTE_CHARS


def test_a_quote_is_never_long() -> None:
    long = "，".join(f"第{number}项费用为{number}百元" for number in range(300)) + "。" + "words without an end " * 200
    [source] = cited("第77项费用为77百元 [1]。", passage(long, "第1项"))
    assert "第77项费用为77百元" in source.quote and len(source.quote) <= QUOTE_CHARS


def test_sources_come_in_the_order_of_the_answer_with_the_numbers_of_their_markers() -> None:
    passages = [passage(f"第{n}页", f"第{n}页", n, n * 10) for n in range(1, 8)]
    sources = cited("利润增长 [3]，成本下降 [1][3]，另见 [99] 与 [0]。", *passages)
    assert [(source.number, source.page, source.cited) for source in sources] == [(3, 3, True), (1, 1, True)]


def test_a_passage_whose_place_is_not_known_has_no_offsets() -> None:
    [source] = cited("第一段 [1]。", Passage("doc_1", "报告.pdf", 1, "第一段。", "第一段", 0, 0, 1.0))
    assert (source.quote, source.start, source.end) == ("第一段。", None, None)


def test_an_answer_without_markers_names_what_it_was_given() -> None:
    passages = [passage(f"第{n}页", f"第{n}页", n, n * 10) for n in (1, 1, 2, 3, 4, 5, 6)]
    sources = sources_of("没有标注", [], passages)
    assert [(source.page, source.cited, source.number) for source in sources] == [(n, False, None) for n in range(1, 6)]
    assert sources[0].quote == "第1页" and sources_of("没有资料", [], []) == ()


def test_a_claim_is_a_sentence_and_the_part_before_its_marker() -> None:
    text = "甲为一 [1]，乙为二 [2]。丙为三。[3] Done. [4] More."
    places = [text.index(f"[{number}]") for number in range(1, 5)]
    assert [claim_at(text, place).clause.strip("， ") for place in places] == ["甲为一", "乙为二", "丙为三。", "Done."]
    assert claim_at(text, places[1]).sentence == "甲为一 ，乙为二 。"
    assert claim_at("[1] 说利润增长。", 0).sentence == " 说利润增长。"
