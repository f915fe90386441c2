"""Headers and footers are told from the text by what they do on page after page."""

import pytest

from services.text.numerals import value_of
from services.text.running_heads import bodies
from utils.loaders import Page

TEXTS = [
    "采购须经两级审批。",
    "The contractor reports monthly.",
    "验收记录保存五年。",
    "Payment follows within 30 days.",
    "保险由承运人办理。",
]


def left_out(*pages: str) -> list[str]:
    """What is left out of each page."""
    given = [Page(number, text) for number, text in enumerate(pages, 1)]
    return [page.text[: span.start] + page.text[span.end :] for page, span in zip(given, bodies(given), strict=True)]


def with_edges(top: str, bottom: str, count: int = 5) -> list[str]:
    """Pages with a header and a footer; `{n}` is the number of the page."""
    texts = (TEXTS * 9)[:count]
    return [
        "\n".join(part for part in (top.format(n=n), text, f"{text[:2]}之正文。", bottom.format(n=n)) if part)
        for n, text in enumerate(texts, 1)
    ]


@pytest.mark.parametrize(
    "line",
    [
        "大型工程管理规范",
        "ACME Annual Report 2024",
        "- {n} -",
        "{n}",
        "{n} / 5",
        "入门指南 V2.9, 28 Jun 2026 {n} / 5",
        "{n} / 5 Getting Started V2.9",
        "2 UBUNTU 20.04 系统 1{n}",
        "1{n} § 2 安装",
        "第 {n} 页 共 5 页",
        "第{n}页/共5页",
        "Page {n} of 5",
        "page {n}",
        "员工手册 {n}",
        "{n} THE SIEGE OF VICKSBURG",
        "Chapter 4: Function reference 1{n}",
        "ACME Annual Report 2024 | {n}",
        "内部资料 严禁外传  第{n}页",
    ],
)
def test_what_comes_again_on_every_page_is_left_out_but_for_the_first(line: str) -> None:
    header, footer = left_out(*with_edges(line, "")), left_out(*with_edges("", line))
    for found in (header, footer):
        assert found[0] == ""
        assert [text.strip() for text in found[1:]] == [line.format(n=n) for n in range(2, 6)]


def test_roman_and_chinese_numbers_count_pages_too() -> None:
    pages = [f"{text}\n{roman}" for text, roman in zip(TEXTS, ["i", "ii", "iii", "iv", "v"], strict=True)]
    assert left_out(*pages) == ["", "ii", "iii", "iv", "v"]
    pages = [
        f"{text}\n第{number}页" for text, number in zip(TEXTS, ["十九", "二十", "二十一", "二十二", "二十三"], strict=True)
    ]
    assert left_out(*pages)[1:] == ["第二十页", "第二十一页", "第二十二页", "第二十三页"]
    assert [value_of(numeral) for numeral in ("12", "xiv", "十", "三十二", "一百零五")] == [12, 14, 10, 32, 105]


def test_roman_numbers_count_the_pages_of_a_preface() -> None:
    numbers = ["iv", "v", "vi", "vii"]
    for line in ("入门指南 第二版 {}", "{} 入门指南 第二版"):
        found = left_out(*(f"{line.format(n)}\n{text}" for n, text in zip(numbers, TEXTS, strict=False)))
        assert [text.strip() for text in found] == ["", *map(line.format, numbers[1:])]


def test_where_pages_are_counted_a_title_of_two_pages_and_a_number_elsewhere_are_enough() -> None:
    heads = [
        "",
        "序言概述 2",
        "序言概述 3",
        "",
        "Methods in use 5",
        "Methods in use 6",
        "Methods in use 7",
        "",
        "第四章 结论 9",
    ]
    feet = {1: "1", 4: "4", 8: "8"}
    pages = [f"{head}\n{n}号正文{TEXTS[n % 5]}\n{feet.get(n, str(n * n) + '号结尾。')}" for n, head in enumerate(heads, 1)]
    found = [text.strip() for text in left_out(*pages)]
    assert found == ["", "", "序言概述 3", "4", "", "Methods in use 6", "Methods in use 7", "8", ""]


def test_a_title_of_two_pages_whose_number_does_not_count_them_stays() -> None:
    pages = [f"{f'采购合同 {n * 3}' if n in (2, 3) else TEXTS[n % 5]}\n{n}号正文\n- {n} -" for n in range(1, 9)]
    assert not any("采购合同" in text for text in left_out(*pages))


def test_headers_of_left_and_right_pages_differ() -> None:
    titles = ["第二章 采购管理 {n}", "{n} 工程规范汇编"]
    found = left_out(*(f"{titles[n % 2].format(n=n)}\n{n}号正文{TEXTS[n % 5]}" for n in range(1, 11)))
    assert [text.strip() for text in found[2:]] == [titles[n % 2].format(n=n) for n in range(3, 11)]


def test_a_header_that_begins_and_ends_with_a_chapter_is_found() -> None:
    pages = [f"{'Chapter 1: Terms' if n <= 4 else 'Chapter 2: Methods'} {n}\nbody {TEXTS[n % 5]}" for n in range(1, 9)]
    assert [bool(text) for text in left_out(*pages)] == [False, True, True, True, False, True, True, True]


@pytest.mark.parametrize(
    "line",
    [
        "Invoice No. {n}",
        "编号：00{n}",
        "2024年3月{n}日",
        "March {n}",
        "{n} March 2024",
        "2024 March {n}",
        "2024年3月 {n}",
        "{n} 年级 学生 名单",
        "2024 - 03 - 0{n}",
        "Daily log {n}/5",
        "值班记录表 {n}/3",
        "ACME invoices 1{n} / 2024",
        "1{n} / 2024",
        "Lesson {n}",
        "合计 {n},200.00",
        "Total {n}5.70",
        "第{n}页第3行：采购须经两级审批。",
        "The proof is on page {n} of the report that was handed in.",
        "The valve number {n} was inspected and found in order.",
        "# 方案对比",
        "| 名称 | 数量 |",
        "名称\t数量",
    ],
)
def test_what_says_something_else_on_each_page_or_has_a_place_of_its_own_stays(line: str) -> None:
    assert set(left_out(*with_edges(line, ""))) == set(left_out(*with_edges("", line))) == {""}


def test_values_that_stand_alone_at_the_foot_of_pages_are_no_page_numbers() -> None:
    assert set(left_out(*(f"{text}\n{value}" for text, value in zip(TEXTS, [812, 40, 77, 40, 3], strict=True)))) == {""}


def test_the_head_of_a_table_without_borders_stays_with_its_rows() -> None:
    assert set(left_out(*(f"序号 名称 数量\n{n} 螺丝 {n * 7}\n{n + 9} 垫片 {n * 3}" for n in range(1, 6)))) == {""}


def test_twice_is_not_often_enough() -> None:
    assert left_out("内部资料\n甲", "内部资料\n乙", "丙") == ["", "", ""]


def test_lines_in_the_middle_of_pages_are_never_left_out() -> None:
    pages = [f"一{n}\n二{n}\n三{n}\n四{n}\n每页都有的一行\n六{n}\n七{n}\n八{n}\n九{n}" for n in range(6)]
    assert set(left_out(*pages)) == {""}


def test_parts_of_a_format_without_pages_have_no_headers() -> None:
    assert bodies([Page(None, "同一行\n正文")] * 5) == [(0, 6)] * 5
