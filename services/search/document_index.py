"""The indexes of single documents in a process.

A stored document never changes, so its index is made once and kept in memory, as long as there is room. Large ones are kept
in files too, which may be deleted at any time: whatever is not there is made from the vector store.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path, PurePath

from models.vector_db_manager import StoredDocument, VectorStore
from services.search.segments import Segment, Source, write

log = logging.getLogger(__name__)

FILE_ROWS = 300  # below it the vector store answers in less than 0.1 s


class IndexCache:
    """The indexes of the documents searched last, `capacity` bytes of them at most. Thread-safe.

    Files are in `folder`.
    """

    def __init__(self, store: VectorStore, folder: Path, capacity: int) -> None:
        self._store = store
        self._folder = folder
        self._capacity = capacity
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Segment] = OrderedDict()
        self._bytes = 0
        self._loading: dict[str, Future[dict[str, Segment]]] = {}

    @property
    def nbytes(self) -> int:
        """What the indexes in memory take."""
        return self._bytes

    def get(self, ids: Sequence[str]) -> dict[str, Segment]:
        """The indexes of these documents; one that is not stored is left out. What others are loading is waited for."""
        loaded: Future[dict[str, Segment]] = Future()
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

    def read(self, ids: Sequence[str]) -> dict[str, Segment]:
        """The indexes of these documents from their files or from the vector store, without a place in the cache."""
        indexes = {}
        for id in ids:
            try:
                indexes[id] = Segment.read(self._path(id)).in_memory()
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                log.warning("the search index of document %s is damaged and will be made again: %r", id, error)
        for id, document in self._store.load([id for id in ids if id not in indexes]).items():
            indexes[id] = Segment.build(document)
            if document.vectors is not None and len(document.passages) >= FILE_ROWS:
                self._save(indexes[id])
        return indexes

    def save(self, document: StoredDocument) -> None:
        """Makes the file of a large document, instead of what an earlier attempt may have left."""
        if len(document.passages) >= FILE_ROWS:
            self._save(Segment.build(document))
        else:
            self._path(document.id).unlink(missing_ok=True)

    def forget(self, ids: Sequence[str]) -> None:
        with self._lock:
            for id in ids:
                self._drop(id)
        for id in ids:
            self._path(id).unlink(missing_ok=True)

    def _load(self, ids: Sequence[str], loaded: Future[dict[str, Segment]]) -> dict[str, Segment]:
        try:
            indexes = self.read(ids)
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

    def _save(self, index: Segment) -> None:
        try:
            write(self._path(index.ids[0]), [Source.whole(index)])
        except OSError as error:  # it only saves time
            log.warning("the search index of document %s cannot be written: %r", index.ids[0], error)

    def _keep(self, id: str, index: Segment) -> None:
        self._drop(id)
        self._kept[id] = index
        self._bytes += index.nbytes
        while self._bytes > self._capacity and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def _drop(self, id: str) -> None:
        if index := self._kept.pop(id, None):
            self._bytes -= index.nbytes

    def _path(self, id: str) -> Path:
        return self._folder / f"{PurePath(id).name}.segment"
