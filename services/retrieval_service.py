"""Search in documents, by words and by meaning.

Each document of a session has an index of its own (see `document_index`), and a knowledge base has a few for all of its
documents (see `base_index`); a search takes them as one collection (see `ranking`).
"""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from models import knowledge_bases
from models.conversations import ReadyDocument
from models.database import Database
from models.embeddings import Vectors, embedder
from models.knowledge_bases import ReadyBase
from models.passages import Passage, TextChunk
from models.rerankers import reranker
from models.vector_db_manager import StoredDocument, StoredPassage, VectorStore
from services.search.base_index import BaseIndexes
from services.search.document_index import IndexCache
from services.search.ranking import Part, rank
from services.search.reranking import CANDIDATES, reranked
from services.search.segments import FORMAT
from services.text.chunking import passages
from utils.errors import ChatError
from utils.settings import Settings

log = logging.getLogger(__name__)

QUERY_CHARS = 2_000
EMBED_BATCH = 200


class RetrievalService:
    """Stores documents for search, and searches. Blocks: it runs in jobs and in threads.

    The `database` tells which documents a knowledge base has; who searches no bases needs none.
    """

    def __init__(self, settings: Settings, database: Database | None = None) -> None:
        self._embedder, self._reranker = embedder(settings), reranker(settings)
        self._database = database
        self.store = VectorStore(settings.CHROMA_URL, self._embedder.name)
        self._folder = settings.DATA_DIR / "search" / f"{self.store.name}-{FORMAT}"  # all in it can be made again
        self._documents = IndexCache(self.store, self._folder, settings.SEARCH_CACHE_BYTES)
        self._bases = BaseIndexes(
            self._folder, self._documents, lambda base_id: knowledge_bases.ready_documents(self._truth, base_id)
        )
        self._compacted: dict[str, tuple[int, float]] = {}  # at which version a base was, and when it is due again

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
        self._documents.save(document)
        return len(chunks)

    def search(
        self,
        query: str,
        documents: Sequence[ReadyDocument],
        k: int = 8,
        *,
        bases: Sequence[ReadyBase] = (),
        summaries: bool = False,
    ) -> list[Passage]:
        """The `k` chunks of these documents and bases that fit best, best first; nothing else is ever looked at.

        With `summaries` the best summary of a document may come with them, where it fits better than the last of them.
        """
        query = query.strip()[:QUERY_CHARS]
        parts = self._parts(documents, bases) if query else []
        if not parts:
            return []
        ranking = rank(query, self._vector(query), parts)
        hits = ranking.best(max(k, CANDIDATES) if self._reranker else k)
        found = ranking.passages(ranking.with_summary(hits) if summaries else hits)
        return reranked(query, found, self._reranker, k) if self._reranker else found

    def forget(self, document_ids: Sequence[str]) -> None:
        """Removes documents from the store and from this process. Those of a base leave its files when it is compacted."""
        self.store.delete(document_ids)
        self._documents.forget(document_ids)

    def compact(self) -> None:
        """Merges the search files of bases that have changed, and deletes those of bases that are gone; may take long."""
        stored = self._bases.stored()
        versions = knowledge_bases.versions(self._truth)
        for base_id in stored:
            if base_id not in versions:
                self._bases.forget(base_id)
        for base_id, version in versions.items():
            last, due = self._compacted.get(base_id, (None, 0.0))
            if version != last or time.monotonic() >= due:
                self._compacted[base_id] = version, time.monotonic() + self._compact(base_id)

    def _compact(self, base_id: str) -> float:
        try:
            return self._bases.compact(base_id, self.store.foreign)
        except (LookupError, ValueError, ArithmeticError) as error:  # a file was damaged while it was in use
            log.warning("the search files of %s make no sense and will be made again: %r", base_id, error)
            self._bases.forget(base_id)
            return 0.0

    def reindex(self) -> int:
        """Embeds what only other models have embedded, after EMBEDDING_MODEL was changed. Returns how many documents."""
        foreign = self.store.foreign()
        for id in foreign:
            for document in self.store.load([id]).values():
                texts = [document.summary or document.filename, *(passage.text for passage in document.passages)]
                self.store.add(replace(document, vectors=self._embed(texts)))
        self._compacted.clear()  # bases are to have the new vectors
        for folder in self._folder.parent.glob("*/"):
            if folder != self._folder:
                shutil.rmtree(folder, ignore_errors=True)  # of other models and of other formats
        return len(foreign)

    @property
    def _truth(self) -> Database:
        if self._database is None:
            raise ValueError("without a database nobody knows what is in a knowledge base")
        return self._database

    def _embed(self, texts: Sequence[str], on_progress: Callable[[float], None] = lambda done: None) -> Vectors:
        parts = []
        for first in range(0, len(texts), EMBED_BATCH):
            parts.append(self._embedder.embed(texts[first : first + EMBED_BATCH]))
            on_progress(min(1.0, (first + EMBED_BATCH) / len(texts)))
        return np.concatenate(parts)

    def _parts(self, documents: Sequence[ReadyDocument], bases: Sequence[ReadyBase]) -> list[Part]:
        indexes = [self._bases.get(base) for base in bases]
        single = {document.id: document for index in indexes for document in index.unmerged}
        in_bases = {id for index in indexes for id in index.ids}
        single |= {document.id: document for document in documents if document.id not in in_bases}
        found = self._documents.get(list(single))
        parts = [Part.of(found[id], {0: document}) for id, document in single.items() if id in found]
        return parts + [part for index in indexes for part in index.parts]

    def _vector(self, query: str) -> Vectors:
        try:
            (vector,) = self._embedder.embed([query])
        except ChatError as error:  # half of the search still works
            log.warning("search goes by words alone, the question cannot be embedded: %s", error)
            return np.empty(0, np.float32)
        return np.asarray(vector, np.float32)


def _stored(chunk: TextChunk) -> list[StoredPassage]:
    """The passages of a chunk, which together are its whole text."""
    context = "\n".join(part for part in (" > ".join(chunk.heading), chunk.context) if part)
    cuts = [0, *(span.start for span in passages(chunk.text)[1:]), len(chunk.text)]
    return [
        StoredPassage(chunk.index, chunk.text[first:last], chunk.start + first, chunk.page, "" if first else context)
        for first, last in pairwise(cuts)
    ]
