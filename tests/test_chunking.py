"""Chunks: together the whole text, cut where a reader would cut, each with its page and its headings."""

import re
import time
import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.passages import TextChunk
from services.text.chunking import CHUNK_WIDTH, PASSAGE_WIDTH, chunk, extracted_text, passages
from services.text.cutting import sentences, width
from services.text.outlines import MARKED_CHARS
from utils.loaders import Page

ZH = "本合同自双方签字之日起生效。甲方应当在三十日内付款；乙方应当在收到款项后发货！逾期怎么办？按日支付违约金……"
EN = "The agreement takes effect when both parties sign it. Payment is due within 30 days! What if it is late? See Fig. 3. "


NO_LETTERS = re.compile(r"[\W\d_]")


def pages(*texts: str, numbered: bool = True) -> list[Page]:
    return [Page(number if numbered else None, text) for number, text in enumerate(texts, 1)]


def chunks_of(text: str) -> list[TextChunk]:
    return chunk(pages(text, numbered=False))


def left_out(given_pages: Sequence[Page]) -> list[tuple[str, int]]:
    """What lies between the chunks, each of which stands where it says, on one page; with its place in the document."""
    text, at, found = extracted_text(given_pages), 0, []
    for number, part in enumerate(chunk(given_pages)):
        assert part.index == number
        assert part.text == text[part.start : part.end] != ""
        assert any(part.page == page.number and part.text in page.text for page in given_pages)
        assert part.start >= at
        found.append((text[at : part.start], at))
        at = part.end
    return [*found, (text[at:], at)]


def assert_faithful(given_pages: Sequence[Page]) -> None:
    """Nothing is left out but what stands at an edge of an earlier page too."""
    text = extracted_text(given_pages)
    for between, place in left_out(given_pages):
        for line in between.split():  # pages are counted
            assert NO_LETTERS.sub("", line) in NO_LETTERS.sub("", text[:place]), "what is left out stands nowhere else"


LINES = st.sampled_from(
    [
        *("# 第一章 总则", "## Payment", "### 空", "", "", "| 名称 | 数量 |", "| 螺丝 | 12 |", "- 第一项", "1. One", "```"),
        *("x = 1  # 不是标题", ZH, EN, ZH * 30, EN * 20, "无标点" * 500, "a" * 3_000, "\u3000", "𠮷野家😀。"),
        *(
            "第三章 休假",
            "3.1 Results",
            "一、总则",
            "- 3 -",
            "~~~",
            "| --- | --- |",
            "名称\t数量",
            "1 螺丝 12 3.5",
            "（一）范围",
        ),
        "|" + "很长的单元格 " * 900 + "|",
    ]
)


@settings(deadline=None)
@given(st.lists(st.lists(LINES, max_size=12).map("\n".join), max_size=4))
def test_chunks_of_any_text_hold_all_of_it_at_the_right_place(texts: list[str]) -> None:
    given_pages = pages(*texts)
    assert_faithful(given_pages)
    for part in chunk(given_pages):
        joined = [part.text[span.start : span.end] for span in passages(part.text)]
        assert "".join("".join(joined).split()) == "".join(part.text.split())
        assert all(width(passage) <= PASSAGE_WIDTH + 1 for passage in joined)


EDGES = st.sampled_from(["", "工程规范", "第 {n} 页 共 9 页", "- {n} -", "# 标题", "| a | b |", "工程规范\n{n}"])


@settings(deadline=None)
@given(EDGES, EDGES, st.lists(st.lists(LINES, max_size=5).map("\n".join), min_size=3, max_size=7))
def test_of_what_comes_again_on_every_page_nothing_is_lost(top: str, bottom: str, texts: list[str]) -> None:
    assert_faithful(pages(*(f"{top}\n{text}\n{bottom}".replace("{n}", str(n)) for n, text in enumerate(texts, 1))))


SECTIONS = ["第三章 休假", "3.1 Results", "一、总则", "备件的 存放", "Scope"]
ENTRIES = st.builds(
    "{}{}{}".format, st.sampled_from(SECTIONS), st.sampled_from([" . . . . ", "……", "\t", " "]), st.integers(1, 6)
)


