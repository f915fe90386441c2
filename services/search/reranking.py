"""Puts the best passages of a search into a better order, with a model that has read each together with the question.

Rerankers differ: some say 0.98 and 0.02, some 7 and -9, some say about the same of everything, and one for English says
anything of Chinese. So none decides alone. What it says is brought to one scale and added to the scores of the search, as
far as this very answer can be trusted: as far as it agrees with the search on the whole, or stands up for few passages. An
answer that says nothing changes nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from models.passages import Passage
from models.rerankers import Judgement, Reranker
from services.text.cutting import width
from utils.errors import ChatError

log = logging.getLogger(__name__)

CANDIDATES = 50  # the best passages of a search, which the reranker sees

# Widths as in chunking; at most half as many tokens. Small models read 512 tokens of a question and a passage together, and
# DashScope's gte-rerank-v2 takes 30,000 in one request, where the question counts once for each passage.
QUESTION_WIDTH = 600
PASSAGE_WIDTH = 1_000
REQUEST_WIDTH = 56_000

DECISIVE = 0.8  # of the way from the worst to the best relevance: so far below the best must all others be on average
LIMIT = 1e9  # a larger number is no relevance

Numbers = NDArray[np.float64]


def reranked(question: str, candidates: Sequence[Passage], reranker: Reranker, k: int) -> list[Passage]:
    """The best `k` of the candidates, which come best first, and a summary where it is better than the last of them.

    Their scores run from that of the first candidate downwards. Blocks. When the reranker fails, the order stays as it is.
    """
    order = list(candidates)
    if len(order) > 1:
        try:
            judgements = reranker.judge(*_request(question, order))
        except ChatError as error:
            log.warning("search goes on without the reranker %s: %s", reranker.name, error)
        else:
            order = _reordered(order, judgements)
    return _best(order, k)


def _request(question: str, candidates: Sequence[Passage]) -> tuple[str, list[str]]:
    """The question and the texts that are sent, in the order of the candidates; of a long list not all."""
    question = _cut(question, QUESTION_WIDTH)
    texts = [_text(passage) for passage in candidates]
    spent = np.cumsum([width(question) + width(text) for text in texts])
    return question, texts[: max(1, int(np.searchsorted(spent, REQUEST_WIDTH, side="right")))]


def _text(passage: Passage) -> str:
    """A passage with what it stands under; where it is too long, that part of it which holds the quote."""
    name = PurePath(passage.filename).stem
    head = _cut("\n".join(part for part in (name, passage.context) if part), PASSAGE_WIDTH // 3)
    room = PASSAGE_WIDTH - width(head)
    text = passage.text
    if width(text) > room:
        lead = max(0, text.find(passage.quote))
        start = min(lead, len(text) - len(_cut(text[::-1], room)))  # the end is as good a part as any other
        text = _cut(text[start:], room)
    return f"{head}\n{text}"


def _cut(text: str, limit: int) -> str:
    """The beginning of `text` that is no wider than `limit`."""
    while (size := width(text)) > limit:
        text = text[: min(len(text) - 1, int(len(text) * limit / size))]
    return text


def _reordered(candidates: list[Passage], judgements: Sequence[Judgement]) -> list[Passage]:
    relevance = _relevance(judgements, len(candidates))
    first = np.array([passage.score for passage in candidates])
    if first[0] <= first[-1]:  # no score says more than the order does
        first = np.linspace(1, 0, len(candidates))
    fused = first + (first[0] - first[-1]) * _trust(first, relevance) * _above_average(relevance)
    order = np.argsort(-fused, kind="stable")
    scores = candidates[0].score * np.maximum(fused[order] / fused[order[0]], 0)
    return [replace(candidates[i], score=round(float(score), 4)) for i, score in zip(order, scores, strict=True)]


def _relevance(judgements: Sequence[Judgement], count: int) -> Numbers:
    """That of each text. One of which nothing usable was said is as relevant as the least relevant of the others."""
    said: dict[int, float] = {}
    for place, relevance in judgements:
        if 0 <= place < count and abs(relevance) < LIMIT:  # which not-a-number is not
            said.setdefault(place, relevance)
    least = min(said.values(), default=0.0)
    return np.array([said.get(place, least) for place in range(count)])


def _trust(first: Numbers, relevance: Numbers) -> float:
    """From 0 to 1: how far this answer is to be believed."""
    best, worst = float(relevance.max()), float(relevance.min())
    if best <= worst:
        return 0.0
    agreement = float(np.corrcoef(first, relevance)[0, 1])
    others = (float(relevance.sum()) - best) / (len(relevance) - 1)
    decisiveness = ((best - others) / (best - worst) - DECISIVE) / (1 - DECISIVE)
    return max(0.0, min(1.0, max(agreement, decisiveness)))


def _above_average(relevance: Numbers) -> Numbers:
    """1 for the best, 0 for the average."""
    average = relevance.mean()
    scaled: Numbers = (relevance - average) / max(float(relevance.max() - average), 1e-12)
    return scaled


def _best(passages: Sequence[Passage], k: int) -> list[Passage]:
    chunks = accumulate(not passage.summary for passage in passages)
    return [passage for passage, count in zip(passages, chunks, strict=True) if count + passage.summary <= k]
