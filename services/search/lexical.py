"""Search by words: BM25 over terms that are one for Simplified and Traditional, full and half width, plural and singular.

A term is a number of 64 bits. Scripts without spaces give each character and each pair of neighbours, whose numbers are made
of their code points; words and numbers give a hash. So an index is a few arrays, and needs no dictionary.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import snowballstemmer
from numpy.typing import NDArray

from utils.chinese import simplified

K1, B = 1.2, 0.75
MOST_POSTINGS = 1_000_000  # that a query has looked at: some 15 ms
BLOCK_POSTINGS = 2_000_000  # merged at a time, which takes 100 MB
SPACED, UNSPACED = -1, 1  # scripts
STOP_WEIGHT = 0.1  # of a query's small words; not 0, for they may be all that it has

# scripts that write no spaces between words: CJK, kana, hangul, Thai, Lao, Burmese, Khmer
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3005, 0x3007),
    (0x3041, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7AF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_CLASS = "".join(f"{chr(first)}-{chr(last)}" for first, last in _UNSPACED)
_WORD = re.compile(rf"\d{{1,3}}(?:,\d{{3}})+|\d+(?:\.\d+)+|[^\W_{_CLASS}]+")
_PART = re.compile(r"\d+|\D+")
_UNSPACED_LETTERS = re.compile(f"[{_CLASS}]+")
_SPACED_LETTERS = re.compile(rf"[^\W\d_{_CLASS}]+")
_WORD_BIT = 1 << 63
_WORD_CHARS = 64  # what is longer is no word

_STOP = """
a about am an and any are as at be been but by can could did do does for from had has have he her his how i if in into is it
its me may my of on or our s she should so some such t than that the their them then there these they this those to us was we
were what when where which who whom whose why will with would you your
的 了 是 在 和 与 或 及 吗 呢 吧 啊 什么 么 哪 哪里 哪个 哪些 谁 多少 几 怎 怎么 怎样 如何 为什 为何 何 请问 请 问 这 那
个 些 有 被 把 对 于 其 之 以 从 而 也 都 就
"""

Terms = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Matches:
    """What a query finds: BM25's `scores` of all texts. `weights` are those of the query's `terms`."""

    scores: NDArray[np.float32]
    terms: Terms
    weights: NDArray[np.float64]

    def covered_by(self, text: str) -> float:
        """The part of the query that any text has, by weight, from 0 to 1."""
        found = terms(text)
        if not len(self.terms):
            return 0.0
        at = np.minimum(np.searchsorted(self.terms, found), len(self.terms) - 1)
        has = np.zeros(len(self.terms), np.bool_)
        has[at[self.terms[at] == found]] = True
        return float(self.weights[has].sum() / self.weights.sum())

    def weight(self, script: int) -> float:
        """What the query's terms of a script weigh; numbers count as SPACED."""
        return float(self.weights[(self.terms < _WORD_BIT) == (script == UNSPACED)].sum())


def terms(text: str) -> Terms:
    """All terms of `text`, as often as they occur."""
    folded = simplified(unicodedata.normalize("NFKC", text).lower())
    points = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    unspaced = _unspaced()[points]
    pairs = unspaced[:-1] & unspaced[1:]
    words = [number for match in _WORD.finditer(folded) for number in _word(match[0][:_WORD_CHARS])]
    return np.concatenate(
        [points[unspaced], points[:-1][pairs] << np.uint64(21) | points[1:][pairs], np.array(words, np.uint64)]
    )


def script(text: str) -> int:
    """What most of a text is written in, SPACED or UNSPACED; 0 without letters.

    A character of a script without spaces is as wide as two letters, and says at least as much.
    """
    spaced = sum(map(len, _SPACED_LETTERS.findall(text)))
    unspaced = 2 * sum(map(len, _UNSPACED_LETTERS.findall(text)))
    return (unspaced > spaced) - (unspaced < spaced)


@cache
def _unspaced() -> NDArray[np.bool_]:
    table = np.zeros(0x110000, np.bool_)
    for first, last in _UNSPACED:
        table[first : last + 1] = True
    return table


