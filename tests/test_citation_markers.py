"""Markers of citations in a streamed answer: which ones stay, which are taken out, and what is never touched."""

import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from models.passages import Passage
from services.citation_markers import Checked, MarkerFilter, without_markers

PASSAGES = [
    Passage(f"doc_{n}", "报告.pdf", n, f"第{n}段，利润增长百分之{n}，参见文献 [12] 与 [2]。", "", n, n, 0.5)
    for n in range(1, 6)
]
PIECES = [
    *(
        "[",
        "]",
        "［",
        "］",
        "【",
        "】",
        "〔",
        "(",
        ")",
        "（",
        "）",
        "`",
        "``",
        "```",
        "~~~",
        "~",
        "$",
        "$$",
        "\\",
        "^",
        "†",
        ":",
        "：",
    ),
    *(
        " ",
        "  ",
        "\n",
        "\n\n",
        "\t",
        ",",
        "、",
        "，",
        "。",
        ".",
        "-",
        "–",
        "和",
        " and ",
        "!",
        "=",
        '"',
        "{",
        "}",
        "|",
        "*",
        "> ",
        "- ",
    ),
    *(
        "0",
        "1",
        "2",
        "7",
        "12",
        "345",
        "2024",
        "来源",
        "source",
        "ci",
        "x",
        "days",
        "a_b",
        "利润增长",
        "http://h/",
        "†source",
    ),
    *(
        "[1]",
        "[7]",
        " [7]",
        "[1, 7]",
        "【2】",
        "[1-3]",
        "[[1]]",
        "[^1]",
        "\n[^7]: ",
        "[来源：1]",
        "[1](http://h/)",
        '{"a": [1, 7]}',
        "a[0]",
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


def checked(pieces: Sequence[str], passages: Sequence[Passage] = PASSAGES) -> Checked:
    """What comes of pieces, as one text, citations placed in it."""
    checking = MarkerFilter(passages)
    found = [*(checking.feed(piece) for piece in pieces), checking.end()]
    text, citations = "", []
    for part in found:
        citations += [citation._replace(start=len(text) + citation.start) for citation in part.citations]
        text += part.text
    return Checked(text, tuple(citations))


def shown(text: str) -> str:
    return checked([text]).text


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("利润增长 [1]，而且成本下降 [7]。", "利润增长 [1]，而且成本下降。"),
        ("利润增长[1]，而且[7]。", "利润增长[1]，而且。"),
        ("Profit grew [1] and [7] costs fell [99].", "Profit grew [1] costs fell."),
        ("before [7] after", "before after"),
        ("before [7]after", "before after"),
        ("before[7] after", "before after"),
        ("the end [7]", "the end"),
        ("the end [0]", "the end"),
        ("fifteen days[7].", "fifteen days."),
        ("[7] 指出，利润增长。", "指出，利润增长。"),
        ("- [7] 利润\n- [1] 成本", "- 利润\n- [1] 成本"),
        ("第一 [7]\n第二 [1]", "第一\n第二 [1]"),
        ("**利润 [7]** 与 *成本 [1]*", "**利润** 与 *成本 [1]*"),
        ("| 利润 [7] | 成本 [1] |", "| 利润 | 成本 [1] |"),
        ("见[1]、[7]和[2]。", "见[1]和[2]。"),
        ("see [7], [1] and [8].", "see [1]."),
        ("利润（[7]）增长（[1]）", "利润增长（[1]）"),
        ("profit ([7]) grew ([7], [2])", "profit grew ([2])"),
        ("[1][1][2]", "[1][2]"),
        ("结论 [1, 2, 9]。", "结论 [1][2]。"),
        ("结论[1，2、9]。", "结论[1][2]。"),
        ("结论 [4-8]。", "结论 [4][5]。"),
        ("结论 [1–3]。", "结论 [1][2][3]。"),
        ("结论【1】，另见【8】。", "结论[1]，另见。"),
        ("结论［２］。", "结论[2]。"),
        ("结论 [ 1 ]。", "结论 [1]。"),
        ("结论 [[2]]，[[8]]。", "结论 [2]。"),
        ("结论[来源1][来源：7][来源: 2]", "结论[1][2]"),
        ("It is so [Source 1; 9] [citation:2].", "It is so [1] [2]."),
        ("It is so [1, page 3], [2 p.4–5] and [doc 9, pp. 1-2].", "It is so [1], [2]."),
        ("结论[1，第3页]，另见[文档8，第 12 页]。", "结论[1]，另见。"),
        ("结论 [1 and 9]，[2和8]，[7 & 9]。", "结论 [1]，[2]。"),
        ("[9 pages] of [3 papers] in [2 and a half] hours", "[9 pages] of [3 papers] in [2 and a half] hours"),
        ("结论[^1]，也见[^2]、[^9]。", "结论[1]，也见[2]。"),
        ("As said[^1], and see [^9]. `[^9]` is code.", "As said[1], and see. `[^9]` is code."),
        ("结论[^1][^9]。\n\n[^9]: 手册", "结论[1]。\n\n[^9]: 手册"),
        ("结论【1†source】【9†L3-L5】【4:0†报告.pdf】。", "结论[1]。"),
        ('{"answer": "十五天 [1][7]"}', '{"answer": "十五天 [1]"}'),
        ("见 [7]( [1] )。", "见 ( [1] )。"),
        ("[1, 7] 都这样说。", "[1] 都这样说。"),
    ],
)
def test_markers_of_no_passage_are_taken_out_and_others_written_in_one_way(said: str, expected: str) -> None:
    assert shown(said) == expected
    assert checked(said).text == expected  # character by character


