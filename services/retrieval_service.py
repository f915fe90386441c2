"""Search in documents, by words and by meaning.

Each document has an index of its own (see `document_index`); a search takes those of its documents as one collection. BM25
scores chunks, vectors score passages, and a chunk is worth its best passage. That is exact, and takes milliseconds for the
documents of a session. A knowledge base of a hundred thousand chunks would fit the same frame: candidates from Chroma's
index and from BM25, and these scores for the candidates only.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.conversations import ReadyDocument
from models.embeddings import Vectors, embedder
from models.passages import Passage, TextChunk
from models.vector_db_manager import StoredDocument, StoredPassage, VectorStore
from services.chunking import passages
from services.document_index import DocumentIndex, IndexCache
from services.lexical import Matches, bm25
from utils.errors import ChatError
from utils.settings import Settings

log = logging.getLogger(__name__)

QUERY_CHARS = 2_000
EMBED_BATCH = 200

# Words and meaning are each brought to about 0..1, then added. The floors keep small differences from being blown up: that
# between two chunks, or that between chunks which share only a particle with the question.
DENSE_WEIGHT = 0.6
LEXICAL_FLOOR = 0.4  # of the score of a text that had all of the question
DENSE_FLOOR = 0.1  # of the cosine above the average


@dataclass(frozen=True, slots=True)
class _Ranking:
    """All texts of all documents, one after the other: those of document i are `bounds[i]:bounds[i + 1]`, its summary first.

    `cosines` are those of all passages, by document, and `similarity` is that of a text's best passage; 0 without vectors.
    """

    bounds: NDArray[np.int64]
    fused: NDArray[np.float32]
    matches: Matches
    similarity: NDArray[np.float32]
    cosines: list[NDArray[np.float32]]


class RetrievalService:
    """Stores documents for search, and searches. Blocks: it runs in jobs and in threads."""

    def __init__(self, settings: Settings) -> None:
        self._embedder = embedder(settings)
        self.store = VectorStore(settings.CHROMA_URL, self._embedder.name)
        self._indexes = IndexCache(self.store, settings.DATA_DIR / "search", settings.SEARCH_CACHE_BYTES)

    def heartbeat(self) -> None:
        """Returns when the vector store answers; raises StoreUnavailable."""
        self.store.heartbeat()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """A vector of length 1 for each text, of the model that search uses."""
        return self._embedder.embed(texts)

    def index(
        self,
        document_id: str,
        filename: str,
        holder: str,
        chunks: Sequence[TextChunk],
        summary: str,
        on_progress: Callable[[float], None] = lambda done: None,
    ) -> int:
        """Makes a document searchable, its summary included; may be done again. Returns the number of chunks.

        `on_progress` is told the part that is done, from 0 to 1.
        """
        stored = [passage for chunk in chunks for passage in _stored(chunk)]
        vectors = self._embed([summary or filename, *(passage.text for passage in stored)], on_progress)
        document = StoredDocument(document_id, filename, holder, summary, stored, vectors)
        self.store.add(document)
        self._indexes.save(document)
        return len(chunks)

    def search(
        self, query: str, documents: Sequence[ReadyDocument], k: int = 8, *, summaries: bool = False
    ) -> list[Passage]:
        """The `k` chunks of these documents that fit best, best first; nothing else is ever looked at.

        With `summaries` the best summary of a document may come with them, where it fits better than the last of them.
        """
        query = query.strip()[:QUERY_CHARS]
        indexes = self._indexes.get([document.id for document in documents]) if query else {}
        found = {document: indexes[document.id] for document in documents if document.id in indexes}
        if not found:
            return []
        indexed = list(found.values())
        ranking = self._rank(query, indexed)
        hits = _best(ranking, k, summaries)
        owners = np.searchsorted(ranking.bounds, hits, side="right") - 1
        refs = list(found)
        return [
            _passage(refs[owner], indexed[owner], int(hit - ranking.bounds[owner]), score, ranking, ranking.cosines[owner])
            for hit, owner, score in zip(hits, owners, _scores(ranking, hits), strict=True)
        ]

    def forget(self, document_ids: Sequence[str]) -> None:
        """Removes documents from the store and from this process."""
        self.store.delete(document_ids)
        self._indexes.forget(document_ids)

    def reindex(self) -> int:
        """Embeds what only other models have embedded, after EMBEDDING_MODEL was changed. Returns how many documents."""
        foreign = self.store.foreign()
        for id in foreign:
            for document in self.store.load([id]).values():
                texts = [document.summary or document.filename, *(passage.text for passage in document.passages)]
                self.store.add(replace(document, vectors=self._embed(texts)))
        return len(foreign)

    def _embed(self, texts: Sequence[str], on_progress: Callable[[float], None] = lambda done: None) -> Vectors:
        parts = []
        for first in range(0, len(texts), EMBED_BATCH):
            parts.append(self._embedder.embed(texts[first : first + EMBED_BATCH]))
            on_progress(min(1.0, (first + EMBED_BATCH) / len(texts)))
        return np.concatenate(parts)

    def _rank(self, query: str, indexes: Sequence[DocumentIndex]) -> _Ranking:
        bounds = np.cumsum([0, *(len(index.texts) for index in indexes)])
        matches = bm25(query, [index.words for index in indexes])
        cosines = self._cosines(query, indexes)
        best = [np.maximum.reduceat(own, index.firsts[:-1]) for own, index in zip(cosines, indexes, strict=True)]
        similarity = np.concatenate(best)
        chunks = np.ones(bounds[-1], np.bool_)
        chunks[bounds[:-1]] = False
        return _Ranking(bounds, _fused(matches, similarity, chunks), matches, similarity, cosines)

    def _cosines(self, query: str, indexes: Sequence[DocumentIndex]) -> list[NDArray[np.float32]]:
        try:
            vector = self._embedder.embed([query])[0]
        except ChatError as error:  # half of the search still works
            log.warning("search goes by words alone, the question cannot be embedded: %s", error)
            vector = np.empty(0, np.float32)
        return [
            index.vectors @ vector
            if index.vectors is not None and index.vectors.shape[1] == len(vector)
            else np.zeros(len(index.offsets), np.float32)
            for index in indexes
        ]


def _stored(chunk: TextChunk) -> list[StoredPassage]:
    """The passages of a chunk, which together are its whole text."""
    context = "\n".join(part for part in (" > ".join(chunk.heading), chunk.context) if part)
    cuts = [0, *(span.start for span in passages(chunk.text)[1:]), len(chunk.text)]
    return [
        StoredPassage(chunk.index, chunk.text[first:last], chunk.start + first, chunk.page, "" if first else context)
        for first, last in pairwise(cuts)
    ]


def _fused(matches: Matches, similarity: NDArray[np.float32], chunks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`chunks` says which texts are chunks, not summaries: only they set the scale."""
    if not chunks.any():
        chunks = ~chunks
    top = max(float(matches.scores[chunks].max()), LEXICAL_FLOOR * float(matches.weights.sum()), 1e-9)
    average = similarity[chunks].mean()
    spread = max(float(similarity[chunks].max() - average), DENSE_FLOOR)
    fused: NDArray[np.float32] = matches.scores / top + DENSE_WEIGHT * (similarity - average) / spread
    return fused


