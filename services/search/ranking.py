"""Which texts fit a question best, by words and by meaning.

All texts that are searched are one collection, whichever segments they are in. BM25 scores texts, vectors score passages,
and a text is worth its best passage. In the segments of knowledge bases meaning is estimated first, from the signs of the
vectors, and then computed for the texts that can be among the best (see `benchmarks/index_scale.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.conversations import ReadyDocument
from models.embeddings import Vectors
from models.passages import Passage
from services.search.lexical import SPACED, UNSPACED, Matches, bm25
from services.search.segments import Segment, searched_text

# Words and meaning are each brought to about 0..1, then added. The floors keep small differences from being blown up: that
# between two chunks, or that between chunks which share only a particle with the question.
DENSE_WEIGHT = 0.6
LEXICAL_FLOOR = 0.4  # of the score of a text that had all of the question
DENSE_FLOOR = 0.1  # of the cosine above the average

RESCORED, RESCORED_SUMMARIES = 1_000, 100  # texts whose estimates are made exact because they may be among the best
SAMPLED = 256  # and others by which it is seen how far estimates are off on average


class Part(NamedTuple):
    """A segment, and those of its documents that are searched, by their place in it.

    `alive` are their texts; None stands for all.
    """

    segment: Segment
    documents: Mapping[int, ReadyDocument]
    alive: NDArray[np.bool_] | None

    @classmethod
    def of(cls, segment: Segment, documents: Mapping[int, ReadyDocument]) -> "Part":
        if len(documents) == len(segment.ids):
            return cls(segment, documents, None)
        searched = np.zeros(len(segment.ids), np.bool_)
        searched[list(documents)] = True
        return cls(segment, documents, np.repeat(searched, np.diff(segment.bounds)))


class Collection:
    """The texts of all parts, one after the other: those of part i are `bounds[i]:bounds[i + 1]`."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.bounds = np.cumsum([0, *(len(part.segment.starts) for part in parts)])

    @cached_property
    def alive(self) -> NDArray[np.bool_] | None:
        """Which texts are searched; None: all."""
        if all(part.alive is None for part in self.parts):
            return None
        masks = [np.ones(len(part.segment.starts), np.bool_) if part.alive is None else part.alive for part in self.parts]
        return np.concatenate(masks)

    @cached_property
    def summaries(self) -> NDArray[np.int64]:
        """The texts that are summaries."""
        starts = self.bounds[:-1]
        found = np.concatenate([part.segment.bounds[:-1] + start for part, start in zip(self.parts, starts, strict=True)])
        return found if self.alive is None else found[self.alive[found]]

    @cached_property
    def chunks(self) -> NDArray[np.bool_]:
        """Which texts are chunks that are searched."""
        alive = np.ones(self.bounds[-1], np.bool_) if self.alive is None else self.alive.copy()
        alive[self.summaries] = False
        return alive

    @cached_property
    def scale(self) -> NDArray[np.bool_]:
        """The texts that set the scale: chunks, not summaries, unless there is nothing else."""
        if self.chunks.any():
            return self.chunks
        return np.isin(np.arange(self.bounds[-1]), self.summaries)

    @cached_property
    def scripts(self) -> NDArray[np.int8]:
        """What each text is written in (see `lexical.script`)."""
        return np.concatenate([part.segment.scripts for part in self.parts])

    @cached_property
    def estimated(self) -> NDArray[np.bool_]:
        """Of which texts the similarity is only estimated."""
        return np.repeat([part.segment.signs is not None for part in self.parts], np.diff(self.bounds))

    def place(self, text: int) -> tuple[Part, int]:
        """The part that a text is in, and its number there."""
        number = int(np.searchsorted(self.bounds, text, side="right")) - 1
        return self.parts[number], text - int(self.bounds[number])

    def split(self, texts: NDArray[np.int64]) -> Iterator[tuple[Part, NDArray[np.bool_], NDArray[np.int64]]]:
        """These texts by part: which of them they are, and their numbers there."""
        for part, first, last in zip(self.parts, self.bounds[:-1], self.bounds[1:], strict=True):
            own = (texts >= first) & (texts < last)
            if own.any():
                yield part, own, texts[own] - first