@pytest.mark.parametrize(
    "text",
    [
        "a[0] 与 a[7]，data[0]，my_list[7]，f(x)[0]",
        "x = [7]，y ∈ [1, 7]，区间 [0, 1]",
        "- [ ] 待办\n- [x] 完成",
        "[1](http://a.example/) 与 [7](https://b.example/ '标题')，![7](图.png)",
        "[文档][7]\n\n[7]: https://a.example/",
        "[^1]: 脚注\n\n见脚注[^1]与[^7]。",
        "A class of characters: [^0-9], [^a], [^0]",
        "`[7]` 与 ``x[`7`][7]``",
        "```python\nx = items[7]  # [7]\n```\n好",
        "> ```\n> [7]\n> ```",
        "~~~\n[7] ``` [7]\n~~~",
        "````md\n```\n[7]\n```\n[7]\n````",
        '{"ids": [1, 7], "rows": [[1, 2], [7, 8]], "one":[7]}',
        "[1, 7, 9]",
        "[1, 7, 9]\n",
        "公式 $x_{[7]} + f[7]$ 与 \\([7]\\)。",
        "$$\n[7] = \\left[1, 7\\right]\n$$",
        "\\[ [7] \\]",
        "转义 \\[7\\]，\\[7]",
        "出版于 [2024]，见 [附录 1]、[a] 与 [1-2-3]、[9-1]。",
        "未完 [7",
        "价格 $5 与 $6，3~5 天，(见下)，【重点】",
    ],
)
def test_brackets_that_mean_something_else_are_never_changed(text: str) -> None:
    assert shown(text) == text
    assert checked(text).text == text
    assert checked([text]).citations == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```\n[7]\n```\n然后 [7]。", "```\n[7]\n```\n然后。"),
        ("```x``` 然后 [7]。", "```x``` 然后。"),
        ("一个 ` 反引号\n然后 [7]。", "一个 ` 反引号\n然后。"),
        ("`[7]` 然后 [7]。", "`[7]` 然后。"),
        ("\\(x\\) 然后 [7]。", "\\(x\\) 然后。"),
        ("$$x\n\n然后 [7]。", "$$x\n\n然后。"),
        ("$x$ 然后 [7]，售价 $5 [7]。", "$x$ 然后，售价 $5。"),
        ("- [x] [7] 完成", "- [x] 完成"),
    ],
)
def test_after_code_and_formulas_markers_are_checked_again(text: str, expected: str) -> None:
    assert shown(text) == checked(text).text == expected


