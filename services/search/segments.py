"""Segments: the search indexes of one or more documents, all in arrays, in memory or mapped from a file.

A document gives a segment (`build`), and segments give larger ones (`write`), of which documents may be left out. What is
found in a text does not depend on the segment that it is in. A knowledge base is searched in a few files this way, of which
only what a search touches is ever read; strings are decoded for hits alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby, pairwise
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.vector_db_manager import StoredDocument
from services.search.lexical import Postings, merged, script
from utils import array_files

FORMAT = 3  # to be raised whenever terms or arrays change
OVERVIEW = "summary overview abstract contents about 摘要 总结 概述 概括 简介 介绍 主要内容 讲了什么"
VECTOR_ROWS = 8_192  # at a time: what they take stays in the processor's cache
SUMMARY = -1  # its number as a chunk

_SIGN_AND_REST = np.uint32(0x8FFFE000).view(np.int32)

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


class Strings(NamedTuple):
    """String i is the UTF-8 of `data[offsets[i]:offsets[i + 1]]`."""

    data: NDArray[np.uint8]
    offsets: Ints

    @classmethod
    def build(cls, strings: Sequence[str]) -> "Strings":
        encoded = [string.encode("utf-8", "surrogatepass") for string in strings]
        return cls(np.frombuffer(b"".join(encoded), np.uint8), np.cumsum([0, *map(len, encoded)]))

    def at(self, number: int) -> str:
        first, last = self.offsets[number : number + 2]
        return self.data[first:last].tobytes().decode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Documents `ids`, one after the other: the texts of document i are `bounds[i]:bounds[i + 1]`, its summary first.

    By text: `contexts`; `starts`, the offsets in the document; `pages`, 0 for none; `chunks`, their numbers; `scripts` (see
    `lexical.script`). The passages of text i are rows `firsts[i]:firsts[i + 1]` of `vectors` (of length 1; None when another
    model made them), and begin at `offsets` in the text. `signs` has a bit for each number of a vector, 1 where it is
    positive: (words of 64 bits, passages). Without it vectors are float32, else float16.
    """

    ids: tuple[str, ...]
    bounds: Ints
    words: Postings
    texts: Strings
    contexts: Strings
    starts: Ints
    pages: NDArray[np.int32]
    chunks: NDArray[np.int32]
    scripts: NDArray[np.int8]
    firsts: Ints
    offsets: NDArray[np.int32]
    vectors: NDArray[Any] | None
    signs: NDArray[np.uint64] | None = None

    @classmethod
    def build(cls, document: StoredDocument) -> "Segment":
        """One document, in memory."""
        chunks = [list(group) for _, group in groupby(document.passages, key=lambda passage: passage.chunk)]
        texts = [document.summary, *("".join(passage.text for passage in chunk) for chunk in chunks)]
        contexts = [OVERVIEW, *(chunk[0].context for chunk in chunks)]
        named = [searched_text(document.filename, context, text) for context, text in zip(contexts, texts, strict=True)]
        return cls(
            ids=(document.id,),
            bounds=np.array([0, len(texts)]),
            words=Postings.build(named),
            texts=Strings.build(texts),
            contexts=Strings.build(contexts),
            starts=np.array([0, *(chunk[0].start for chunk in chunks)]),
            pages=np.array([0, *(chunk[0].page or 0 for chunk in chunks)], np.int32),
            chunks=np.array([SUMMARY, *(chunk[0].chunk for chunk in chunks)], np.int32),
            scripts=np.array([script(text) for text in texts], np.int8),
            firsts=np.cumsum([0, 1, *map(len, chunks)]),
            offsets=np.array([0, *(passage.start - chunk[0].start for chunk in chunks for passage in chunk)], np.int32),
            vectors=document.vectors,
        )

    @classmethod
    def read(cls, path: Path) -> "Segment":
        """Maps a file. Raises OSError, or ValueError when it is damaged."""
        arrays, ids = array_files.read(path)
        try:
            segment = cls(
                tuple(ids),
                words=Postings(*(arrays.pop(f"words.{part}") for part in Postings._fields)),
                texts=Strings(arrays.pop("texts.data"), arrays.pop("texts.offsets")),
                contexts=Strings(arrays.pop("contexts.data"), arrays.pop("contexts.offsets")),
                vectors=arrays.pop("vectors", None),
                **arrays,
            )
        except (KeyError, TypeError) as error:
            raise ValueError("the file is of another format") from error
        if not (_counts(segment.bounds, len(ids), len(segment.starts)) and _counts(segment.firsts, len(segment.starts))):
            raise ValueError("the file is damaged")
        return segment

    def in_memory(self) -> "Segment":
        """The same, exact and fast, without the file: for single documents."""
        copies: dict[str, Any] = {field.name: _copied(getattr(self, field.name)) for field in fields(self)}
        if self.vectors is not None:
            copies["vectors"] = _single(self.vectors)
        return replace(self, **copies | {"signs": None})

    @property
    def nbytes(self) -> int:
        return sum(_nbytes(getattr(self, field.name)) for field in fields(self))

    @property
    def dimensions(self) -> int:
        """Of its vectors; 0 without them."""
        return 0 if self.vectors is None else int(self.vectors.shape[1])

    def owner(self, text: int) -> int:
        """The place of the document that a text is in."""
        return int(np.searchsorted(self.bounds, text, side="right")) - 1

    def passages(self, text: int) -> list[str]:
        """The passages of a text, in the order of their vectors."""
        whole = self.texts.at(text)
        cuts = [*self.offsets[self.firsts[text] : self.firsts[text + 1]].tolist(), len(whole)]
        return [whole[first:last] for first, last in pairwise(cuts)]

    def cosines(self, vector: Floats, text: int) -> Floats:
        """Those of the passages of a text."""
        first, last = self.firsts[text : text + 2]
        if self.vectors is None or self.dimensions != len(vector):
            return np.zeros(last - first, np.float32)
        cosines: Floats = _single(self.vectors[first:last]) @ vector
        return cosines

    def similarity(self, vector: Floats) -> Floats:
        """The cosine of each text's best passage; estimated from the signs where there are any. 0 without vectors."""
        if self.vectors is None or self.dimensions != len(vector):
            return np.zeros(len(self.starts), np.float32)
        if self.signs is None:
            best: Floats = np.maximum.reduceat(self.vectors @ vector, self.firsts[:-1])
            return best
        nearest = np.minimum.reduceat(self._distances(vector), self.firsts[:-1])
        cosines: Floats = np.cos(np.pi / len(vector) * np.arange(len(vector) + 1)).astype(np.float32)
        return cosines[nearest]

    def exact_similarity(self, vector: Floats, texts: Ints) -> Floats:
        """The cosine of the best passage of these texts."""
        if self.vectors is None or self.dimensions != len(vector) or not len(texts):
            return np.zeros(len(texts), np.float32)
        first, last = self.firsts[texts], self.firsts[texts + 1]
        ends = np.cumsum(last - first)
        rows = np.arange(ends[-1]) + np.repeat(last - ends, last - first)
        best: Floats = np.maximum.reduceat(_single(self.vectors[rows]) @ vector, np.append(0, ends[:-1]))
        return best

    def _distances(self, vector: Floats) -> NDArray[np.uint16]:
        """In how many of the signs each passage differs."""
        assert self.signs is not None  # noqa: S101
        own = signs(vector[np.newaxis])
        distances = np.empty(self.signs.shape[1], np.uint16)
        for first in range(0, len(distances), VECTOR_ROWS):
            differing = np.bitwise_count(self.signs[:, first : first + VECTOR_ROWS] ^ own)
            distances[first : first + VECTOR_ROWS] = differing.sum(axis=0, dtype=np.uint16)
        return distances


