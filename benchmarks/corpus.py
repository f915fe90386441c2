"""Large collections for benchmarks, made of sentences whose words and meanings are distributed as in real text.

Sentences come from text files, or from what comes with Python and its packages: English from Python's help, Chinese put
together of OpenCC's phrases with the frequencies of Zipf's law. Passages are made of sentences that are near to each other,
so that there are many near duplicates, as in real bases; their vectors are mixtures of those of their sentences, with noise.
"""

import random
import uuid
from importlib import resources
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

from models.embeddings import BundledEmbedder, Vectors
from models.vector_db_manager import StoredDocument, StoredPassage
from services.text.cutting import sentences

SENTENCES = 6_000  # that are embedded
SENTENCE_CHARS = (10, 300)
PARTICLES = "的 了 是 在 和 与 或 及 有 不 对 于 其 为 以 从 而 也 都 就 可以 应当 如果 因此 我们 他们"
NEAREST = 30  # sentences that count as near
PASSAGES = 3  # in a chunk
MIXED = 3  # sentences in a passage
NOISE = 0.3
BATCH = 200


def sentences_of(folder: Path | None, seed: int = 1) -> list[str]:
    """At most SENTENCES sentences, from the text files of a folder or from what is there anyway."""
    texts = [path.read_text("utf-8") for path in sorted(folder.rglob("*.txt"))] if folder else [*topics.values()]
    found = [text[span.start : span.end] for text in texts for span in sentences(text)]
    chosen = random.Random(seed)
    if not folder:
        found = chosen.sample(found, min(len(found), SENTENCES // 2)) + _chinese(chosen, SENTENCES // 2)
    fewest, most = SENTENCE_CHARS
    found = [sentence for sentence in dict.fromkeys(found) if fewest <= len(sentence) <= most]
    return chosen.sample(found, min(len(found), SENTENCES))


def _chinese(chosen: random.Random, count: int) -> list[str]:
    table = (resources.files("opencc") / "dictionary" / "STPhrases.txt").read_text("utf-8")
    words = [line.split("\t")[0] for line in table.splitlines()]
    chosen.shuffle(words)
    words = [*PARTICLES.split(), *words]
    weights = [1 / rank for rank in range(5, len(words) + 5)]
    lengths = [chosen.randint(8, 30) for _ in range(count)]
    return ["".join(chosen.choices(words, weights, k=length)) + "。" for length in lengths]


class Corpus:
    """Documents of chunks that are made of these sentences."""

    def __init__(self, known: list[str], seed: int = 1) -> None:
        self.sentences = known
        self.random = np.random.default_rng(seed)
        encoder = BundledEmbedder()
        self.vectors = np.concatenate([encoder.embed(known[first : first + BATCH]) for first in range(0, len(known), BATCH)])
        likeness = self.vectors @ self.vectors.T
        self._near = np.argpartition(-likeness, NEAREST, axis=1)[:, :NEAREST]

    def document(self, chunks: int) -> StoredDocument:
        mixed = self._mixed(chunks * PASSAGES + 1)
        texts = ["".join(self._spaced(self.sentences[number]) for number in row) for row in mixed.tolist()]
        passages, start = [], 0
        for number, text in enumerate(texts[1:]):
            passages.append(StoredPassage(number // PASSAGES, text, start, start // 2_000 + 1))
            start += len(text)
        return StoredDocument(f"doc_{uuid.uuid4().hex}", "资料 notes.txt", "kb", texts[0], passages, self._embedded(mixed))

    def question(self) -> str:
        """A part of a sentence."""
        sentence = self.sentences[self.random.integers(len(self.sentences))]
        words = sentence.split()
        parts, gap = (words, " ") if len(words) > len(sentence) / 12 else (list(sentence), "")
        size = min(len(parts), int(self.random.integers(6, 16)))
        first = int(self.random.integers(0, len(parts) - size + 1))
        return gap.join(parts[first : first + size])

    def _mixed(self, count: int) -> np.ndarray:
        """The sentences of passages: half of them near to the one before, the others by chance."""
        chosen = self.random.integers(len(self.sentences), size=(count, MIXED))
        for column in range(1, MIXED):
            near = self._near[chosen[:, column - 1], self.random.integers(NEAREST, size=count)]
            chosen[:, column] = np.where(self.random.random(count) < 0.5, near, chosen[:, column])
        return chosen

    def _embedded(self, mixed: np.ndarray) -> Vectors:
        shares = self.random.dirichlet([2] * MIXED, len(mixed)).astype(np.float32)
        vectors = np.einsum("pm,pmd->pd", shares, self.vectors[mixed])
        others = self.vectors[self.random.integers(len(self.vectors), size=(2, len(mixed)))]
        noise = others[0] - others[1]
        vectors = _unit(vectors) + NOISE * _unit(noise)
        return _unit(vectors)

    @staticmethod
    def _spaced(sentence: str) -> str:
        return f"{sentence} " if sentence.isascii() else sentence


def _unit(vectors: np.ndarray) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-6), np.float32)
