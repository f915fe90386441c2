"""Passages stand in their documents as these are now, or nobody is shown them."""

from dataclasses import replace

from models.passages import Passage
from services.grounding import ground_of, stands_in

TEXT = (
    "# 总则\n\n本手册适用于全体员工。\n\n- **年假**：入职满三年的员工每年享有 15 天带薪年假。\n- 病假须在三日内提交证明。"
    "\n\nＡＢＣ Ⅳ 完"
)


def passage(text: str, start: int | None = None) -> Passage:
    at = TEXT.find(text) if start is None else start
    return Passage("doc_1", "手册.md", 1, text, text, at, at + len(text), 1.0)


def test_a_passage_in_its_place_stays_as_it_is() -> None:
    found = passage("本手册适用于全体员工。")
    assert ground_of(found, TEXT) == found


def test_a_passage_that_stands_elsewhere_gets_its_real_place() -> None:
    for far in (0, 3, 30, 9_000):
        assert ground_of(passage("病假须在三日内", far), TEXT + "字" * 9_000) == passage("病假须在三日内")
    long = "字" * 9_000 + TEXT
    assert ground_of(passage("病假须在三日内", 0), long) == passage("病假须在三日内", long.index("病假"))


def test_white_space_and_forms_of_characters_may_differ() -> None:
    found = ground_of(passage("ABC IV  完", 0), TEXT)
    assert found is not None and (found.start, found.end) == (0, 0)
    place = TEXT.index("Ａ")
    near = ground_of(replace(passage("ABC\nIV 完", place), end=len(TEXT)), TEXT)
    assert near is not None and near.text == TEXT[place:]


def test_sentences_put_together_give_the_text_of_their_place() -> None:
    start = TEXT.index("本手册")
    condensed = replace(passage("本手册适用于全体员工。病假须在三日内提交证明…", start), end=len(TEXT))
    found = ground_of(condensed, TEXT)
    assert found is not None and found.text == TEXT[start:] and found.start == start
    markup = replace(passage("年假：入职满三年的员工每年享有 15 天带薪年假。", 0), end=len(TEXT))
    assert ground_of(markup, TEXT) is not None


def test_what_is_not_there_has_no_ground() -> None:
    assert ground_of(passage("入职满三年的员工每年享有 20 天带薪年假。", 20), TEXT) is None
    assert ground_of(replace(passage("本手册适用于全体员工。不存在的句子。", 8), end=len(TEXT)), TEXT) is None
    assert ground_of(passage("本手册", 8), "") is None
    assert ground_of(passage(" \n", 4), TEXT) is None
    assert not stands_in("", TEXT) and stands_in("A B C", TEXT)
