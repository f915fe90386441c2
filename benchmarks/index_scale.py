"""How long storing, loading and searching documents of a given size take. Needs a Chroma server of its own:

    chroma run --path $(mktemp -d) --port 8001 &
    python benchmarks/index_scale.py --chroma-url http://127.0.0.1:8001 [--chunks 60 2000 10000]

Texts are made of random Chinese words with the frequencies of real ones, three passages a chunk; vectors are random, and the
time of embedding is measured apart. `store` writes to Chroma; `cold` is a first search that loads from Chroma; `file` is one
that loads from the index file, where the document is large enough to have one; `warm` are searches after that, with the
embedding of the question.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from models.conversations import ReadyDocument
from models.embeddings import BundledEmbedder
from models.vector_db_manager import StoredDocument, StoredPassage
from services.retrieval_service import RetrievalService
from utils.settings import Settings

PASSAGES = 3  # in a chunk
CHARACTERS = 200  # in a passage
SEARCHES = 50
RANDOM = random.Random(1)
WORDS = ["".join(chr(RANDOM.randint(0x4E00, 0x7000)) for _ in range(2)) for _ in range(20_000)]
WEIGHTS = [1 / rank for rank in range(1, len(WORDS) + 1)]


def text(characters: int) -> str:
    return "".join(RANDOM.choices(WORDS, WEIGHTS, k=characters // 2))


def document(chunks: int) -> StoredDocument:
    passages = [
        StoredPassage(number // PASSAGES, text(CHARACTERS), number * CHARACTERS, number // (2 * PASSAGES) + 1)
        for number in range(chunks * PASSAGES)
    ]
    vectors = np.random.default_rng(1).normal(size=(len(passages) + 1, 512)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return StoredDocument(uuid.uuid4().hex, "a.txt", "1", text(CHARACTERS), passages, vectors)


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def measure(settings: Settings, chunks: int) -> str:
    stored = document(chunks)
    reference = [ReadyDocument(stored.id, stored.filename)]
    writer, reader, again = (RetrievalService(settings) for _ in range(3))
    store = seconds(lambda: writer.store.add(stored))
    query = text(12)
    reader.embed([query])
    reader.heartbeat()
    cold = seconds(lambda: reader.search(query, reference))
    file = seconds(lambda: again.search(query, reference))
    warm = [1000 * seconds(lambda: reader.search(text(12), reference)) for _ in range(SEARCHES)]
    writer.forget([stored.id])
    late = sorted(warm)[int(0.95 * SEARCHES)]
    rows = len(stored.passages) + 1
    return f"{chunks} | {rows} | {store:.2f} | {cold:.2f} | {file:.3f} | {statistics.median(warm):.1f} | {late:.1f}"


def embedding() -> str:
    encoder = BundledEmbedder()
    encoder.embed(["a"])
    words = {"": "员工 享有 带薪 年假 规定 应当 申请 批准 报销 合同", " ": "annual leave policy of the company search"}
    chinese, english = (
        [gap.join(RANDOM.choices(known.split(), k=100 if not gap else 60)) for _ in range(200)]
        for gap, known in words.items()
    )
    speeds = [len(texts) / seconds(lambda texts=texts: encoder.embed(texts)) for texts in (chinese, english)]
    return "embedding, passages a second: {:.0f} Chinese, {:.0f} English".format(*speeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chroma-url", required=True)
    parser.add_argument("--chunks", nargs="+", type=int, default=[60, 2_000, 10_000])
    args = parser.parse_args()
    print(embedding())
    print("chunks | rows | store s | cold s | file s | warm ms p50 | warm ms p95")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(CHROMA_URL=args.chroma_url, DATA_DIR=Path(folder), EMBEDDING_MODEL="")
        for chunks in args.chunks:
            print(measure(settings, chunks), flush=True)


if __name__ == "__main__":
    main()
