"""How a knowledge base of many chunks is searched, beside the exact search over an index of each document. Needs no server:

    python benchmarks/base_scale.py [--chunks 100000] [--document-chunks 100] [--texts FOLDER]

`warm` is the time of searches, with the embedding of the question; `cold` that of a first one in a new process whose files
are not in memory; `merge` makes the base's segments of the files of single documents. Memory is what the processes have
besides mapped files, over what they had before. Recall is the part of the first ten of the exact search that is among the
first ten of the base's.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from corpus import Corpus, sentences_of

from models.conversations import ReadyDocument
from models.embeddings import BundledEmbedder
from models.knowledge_bases import ReadyBase
from models.vector_db_manager import VectorStore
from services.search.base_index import BaseIndexes
from services.search.document_index import IndexCache
from services.search.ranking import Part, Ranking, rank
from services.search.segments import Segment, Source, write

BASE = ReadyBase("kb_scale", "scale", 1)
QUESTIONS = 100
EXACT_QUESTIONS = 40
K = 10
LONG_QUESTION_SENTENCES = 12


class Bases:
    """The base as one process sees it."""

    def __init__(self, folder: Path, ids: Sequence[str]) -> None:
        self.documents = [ReadyDocument(id, "notes.txt") for id in ids]
        cache = IndexCache(VectorStore("", "none"), folder, 1 << 30)
        self.indexes = BaseIndexes(folder, cache, lambda base_id: self.documents)
        self.embedder = BundledEmbedder()

    def compact(self) -> None:
        self.indexes.compact(BASE.id, list)

    def search(self, question: str) -> Ranking:
        parts = self.indexes.get(BASE).parts
        ranking = rank(question, self.embedder.embed([question])[0], parts)
        ranking.passages(ranking.best(K))
        return ranking


def hits(ranking: Ranking) -> list[tuple[str, int]]:
    """Which chunks of which documents were found."""
    return [(passage.document_id, passage.chunk) for passage in ranking.passages(ranking.best(K))]


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def anonymous_memory() -> int:
    """What this process has besides mapped files, in bytes (Linux)."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
    return 1024 * int(line.split()[1])


def watched(action: Callable[[], object]) -> tuple[float, int]:
    """Seconds, and the most bytes of memory that it took."""
    before, most, done = anonymous_memory(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], anonymous_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    taken = seconds(action)
    done.set()
    watcher.join()
    return taken, max(0, most[0] - before)


def merge(folder: Path, ids: Sequence[str]) -> None:
    taken, memory = watched(Bases(folder, ids).compact)
    size = sum(path.stat().st_size for path in (folder / BASE.id).iterdir())
    segments = len(list((folder / BASE.id).glob("*.segment")))
    print(f"merge: {taken:.1f} s, {memory / 1e6:.0f} MB of memory, {size / 1e6:.0f} MB on disk in {segments} segments")


def cold(folder: Path, ids: Sequence[str], question: str) -> None:
    bases = Bases(folder, ids)
    bases.embedder.embed([question])
    for path in (folder / BASE.id).glob("*.segment"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    taken, memory = watched(lambda: bases.search(question))
    again = seconds(lambda: bases.search(question))
    print(f"cold: {1000 * taken:.0f} ms, then {1000 * again:.0f} ms, {memory / 1e6:.0f} MB of memory")


def compare(folder: Path, ids: Sequence[str], corpus: Corpus) -> None:
    bases = Bases(folder, ids)
    questions = [corpus.question() for _ in range(QUESTIONS)]
    bases.search(questions[0])
    times = [seconds(lambda question=question: bases.search(question)) for question in questions]
    print(f"warm: {_times(times)}")
    long = ["".join(np.random.default_rng(n).choice(corpus.sentences, LONG_QUESTION_SENTENCES)) for n in range(10)]
    print(f"warm, questions of {len(long[0])} characters: {_times([seconds(lambda q=q: bases.search(q)) for q in long])}")
    parts = [
        Part.of(Segment.read(folder / f"{document.id}.segment").in_memory(), {0: document}) for document in bases.documents
    ]
    exact = []
    found = [hits(bases.search(question)) for question in questions[:EXACT_QUESTIONS]]
    wanted = []
    for question in questions[:EXACT_QUESTIONS]:
        started = time.perf_counter()
        wanted.append(hits(rank(question, bases.embedder.embed([question])[0], parts)))
        exact.append(time.perf_counter() - started)
    recall = statistics.mean(len({*a} & {*b}) / K for a, b in zip(found, wanted, strict=True))
    first = statistics.mean(a[0] == b[0] for a, b in zip(found, wanted, strict=True))
    print(f"exact, an index for each document: {_times(exact)}")
    print(f"ratio of the medians: {statistics.median(exact) / statistics.median(times):.1f}")
    print(f"recall@{K} against exact search: {recall:.4f}, the same first hit: {first:.3f}")


def _times(taken: Sequence[float]) -> str:
    late = sorted(taken)[int(0.95 * len(taken))]
    return f"{1000 * statistics.median(taken):.1f} ms at the median, {1000 * late:.1f} ms p95"


def in_process(function: Callable[..., None], *args: object) -> None:
    """In a process of its own, so that nothing is there yet."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=args)
    process.start()
    process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--document-chunks", type=int, default=100)
    parser.add_argument("--texts", type=Path, help="a folder of text files, instead of what comes with Python")
    args = parser.parse_args()
    corpus = Corpus(sentences_of(args.texts))
    with tempfile.TemporaryDirectory() as name:
        folder, ids = Path(name), []
        for _ in range(args.chunks // args.document_chunks):
            document = corpus.document(args.document_chunks)
            write(folder / f"{document.id}.segment", [Source.whole(Segment.build(document))])
            ids.append(document.id)
        print(f"{args.chunks} chunks, {len(ids)} documents", flush=True)
        in_process(merge, folder, ids)
        in_process(cold, folder, ids, corpus.question())
        compare(folder, ids, corpus)


if __name__ == "__main__":
    main()
