"""What documents say: their pages, their chunks, and what stands around the hits of a search."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from models.passages import Passage
from models.schemas_documents import DocumentPath
from models.schemas_texts import ChunksQuery, PagesQuery
from services.protocols import native as native_format
from views.common import owner, services


def list_pages(path: DocumentPath, query: PagesQuery) -> dict[str, Any]:
    """The texts of pages of a document that was read."""
    document, found = services().texts.pages(owner(), path.document_id, query.first, query.end)
    names = ("text", "method", "detail")
    pages = [{"page": page.number, "start": start, **{name: getattr(page, name) for name in names}} for page, start in found]
    return {"pages": pages, "total": len(document.pages)}


def list_chunks(path: DocumentPath, query: ChunksQuery) -> dict[str, Any]:
    """The chunks of a document as search knows them, in order."""
    found, total = services().texts.chunks(owner(), path.document_id, query.first, query.count)
    return {"chunks": [asdict(one) for one in found], "total": total}


def results(found: Sequence[Passage], neighbours: int) -> dict[str, Any]:
    """The answer to a search, each hit with so many chunks before and behind it."""
    shown = native_format.passages(found)
    if neighbours:
        for one, near in zip(shown, services().texts.around(found, neighbours), strict=True):
            one["before"], one["after"] = [asdict(chunk) for chunk in near.before], [asdict(chunk) for chunk in near.after]
    return {"results": shown}
