"""Search by words: what counts as the same word, and BM25 over several documents as one collection."""

import numpy as np
import pytest

from services.search.lexical import SPACED, UNSPACED, Postings, bm25, script, terms


def scores(query: str, *documents: list[str]) -> list[float]:
    found = bm25(query, [Postings.build(texts) for texts in documents])
    return [float(score) for score in found.scores]


def best(query: str, *texts: str) -> str | None:
    found = scores(query, list(texts))
    return texts[int(np.argmax(found))] if max(found) > 0 else None


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("茶", "中国人喜欢喝茶。"),  # one character
        ("年假", "员工享有年假十天。"),
        ("汉字转换", "漢字轉換"),
        ("漢字轉換", "汉字转换"),
        ("乾隆", "干隆皇帝"),  # one character of Simplified for several of Traditional
        ("ＡＢＣ１２３", "型号 abc123"),
        ("abc123", "型号 ＡＢＣ１２３"),
        ("studies", "One study was done."),
        ("STUDY", "Several studies were done."),
        ("Ogrod Saski", "im Ogród Saski"),
        ("GLM-4", "the glm4 model"),
        ("glm4", "GLM-4 模型"),
        ("1000000", "共 1,000,000 元"),
        ("2024年", "发布于 2024 年"),
        ("3.14", "圆周率约为3.14。"),
        ("カタカナ", "これはカタカナです"),
        ("서울", "대한민국 서울특별시"),
        ("𠮷野家", "在𠮷野家吃饭"),
        ("книги", "он читает книги"),
    ],
)
def test_a_query_finds_its_words_however_they_are_written(query: str, text: str) -> None:
    assert best(query, "完全无关的内容。 Something else entirely.", text) == text


@pytest.mark.parametrize("query", ["", "   ", "？！", "量子力学", "zebra"])
def test_a_query_without_a_known_word_finds_nothing(query: str) -> None:
    assert scores(query, ["中国人喜欢喝茶。", "Tea is popular."]) == [0.0, 0.0]


def test_neighbouring_characters_count_more_than_scattered_ones() -> None:
    assert best("学生会", "会见学生，生病的学者开会。", "学生会举行选举。") == "学生会举行选举。"


def test_small_words_hardly_count_but_are_not_lost() -> None:
    assert best("什么是年假的规定", "这是什么？是什么的什么？", "年假规定如下。") == "年假规定如下。"
    assert best("what is the vacation", "What is the what of the what?", "Vacation rules.") == "Vacation rules."
    assert best("的", "天空", "我的书") == "我的书"


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    texts = ["员工手册 考勤", "员工手册 报销", "员工手册 考勤 打卡", "员工 出差"]
    assert best("员工 出差", *texts) == "员工 出差"


def test_documents_are_compared_as_one_collection() -> None:
    together = scores("出差 报销", ["出差规定", "考勤规定"], [], ["报销流程", "出差报销标准"])
    assert together == scores("出差 报销", ["出差规定", "考勤规定", "报销流程", "出差报销标准"])
    assert int(np.argmax(together)) == 3


def test_coverage_is_the_part_of_the_query_that_a_text_has() -> None:
    found = bm25("vacation days", [Postings.build(["vacation days", "vacation", "nothing"])])
    assert 0.2 < found.covered_by("vacation") < 0.8
    assert found.covered_by("nothing") == 0
    assert found.covered_by("10 days of vacation") == pytest.approx(1)
    assert found.covered_by("") == 0


def test_an_empty_query_covers_nothing() -> None:
    assert bm25("", [Postings.build(["text"])]).covered_by("text") == 0


def test_terms_are_the_same_in_every_process() -> None:
    assert terms("warsaw").tolist() == [0xC585C4F01851232B]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("员工手册", UNSPACED),
        ("員工手冊第 12 頁：GPU 的使用規定", UNSPACED),
        ("これはカタカナです", UNSPACED),
        ("Employees 员工 must wear a badge.", SPACED),
        ("def main(): return 1", SPACED),
        ("он читает книги", SPACED),
        ("1 024 | 3.14 | 2024-05-01 …", 0),
        ("", 0),
        ("\ud800", 0),
    ],
)
def test_the_script_of_a_text_is_that_of_most_of_its_letters(text: str, expected: int) -> None:
    assert script(text) == expected


def test_the_words_of_a_query_weigh_by_their_scripts() -> None:
    found = bm25("Saturn V 的推力", [Postings.build(["Saturn V", "推力"])])
    assert found.weight(SPACED) + found.weight(UNSPACED) == pytest.approx(found.weights.sum())
    assert found.weight(SPACED) == pytest.approx(bm25("Saturn V", [Postings.build(["Saturn V", "推力"])]).weights.sum())
