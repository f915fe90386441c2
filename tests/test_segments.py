"""Segments: that files hold what documents have, that merging changes nothing, and that damaged files are seen."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.vector_db_manager import StoredDocument, StoredPassage
from services.search import lexical
from services.search.lexical import Postings, bm25, merged
from services.search.segments import Segment, Source, write
from utils import array_files

DIMENSIONS = 100  # not a multiple of 64
WORDS = ["员工", "年假", "報銷", "rocket", "thrust ", "packet ", "E1033 ", "的", "𠮷野家", "a\ud800b "]


def document(seed: int, chunks: int = 5, dimensions: int = DIMENSIONS) -> StoredDocument:
    random = np.random.default_rng(seed)
    passages, start = [], 0
    for number in range(chunks * 2):
        text = "".join(random.choice(WORDS, 12)) + "。"
        page = number // 3 + 1 if seed % 2 else None
        passages.append(StoredPassage(number // 2, text, start, page, "" if number % 4 else f"第{seed}章"))
        start += len(text)
    vectors = random.normal(size=(len(passages) + 1, dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return StoredDocument(f"doc_{seed}", f"文件 {seed}.pdf", "kb_1", f"摘要 {seed}", passages, vectors)


def built(*seeds: int) -> list[Segment]:
    return [Segment.build(document(seed)) for seed in seeds]


def written(path: Path, segments: Sequence[Segment]) -> Segment:
    write(path, [Source.whole(segment) for segment in segments])
    return Segment.read(path)


def texts(segment: Segment) -> list[tuple[object, ...]]:
    return [
        (
            segment.texts.at(n),
            segment.contexts.at(n),
            segment.passages(n),
            segment.starts[n],
            segment.pages[n],
            segment.chunks[n],
            segment.scripts[n],
        )
        for n in range(len(segment.starts))
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "a.segment"


def test_a_file_has_what_its_document_had(path: Path) -> None:
    stored = document(1)
    segment = written(path, [Segment.build(stored)])
    assert segment.ids == (stored.id,)
    assert [segment.texts.at(n) for n in range(6)] == [
        stored.summary,
        *("".join(p.text for p in stored.passages if p.chunk == chunk) for chunk in range(5)),
    ]
    assert segment.passages(3) == [stored.passages[4].text, stored.passages[5].text]
    assert segment.contexts.at(1) == "第1章"
    assert segment.starts.tolist() == [0, *(p.start for p in stored.passages[::2])]
    assert segment.pages.tolist() == [0, *(p.page for p in stored.passages[::2])]
    assert segment.chunks.tolist() == [-1, 0, 1, 2, 3, 4]
    assert stored.vectors is not None and segment.vectors is not None
    assert np.allclose(segment.vectors, stored.vectors, atol=1e-3)


def test_a_segment_in_memory_is_as_exact_as_its_file_and_needs_it_no_more(path: Path) -> None:
    segment = written(path, built(1))
    copy = segment.in_memory()
    path.unlink()
    assert texts(copy) == texts(segment)
    assert copy.vectors is not None and segment.vectors is not None
    assert copy.vectors.dtype == np.float32 and np.array_equal(copy.vectors, segment.vectors)
    assert not np.shares_memory(copy.words.texts, segment.words.texts)


def test_merging_changes_no_text_and_no_score(path: Path) -> None:
    parts = built(1, 2, 3)
    one = written(path, parts)
    assert one.ids == ("doc_1", "doc_2", "doc_3")
    assert texts(one) == [text for part in parts for text in texts(part)]
    for query in ("员工的年假", "rocket thrust E1033", "报销", "摘要 2", "nothing"):
        apart, together = bm25(query, [part.words for part in parts]), bm25(query, [one.words])
        assert np.array_equal(apart.scores, together.scores) and np.array_equal(apart.weights, together.weights)


def test_segments_merge_into_the_same_file_as_their_documents(path: Path, tmp_path: Path) -> None:
    first, second = written(tmp_path / "1", built(1, 2)), written(tmp_path / "2", built(3))
    written(path, [first, second])
    written(tmp_path / "at once", built(1, 2, 3))
    assert path.read_bytes() == (tmp_path / "at once").read_bytes()


@pytest.mark.parametrize("kept", [[True, False, True, False], [False, False, False, True], [False, True, True, False]])
def test_what_is_left_out_leaves_no_trace(path: Path, tmp_path: Path, kept: list[bool]) -> None:
    whole = written(tmp_path / "whole", built(1, 2, 3, 4))
    write(path, [Source(whole, np.array(kept))])
    written(tmp_path / "kept", [part for part, wanted in zip(built(1, 2, 3, 4), kept, strict=True) if wanted])
    assert path.read_bytes() == (tmp_path / "kept").read_bytes()


def test_texts_that_are_not_alive_count_as_if_they_were_not_there() -> None:
    first, second, third = built(1, 2, 3)
    alive = np.repeat([True, False, True], len(first.starts))
    for query in ("员工的年假", "rocket thrust", "摘要 2"):
        masked = bm25(query, [part.words for part in (first, second, third)], alive)
        rest = bm25(query, [first.words, third.words])
        assert np.allclose(masked.scores[alive], rest.scores) and not masked.scores[~alive].any()
        assert np.allclose(masked.weights, rest.weights)


def random_postings(seed: int, keys: int, texts: int) -> Postings:
    random = np.random.default_rng(seed)
    found = np.sort(random.choice(2 * keys, keys, replace=False)).astype(np.uint64)
    lists = np.sort(random.integers(0, texts, size=(keys, texts // 4)), axis=1).astype(np.int32)
    counts = random.integers(1, 200, lists.size).astype(np.uint8)
    starts = np.arange(keys + 1, dtype=np.int64) * lists.shape[1]
    return Postings(found, starts, lists.ravel(), counts, random.random(texts).astype(np.float32))


def as_lists(words: Postings) -> dict[int, list[tuple[int, int]]]:
    return {
        int(key): list(zip(words.texts[first:last].tolist(), words.counts[first:last].tolist(), strict=True))
        for key, first, last in zip(words.keys, words.starts[:-1], words.starts[1:], strict=True)
    }


def test_postings_that_are_merged_in_several_blocks_are_all_there() -> None:
    sources = [random_postings(seed, 3_000, 2_000) for seed in (1, 2)]
    assert sum(len(words.texts) for words in sources) > lexical.BLOCK_POSTINGS
    kept = [np.arange(2_000) % 3 > 0, np.ones(2_000, np.bool_)]
    columns = {name: np.concatenate(list(blocks)) for name, blocks in merged(list(zip(sources, kept, strict=True)))}
    found = as_lists(Postings(**columns))
    first, second = map(as_lists, sources)
    numbers = np.cumsum(kept[0]) - 1
    offset = int(kept[0].sum())
    for key in {*first, *second}:
        expected = [(int(numbers[text]), count) for text, count in first.get(key, ()) if kept[0][text]]
        expected += [(offset + text, count) for text, count in second.get(key, ())]
        assert found.get(key, []) == expected


def test_of_a_very_long_question_the_rarest_terms_are_looked_at() -> None:
    rare, common = "龘", "".join(chr(0x4E00 + n) for n in range(60))
    postings = Postings.build([common, common + rare, "another"])
    copies = [postings] * 20_000
    limited, whole = bm25(common + rare, copies), bm25(common + rare, copies[:100])
    assert limited.scores[1] > limited.scores[0] > 0
    assert limited.scores[0] < 0.7 * whole.scores[0]  # not all was looked at
    assert limited.weights == pytest.approx(whole.weights, rel=0.2)


def test_estimates_are_near_and_what_is_computed_is_exact(path: Path) -> None:
    parts = [Segment.build(document(seed, 40, 512)) for seed in (1, 2)]
    one = written(path, parts)
    assert parts[1].vectors is not None
    vector = parts[1].vectors[7]  # a passage of chunk 2
    exact = np.concatenate([part.similarity(vector) for part in parts])
    assert np.abs(one.similarity(vector) - exact).max() < 0.2
    every = np.arange(len(exact))
    assert np.allclose(one.exact_similarity(vector, every), exact, atol=1e-3)
    assert int(np.argmax(one.similarity(vector))) == int(np.argmax(exact)) == 41 + 4
    assert np.allclose(one.cosines(vector, 41 + 4).max(), 1, atol=1e-3)


def test_vectors_of_another_model_say_nothing(path: Path) -> None:
    without = Segment.build(replace(document(1), vectors=None))
    for segment in (without, written(path, [without]), written(path, built(1))):
        for dimensions in (0, 7):
            vector = np.ones(dimensions, np.float32)
            assert not segment.similarity(vector).any() and not segment.cosines(vector, 2).any()
            assert not segment.exact_similarity(vector, np.array([1, 2])).any()
    assert written(path, [without]).vectors is None


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "short": lambda content: content[:5],
    "overwritten": lambda content: b"\xff" * 64 + content[64:],
    "cut off": lambda content: content[: len(content) // 2],
    "last byte": lambda content: content[:-1],
    "without its beginning": lambda content: content[len(content) // 2 :],
    "zeros": lambda content: bytes(len(content)),
    "footer": lambda content: content[:-60] + bytes(44) + content[-16:],
    "something else": lambda content: b"PK\x03\x04" * 100,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_refused(path: Path, damage: Callable[[bytes], bytes]) -> None:
    written(path, built(1))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r".+"):
        Segment.read(path)


def test_a_file_of_another_kind_is_refused(path: Path) -> None:
    array_files.write(path, [("numbers", [np.arange(3), np.arange(4)])], ["doc_1"])
    assert array_files.read(path)[0]["numbers"].tolist() == [0, 1, 2, 0, 1, 2, 3]
    with pytest.raises(ValueError, match="format"):
        Segment.read(path)


def test_a_file_that_cannot_be_finished_leaves_nothing(path: Path) -> None:
    class Broken(Exception):
        pass

    def blocks() -> object:
        yield np.arange(3)
        raise Broken

    with pytest.raises(Broken):
        array_files.write(path, [("numbers", blocks())], [])  # type: ignore[list-item]
    assert list(path.parent.iterdir()) == []


def test_who_has_opened_a_file_keeps_it(path: Path) -> None:
    segment = written(path, built(1))
    before = texts(segment)
    written(path, built(2))
    path.unlink()
    assert texts(segment) == before
    with pytest.raises(ValueError, match="read-only"):
        segment.starts[0] = 1