def test_references_of_a_quoted_document_stay_as_they_are() -> None:
    quotation = "利润增长百分之3，参见文献 [12] 与 [2]。"
    assert shown(f"> {quotation}\n> — 报告.pdf [3]") == f"> {quotation}\n> — 报告.pdf [3]"
    assert [c.number for c in checked([f"> {quotation}\n> — 报告.pdf [3]"]).citations] == [3]
    assert shown("利润增长百分之3，参见文献 [12]") == "利润增长百分之3，参见文献 [12]"
    assert shown("利润增长百分之3，另见文献 [12]") == "利润增长百分之3，另见文献"


def test_a_passage_that_was_found_twice_has_one_number() -> None:
    assert checked(["甲 [6]，乙 [1][6]。"], [*PASSAGES, PASSAGES[0]]).text == "甲 [1]，乙 [1]。"


def test_citations_are_told_with_their_place_in_the_text() -> None:
    found = checked(["甲 [7][3]，乙【1】、", "丙 [1, 2]。"])
    assert found.text == "甲 [3]，乙[1]、丙 [1][2]。"
    assert [number for number, _ in found.citations] == [3, 1, 1, 2]
    assert all(found.text.startswith(f"[{number}]", start) for number, start in found.citations)


def test_passages_found_meanwhile_may_be_cited() -> None:
    passages: list[Passage] = []
    checking = MarkerFilter(passages)
    first = checking.feed("先 [1]，")
    passages.append(PASSAGES[0])
    assert first.text + checking.feed("后 [1]，").text + checking.end().text == "先，后 [1]，"


def test_only_what_may_become_a_marker_is_held_back() -> None:
    checking = MarkerFilter(PASSAGES)
    for piece in ("你好", "，world", " is", "`code`x", "[附", "录]", "[x", "] ok", "[2024", "年]。"):
        assert checking.feed(piece).text == piece
    assert checking.feed("见 [1").text == "见" and checking.feed("]。").text == " [1]。"


def test_without_passages_every_marker_goes() -> None:
    assert checked(["甲 [1]，乙【2】。"], []).text == "甲，乙。"
    assert without_markers("甲 [1]，乙 [2][3]。`a[1]`") == "甲，乙。`a[1]`"
    assert without_markers("甲[^1]，乙 [^2]。") == "甲，乙。"
    assert without_markers("甲[^1]，乙 [2]。\n\n[^1]: 脚注") == "甲[^1]，乙。\n\n[^1]: 脚注"


@settings(max_examples=600, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 120), max_size=8))
@example("[[7]]（[7]）x [1](", [1, 2, 3, 4, 5, 6, 7, 8])
@example("```\n``` [7]", [3, 4, 7, 8])
def test_it_makes_no_difference_where_the_text_is_cut(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    whole = checked([text])
    assert checked([text[start:end] for start, end in pairwise(places)]) == whole
    assert checked(text) == whole


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_every_citation_stands_where_it_is_told(text: str) -> None:
    once = checked([text])
    assert all(once.text.startswith(f"[{number}]", start) for number, start in once.citations)
    assert {number for number, _ in once.citations} <= set(range(1, 6))


PROSE = ["利润", "growth", " ", "，", "。", ". ", "\n", "\n- ", "（", "）", " (", ")", "和", " and ", "、", ", "]
PROSE += ["[1]", "[7]", " [7]", "[1, 7]", "【8】", "[6-9]", "［9］", "[来源：7]", "[[8]]", "【7†source】"]
PROSE += ["[8, p. 7]", "[9和7]", "[^7]", "[^1]"]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PROSE), max_size=15).map("".join))
def test_no_invented_marker_is_left_in_prose(text: str) -> None:
    assume(not re.search(r",\s*\n", text))  # a bracket below a comma is a row of an array
    found = checked(["总之", text])  # and so is an answer that is `[1, 7]` alone
    assert not re.search(r"[6-9]", found.text) and found.text.count("[") == len(found.citations)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="[［【〔"), max_size=80))
def test_text_without_brackets_is_never_changed(text: str) -> None:
    assert shown(text) == checked(text).text == text