@settings(deadline=None)
@given(
    st.lists(ENTRIES | LINES, min_size=3, max_size=12),
    st.lists(st.lists(st.sampled_from([*SECTIONS, ZH, ""]), max_size=4), max_size=6),
)
def test_of_a_table_of_contents_nothing_is_left_out_but_what_has_dots_or_stands_elsewhere(
    table: list[str], texts: list[list[str]]
) -> None:
    given_pages = pages("\n".join(table), *map("\n".join, texts))
    text = extracted_text(given_pages)
    for between, place in left_out(given_pages):
        elsewhere = NO_LETTERS.sub("", text[:place] + text[place + len(between) :])
        for line in between.split("\n"):
            assert re.search(r"\. \.|……|\t", line) or NO_LETTERS.sub("", line) in elsewhere


def test_headers_and_footers_are_in_one_chunk_only() -> None:
    given_pages = pages(*(f"ACME 工程规范\n{n}号正文。{ZH * 9}\n第 {n} 页 共 30 页" for n in range(1, 31)))
    found = chunk(given_pages)
    assert sum("ACME" in part.text for part in found) == sum("共 30 页" in part.text for part in found) == 1
    assert {part.page for part in found if "号正文" in part.text} == set(range(1, 31))


def test_text_without_a_place_to_cut_is_cut_by_its_width() -> None:
    text = "无标点" * 300 + "a" * 900  # wide characters, then narrow ones
    found = passages(text)
    assert "".join(text[span.start : span.end] for span in found) == text
    assert max(width(text[span.start : span.end]) for span in found) == PASSAGE_WIDTH


def test_blank_code_is_no_chunk() -> None:
    parts = chunks_of("```\n" + "x = 1\n" * 300 + "\u3000")
    assert all(part.text.strip() for part in parts)


@settings(deadline=None)
@given(st.text(alphabet="#|`-。.!？ \n\u3000章a1", max_size=300))
def test_no_text_breaks_the_rules(text: str) -> None:
    assert_faithful(pages(text, text))


def test_no_chunk_crosses_a_page() -> None:
    given_pages = pages("第一页的结尾没有句号", "接着说。" * 3, "", "第四页。")
    assert [(part.page, part.text) for part in chunk(given_pages)] == [
        (1, "第一页的结尾没有句号"),
        (2, "接着说。" * 3),
        (4, "第四页。"),
    ]


def test_a_format_without_pages_has_chunks_without_pages() -> None:
    assert [part.page for part in chunks_of("一段文字。")] == [None]


@pytest.mark.parametrize("text", [ZH * 40, EN * 40], ids=["zh", "en"])
def test_long_text_is_cut_behind_sentences_into_parts_of_about_one_size(text: str) -> None:
    parts = chunks_of(text)
    widths = [width(part.text) for part in parts]
    assert len(parts) >= 3
    assert max(widths) <= CHUNK_WIDTH and min(widths) > CHUNK_WIDTH / 2
    assert all(part.text.endswith(("。", "；", "！", "？", "……", ".", "!", "?")) for part in parts)


def test_chinese_and_latin_chunks_say_about_as_much() -> None:
    assert width("合同") == 2 * width("ab") == 4
    assert len(chunks_of(EN * 60)[0].text) > 1.5 * len(chunks_of(ZH * 60)[0].text)


def test_text_without_any_mark_is_still_cut() -> None:
    assert max(width(part.text) for part in chunks_of("无标点" * 5_000)) <= CHUNK_WIDTH + 2
    assert max(width(part.text) for part in chunks_of("a" * 20_000)) <= CHUNK_WIDTH


def test_abbreviations_and_numbers_do_not_end_a_sentence() -> None:
    text = (
        "See Fig. 3 and Smith et al. 2020 for 3.14 percent. Dr. Wang of J. Smith Inc. Beijing agrees. 他说：“好！”走了。完"
    )
    assert [text[s.start : s.end] for s in sentences(text)] == [
        "See Fig. 3 and Smith et al. 2020 for 3.14 percent.",
        "Dr. Wang of J. Smith Inc. Beijing agrees.",
        "他说：“好！”",
        "走了。",
        "完",
    ]


