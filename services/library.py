"""What tools may read of documents, whole pages and summaries. Blocks: it runs in threads."""

from collections.abc import Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import NamedTuple

from models import documents, knowledge_bases
from models.conversations import ReadyDocument
from models.database import Database
from models.documents import Document
from models.knowledge_bases import ReadyBase
from models.tools import Description, Part, Reading
from services import document_files as files
from services.document_texts import headings_of, read_pages
from services.text.cutting import parts
from services.text.running_heads import bodies
from utils.errors import NotFound

AROUND = 3  # pages before and behind, which show what is header and footer
PART_WIDTH = 6_000  # of a document without pages: some 3,000 Chinese characters
HEADINGS, HEADING_CHARS, LEVELS = 12, 60, 2


class Library(NamedTuple):
    """The documents of a deployment: their rows, and the folder of their files."""

    database: Database
    uploads: Path

    def catalog(self, own: Sequence[ReadyDocument], bases: Sequence[ReadyBase]) -> list[ReadyDocument]:
        """A session's own documents, and after them those of its knowledge bases."""
        found = {document.id: document for document in own}
        for base in bases:
            found |= {document.id: document for document in knowledge_bases.ready_documents(self.database, base.id)}
        return list(found.values())

    def read(self, document: ReadyDocument, first: int, last: int) -> Reading:
        """Pages from `first` to `last` (1-based, inclusive), or such parts of a document without pages. Raises NotFound."""
        row = self._row(document)
        folder = files.folder_of(self.uploads, row)
        if row.page_count is None:
            text = files.text_of(folder)
            spans = parts(text, PART_WIDTH)
            chosen = list(enumerate(spans, 1))[first - 1 : last]
            return Reading(
                [Part(number, text[span.start : span.end], span.start) for number, span in chosen], len(spans), False
            )
        starts = accumulate((page["chars"] + 2 for page in row.pages), initial=0)
        begin = max(1, first - AROUND)
        pages = read_pages(folder, begin, last + AROUND)
        found = [
            Part(begin + n, page.text, start, page.text[body.start : body.end])
            for n, (page, start, body) in enumerate(zip(pages, islice(starts, begin - 1, None), bodies(pages), strict=False))
        ]
        return Reading([part for part in found if first <= part.number <= last], row.page_count, True)

    def describe(self, chosen: Sequence[ReadyDocument]) -> list[Description]:
        """What is known of these documents; those that are gone meanwhile are left out."""
        found = []
        for document in chosen:
            if (row := documents.load(self.database, document.id)) is not None:
                folder = files.folder_of(self.uploads, row)
                found.append(Description(document, row.page_count, files.summary_of(folder), _headings(folder)))
        return found

    def _row(self, document: ReadyDocument) -> Document:
        row = documents.load(self.database, document.id)
        if row is None:
            raise NotFound(what="document")
        return row


def _headings(folder: Path) -> list[str]:
    """The first headings of a document, of the upper levels; none where it was indexed before they were kept."""
    upper = dict.fromkeys(tuple(heading[:LEVELS]) for heading in headings_of(folder))
    titles = dict.fromkeys(path[-1][:HEADING_CHARS] for path in upper if path)
    return list(titles)[:HEADINGS]