def _best(ranking: _Ranking, k: int, summaries: bool) -> list[int]:
    """The places of the best `k` chunks, and of the best summary if it is wanted and better than the last of them."""
    fused = ranking.fused.copy()
    fused[ranking.bounds[:-1]] = -np.inf
    k = min(k, len(fused) - len(ranking.bounds) + 1)
    hits = np.argpartition(-fused, k - 1)[:k] if k > 0 else np.empty(0, np.int64)
    if summaries:
        best = ranking.bounds[np.argmax(ranking.fused[ranking.bounds[:-1]])]
        if not len(hits) or ranking.fused[best] > ranking.fused[hits].min():
            hits = np.append(hits, best)
    return [int(hit) for hit in hits[np.argsort(-ranking.fused[hits], kind="stable")]]


def _scores(ranking: _Ranking, hits: Sequence[int]) -> list[float]:
    """The best hit gets the part of the question that it has, by words or by meaning; the others fall off as they rank."""
    if not hits:
        return []
    top = hits[0]
    trust = min(1.0, max(0.0, float(ranking.matches.coverage[top]), float(ranking.similarity[top])))
    best = float(ranking.fused[top])
    return [round(trust * (max(0.0, float(ranking.fused[hit])) / best if best > 0 else 1.0), 4) for hit in hits]


def _passage(
    document: ReadyDocument,
    index: DocumentIndex,
    text: int,
    score: float,
    ranking: _Ranking,
    cosines: NDArray[np.float32],
) -> Passage:
    parts = index.passages(text)
    own = cosines[index.firsts[text] : index.firsts[text + 1]]
    summary = text == 0
    fit = [ranking.matches.covered_by(part) + cosine for part, cosine in zip(parts, own.tolist(), strict=True)]
    return Passage(
        document_id=document.id,
        filename=document.filename,
        page=index.pages[text],
        text=index.texts[text],
        quote=parts[int(np.argmax(fit))].strip(),
        start=index.starts[text],
        end=0 if summary else index.starts[text] + len(index.texts[text]),
        score=score,
        context="" if summary else index.contexts[text],
        summary=summary,
    )