def test_chunks_know_the_headings_above_them_and_start_with_their_own() -> None:
    text = f"# 员工手册\n\n## 假期\n\n{ZH * 8}\n\n### 年假\n\n{ZH * 8}\n\n## 报销\n\n{ZH * 8}"
    found = {part.heading: part.text for part in chunks_of(text)}
    assert list(found) == [("员工手册", "假期"), ("员工手册", "假期", "年假"), ("员工手册", "报销")]
    assert found[("员工手册", "报销")].startswith("## 报销\n")


@pytest.mark.parametrize(
    ("first", "is_title"),
    [
        ("王法慧", True),
        ("Annual Report 2024", True),
        ("这是一句话。", False),
        ("目录：", False),
        ("| a | b |", False),
        ("- 第一项", False),
        ("很长的第一行" * 20, False),
    ],
)
def test_a_first_line_that_looks_like_a_title_stands_above_all_chunks(first: str, is_title: bool) -> None:
    title = (first,) if is_title else ()
    found = chunk(pages("", f"\n{first}\n\n{ZH * 9}", f"# 第一章\n\n{ZH * 9}"))
    assert {part.heading for part in found if part.page == 2} == {title}
    assert {part.heading for part in found if part.page == 3} == {(*title, "第一章")}


@pytest.mark.parametrize(
    ("header", "title", "chapters"),
    [
        ("云岭科技有限公司 · 内部资料 · 严禁外传", "管理制度汇编", ["第7章 年假", "第8章 差旅", "第9章 报销"]),
        (
            "Yunling Ltd, for internal use",
            "Rules of the Company",
            ["Chapter 7: Leave", "Chapter 8: Travel", "Chapter 9: Money"],
        ),
        ("云岭科技 · 管理制度  {}", "管理制度汇编", ["第7章 年假", "第8章 差旅", "第9章 报销"]),
    ],
)
@pytest.mark.parametrize("count", [2, 3])
def test_a_line_that_runs_through_the_pages_is_not_the_title(
    header: str, title: str, chapters: list[str], count: int
) -> None:
    texts = [f"{header.format(n)}\n\n{chapter}\n{ZH * 9}" for n, chapter in enumerate(chapters[:count], 1)]
    assert [part.heading for part in chunk(pages(*texts))] == [(chapter,) for chapter in chapters[:count]]
    texts[0] = texts[0].replace("\n\n", f"\n\n{title}\n\n", 1)
    assert [part.heading for part in chunk(pages(*texts))] == [(title, chapter) for chapter in chapters[:count]]


@pytest.mark.parametrize(
    ("title", "header"), [("星河项目周报", "星河项目组 机密"), ("Weekly Report", "Galaxy, confidential")]
)
def test_what_stands_apart_is_a_chunk_below_no_heading(title: str, header: str) -> None:
    body, apart = chunk([Page(None, f"# {title}\n\n一、进展\n{ZH}"), Page(None, header, apart=True)])
    assert (body.heading, body.text.endswith(ZH)) == ((title, "一、进展"), True)
    assert (apart.heading, apart.text) == ((), header)
    (alone,) = chunk([Page(None, "", "empty"), Page(None, f"{header}\n{ZH}", apart=True)])
    assert alone.heading == ()


def test_a_text_of_one_line_has_no_title() -> None:
    assert chunks_of("王法慧")[0].heading == ()


def test_headings_go_on_over_pages() -> None:
    assert chunk(pages("# 第三章 安全\n\n正文。", "下一页的正文。"))[1].heading == ("第三章 安全",)


def test_small_sections_share_a_chunk_under_the_heading_above_both() -> None:
    (part,) = chunks_of("# 问答\n\n## 怎么退款？\n\n七天内可退。\n\n## 怎么换货？\n\n联系客服。")
    assert part.heading == ("问答",)


def test_no_chunk_ends_with_a_heading() -> None:
    text = "\n\n".join(f"## 第 {n} 节\n\n{ZH * 9}" for n in range(20))
    assert not any(part.text.splitlines()[-1].startswith("#") for part in chunks_of(text))