@lru_cache(maxsize=100_000)
def _word(word: str) -> tuple[int, ...]:
    """The terms of a word. Mixtures such as `glm4` and `3.14` give their parts as well."""
    if word[0].isdigit() and "," in word:
        word = word.replace(",", "")
    parts = [part for piece in word.split(".") for part in _PART.findall(piece)]
    return tuple(_hash(_stem(part)) for part in dict.fromkeys([word, *parts]))


def _stem(word: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    stem: str = _stemmer().stemWord(plain) if plain.isascii() else plain
    return stem


def _stemmer() -> snowballstemmer.EnglishStemmer:
    return snowballstemmer.stemmer("english")  # it keeps the word that it works on, so each call needs its own


def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()) | _WORD_BIT


@cache
def _stop_terms() -> Terms:
    return np.unique(np.concatenate([terms(word) for word in _STOP.split()]))


class Postings(NamedTuple):
    """Which of the `n` texts has which term how often.

    The postings of `keys[i]` (sorted) are `starts[i]:starts[i + 1]` of `texts` (ascending) and `counts` (255 may be
    more); `lengths` are the numbers of terms of the texts.
    """

    keys: Terms
    starts: NDArray[np.int64]
    texts: NDArray[np.int32]
    counts: NDArray[np.uint8]
    lengths: NDArray[np.float32]

    @classmethod
    def build(cls, texts: Sequence[str]) -> "Postings":
        lists = [terms(text) for text in texts]
        unique = [np.unique(found, return_counts=True) for found in lists]
        keys = np.concatenate([np.empty(0, np.uint64), *(found for found, _ in unique)])
        order = np.argsort(keys, kind="stable")  # within a term the texts stay in order
        owners = np.repeat(np.arange(len(texts), dtype=np.int32), [len(found) for found, _ in unique])
        counts = np.concatenate([np.empty(0, np.uint8), *(np.minimum(count, 255).astype(np.uint8) for _, count in unique)])
        distinct, firsts = np.unique(keys[order], return_index=True)
        return cls(
            distinct,
            np.append(firsts, len(keys)).astype(np.int64),
            owners[order],
            counts[order],
            np.array([len(found) for found in lists], np.float32),
        )

    def ranges(self, wanted: Terms) -> NDArray[np.int64]:
        """Where the postings of each wanted term begin and end: (2, terms); the two are equal for an unknown term."""
        if not len(self.keys):
            return np.zeros((2, len(wanted)), np.int64)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        known = self.keys[at] == wanted
        return np.stack([self.starts[at], np.where(known, self.starts[at + 1], self.starts[at])])


def bm25(query: str, indexes: Sequence[Postings], alive: NDArray[np.bool_] | None = None) -> Matches:
    """The texts of all indexes, one after the other, compared with `query` as one collection.

    Those that are not `alive` count as if they were not there. Of a query that would have more than MOST_POSTINGS looked at,
    the commonest terms are passed over, which say least.
    """
    wanted = np.unique(terms(query))
    lengths = np.concatenate([np.empty(0, np.float32), *(index.lengths for index in indexes)])
    ranges = [index.ranges(wanted) for index in indexes]
    frequency = sum((last - first for first, last in ranges), np.zeros(len(wanted), np.int64))
    common = _too_many(frequency)
    for first, last in ranges:
        last[common] = first[common]
    texts, counts, numbers = _gather(indexes, ranges)
    if alive is not None:
        found = alive[texts]
        texts, counts, numbers = texts[found], counts[found], numbers[found]
        frequency = np.where(common, frequency, np.bincount(numbers, minlength=len(wanted)))
    existing = lengths if alive is None else lengths[alive]
    weights = np.log(1 + np.maximum(len(existing) - frequency + 0.5, 0.5) / (frequency + 0.5))
    weights[np.isin(wanted, _stop_terms())] *= STOP_WEIGHT
    weight = weights[numbers]
    norm = K1 * (1 - B + B * lengths[texts] / max(float(existing.mean()), 1.0)) if len(texts) else 0.0
    scores = np.bincount(texts, weight * counts * (K1 + 1) / (counts + norm), len(lengths))
    return Matches(scores.astype(np.float32), wanted, weights)


