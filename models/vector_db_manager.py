"""The vector store: a Chroma server, over HTTP. It holds all that search needs, so that everything else can be rebuilt.

One row for each passage, with its vector, its text and its place: the texts of a chunk's passages make the chunk's text.
Row 0 of a document holds its summary and the number of its rows: a document that has fewer was never finished and does not
exist. There is one collection for each embedding model.
"""

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar, cast

import chromadb
import httpx
import numpy as np
from chromadb.api import ClientAPI
from chromadb.api.models.Collection import Collection
from chromadb.api.types import Include, Metadata, Where
from chromadb.config import Settings as ChromaSettings
from chromadb.errors import NotFoundError
from numpy.typing import NDArray

from utils.errors import ChatError, StoreUnavailable, UpstreamError

log = logging.getLogger(__name__)

ADD_ROWS = 1_000  # in one call
GET_ROWS = 500  # smaller answers, because reading one holds up all other threads
DELETED_DOCUMENTS = 100  # in one call
TIMEOUT_SECONDS = (5.0, 60.0)  # of the first contact, and of each call: deleting 30,000 rows takes 5 s
PREFIX = "passages-"

Place = dict[str, Any]
P = ParamSpec("P")
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """`start` is the offset in the document's text; passages of one `chunk` follow each other without a gap.

    `context` helps to find and to read the chunk and is not in the document at this place: headings, the head of a table.
    """

    chunk: int
    text: str
    start: int
    page: int | None
    context: str = ""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """`vectors` are (1 + passages, dimensions), that of the summary first; None when they are those of another model.

    `holder` is the conversation or the knowledge base that the document belongs to.
    """

    id: str
    filename: str
    holder: str
    summary: str
    passages: Sequence[StoredPassage]
    vectors: NDArray[np.float32] | None


class _Row(NamedTuple):
    text: str
    metadata: Metadata
    vector: NDArray[np.float32] | None