def test_headings_beyond_measure_neither_make_a_large_chunk_nor_stand_above_all_others_in_full() -> None:
    for text in ("\n\n".join(f"## 第 {n} 节" for n in range(3_000)), "# " + "标题 " * 3_000 + "\n\n## 甲\n\n正文"):
        parts = chunks_of(text)
        assert max(width(part.text) for part in parts) <= 2 * CHUNK_WIDTH
        assert max(len("".join(part.heading)) for part in parts) <= MARKED_CHARS + 1


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("| 名称 | 数量 | 说明 |", "| 零件{n} | {n} 件 | 用于第 {n} 号机器。备用件另计。 |"),
        ("名称\t数量\t说明", "零件{n}\t{n} 件\t用于第 {n} 号机器。备用件另计。"),
    ],
)
def test_rows_of_a_table_stay_whole_and_know_the_head_of_their_table(head: str, row: str) -> None:
    rows = [row.format(n=n) for n in range(200)]
    first, *others = chunks_of("\n".join(["库存如下。", "", head, *rows]))
    assert first.context == "" and head in first.text
    assert len(others) > 3
    assert {part.context for part in others} == {head}
    lines = [line for part in (first, *others) for line in part.text.splitlines()]
    assert [line for line in lines if "零件" in line] == rows
    assert all(span.end - span.start > 20 for part in others for span in passages(part.text))


