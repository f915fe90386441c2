"""One document as search needs it, all in arrays, and the cache of these in a process.

A stored document never changes, so its index is made once and kept in memory, as long as there is room. Large ones are kept
in files too, which may be deleted at any time: whatever is not there is made from the vector store.
"""

import logging
import sys
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path, PurePath

import numpy as np
import orjson
from numpy.typing import NDArray

from models.vector_db_manager import StoredDocument, VectorStore
from services.lexical import Postings

log = logging.getLogger(__name__)

FORMAT = 1  # to be raised whenever terms or arrays change
FILE_ROWS = 300  # below it the vector store answers in less than 0.1 s
OVERVIEW = "summary overview abstract contents about 摘要 总结 概述 概括 简介 介绍 主要内容 讲了什么"


@dataclass(frozen=True, slots=True)
class DocumentIndex:
    """Text 0 is the summary, the others are the chunks. `starts` are their offsets in the document.

    The passages of text i are rows `firsts[i]:firsts[i + 1]` of `vectors` (float32, of length 1; None when another model
    made them), and begin at `offsets` in the text.
    """

    texts: list[str]
    contexts: list[str]
    starts: list[int]
    pages: list[int | None]
    words: Postings
    firsts: NDArray[np.int64]
    offsets: NDArray[np.int32]
    vectors: NDArray[np.float32] | None

    @classmethod
    def build(cls, document: StoredDocument) -> "DocumentIndex":
        chunks = [list(group) for _, group in groupby(document.passages, key=lambda passage: passage.chunk)]
        texts = [document.summary, *("".join(passage.text for passage in chunk) for chunk in chunks)]
        contexts = [OVERVIEW, *(chunk[0].context for chunk in chunks)]
        name = PurePath(document.filename).stem
        return cls(
            texts=texts,
            contexts=contexts,
            starts=[0, *(chunk[0].start for chunk in chunks)],
            pages=[None, *(chunk[0].page for chunk in chunks)],
            words=Postings.build([f"{name}\n{context}\n{text}" for context, text in zip(contexts, texts, strict=True)]),
            firsts=np.cumsum([0, 1, *map(len, chunks)]),
            offsets=np.array([0, *(passage.start - chunk[0].start for chunk in chunks for passage in chunk)], np.int32),
            vectors=document.vectors,
        )

    @property
    def nbytes(self) -> int:
        arrays = self.offsets.nbytes + (0 if self.vectors is None else self.vectors.nbytes)
        return arrays + self.words.nbytes + sum(map(sys.getsizeof, self.texts)) + 200 * len(self.texts)

    def passages(self, text: int) -> list[str]:
        """The passages of a text, in the order of their vectors."""
        cuts = [*self.offsets[self.firsts[text] : self.firsts[text + 1]].tolist(), len(self.texts[text])]
        return [self.texts[text][first:last] for first, last in pairwise(cuts)]

    def save(self, path: Path) -> None:
        """Writes it to a file, vectors in half precision. A reader sees the whole file or none."""
        if self.vectors is None:
            raise ValueError("only an index with vectors is worth a file")
        plain = orjson.dumps([self.texts, self.contexts, self.starts, self.pages])
        words = self.words
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{threading.get_native_id()}.tmp")
        try:
            with unfinished.open("wb") as file:
                np.savez(
                    file,
                    plain=np.frombuffer(plain, np.uint8),
                    keys=words.keys,
                    posting_starts=words.starts,
                    posting_texts=words.texts,
                    counts=words.counts,
                    lengths=words.lengths,
                    firsts=self.firsts,
                    offsets=self.offsets,
                    vectors=self.vectors.astype(np.float16),
                )
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path) -> "DocumentIndex":
        """Raises OSError, ValueError, KeyError or BadZipFile when there is no such file or it is damaged."""
        with np.load(path, allow_pickle=False) as file:
            texts, contexts, starts, pages = orjson.loads(file["plain"].tobytes())
            words = Postings(file["keys"], file["posting_starts"], file["posting_texts"], file["counts"], file["lengths"])
            vectors = file["vectors"].astype(np.float32)
            return cls(texts, contexts, starts, pages, words, file["firsts"], file["offsets"], vectors)


class IndexCache:
    """The indexes of the documents searched last, `capacity` bytes of them at most. Thread-safe."""

    def __init__(self, store: VectorStore, folder: Path, capacity: int) -> None:
        self._store = store
        self._folder = folder / f"{store.name}-{FORMAT}"
        self._capacity = capacity
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, DocumentIndex] = OrderedDict()
        self._bytes = 0
        self._loading: dict[str, Future[dict[str, DocumentIndex]]] = {}

    @property
    def nbytes(self) -> int:
        """What the indexes in memory take."""
        return self._bytes

    def get(self, ids: Sequence[str]) -> dict[str, DocumentIndex]:
        """The indexes of these documents; one that is not stored is left out. What others are loading is waited for."""
        loaded: Future[dict[str, DocumentIndex]] = Future()
        with self._lock:
            found = {id: self._kept[id] for id in ids if id in self._kept}
            for id in found:
                self._kept.move_to_end(id)
            others = {id: self._loading[id] for id in ids if id in self._loading}
            missing = [id for id in dict.fromkeys(ids) if id not in found and id not in others]
            self._loading |= dict.fromkeys(missing, loaded)
        if missing:
            found |= self._load(missing, loaded)
        for id, future in others.items():
            if index := future.result().get(id):
                found[id] = index
        return found

    def save(self, document: StoredDocument) -> None:
        """Makes the file of a large document."""
        if len(document.passages) >= FILE_ROWS:
            self._save(document.id, DocumentIndex.build(document))

    def forget(self, ids: Sequence[str]) -> None:
        with self._lock:
            for id in ids:
                self._drop(id)
        for id in ids:
            self._path(id).unlink(missing_ok=True)

    def _load(self, ids: Sequence[str], loaded: Future[dict[str, DocumentIndex]]) -> dict[str, DocumentIndex]:
        try:
            indexes = self._read(ids)
            loaded.set_result(indexes)
        except BaseException as error:
            loaded.set_exception(error)
            raise
        finally:
            with self._lock:
                for id in ids:
                    del self._loading[id]
        with self._lock:
            for id, index in indexes.items():
                if index.vectors is not None:  # otherwise it is to be embedded anew
                    self._keep(id, index)
        return indexes

    def _read(self, ids: Sequence[str]) -> dict[str, DocumentIndex]:
        indexes = {}
        for id in ids:
            try:
                indexes[id] = DocumentIndex.read(self._path(id))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                log.warning("the search index of document %s is damaged and will be made again: %r", id, error)
        for id, document in self._store.load([id for id in ids if id not in indexes]).items():
            indexes[id] = DocumentIndex.build(document)
            if document.vectors is not None and len(document.passages) >= FILE_ROWS:
                self._save(id, indexes[id])
        return indexes

    def _save(self, id: str, index: DocumentIndex) -> None:
        try:
            index.save(self._path(id))
        except OSError as error:  # it only saves time
            log.warning("the search index of document %s cannot be written: %r", id, error)

    def _keep(self, id: str, index: DocumentIndex) -> None:
        self._drop(id)
        self._kept[id] = index
        self._bytes += index.nbytes
        while self._bytes > self._capacity and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def _drop(self, id: str) -> None:
        if index := self._kept.pop(id, None):
            self._bytes -= index.nbytes

    def _path(self, id: str) -> Path:
        return self._folder / f"{PurePath(id).name}.npz"