class VectorStore:
    """The vectors of one embedding `model` on the Chroma server at `url`.

    Safe in threads, and across a fork: it connects when it is first used in a process. A failure is a StoreUnavailable.
    `timeout` is in seconds: that of the first contact, and that of each call.
    """

    def __init__(self, url: str, model: str, timeout: tuple[float, float] = TIMEOUT_SECONDS) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout
        slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in model)[-40:].strip("-")
        self.name = f"{PREFIX}{slug}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
        self._lock = threading.Lock()
        self._pid = 0
        self._client: ClientAPI | None = None
        self._collections: dict[str, Collection] = {}

    def heartbeat(self) -> None:
        """Returns when the server answers."""
        self._call(lambda: self._connected().heartbeat())

    def add(self, document: StoredDocument) -> None:
        """Stores a document with its vectors, instead of what an earlier attempt may have left of it.

        Raises UpstreamError when the server refuses it.
        """
        vectors = document.vectors
        if vectors is None or len(vectors) != 1 + len(document.passages):
            raise ValueError("a vector is needed for the summary and for each passage")
        self._delete(self.name, [document.id])
        head: Place = {"rows": len(vectors), "filename": document.filename, "summary": True}
        rows = [(document.summary, head)] + [(p.text, _metadata(p)) for p in document.passages]
        common: Place = {"document_id": document.id, "holder": document.holder}
        for first in range(0, len(rows), ADD_ROWS):
            last = min(first + ADD_ROWS, len(rows))
            self._add(
                ids=[_row_id(document.id, n) for n in range(first, last)],
                embeddings=vectors[first:last],
                documents=[text for text, _ in rows[first:last]],
                metadatas=[common | place for _, place in rows[first:last]],
            )
        for name in self._others():  # only now: a document that is embedded anew must not be lost half-way
            self._delete(name, [document.id])

    def _add(self, **rows: Any) -> None:
        try:
            self._in_collection(self.name, Collection.add, **rows)
        except StoreUnavailable as error:
            self.heartbeat()
            raise UpstreamError(upstream="vector_store") from error  # it is there: it will refuse these rows again

    def load(self, document_ids: Sequence[str]) -> dict[str, StoredDocument]:
        """The documents that are stored. One that only another model has embedded comes without vectors."""
        found = self._load(self.name, document_ids)
        missing = [id for id in document_ids if id not in found]
        for name in self._others() if missing else ():
            found |= self._load(name, missing)
        return found

    def delete(self, document_ids: Sequence[str]) -> None:
        """Removes documents, whichever model embedded them; unknown ones are no error."""
        for name in self._names() if document_ids else ():
            self._delete(name, document_ids)

    def foreign(self) -> list[str]:
        """The ids of the documents that only other models have embedded."""
        own = set(self._ids(self.name))
        return [id for id in dict.fromkeys(id for name in self._others() for id in self._ids(name)) if id not in own]

    def _delete(self, name: str, document_ids: Sequence[str]) -> None:
        for ids in _batches(document_ids, DELETED_DOCUMENTS):
            where: dict[str, Any] = {"document_id": {"$in": [*ids]}}
            self._in_collection(name, Collection.delete, where=cast(Where, where))

    def _load(self, name: str, document_ids: Sequence[str]) -> dict[str, StoredDocument]:
        heads = self._get(name, [_row_id(id, 0) for id in document_ids])
        wanted = {str(row.metadata["document_id"]): int(str(row.metadata["rows"])) for row in heads.values()}
        rows = heads | self._get(name, [_row_id(id, n) for id, count in wanted.items() for n in range(1, count)])
        found = {}
        for id, count in wanted.items():
            own = [rows.get(_row_id(id, n)) for n in range(count)]
            if all(own):
                found[id] = _document(id, [row for row in own if row], with_vectors=name == self.name)
        return found

    def _get(self, name: str, ids: Sequence[str]) -> dict[str, "_Row"]:
        include: Include = ["documents", "metadatas", "embeddings"] if name == self.name else ["documents", "metadatas"]
        rows: dict[str, _Row] = {}
        for batch in _batches(ids, GET_ROWS):
            answer = self._in_collection(name, Collection.get, ids=list(batch), include=include)
            vectors = answer["embeddings"] if answer["embeddings"] is not None else [None] * len(answer["ids"])
            for row in zip(answer["ids"], answer["documents"] or (), answer["metadatas"] or (), vectors, strict=True):
                rows[row[0]] = _Row(*row[1:])
        return rows

    def _ids(self, name: str) -> list[str]:
        answer = self._in_collection(name, Collection.get, where={"summary": True}, include=["metadatas"])
        return [str(metadata["document_id"]) for metadata in answer["metadatas"] or ()]

    def _names(self) -> list[str]:
        return [c.name for c in self._call(lambda: self._connected().list_collections()) if c.name.startswith(PREFIX)]

    def _others(self) -> list[str]:
        return [name for name in self._names() if name != self.name]

    def _in_collection(
        self, name: str, method: Callable[Concatenate[Collection, P], Result], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """Calls a method of a collection, which is made when there is none: also when the server has lost it since."""

        def attempt() -> Result:
            client = self._connected()
            if name not in self._collections:
                self._collections[name] = client.get_or_create_collection(
                    name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
                )
            return method(self._collections[name], *args, **kwargs)

        def twice() -> Result:
            try:
                return attempt()
            except NotFoundError:
                self._collections.pop(name, None)
                return attempt()

        return self._call(twice)

    def _connected(self) -> ClientAPI:
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                # Chroma's client waits for ever: ask first whether anybody answers, then give it a timeout
                httpx.get(f"{self._url}/api/v2/heartbeat", timeout=self._timeout[0]).raise_for_status()
                client = chromadb.HttpClient(self._url, settings=ChromaSettings(anonymized_telemetry=False))
                client._server._session.timeout = self._timeout[1]  # type: ignore[attr-defined]
                self._client, self._pid, self._collections = client, os.getpid(), {}
            return self._client

    def _call(self, action: Callable[[], Result]) -> Result:
        try:
            return action()
        except ChatError:
            raise
        except Exception as error:  # Chroma's client raises ValueError and plain Exception besides its own and httpx's
            log.warning("the vector store failed: %r", error)
            raise StoreUnavailable(store="vector_store") from error


def _row_id(document_id: str, number: int) -> str:
    return f"{document_id}:{number}"


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _metadata(passage: StoredPassage) -> Place:
    place: Place = {"chunk": passage.chunk, "start": passage.start}
    if passage.page is not None:
        place["page"] = passage.page
    if passage.context:
        place["context"] = passage.context
    return place


def _document(id: str, rows: Sequence[_Row], *, with_vectors: bool) -> StoredDocument:
    head, *others = rows
    return StoredDocument(
        id=id,
        filename=str(head.metadata["filename"]),
        holder=str(head.metadata.get("holder", head.metadata.get("conversation_id"))),  # before knowledge bases there were
        summary=head.text,
        passages=[_passage(row) for row in others],
        vectors=np.array([row.vector for row in rows], np.float32) if with_vectors else None,
    )


def _passage(row: _Row) -> StoredPassage:
    metadata: Mapping[str, Any] = row.metadata
    return StoredPassage(metadata["chunk"], row.text, metadata["start"], metadata.get("page"), metadata.get("context", ""))
