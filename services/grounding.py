"""Passages are shown to a model, and may be cited, only where they stand in their documents as these are now.

The index may be behind: a document may have been deleted, or its passages may be of an earlier reading.
"""

import unicodedata
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

from models import documents
from models.database import Database
from models.passages import Passage
from services import document_files as files
from services.text.cutting import sentences

NEAR = 2_000  # characters around the place where a passage is said to stand


def grounded(database: Database, uploads: Path, passages: Sequence[Passage]) -> list[Passage | None]:
    """For each passage what of its document may be cited (see `ground_of`), None where it does not stand there. Blocks.

    A summary, which may not be cited, only needs its document.
    """
    holders = documents.holders(database, {passage.document_id for passage in passages})
    places = defaultdict(list)
    for place, passage in enumerate(passages):
        if passage.document_id in holders:
            places[passage.document_id].append(place)
    found: list[Passage | None] = [None] * len(passages)
    for document_id, own in places.items():
        text = files.text_of(uploads / holders[document_id] / document_id)  # one at a time: each may be long
        for place in own:
            passage = passages[place]
            found[place] = passage if passage.summary else ground_of(passage, text)
            if (ground := found[place]) and ground.page and ground.start != passage.start and ground.end:
                found[place] = replace(ground, page=_page_at(database, document_id, ground.start))
    return found


def _page_at(database: Database, document_id: str, offset: int) -> int | None:
    """The page that holds the character at that offset of a document."""
    document = documents.load(database, document_id)
    pages = document.pages if document else []
    starts = list(accumulate((page["chars"] + 2 for page in pages[:-1]), initial=0))
    return pages[bisect_right(starts, offset) - 1]["page"] if pages else None


def ground_of(passage: Passage, text: str) -> Passage | None:
    """The passage with its real place in its document's `text`.

    White space and forms of characters (NFKC) may differ; then the place is unknown, and `start` and `end` are 0. For a
    passage that was put together of sentences from one place, the text of that place. None where it does not stand there.
    """
    if text.startswith(passage.text, passage.start):
        at = passage.start
    else:
        near = max(0, passage.start - NEAR)
        at = text.find(passage.text, near, passage.end + NEAR)
        at = text.find(passage.text) if at < 0 else at
    if at >= 0 and passage.text.strip():
        return replace(passage, start=at, end=at + len(passage.text))
    place = text[passage.start : passage.end]
    if _is_made_of(passage.text, place):
        return replace(passage, text=place)
    return replace(passage, start=0, end=0) if stands_in(passage.text, text) else None


def _is_made_of(text: str, place: str) -> bool:
    """Whether every sentence of a text stands there, markup and punctuation aside, which are lost on the way."""
    letters = _letters(place)
    parts = [_letters(line[start:end]) for line in text.splitlines() for start, end in sentences(line)]
    return any(parts) and all(part in letters for part in parts)


def stands_in(quote: str, text: str) -> bool:
    """Whether a quote stands in a text, white space and forms of characters aside."""
    wanted = _plain(quote)
    return bool(wanted) and wanted in _plain_document(text)


@lru_cache(maxsize=1)  # where one passage of a document is not found, others will not be either
def _plain_document(text: str) -> str:
    return _plain(text)


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text)))
