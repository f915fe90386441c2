"""Headings that have only a number are found, and lines that merely begin with one are not."""

import pytest

from services.text.chunking import chunk
from utils.loaders import Page

BODY = "本条规定适用于全体正式员工，各部门负责人应当组织学习，并在部门内严格执行。" * 6
TEXT = "The agreement takes effect when both parties have signed it, and payment is due within thirty days. " * 5


def paths(text: str) -> list[tuple[str, ...]]:
    """The heading paths of the chunks of a text, each once."""
    return list(dict.fromkeys(part.heading for part in chunk([Page(1, text)])))


def test_chapters_sections_and_items_of_a_chinese_text() -> None:
    text = f"""员工手册
第一章 总则
{BODY}
第二章 休假
第一节 年假
{BODY}
一、申请条件
{BODY}
（一）在职员工
{BODY}
（二）离职员工
{BODY}
二、审批流程
{BODY}
第二节 病假
{BODY}
附录A 表格
{BODY}"""
    top, chapter = "员工手册", "第二章 休假"
    assert paths(text) == [
        (top, "第一章 总则"),
        (top, chapter, "第一节 年假"),
        (top, chapter, "第一节 年假", "一、申请条件"),
        (top, chapter, "第一节 年假", "一、申请条件", "（一）在职员工"),
        (top, chapter, "第一节 年假", "一、申请条件", "（二）离职员工"),
        (top, chapter, "第一节 年假", "二、审批流程"),
        (top, chapter, "第二节 病假"),
        (top, "附录A 表格"),
    ]


def test_decimal_numbers() -> None:
    text = f"1 范围\n{BODY}\n1.1 适用对象\n{BODY}\n1.2术语\n{BODY}\n一、简称\n{BODY}"
    assert paths(f"{text}\n2 Results\n{TEXT}\n2.1. What is this?\n{TEXT}") == [
        ("1 范围",),
        ("1 范围", "1.1 适用对象"),
        ("1 范围", "1.2术语"),
        ("1 范围", "1.2术语", "一、简称"),
        ("2 Results",),
        ("2 Results", "2.1. What is this?"),
    ]


def test_english_chapters_and_a_section_alone() -> None:
    text = f"Part I\n{TEXT}\nChapter 2: Methods\n{TEXT}\n3.1 Results\n{TEXT}\nAPPENDIX B Tables\n{TEXT}"
    assert paths(text) == [
        ("Part I",),
        ("Part I", "Chapter 2: Methods"),
        ("Part I", "Chapter 2: Methods", "3.1 Results"),
        ("Part I", "APPENDIX B Tables"),
    ]


def test_numbered_headings_stand_below_those_of_markdown() -> None:
    assert paths(f"# 员工手册\n\n第三章 休假\n{BODY}\n\n3.1 年假\n{BODY}\n\n## 附则\n\n{BODY}") == [
        ("员工手册", "第三章 休假"),
        ("员工手册", "第三章 休假", "3.1 年假"),
        ("员工手册", "附则"),
    ]


def test_headings_go_on_over_pages_and_a_table_of_contents_has_none() -> None:
    contents = "目录\n第一章 总则 1\n第二章 休假 2\n2.1 年假 2\n2.2 病假 3\n第三章 附则 4"
    pages = [
        contents,
        f"第一章 总则\n{BODY}",
        f"第二章 休假\n2.1 年假\n{BODY}",
        BODY,
        f"2.2 病假\n{BODY}",
        f"第三章 附则\n{BODY}",
    ]
    found = chunk([Page(number, text) for number, text in enumerate(pages, 1)])
    assert [list(part.heading)[1:] for part in found] == [
        [],
        ["第一章 总则"],
        ["第二章 休假", "2.1 年假"],
        ["第二章 休假", "2.1 年假"],
        ["第二章 休假", "2.2 病假"],
        ["第三章 附则"],
    ]


@pytest.mark.parametrize(
    "line",
    [
        "1918 Influenza: the Mother of All Pandemics",
        "20 times higher than in previous years",
        "3 Patients died.",
        "3.14 percent of all parts",
        "1.5万人参加了考试",
        "第三章规定的情形",
        "第一，提高认识",
        "第二节课下午开始",
        "第十条 员工应当遵守规定；违反者予以处分。",
        "Section 3 of this agreement",
        "Chapter 2 ............ 17",
        "一、二、三等奖各一名，共三名。",
        "11. Basler CF, Reid AH, Dybing JK, Janczewski TA, and Zheng",
        "（二）没有第一项的第二项",
    ],
)
def test_a_line_that_begins_with_a_number_is_no_heading(line: str) -> None:
    text = f"{TEXT}\n{line}\n{TEXT}"
    assert paths(f"员工手册\n{text}") == [("员工手册",)]


@pytest.mark.parametrize(
    "items",
    [("1. 苹果", "2. 香蕉", "3. 橙子"), ("一、苹果", "二、香蕉"), ("（一）苹果", "（二）香蕉"), ("1.1 Pear", "1.2 Plum")],
)
def test_items_of_a_list_are_no_headings(items: tuple[str, ...]) -> None:
    assert paths("\n".join(["员工手册", BODY, *items, BODY])) == [("员工手册",)]


def test_items_of_a_list_in_markdown_are_no_headings() -> None:
    text = f"# 手册\n\n## 流程\n\n1. 申请\n\n{BODY}\n\n2. 审批\n\n{BODY}"
    assert set(paths(text)) == {("手册", "流程")}


def test_a_sentence_that_is_broken_before_a_number_has_no_heading_in_it() -> None:
    lines = ["The committee met in the spring and, as had been agreed upon, discussed section", "3.1 Results", TEXT]
    assert paths("\n".join(["Report", *lines])) == [("Report",)]


def test_comments_of_a_program_are_no_headings() -> None:
    assert paths(f"# This file was made by a program.\n# DO NOT EDIT!\n{TEXT}") == [()]


def test_the_title_is_not_the_page_number_above_it() -> None:
    assert paths(f"第 1 页 共 9 页\n员工手册\n{BODY}") == [("员工手册",)]
    assert paths(f"- 1 -\n员工手册 Page 1 of 9\n{BODY}") == [("员工手册",)]
