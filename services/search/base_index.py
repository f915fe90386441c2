"""Knowledge bases as a process searches them: segments in files, and which documents in them SQL lets be found."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.conversations import ReadyDocument
from models.knowledge_bases import ReadyBase
from services.search.base_folder import BaseFolder, Stamp
from services.search.compaction import compact, flush
from services.search.document_index import IndexCache
from services.search.ranking import Part
from services.search.segments import Segment
from utils.errors import StoreUnavailable

MOST_UNMERGED = 64  # documents outside of segments that a search puts up with
WAIT_SECONDS = 30.0  # for another process that is just merging more of them
LATER_SECONDS = 300.0  # until it is looked at again what has to wait
OPEN_SEGMENTS = 256  # in a process, a file descriptor each


@dataclass(frozen=True, slots=True)
class BaseIndex:
    """A base at a `version`, with the documents `ids`: some are in its segments, and some `unmerged`, in none yet.

    `parts` are the segments with the documents to be found in them.
    """

    version: int
    stamp: Stamp
    segments: Mapping[str, Segment]
    parts: Sequence[Part]
    unmerged: Sequence[ReadyDocument]
    ids: frozenset[str]

    @classmethod
    def of(
        cls, version: int, stamp: Stamp, segments: Mapping[str, Segment], documents: Sequence[ReadyDocument]
    ) -> "BaseIndex":
        missing = {document.id: document for document in documents}
        ids, parts = frozenset(missing), []
        for segment in reversed(list(segments.values())):  # of several copies the newest counts
            found = {place: missing.pop(id) for place, id in enumerate(segment.ids) if id in missing}
            if found:
                parts.append(Part.of(segment, found))
        return cls(version, stamp, segments, parts, list(missing.values()), ids)


class BaseIndexes:
    """The bases that were searched last. Thread-safe, and other processes may do the same with the same `folder`.

    `ready` tells which documents of a base may be searched.
    """

    def __init__(self, folder: Path, cache: IndexCache, ready: Callable[[str], Sequence[ReadyDocument]]) -> None:
        self._folder, self._cache, self._ready = folder, cache, ready
        self._lock = threading.Lock()
        self._known: OrderedDict[str, BaseIndex] = OrderedDict()

    def get(self, base: ReadyBase) -> BaseIndex:
        """The present index of a base, which has few documents outside of segments.

        Raises StoreUnavailable when there are many and another process takes too long to merge them.
        """
        index = self._current(base)
        if len(index.unmerged) <= MOST_UNMERGED:
            return index
        folder = BaseFolder(self._folder, base.id)
        with folder.locked(WAIT_SECONDS) as mine:
            if not mine:
                raise StoreUnavailable(store="search_index")
            flush(folder, self._cache, self._current(base).unmerged)
        index = replace(self._current(base), unmerged=())  # what is left is not stored: it need not be looked for again
        self._keep(base.id, index)
        return index

    def compact(self, base_id: str, foreign: Callable[[], Collection[str]]) -> float:
        """Merges what is to be merged (see `compaction`), unless another process is just doing it.

        Returns for how many seconds there is nothing to be done, as long as the base does not change.
        """
        documents = self._ready(base_id)
        if not documents:
            self.forget(base_id)
            return math.inf
        folder = BaseFolder(self._folder, base_id)
        with folder.locked(0) as mine:
            if not mine:
                return 0.0
            return math.inf if compact(folder, self._cache, documents, foreign) else LATER_SECONDS

    def forget(self, base_id: str) -> None:
        """Deletes the files of a base."""
        with self._lock:
            self._known.pop(base_id, None)
        BaseFolder(self._folder, base_id).remove()

    def stored(self) -> list[str]:
        """The bases that have files."""
        return [path.name for path in self._folder.glob("*/")]

    def _current(self, base: ReadyBase) -> BaseIndex:
        folder = BaseFolder(self._folder, base.id)
        with self._lock:
            index = self._known.get(base.id)
        stamp = folder.stamp  # before the manifest: if that is newer, the next search looks again
        if index is None or index.version != base.version or index.stamp != stamp:
            segments = folder.open(index.segments if index else {})
            index = BaseIndex.of(base.version, stamp, segments, self._ready(base.id))
            self._keep(base.id, index)
        return index

    def _keep(self, base_id: str, index: BaseIndex) -> None:
        with self._lock:
            self._known[base_id] = index
            self._known.move_to_end(base_id)
            while len(self._known) > 1 and sum(len(known.segments) for known in self._known.values()) > OPEN_SEGMENTS:
                self._known.popitem(last=False)