class Source(NamedTuple):
    """A segment, and which of its documents go into another one."""

    segment: Segment
    kept: NDArray[np.bool_]

    @classmethod
    def whole(cls, segment: Segment) -> "Source":
        return cls(segment, np.ones(len(segment.ids), np.bool_))

    @property
    def texts(self) -> NDArray[np.bool_]:
        """Which texts are kept."""
        return np.repeat(self.kept, np.diff(self.segment.bounds))

    def runs(self) -> Iterator[tuple[slice, slice, slice]]:
        """Documents that are kept and follow each other, their texts, and their passages."""
        changes = np.flatnonzero(np.diff(self.kept, prepend=False, append=False))
        for first, last in changes.reshape(-1, 2).tolist():
            start, end = self.segment.bounds[[first, last]].tolist()
            yield slice(first, last), slice(start, end), slice(*self.segment.firsts[[start, end]].tolist())


def write(path: Path, sources: Sequence[Source]) -> None:
    """Writes documents of several segments as one segment, which has at least one; all have vectors of one size, or none.

    Needs little memory besides the postings' counts and the signs. Raises OSError.
    """
    ids = [id for segment, kept in sources for id, wanted in zip(segment.ids, kept.tolist(), strict=True) if wanted]
    array_files.write(path, _arrays(sources), ids)


