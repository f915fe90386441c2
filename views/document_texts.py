"""What documents say: their pages, their chunks, and what stands around the hits of a search."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from models.passages import Passage
from models.schemas_documents import DocumentPath
from models.schemas_texts import ChunksQuery, PagesQuery
from services.document_texts import Above
from utils.loaders import Page
from views.common import owner, services


def list_pages(path: DocumentPath, query: PagesQuery) -> dict[str, Any]:
    """The texts of pages of a document that was read."""
    document, found = services().texts.pages(owner(), path.document_id, query.first, query.end)
    return {"pages": [_page(*one) for one in found], "total": len(document.pages)}


def list_chunks(path: DocumentPath, query: ChunksQuery) -> dict[str, Any]:
    """The chunks of a document as search knows them, in order."""
    found, total = services().texts.chunks(owner(), path.document_id, query.first, query.count)
    return {"chunks": [asdict(one) for one in found], "total": total}


def _page(page: Page, start: int) -> dict[str, Any]:
    shown = {"page": page.number, "text": page.text, "start": start, "method": page.method}
    return shown if page.detail is None else {**shown, "detail": page.detail}


def results(found: Sequence[Passage], neighbours: int) -> dict[str, Any]:
    """The answer to a search: chunks, each with so many of those before and behind it."""
    texts = services().texts
    shown = [_hit(passage, above) for passage, above in zip(found, texts.above(found), strict=True)]
    if neighbours:
        for one, near in zip(shown, texts.around(found, neighbours), strict=True):
            one["before"], one["after"] = [asdict(chunk) for chunk in near.before], [asdict(chunk) for chunk in near.after]
    return {"results": shown}


def _hit(passage: Passage, above: Above) -> dict[str, Any]:
    shown = {name: getattr(passage, name) for name in ("text", "document_id", "filename", "page", "start", "end", "score")}
    return {**shown, "index": passage.chunk, **above._asdict()}
