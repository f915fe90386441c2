"""The order of passages after a reranker has judged them."""

import math
import random
from collections.abc import Callable, Iterator, Sequence

import pytest

from fakes.rerank import RerankServer, answer
from models.passages import Passage
from models.rerankers import Judgement, Reranker, reranker
from services.search.reranking import CANDIDATES, PASSAGE_WIDTH, QUESTION_WIDTH, REQUEST_WIDTH, reranked
from services.text.chunking import width
from utils.errors import UpstreamTimeout
from utils.settings import Settings

Judge = Callable[[str, Sequence[str]], list[Judgement]]


class Scripted:
    """Judges by a function of the question and the texts; keeps what it was asked."""

    name = "scripted"

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self.question, self.texts = "", []

    def judge(self, question: str, texts: Sequence[str]) -> list[Judgement]:
        self.question, self.texts = question, list(texts)
        return self._judge(question, texts)


def says(*relevance: float) -> Scripted:
    return Scripted(lambda question, texts: [Judgement(*pair) for pair in enumerate(relevance)])


def passages(count: int, best: float = 0.8, text: str = "第 {} 段") -> list[Passage]:
    """Passages as a search gives them: scores fall from `best`, at first quickly."""
    return [
        Passage("d1", "手册.txt", None, text.format(number), text.format(number), 0, 9, round(best / (1 + 0.3 * number), 4))
        for number in range(count)
    ]


def order(found: Sequence[Passage], candidates: Sequence[Passage]) -> list[int]:
    texts = [passage.text for passage in candidates]
    return [texts.index(passage.text) for passage in found]


def run(candidates: Sequence[Passage], judge: Scripted, k: int = CANDIDATES) -> list[int]:
    return order(reranked("年假有几天？", candidates, judge, k), candidates)  # type: ignore[arg-type]


def test_a_passage_that_the_model_singles_out_comes_first() -> None:
    for count in (2, 3, 4, 10, 50):
        candidates = passages(count)
        for chosen in (1, count - 1):
            relevance = [0.02] * count
            relevance[chosen] = 0.97
            assert run(candidates, says(*relevance))[0] == chosen


@pytest.mark.parametrize("scale", [lambda x: x, lambda x: 20 * x - 10, lambda x: 1000 * x, lambda x: x / 1000 + 0.5])
def test_the_scale_of_a_model_does_not_matter(scale: Callable[[float], float]) -> None:
    relevance = [0.2, 0.9, 0.8, 0.1, 0.3, 0.1, 0.2, 0.1]
    assert run(passages(8), says(*map(scale, relevance))) == run(passages(8), says(*relevance))
    assert run(passages(8), says(*map(scale, relevance)))[:3] != [0, 1, 2]


def test_an_answer_that_says_nothing_changes_nothing() -> None:
    candidates = passages(20)
    for judge in (says(*[0.5] * 20), says(), Scripted(lambda *_: [Judgement(3, 0.9)])):
        assert reranked("年假", candidates, judge, 8) == candidates[:8]  # type: ignore[arg-type]


def test_an_answer_that_contradicts_everything_changes_nothing() -> None:
    candidates = passages(30)
    assert reranked("年假", candidates, says(*range(30)), 8) == candidates[:8]  # type: ignore[arg-type]


def test_noise_does_not_push_the_best_passages_out_of_sight() -> None:
    chance = random.Random(7)
    kept = sum(run(passages(50), says(*(chance.random() for _ in range(50)))).index(0) < 5 for _ in range(100))
    assert kept >= 97


def test_what_cannot_be_used_of_an_answer_is_passed_over() -> None:
    odd = [(5, math.nan), (6, math.inf), (7, -math.inf), (-1, 1.0), (99, 1.0), (2, 0.9), (2, -5.0), (8, 1e300), (0, 0.1)]
    odd += [(place, 0.1) for place in range(3, 20)]
    judge = Scripted(lambda *_: [Judgement(*pair) for pair in odd])
    found = run(passages(20), judge)
    assert found[0] == 2 and sorted(found) == list(range(20))


def test_an_answer_of_the_best_only_leaves_the_others_in_their_order() -> None:
    judge = Scripted(lambda *_: [Judgement(4, 0.99), Judgement(0, 0.1), Judgement(1, 0.01)])
    found = run(passages(10), judge)
    assert found[0] == 4 and [place for place in found if place > 4] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("best", [0.93, 0.0])
def test_scores_fall_from_that_of_the_search(best: float) -> None:
    chance = random.Random(3)
    for _ in range(20):
        judge = says(*(chance.gauss(0, 4) for _ in range(30)))
        scores = [passage.score for passage in reranked("年假", passages(30, best), judge, 30)]  # type: ignore[arg-type]
        assert scores[0] == best and scores == sorted(scores, reverse=True) and scores[-1] >= 0