@dataclass(frozen=True, slots=True)
class Ranking:
    """`fused` says how well each text fits, -inf where that is not known: it cannot be among the best then.

    `similarity` is the cosine of a text's best passage; 0 without vectors.
    """

    collection: Collection
    vector: Vectors
    matches: Matches
    similarity: NDArray[np.float32]
    fused: NDArray[np.float32]

    def best(self, k: int) -> list[int]:
        """The `k` chunks that fit best, best first."""
        fused = np.where(self.collection.chunks, self.fused, -np.inf)
        k = min(k, int(np.isfinite(fused).sum()))
        hits = np.argpartition(-fused, k - 1)[:k] if k > 0 else np.empty(0, np.int64)
        return self._sorted(hits)

    def with_summary(self, hits: Sequence[int]) -> list[int]:
        """The same and the best summary, where it fits better than the last of them."""
        summaries = self.collection.summaries
        best = summaries[np.argmax(self.fused[summaries])]
        if not hits or self.fused[best] > self.fused[list(hits)].min():
            return self._sorted(np.array([*hits, best]))
        return list(hits)

    def _sorted(self, hits: NDArray[np.int64]) -> list[int]:
        order = np.lexsort((hits, -self.fused[hits]))
        return [int(hit) for hit in hits[order]]

    def passages(self, hits: Sequence[int]) -> list[Passage]:
        return [self._passage(hit, score) for hit, score in zip(hits, self._scores(hits), strict=True)]

    def _scores(self, hits: Sequence[int]) -> list[float]:
        """The best hit gets the part of the question that it has, by words or by meaning; others fall off as they rank."""
        if not hits:
            return []
        top = hits[0]
        trust = min(1.0, max(0.0, self.matches.covered_by(self._all_words(top)), float(self.similarity[top])))
        best = float(self.fused[top])
        return [round(trust * (max(0.0, float(self.fused[hit])) / best if best > 0 else 1.0), 4) for hit in hits]

    def _all_words(self, hit: int) -> str:
        part, text = self.collection.place(hit)
        segment = part.segment
        return searched_text(part.documents[segment.owner(text)].filename, segment.contexts.at(text), segment.texts.at(text))

    def _passage(self, hit: int, score: float) -> Passage:
        part, text = self.collection.place(hit)
        segment = part.segment
        owner = segment.owner(text)
        summary = text == int(segment.bounds[owner])
        passages = segment.passages(text)
        cosines = segment.cosines(self.vector, text).tolist()
        fit = [self.matches.covered_by(passage) + cosine for passage, cosine in zip(passages, cosines, strict=True)]
        whole, start = "".join(passages), int(segment.starts[text])
        return Passage(
            document_id=part.documents[owner].id,
            filename=part.documents[owner].filename,
            page=int(segment.pages[text]) or None,
            text=whole,
            quote=passages[int(np.argmax(fit))].strip(),
            start=start,
            end=0 if summary else start + len(whole),
            score=score,
            context="" if summary else segment.contexts.at(text),
            summary=summary,
            chunk=int(segment.chunks[text]),
        )


def rank(query: str, vector: Vectors, parts: Sequence[Part]) -> Ranking:
    """`vector` is that of the query, empty if there is none. At least one document is searched."""
    collection = Collection(parts)
    matches = bm25(query, [part.segment.words for part in parts], collection.alive)
    similarity = np.concatenate([part.segment.similarity(vector) for part in parts])
    average = float(similarity[collection.scale].mean())
    fused = _fused(matches, collection.scripts, similarity, collection.scale, average)
    ranking = Ranking(collection, vector, matches, similarity, fused)
    return _rescored(ranking, average) if collection.estimated.any() else ranking


def _rescored(ranking: Ranking, average: float) -> Ranking:
    """The same, with the exact similarity of all texts that may be among the best."""
    collection, estimates = ranking.collection, ranking.similarity
    possible = np.flatnonzero(collection.estimated & collection.scale)
    summaries = collection.summaries[collection.estimated[collection.summaries]]
    sample = possible if len(possible) <= RESCORED else possible[:: len(possible) // SAMPLED]
    best = np.union1d(_top(ranking.fused, possible, RESCORED), _top(ranking.fused, summaries, RESCORED_SUMMARIES))
    similarity = estimates.copy()
    for chosen in (sample, best):
        for part, own, texts in collection.split(chosen):
            similarity[chosen[own]] = part.segment.exact_similarity(ranking.vector, texts)
    if len(sample):
        error = float((estimates[sample] - similarity[sample]).mean())
        average -= error * len(possible) / int(collection.scale.sum())
    known = ~collection.estimated
    known[best] = True
    fused = _fused(ranking.matches, collection.scripts, similarity, collection.scale & known, average)
    fused[~known] = -np.inf
    return replace(ranking, similarity=similarity, fused=fused)


def _top(fused: NDArray[np.float32], texts: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The `k` of these texts that fit best, in any order."""
    return texts if len(texts) <= k else texts[np.argpartition(-fused[texts], k)[:k]]


def _fused(
    matches: Matches,
    scripts: NDArray[np.int8],
    similarity: NDArray[np.float32],
    scale: NDArray[np.bool_],
    average: float,
) -> NDArray[np.float32]:
    top = max(float(matches.scores[scale].max()), LEXICAL_FLOOR * float(matches.weights.sum()), 1e-9)
    spread = max(float(similarity[scale].max()) - average, DENSE_FLOOR)
    words = matches.scores + _credit(matches, scripts, similarity - average, scale)
    fused: NDArray[np.float32] = words / top + DENSE_WEIGHT * (similarity - average) / spread
    return fused


def _credit(
    matches: Matches, scripts: NDArray[np.int8], meaning: NDArray[np.float32], scale: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """What texts score for words of the question that they can hardly have, being in another script than those.

    Chunks of the words' own script would otherwise leave no answer in another language a chance. Of such words a text is
    taken to have as large a part as its cosine is above the average (`meaning`), but no more than the best of those chunks
    scores: where there are none of these, nothing changes.
    """
    credit = np.zeros_like(matches.scores)
    for script in (SPACED, UNSPACED):
        if weight := np.float32(matches.weight(-script)):
            most = np.max(matches.scores, where=scale & (scripts == -script), initial=np.float32(0))
            credit += np.clip(meaning * weight, 0, most) * (scripts == script)
    return credit
