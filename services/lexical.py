"""Search by words: BM25 over terms that are one for Simplified and Traditional, full and half width, plural and singular.

A term is a number of 64 bits. Scripts without spaces give each character and each pair of neighbours, whose numbers are made
of their code points; words and numbers give a hash. So an index is a few arrays, and needs no dictionary.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b
from importlib import resources

import numpy as np
import snowballstemmer
from numpy.typing import NDArray

K1, B = 1.2, 0.75
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
    """What a query finds. `scores` are BM25's, `coverage` is the part of the query (0 to 1) that a text has, by weight.

    `weights` are those of the query's `terms`.
    """

    scores: NDArray[np.float32]
    coverage: NDArray[np.float32]
    terms: Terms
    weights: NDArray[np.float64]

    def covered_by(self, text: str) -> float:
        """The part of the query that any text has."""
        found = terms(text)
        if not len(self.terms):
            return 0.0
        at = np.minimum(np.searchsorted(self.terms, found), len(self.terms) - 1)
        has = np.zeros(len(self.terms), np.bool_)
        has[at[self.terms[at] == found]] = True
        return float(self.weights[has].sum() / self.weights.sum())


def terms(text: str) -> Terms:
    """All terms of `text`, as often as they occur."""
    folded = unicodedata.normalize("NFKC", text).lower().translate(_simplified())
    points = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    unspaced = _unspaced()[points]
    pairs = unspaced[:-1] & unspaced[1:]
    words = [number for match in _WORD.finditer(folded) for number in _word(match[0][:_WORD_CHARS])]
    return np.concatenate(
        [points[unspaced], points[:-1][pairs] << np.uint64(21) | points[1:][pairs], np.array(words, np.uint64)]
    )


@cache
def _simplified() -> dict[int, str]:
    """OpenCC's table from Traditional to Simplified, by single characters: no word may depend on its neighbours here."""
    table = (resources.files("opencc") / "dictionary" / "TSCharacters.txt").read_text("utf-8")
    return {ord(line[0]): line.split()[1] for line in table.splitlines() if line}


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


@dataclass(frozen=True, slots=True)
class Postings:
    """Which of the `n` texts has which term how often.

    The postings of `keys[i]` (sorted) are `starts[i]:starts[i + 1]` of `texts` (ascending) and `counts`; `lengths` are the
    numbers of terms of the texts.
    """

    keys: Terms
    starts: NDArray[np.int64]
    texts: NDArray[np.int32]
    counts: NDArray[np.float32]
    lengths: NDArray[np.float32]

    @classmethod
    def build(cls, texts: Sequence[str]) -> "Postings":
        lists = [terms(text) for text in texts]
        unique = [np.unique(found, return_counts=True) for found in lists]
        keys = np.concatenate([np.empty(0, np.uint64), *(found for found, _ in unique)])
        order = np.argsort(keys, kind="stable")  # within a term the texts stay in order
        owners = np.repeat(np.arange(len(texts), dtype=np.int32), [len(found) for found, _ in unique])
        counts = np.concatenate([np.empty(0, np.float32), *(count.astype(np.float32) for _, count in unique)])
        distinct, firsts = np.unique(keys[order], return_index=True)
        return cls(
            distinct,
            np.append(firsts, len(keys)).astype(np.int64),
            owners[order],
            counts[order],
            np.array([len(found) for found in lists], np.float32),
        )

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in (self.keys, self.starts, self.texts, self.counts, self.lengths))

    def ranges(self, wanted: Terms) -> NDArray[np.int64]:
        """Where the postings of each wanted term begin and end: (2, terms); the two are equal for an unknown term."""
        if not len(self.keys):
            return np.zeros((2, len(wanted)), np.int64)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        known = self.keys[at] == wanted
        return np.stack([self.starts[at], np.where(known, self.starts[at + 1], self.starts[at])])


def bm25(query: str, indexes: Sequence[Postings]) -> Matches:
    """The texts of all indexes, one after the other, compared with `query` as one collection."""
    wanted = np.unique(terms(query))
    lengths = np.concatenate([np.empty(0, np.float32), *(index.lengths for index in indexes)])
    ranges = [index.ranges(wanted) for index in indexes]
    frequency = sum((last - first for first, last in ranges), np.zeros(len(wanted), np.int64))
    weights = np.log(1 + (len(lengths) - frequency + 0.5) / (frequency + 0.5))
    weights[np.isin(wanted, _stop_terms())] *= STOP_WEIGHT
    texts, counts, numbers = _gather(indexes, ranges)
    weight = weights[numbers]
    norm = K1 * (1 - B + B * lengths[texts] / max(float(lengths.mean()), 1.0)) if len(texts) else 0.0
    scores = np.bincount(texts, weight * counts * (K1 + 1) / (counts + norm), len(lengths))
    coverage = np.bincount(texts, weight, len(lengths)) / max(weights.sum(), 1e-9)
    return Matches(scores.astype(np.float32), coverage.astype(np.float32), wanted, weights)


def _gather(
    indexes: Sequence[Postings], ranges: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
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
        return np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64)
    return np.concatenate(texts), np.concatenate(counts), np.concatenate(numbers)