def test_passages_of_one_score_are_ordered_too() -> None:
    candidates = [Passage("d", "a.txt", None, text, text, 0, 1, 0.0) for text in "甲乙丙丁"]
    assert run(candidates, says(0.01, 0.02, 0.99, 0.01))[0] == 2


def test_the_number_of_passages_is_kept_and_a_summary_comes_beside_them() -> None:
    candidates = passages(12)
    candidates.insert(1, Passage("d1", "手册.txt", None, "摘要", "摘要", 0, 0, 0.79, summary=True))
    candidates.append(Passage("d2", "其他.txt", None, "另一摘要", "另一摘要", 0, 0, 0.01, summary=True))
    found = reranked("讲什么？", candidates, says(*[0.5] * 14), 5)  # type: ignore[arg-type]
    assert [passage.text for passage in found] == ["第 0 段", "摘要", "第 1 段", "第 2 段", "第 3 段", "第 4 段"]


def test_fewer_than_two_are_not_worth_a_call() -> None:
    def never(*_: object) -> list[Judgement]:
        raise AssertionError

    assert run([], Scripted(never)) == []
    assert run(passages(1), Scripted(never)) == [0]


def test_a_failure_leaves_the_order_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fails(*_: object) -> list[Judgement]:
        raise UpstreamTimeout(upstream="reranker")

    assert run(passages(9), Scripted(fails), 4) == [0, 1, 2, 3]
    assert "search goes on without the reranker scripted" in caplog.text


def test_headings_and_the_name_of_the_file_go_along() -> None:
    judge = says(1, 0)
    first, second = passages(2)
    table = Passage(
        "d2", "reports/年报 2023.pdf", 3, "| 甲 | 3 |", "| 甲 | 3 |", 0, 9, 0.5, context="财务 > 附表\n| 部门 | 数 |"
    )
    reranked("甲部门？", [table, second], judge, 5)  # type: ignore[arg-type]
    assert judge.texts[0] == "年报 2023\n财务 > 附表\n| 部门 | 数 |\n| 甲 | 3 |"
    assert judge.texts[1] == "手册\n第 1 段"
    assert first.text not in judge.texts


@pytest.mark.parametrize("filler", ["无关的话。", "Nothing of note. "])
def test_a_long_passage_is_cut_around_its_quote(filler: str) -> None:
    quote = "年假为十天 (ten days)。"
    for before, after in ((0, 900), (900, 900), (900, 0)):
        text = filler * before + quote + filler * after
        judge = says(1, 0)
        long = Passage("d", "手册.txt", None, text, quote, 0, len(text), 0.9, context="很长的标题" * 300)
        reranked("问" * 5_000, [long, passages(2)[1]], judge, 5)  # type: ignore[arg-type]
        assert quote in judge.texts[0]
        assert PASSAGE_WIDTH * 0.8 < width(judge.texts[0]) <= PASSAGE_WIDTH + 1
        assert width(judge.question) <= QUESTION_WIDTH


def test_all_candidates_fit_into_one_request_and_with_a_long_question_the_best() -> None:
    candidates = passages(CANDIDATES, text="第 {} 段" + "甲" * 2_000)
    judge = says(*[1.0] * CANDIDATES)
    reranked("年假有几天，怎么申请？", candidates, judge, 8)  # type: ignore[arg-type]
    assert len(judge.texts) == CANDIDATES
    found = reranked("问" * 5_000, candidates, judge, CANDIDATES)  # type: ignore[arg-type]
    assert 20 < len(judge.texts) < CANDIDATES and len(found) == CANDIDATES
    assert sum(width(judge.question) + width(text) for text in judge.texts) <= REQUEST_WIDTH


@pytest.fixture
def server() -> Iterator[RerankServer]:
    with RerankServer() as running:
        yield running


def real(kind: str, server: RerankServer) -> Reranker:
    values = {"RERANK_API_URL": f"{server.url}/v1"}
    if kind == "dashscope":
        values = {"DASHSCOPE_API_URL": server.url, "DASHSCOPE_API_KEY": "sk-dash"}
    found = reranker(Settings(RERANK_MODEL="qwen3-rerank", **values))  # type: ignore[arg-type]
    assert found
    return found


@pytest.mark.parametrize("kind", ["common", "dashscope"])
def test_a_real_call_brings_the_answer_to_the_top(kind: str, server: RerankServer) -> None:
    candidates = passages(20)
    server.relevance = lambda question, text: 0.95 if "第 13 段" in text else 0.01
    found = reranked("年假有几天？", candidates, real(kind, server), 8)
    assert found[0].text == "第 13 段" and order(found[1:], candidates) == list(range(7))


@pytest.mark.parametrize("kind", ["common", "dashscope"])
def test_a_server_that_fails_leaves_the_search_as_it_was(
    kind: str, server: RerankServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.reply = lambda request: answer({"code": "InternalError", "message": "no"}, 500)
    candidates = passages(20)
    assert reranked("年假有几天？", candidates, real(kind, server), 8) == candidates[:8]
    assert "search goes on without the reranker qwen3-rerank" in caplog.text
