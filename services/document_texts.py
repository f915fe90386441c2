"""The text of a document that was read: its pages, and the chunks that search knows, with what stands around each.

Pages come from the journal. Chunks are kept in a file when they are indexed: places in the text without the text itself. So
they are those of the index even when a later version of the product would cut the document differently.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from models import documents
from models.database import Database
from models.documents import Document
from models.passages import Passage, TextChunk
from services import document_files as files
from services.page_journal import PageJournal, pages_of
from services.text.chunking import chunk
from utils.errors import DocumentNotReady, NotFound
from utils.loaders import Page
from utils.settings import Settings


class PlacedPage(NamedTuple):
    """`start` is the offset of the page's text in that of the document."""

    page: Page
    start: int


class Neighbours(NamedTuple):
    """Chunks in their order."""

    before: Sequence[TextChunk]
    after: Sequence[TextChunk]


def read_pages(folder: Path, first: int, last: int) -> list[Page]:
    """Pages of a document that was read, 1-based and inclusive.

    Formats without pages have parts, such as the sheets of a workbook, which count as pages and whose number is None.
    Raises NotFound when the document was deleted just now.
    """
    try:
        return list(pages_of(folder / files.JOURNAL, first, last))
    except FileNotFoundError:
        raise NotFound(what="document") from None


def keep_chunks(folder: Path, chunks: Sequence[TextChunk]) -> None:
    """Stores the chunks of a document that is being indexed; its text is there already."""
    places = [(one.start, one.end, one.page, one.heading, one.context) for one in chunks]
    files.write(folder / files.CHUNKS, orjson.dumps(places).decode())


def chunks_of(folder: Path) -> list[TextChunk]:
    """The chunks of a document as search knows them; [] where it is gone.

    What an earlier version of the product has indexed has no file of chunks: it is cut anew, and may differ in numbers.
    """
    if not (places := _places(folder)):
        return chunk(PageJournal(folder / files.JOURNAL).pages)
    text = files.text_of(folder)
    return [
        TextChunk(number, text[start:end], start, end, page, tuple(heading), context)
        for number, (start, end, page, heading, context) in enumerate(places)
    ]


def headings_of(folder: Path) -> list[Sequence[str]]:
    """The path of headings above each chunk; [] where it was not kept, or the document is gone."""
    return [heading for _, _, _, heading, _ in _places(folder)]


class Above(NamedTuple):
    """What stands above a chunk: the headings, outermost first, and the head of the table whose rows follow."""

    heading: Sequence[str]
    context: str


class DocumentTexts:
    """What the web reads of documents' texts. Its methods block."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._uploads, self._database = settings.UPLOAD_DIR, database

    def pages(self, owner: str, document_id: str, first: int, last: int) -> tuple[Document, list[PlacedPage]]:
        """Pages of a document, as of `read_pages`. Raises NotFound, DocumentNotReady, or why it could not be read."""
        document = self._find(owner, document_id)
        starts = list(accumulate((entry["chars"] + 2 for entry in document.pages), initial=0))
        found = read_pages(self._folder(document), first, last)
        return document, [PlacedPage(page, start) for page, start in zip(found, starts[first - 1 :], strict=False)]

    def chunks(self, owner: str, document_id: str, first: int, count: int) -> tuple[list[TextChunk], int]:
        """`count` chunks of a document from number `first` on, and how many there are. Raises as `pages`."""
        found = chunks_of(self._folder(self._find(owner, document_id)))
        return found[first : first + count], len(found)

    def above(self, passages: Sequence[Passage]) -> list[Above]:
        """What stands above each passage of a search, which the index knows only as one text.

        It stays that text, as `context`, where an earlier version of the product has indexed the document.
        """
        places = {id: _places(folder) for id, folder in self._folders(passages).items()}
        return [_above(places.get(passage.document_id, []), passage) for passage in passages]

    def around(self, passages: Sequence[Passage], count: int) -> list[Neighbours]:
        """Up to `count` chunks before and behind each passage of a search."""
        chunks = {id: chunks_of(folder) for id, folder in self._folders(passages).items()}
        return [_around(chunks.get(passage.document_id, []), passage, count) for passage in passages]

    def _folders(self, passages: Sequence[Passage]) -> dict[str, Path]:
        """The folders of the documents that still hold these passages."""
        holders = documents.holders(self._database, {passage.document_id for passage in passages})
        return {id: self._uploads / holder / id for id, holder in holders.items()}

    def _find(self, owner: str, document_id: str) -> Document:
        document = documents.find(self._database, owner, document_id)
        if not document.searchable:
            raise document.failure or DocumentNotReady()
        return document

    def _folder(self, document: Document) -> Path:
        return files.folder_of(self._uploads, document)


def _places(folder: Path) -> list[list[Any]]:
    """The chunks of a document as `keep_chunks` has stored them, [] where it has not."""
    try:
        places: list[list[Any]] = orjson.loads((folder / files.CHUNKS).read_bytes())
    except FileNotFoundError:
        return []
    return places


def _above(places: Sequence[Sequence[Any]], passage: Passage) -> Above:
    if 0 <= passage.chunk < len(places):
        start, _, _, heading, context = places[passage.chunk]
        if start == passage.start:
            return Above(heading, context)
    return Above([], passage.context)


def _around(chunks: Sequence[TextChunk], passage: Passage, count: int) -> Neighbours:
    """By place, not by number, so that it is right for what was cut differently."""
    before = bisect_right(chunks, passage.start, key=lambda one: one.end)
    after = bisect_left(chunks, passage.end, key=lambda one: one.start)
    return Neighbours(chunks[max(0, before - count) : before], chunks[after : after + count])