def searched_text(filename: str, context: str, text: str) -> str:
    """All words by which a text is found."""
    return f"{PurePath(filename).stem}\n{context}\n{text}"


def signs(vectors: NDArray[Any]) -> NDArray[np.uint64]:
    """Which numbers are positive, 64 in a word: (words, vectors)."""
    packed = np.packbits(vectors > 0, axis=1)
    whole = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    return np.ascontiguousarray(whole.view(np.uint64).T)


def _single(vectors: NDArray[Any]) -> Floats:
    """Vectors as float32. numpy converts half precision number by number; moving the bits to their places is much faster."""
    if vectors.dtype != np.float16:
        return vectors.astype(np.float32, copy=False)
    bits = vectors.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= _SIGN_AND_REST
    single = bits.view(np.float32)
    single *= np.float32(2.0**112)  # exponents are counted from -127 instead of -15
    return single


def _arrays(sources: Sequence[Source]) -> Iterator[tuple[str, array_files.Blocks]]:
    runs = [(segment, *run) for segment, kept in sources for run in Source(segment, kept).runs()]
    yield "bounds", [_offsets([np.diff(s.bounds)[documents] for s, documents, _, _ in runs])]
    yield "firsts", [_offsets([np.diff(s.firsts)[texts] for s, _, texts, _ in runs])]
    for name in ("starts", "pages", "chunks", "scripts"):
        yield name, [getattr(s, name)[texts] for s, _, texts, _ in runs]
    yield "offsets", [s.offsets[passages] for s, _, _, passages in runs]
    for name in ("texts", "contexts"):
        strings = [(getattr(s, name), texts) for s, _, texts, _ in runs]
        yield f"{name}.offsets", [_offsets([np.diff(own.offsets)[texts] for own, texts in strings])]
        yield f"{name}.data", [own.data[own.offsets[texts.start] : own.offsets[texts.stop]] for own, texts in strings]
    for part, blocks in merged([(source.segment.words, source.texts) for source in sources]):
        yield f"words.{part}", blocks
    if all(s.vectors is not None for s, *_ in runs):
        found: list[NDArray[np.uint64]] = []
        yield "vectors", _vectors([(s, passages) for s, _, _, passages in runs], found)
        yield "signs", [np.concatenate(found, axis=1)]


def _vectors(runs: Sequence[tuple[Segment, slice]], found: list[NDArray[np.uint64]]) -> Iterator[NDArray[np.float16]]:
    """The vectors in blocks, whose signs are appended to `found`."""
    for segment, passages in runs:
        for first in range(passages.start, passages.stop, VECTOR_ROWS):
            assert segment.vectors is not None  # noqa: S101
            block = segment.vectors[first : min(first + VECTOR_ROWS, passages.stop)]
            found.append(signs(block))
            yield block.astype(np.float16, copy=False)


def _offsets(lengths: Sequence[Ints]) -> Ints:
    return np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths]))


def _counts(offsets: Ints, parts: int, total: int | None = None) -> bool:
    """Whether these can be the offsets of so many parts, which have `total` members together."""
    whole = len(offsets) == parts + 1 and offsets[0] == 0 and bool(np.all(np.diff(offsets) > 0))
    return whole and (total is None or offsets[-1] == total)


def _copied(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    return value._make(map(_copied, value)) if hasattr(value, "_make") else value


def _nbytes(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    return sum(map(_nbytes, value)) if hasattr(value, "_make") else 0