HEADS = {
    "marked": "| 名称 | 数量 |\n| --- | --- |",
    "plain": "| 名称 | 数量 |",
    "two lines": "| 零件 | 数量 |  |\n| --- | --- | --- |\n|  | 一季度 | 二季度 |",
    "two lines without a mark": "| 零件 | 数量 | 数量 |\n| 名称 | 一季度 | 二季度 |",
    "tabs": "名称\t数量",
    "words": "序号 名称 数量 单价",
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_table_that_goes_on_over_pages_keeps_its_head(kind: str) -> None:
    head = HEADS[kind]
    cells = {"tabs": "零件{n}\t{n}", "words": "{n} 零件{n} {n}0 1.{n}", "two lines": "| 零件{n} | {n} | {n} |"}
    row = cells.get(kind.removesuffix(" without a mark"), "| 零件{n} | {n} |")
    rows = [row.format(n=n) for n in range(240)]
    tops = [f"库存如下：\n\n{head}", "", "", ""]
    parts = [(top + "\n" + "\n".join(rows[60 * n : 60 * n + 60])).strip("\n") for n, top in enumerate(tops)]
    found = [part for part in chunk(pages(*parts, "第二章 其他\n正文在此。")) if "零件" in part.text]
    assert len({part.page for part in found}) == 4
    assert [part.context for part in found if head not in part.text] == [head] * (len(found) - 1)
    assert "\n".join(part.text for part in found).splitlines()[-240:] == rows


@pytest.mark.parametrize(
    "second",
    ["## 出库\n\n| 甲 | 1 |", "出库如下：\n\n| 甲 | 1 |", "| 甲 | 1 | 2 |", "| 名称 | 价格 |\n| --- | --- |\n| 甲 | 1 |"],
    ids=["heading", "text", "more columns", "a head of its own"],
)
def test_another_table_on_the_next_page_has_not_the_head_of_the_first(second: str) -> None:
    found = chunk(pages("| 名称 | 数量 |\n| --- | --- |\n| 螺丝 | 12 |", second))
    assert [part.context for part in found] == ["", ""]


def test_a_head_that_is_printed_again_on_each_page_is_enough() -> None:
    rows = "\n".join(f"| 零件{n} | {n} |" for n in range(9))
    found = chunk(pages(*[f"| 名称 | 数量 |\n{rows}"] * 4))
    assert [(part.text.startswith("| 名称 | 数量 |"), part.context) for part in found] == [(True, "")] * 4


def test_a_first_row_of_data_is_no_second_line_of_the_head() -> None:
    rows = "\n".join(f"| 方案{n} | 便宜 |  |" for n in range(90))
    head = "|  | 优点 | 缺点 |\n| --- | --- | --- |"
    assert {part.context for part in chunks_of(f"{head}\n{rows}")[1:]} == {head}


def test_items_of_a_list_stay_whole_and_wide_ones_are_cut_behind_sentences() -> None:
    marks = ["- ", "（{n}）", "{n}. ", "• ", "① ", "{n}）", "(a) ", "第{n}条 "]
    items = [mark.format(n=n) + "须经两级审批。逾期不予受理。" * (n % 4 + 1) for n in range(1, 30) for mark in marks]
    assert [line for part in chunks_of("\n".join(items)) for line in part.text.splitlines()] == items
    wide = chunks_of("- " + ZH * 30)
    assert len(wide) > 1 and all(part.text.endswith(("。", "；", "！", "？", "……")) for part in wide)


def test_lines_that_are_no_sentences_stay_whole() -> None:
    lines = [f"const rate_{n} = compute(base, {n}); // applies. It is checked; see below!" for n in range(90)]
    assert [line for part in chunks_of("\n".join(lines)) for line in part.text.splitlines()] == lines


def test_sentences_whose_lines_are_joined_in_part_are_cut_behind_sentences() -> None:
    joined = "药房技术员负责日常管理，药剂师因此有时间专注于专业领域。他们也为病人提供咨询。" * 6
    broken = (
        "从而形成了药理\n学的基础，并概述了药房的作用和药剂师的职\n能。例如，他描述了蒸馏的方法，并指出了铜化合\n物的毒性。"
    )
    found = chunks_of("\n".join(f"{joined}{broken}" for _ in range(9)))
    assert len(found) > 3 and all(part.text.endswith("。") for part in found)


def test_code_goes_on_over_a_page() -> None:
    lines = [f"print({n})  # 注释。第二句。" for n in range(150)]
    first, second = "\n".join(lines[:70]), "\n".join(["# 不是标题", *lines[70:]])
    found = chunk(pages(f"# 说明\n\n```python\n{first}", f"{second}\n```\n# 结语\n\n{ZH * 9}"))
    assert {part.heading for part in found} == {("说明",), ("结语",)}
    assert [line for part in found for line in part.text.splitlines() if line.startswith("print")] == lines


def test_a_fence_that_is_never_closed_is_none() -> None:
    found = chunk(pages(f"闲谈。\n~~~ 哈哈 ~~~\n{ZH * 9}", f"# 第二章\n\n{ZH * 9}"))
    assert found[-1].heading == ("第二章",)


def test_lines_of_code_stay_whole_and_are_no_headings() -> None:
    lines = [f"total_{n} = compute(total_{n - 1}, rate=0.{n})  # 累计" for n in range(120)]
    parts = chunks_of("\n".join(["# 说明", "```python", "# 注释", *lines, "```"]))
    assert len(parts) > 1
    assert {part.heading for part in parts} == {("说明",)}
    assert [line for part in parts for line in part.text.splitlines()][3:-1] == lines


def test_a_row_beyond_measure_is_cut_nevertheless() -> None:
    parts = chunks_of("| " + "单元格 " * 10_000 + "|")
    assert len(parts) > 10
    assert max(width(part.text) for part in parts) <= CHUNK_WIDTH


def test_many_pages_take_little_more_memory_than_their_chunks() -> None:
    line = "行：采购须经两级审批，逾期不予受理。The contractor reports."
    given_pages = pages(*("\n".join(f"第{page}页第{n}{line}" for n in range(40)) for page in range(300)))
    chars = sum(len(page.text) for page in given_pages)
    tracemalloc.start()
    try:
        assert sum(len(part.text) for part in chunk(given_pages)) > 0.95 * chars
        assert tracemalloc.get_traced_memory()[1] < 4 * chars  # two bytes of a character are those of the chunks
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("texts", [[], [""], ["  \n\u3000\n"]])
def test_a_blank_document_has_no_chunks(texts: list[str]) -> None:
    assert chunk(pages(*texts)) == []


HOSTILE = [
    "!" * 300_000,
    "\n " * 300_000,
    "a" + " " * 500_000 + "b",
    "。" + "”" * 300_000,
    "|" * 300_000 + "x",
    "#" * 300_000,
    "```\n~~~ x\n" * 20_000,
    "1\n" * 50_000,
    "1.1 A\n" * 30_000,
    "第" + "一" * 300_000 + "页",
    "| - " * 100_000 + "|",
    "第一章 甲\n正文\n" * 15_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:4]))
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    for part in chunks_of(text):
        passages(part.text)
    sentences(text)
    assert time.process_time() - started < 5