def _too_many(frequency: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which terms are too common to be looked at, the rarest first, within MOST_POSTINGS."""
    order = np.argsort(frequency, kind="stable")
    common = np.zeros(len(frequency), np.bool_)
    common[order[np.cumsum(frequency[order]) > MOST_POSTINGS]] = True
    return common


def _gather(
    indexes: Sequence[Postings], ranges: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    """The postings of all wanted terms: the text (counted over all indexes), how often it has the term, and which term."""
    texts, counts, numbers, offset = [], [], [], 0
    for index, (first, last) in zip(indexes, ranges, strict=True):
        sizes = last - first
        total = int(sizes.sum())
        if total:
            at = np.arange(total) + np.repeat(first - np.cumsum(sizes) + sizes, sizes)
            texts.append(index.texts[at] + np.int64(offset))
            counts.append(index.counts[at])
            numbers.append(np.repeat(np.arange(len(sizes)), sizes))
        offset += len(index.lengths)
    if not texts:
        return np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.int64)
    return np.concatenate(texts), np.concatenate(counts), np.concatenate(numbers)


def merged(sources: Sequence[tuple[Postings, NDArray[np.bool_]]]) -> Iterator[tuple[str, Iterable[NDArray[Any]]]]:
    """The arrays of one Postings made of several, by name, each in blocks that have to be used up before the next array.

    There is at least one term. Texts that a source does not keep are left out, and those that follow move up. Only the
    counts are held in memory.
    """
    keys = np.unique(np.concatenate([words.keys for words, _ in sources]))
    blocks = _merged_blocks(keys, sources)
    sizes: list[NDArray[np.int64]] = []
    counts: list[NDArray[np.uint8]] = []

    def texts() -> Iterator[NDArray[np.int32]]:
        for found, own_counts, own_sizes in blocks:
            counts.append(own_counts)
            sizes.append(own_sizes)
            yield found

    yield "texts", texts()
    yield "counts", counts
    size = np.concatenate(sizes)
    yield "keys", [keys[size > 0]]
    yield "starts", [np.cumsum(np.append(0, size[size > 0]))]
    yield "lengths", [words.lengths[kept] for words, kept in sources]


def _merged_blocks(
    keys: Terms, sources: Sequence[tuple[Postings, NDArray[np.bool_]]]
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int64]]]:
    """For one range of `keys` after the other: texts and counts of their postings, and how many each key has."""
    places = [np.searchsorted(keys, words.keys).astype(np.int32) for words, _ in sources]
    size = np.zeros(len(keys), np.int64)
    for (words, _), place in zip(sources, places, strict=True):
        size[place] += np.diff(words.starts)
    ends = np.cumsum(size)
    cuts = np.searchsorted(ends, np.arange(BLOCK_POSTINGS, ends[-1], BLOCK_POSTINGS))
    numbers = list(_new_numbers([kept for _, kept in sources]))
    for first, last in pairwise(np.unique([0, *cuts.tolist(), len(keys)]).tolist()):
        parts = [
            _part(words, place, number, first, last)
            for (words, _), place, number in zip(sources, places, numbers, strict=True)
        ]
        owners, texts, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(owners, kind="stable")  # within a term the texts stay in order
        yield texts[order], counts[order], np.bincount(owners, minlength=last - first)


def _part(
    words: Postings, place: NDArray[np.int32], number: NDArray[np.int32], first: int, last: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]]:
    """The postings of a range of merged keys in one source: the key, counted in the range, the new text, and the count."""
    own = slice(*np.searchsorted(place, [first, last]).tolist())
    postings = slice(words.starts[own.start], words.starts[own.stop])
    texts = number[words.texts[postings]]
    owners = np.repeat(place[own] - np.int32(first), np.diff(words.starts[own.start : own.stop + 1]))
    kept = texts >= 0
    return owners[kept], texts[kept], words.counts[postings][kept]


def _new_numbers(kept: Sequence[NDArray[np.bool_]]) -> Iterator[NDArray[np.int32]]:
    """What number each text of each source gets; -1 for none."""
    offset = 0
    for texts in kept:
        yield np.where(texts, np.cumsum(texts) - 1 + offset, -1).astype(np.int32)
        offset += int(texts.sum())
