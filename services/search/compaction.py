"""Keeps the search files of knowledge bases in order.

New documents make small segments, and eight of one size make a larger one. So there are few segments, and each document is
written only a few times. A document that was deleted is not found from that moment on (see `base_index`); its text leaves
the disk within a day, sooner where much of a segment is gone.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from models.conversations import ReadyDocument
from services.search.base_folder import BaseFolder
from services.search.document_index import IndexCache
from services.search.segments import Segment, Source

FACTOR = 8  # segments of one size, which become one of the next
LOADED = 4  # documents at a time
FLUSHED_ROWS = 30_000  # passages that make a segment at once: some 200 MB of memory
DEAD_SHARE = 0.2  # of the texts of a segment, which is then written anew
DEAD_SECONDS = 86_400.0


def flush(folder: BaseFolder, cache: IndexCache, documents: Sequence[ReadyDocument]) -> None:
    """Puts documents into new segments, which count at once; one that is not stored is left out. The caller has the lock."""
    waiting: dict[int, list[Source]] = defaultdict(list)
    for first in range(0, len(documents), LOADED):
        for segment in cache.read([document.id for document in documents[first : first + LOADED]]).values():
            waiting[segment.dimensions].append(Source.whole(segment))
        for sources in waiting.values():
            if sum(len(source.segment.offsets) for source in sources) >= FLUSHED_ROWS:
                folder.commit([*folder.names(), folder.add(sources)[0]])
                sources.clear()
    for sources in waiting.values():
        if sources:
            folder.commit([*folder.names(), folder.add(sources)[0]])


def compact(
    folder: BaseFolder, cache: IndexCache, documents: Sequence[ReadyDocument], foreign: Callable[[], Collection[str]]
) -> bool:
    """Brings a base's files to what its documents are. Returns whether nothing is left to be done later.

    `foreign` gives the documents that only another embedding model has embedded. The caller has the lock.
    """
    segments = folder.open({})
    embedded = _embedded_since(segments, foreign)
    placed = {id for name, segment in segments.items() if name not in embedded for id in segment.ids}
    flush(folder, cache, [document for document in documents if document.id not in placed])
    segments = {name: segment for name, segment in folder.open(segments).items() if name not in embedded}
    sources = _sources(segments, {document.id for document in documents})
    while group := _to_merge(folder, sources):
        taken = [source for source in map(sources.pop, group) if source.kept.any()]
        if taken:
            name, segment = folder.add(taken)
            sources[name] = Source.whole(segment)
        folder.commit(list(sources))
    if list(sources) != folder.names():
        folder.commit(list(sources))
    return all(source.kept.all() and source.segment.vectors is not None for source in sources.values())


def _embedded_since(segments: Mapping[str, Segment], foreign: Callable[[], Collection[str]]) -> set[str]:
    """The segments without vectors whose documents have vectors of the present model by now."""
    without = {name: segment for name, segment in segments.items() if segment.vectors is None}
    waiting = set(foreign()) if without else set()
    return {name for name, segment in without.items() if waiting.isdisjoint(segment.ids)}


def _sources(segments: Mapping[str, Segment], searched: set[str]) -> dict[str, Source]:
    """The segments, and which of their documents they are to keep: of several copies only the newest."""
    missing, found = set(searched), {}
    for name, segment in reversed(list(segments.items())):
        found[name] = Source(segment, np.array([id in missing for id in segment.ids]))
        missing.difference_update(segment.ids)
    return dict(reversed(list(found.items())))


def _to_merge(folder: BaseFolder, sources: Mapping[str, Source]) -> list[str]:
    """Segments that are to become one, or one that has too much that is deleted; none when all is well."""
    sizes: dict[tuple[int, int], list[str]] = defaultdict(list)
    for name, source in sources.items():
        texts = source.texts
        dead = 1 - texts.mean()
        if dead > DEAD_SHARE or (dead and folder.age(name) > DEAD_SECONDS):
            return [name]
        sizes[source.segment.dimensions, int(math.log(texts.sum(), FACTOR))].append(name)
    return next((names for names in sizes.values() if len(names) >= FACTOR), [])
