"""What pictures say becomes text of the document."""

import pytest

from services.page_journal import PageJournal
from services.picture_blocks import Sight, block, filled
from utils.errors import Language
from utils.loaders import Page

CAT, DOG = "a" * 16, "d" * 16
SIGHTS = {CAT: Sight(description="一只猫。"), DOG: Sight()}


def mark(key: str) -> str:
    return f"\ufdd0{key}\ufdd1"


def text_with(text: str, language: Language = "zh") -> str:
    return filled([Page(1, text)], SIGHTS, language)[0].text


@pytest.mark.parametrize(
    ("sight", "language", "expected"),
    [
        (Sight("一月 12\n二月 15", "柱状图。"), "zh", "[图片：柱状图。\n图中文字：\n一月 12\n二月 15]"),
        (Sight("Jan 12", "A bar chart."), "en", "[Picture: A bar chart.\nText in the picture:\nJan 12]"),
        (Sight("Jan 12"), "en", "[Picture text:\nJan 12]"),
        (Sight("一月"), "zh", "[图片文字：\n一月]"),
        (Sight(description="A cat."), "en", "[Picture: A cat.]"),
        (Sight(), "en", ""),
    ],
)
def test_a_block_holds_what_is_known(sight: Sight, language: Language, expected: str) -> None:
    assert block(sight, language) == expected


def test_a_block_has_no_structure_that_would_be_taken_for_that_of_the_document() -> None:
    said = "# A chart\n\n```\n| a | b |\n```\n\n\n## Details\nmore"
    assert block(Sight(description=said), "en") == "[Picture: A chart\n| a | b |\nDetails\nmore]"


def test_a_block_is_a_paragraph_of_its_own() -> None:
    assert text_with(f"前{mark(CAT)}\n后") == "前\n\n[图片：一只猫。]\n\n后"
    assert text_with(f"前\n\n{mark(CAT)}\n\n后") == "前\n\n[图片：一只猫。]\n\n后"
    assert text_with(f"前{mark(CAT)}") == "前\n\n[图片：一只猫。]"


def test_in_a_table_it_stays_in_its_row() -> None:
    row = f"甲\t{mark(CAT)}\t乙\n丙\t丁\t{mark(CAT)}"
    assert text_with(row) == "甲\t [图片：一只猫。]\t乙\n丙\t丁\t"


def test_the_title_stays_the_first_line() -> None:
    assert text_with(f"{mark(DOG)}{mark(CAT)}\n\n标题\n\n正文") == "标题\n\n[图片：一只猫。]\n\n正文"
    assert text_with(mark(CAT)) == "[图片：一只猫。]"


@pytest.mark.parametrize(
    "text", ["前{}\n后", "前\n\n{}\n\n后", "{}\n\n前\n\n后", "前\n后{}", "甲\t{}乙\n丙", "前\n{}{}\n后"]
)
def test_a_picture_that_says_nothing_leaves_no_trace(text: str) -> None:
    without = filled([Page(1, text.replace("{}", mark(DOG)))], SIGHTS, "zh")[0].text
    assert without.split() == text.replace("{}", "").split()
    assert "\n\n\n" not in without
    assert "\ufdd0" not in without
    if "{}\n\n" not in text and "\n{}" not in text:
        assert without == text.replace("{}", "")


def test_a_mark_that_a_file_brings_along_is_removed() -> None:
    assert text_with(f"前{mark('0' * 16)}后") == "前后"


def test_a_logo_is_said_once_and_a_picture_that_stands_twice_is_said_twice() -> None:
    def said(count: int) -> list[bool]:
        pages = [Page(number, f"第{number}页{mark(CAT)}") for number in range(1, count + 1)]
        return ["猫" in page.text for page in filled(pages, SIGHTS, "zh")]

    assert said(2) == [True, True]
    assert said(10) == [True] + [False] * 9


def test_a_page_tells_what_could_not_be_had_of_its_pictures() -> None:
    sights = {CAT: Sight("文字", detail="picture_not_described"), DOG: Sight(detail="picture_unreadable")}
    pages = [
        Page(1, f"第一页{mark(CAT)}"),
        Page(2, f"二{mark(DOG)}"),
        Page(3, mark(DOG), "ocr", "no_text"),
        Page(4, mark(CAT), "ocr", "no_text"),
        Page(5, "五", detail="damaged"),
        Page(6, mark("0" * 16), "ocr"),
    ]
    assert [(page.method, page.detail) for page in filled(pages, sights, "zh")] == [
        ("text", "picture_not_described"),
        ("text", "picture_unreadable"),
        ("empty", "picture_unreadable"),
        ("ocr", "picture_not_described"),
        ("text", "damaged"),
        ("empty", "no_text"),
    ]


@pytest.mark.parametrize(
    ("language", "header", "scanned"),
    [
        ("zh", "云岭科技 内部资料", "房屋租赁合同：每月租金为八千元，押金两个月。"),
        ("en", "Internal", "Lease: the rent is 800 a month."),
    ],
)
def test_a_page_most_of_whose_text_was_in_a_picture_counts_as_read_by_ocr(
    language: Language, header: str, scanned: str
) -> None:
    def method(page: Page, sight: Sight) -> str:
        return filled([page], {CAT: sight}, language)[0].method

    assert method(Page(1, f"{header}{mark(CAT)}"), Sight(scanned)) == "ocr"
    assert method(Page(1, f"{scanned}{mark(CAT)}"), Sight(header)) == "text"
    assert method(Page(1, f"{header}{mark(CAT)}"), Sight(description=scanned)) == "text", "it was described, not read"
    assert method(Page(1, header), Sight(scanned)) == "text"


def test_only_a_missing_description_is_a_gap(tmp_path_factory: pytest.TempPathFactory) -> None:
    for detail, gap in (("picture_unreadable", False), ("picture_not_described", True)):
        journal = PageJournal(tmp_path_factory.mktemp("pages") / "pages.jsonl")
        journal.begin(1)
        journal.add(Page(1, "文字", detail=detail))
        assert journal.gaps is gap
