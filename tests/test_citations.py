"""Which passages an answer rests on."""

from models.passages import Passage
from services.citations import sources_of

PASSAGES = [Passage("doc_1", "报告.pdf", page, f"第{page}页", f"第{page}页", 0, 3, 1 / page) for page in range(1, 8)]


def test_cited_passages_come_in_the_order_of_the_answer() -> None:
    sources = sources_of("利润增长 [3]，成本下降 [1][3]。", PASSAGES)
    assert [(source.page, source.cited) for source in sources] == [(3, True), (1, True)]
    assert sources[0].quote == "第3页"


def test_numbers_that_name_no_passage_are_no_sources() -> None:
    assert [source.page for source in sources_of("见 [2] 与 [99] 和 [0]", PASSAGES)] == [2]


def test_an_answer_without_markers_names_what_it_was_given() -> None:
    sources = sources_of("没有标注", PASSAGES)
    assert [source.page for source in sources] == [1, 2, 3, 4, 5] and not any(source.cited for source in sources)
    assert sources_of("没有资料", []) == ()
