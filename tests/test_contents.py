"""Tables of contents are told from other lists by where their titles stand again."""

import time

import pytest

from services.text.chunking import chunk
from utils.loaders import Page

TITLES = ["1 Scope", "1.1 设备采购流程", "1.2 Storage of spare parts", "2 验收", "2.1 Warranty claims", "附录 A 联系方式"]
LEADERS = [" . . . . . . ", ".........", " …………… ", " · · · · · ", "……", "\t"]


def listed(leader: str, titles: list[str] = TITLES, first: int = 1) -> str:
    return "\n".join(f"{title}{leader}{number}" for number, title in enumerate(titles, first))


def sections(titles: list[str] = TITLES) -> list[str]:
    return [f"{title}\n{number}号正文。本节说明具体要求。" for number, title in enumerate(titles, 1)]


def text_of(*texts: str, numbered: bool = True) -> str:
    """What can be found in a document of these pages."""
    return "\n".join(part.text for part in chunk([Page(n if numbered else None, text) for n, text in enumerate(texts, 1)]))


@pytest.mark.parametrize("leader", LEADERS)
@pytest.mark.parametrize("heading", ["目录", "Table of Contents", ""])
def test_titles_that_stand_again_on_the_pages_that_they_name_are_found_there_only(heading: str, leader: str) -> None:
    found = text_of("设备管理手册\n编制：工程部", f"{heading}\n{listed(leader)}", *sections())
    assert [found.count(title) for title in TITLES] == [1] * len(TITLES)
    assert heading in found and "编制：工程部" in found


def test_a_table_of_contents_goes_on_over_pages_and_has_roman_numbers_and_chapters_without_dots() -> None:
    titles = [
        f"{n // 5 + 1}.{n % 5} 第{n}种零件的更换" if n % 5 else f"{n // 5 + 1} 零件组{'甲乙丙丁'[n // 5]}" for n in range(20)
    ]
    lines = [f"{title}{' . . . . ' if n % 5 else ' '}{n + 1}" for n, title in enumerate(titles)]
    found = text_of(
        "Preface ........ ii\n" + "\n".join(lines[:9]),
        "目录 iii\n" + "\n".join(lines[9:]),
        "Preface\nText.",
        *sections(titles),
    )
    assert [found.count(title) for title in titles] == [1] * 20
    assert found.count("Preface") == 1


def test_a_title_of_two_lines_is_left_out_whole() -> None:
    long = ["Why does the output of the inspection depend on the", "order of the machines in the hall?"]
    pages = sections([*TITLES[:5], "\n".join(long)])
    found = text_of("\n".join([listed(" . . . ", TITLES[:5]), f"{long[0]}\n{long[1]} . . . . . 6"]), *pages)
    assert found.count(long[0]) == found.count(long[1]) == 1


def test_nothing_above_and_below_a_table_of_contents_is_lost_or_joined() -> None:
    found = chunk(
        [Page(1, f"版权所有。\n{listed(' ..... ')}\n第二版，2024年。"), *(Page(n, t) for n, t in enumerate(sections(), 2))]
    )
    assert [part.text for part in found if part.page == 1] == ["版权所有。", "第二版，2024年。"]


PRICES = ["Espresso", "拿铁咖啡", "Filter coffee", "热巧克力", "Green tea"]


@pytest.mark.parametrize("prices", [["1.50", "2.50", "3.50", "4.50", "5.50"], ["28", "30", "32", "36", "40"], ["¥9"] * 5])
@pytest.mark.parametrize("named", ["", "目录\n"])
def test_a_price_list_stays_though_its_items_are_described_below(named: str, prices: list[str]) -> None:
    menu = "\n".join(f"{item} ........ {price}" for item, price in zip(PRICES, prices, strict=True))
    assert menu in text_of(menu)
    assert menu in text_of(menu, *(f"{item}\n现点现做，{item}。" for item in PRICES))
    if not named:
        assert menu in text_of("\n".join([menu, "", *(f"{item}\n现点现做。" for item in PRICES)]), numbered=False)


def test_a_table_of_contents_whose_sections_are_not_in_the_document_stays() -> None:
    assert listed(" . . . . ") in text_of(listed(" . . . . "), "只摘录了目录。", "其余从略。")


def test_an_index_stays_as_its_words_fill_no_lines_elsewhere() -> None:
    index = "\n".join(
        f"{word} . . . . . . {page}" for word, page in [("流程", 1), ("spare parts", 2), ("Warranty", 4), ("验收", 9)]
    )
    assert index in text_of(*sections(), index)


def test_two_lines_with_dots_are_no_table_of_contents() -> None:
    assert listed(" . . . . ", TITLES[:2]) in text_of(listed(" . . . . ", TITLES[:2]), *sections())


@pytest.mark.parametrize("leader", LEADERS)
def test_without_pages_the_word_contents_must_stand_above(leader: str) -> None:
    table = listed(leader)
    named, bare = f"# 目 录\n\n{table}", f"概要如下：\n\n{table}"
    texts = "\n\n".join(sections())
    assert table not in text_of(f"{named}\n\n{texts}", numbered=False)
    assert table in text_of(f"{bare}\n\n{texts}", numbered=False)


def test_lines_of_code_are_no_table_of_contents() -> None:
    code = f"```\n{listed(' ..... ')}\n```"
    assert code in text_of(code, *sections())


@pytest.mark.parametrize("line", ["." * 250 + "x", "a . " * 70 + "!", "一……" * 60 + "完", "a\t" * 140 + "b", "甲 . . . . 1"])
def test_no_lines_take_long(line: str) -> None:
    pages = [Page(n, f"{line}\n" * 200 + "甲\n乙\n") for n in range(1, 40)]
    started = time.process_time()
    chunk(pages)
    assert time.process_time() - started < 5
