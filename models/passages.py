"""Pieces of documents: what the pipeline makes and what a search returns."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece of a document's extracted text: `text == extracted[start:end]`, offsets in characters.

    `page` is 1-based, None where the format has no pages; `heading` is the path of headings above, outermost first.
    """

    index: int
    text: str
    start: int
    end: int
    page: int | None
    heading: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """A hit of a search. `text` and `quote` stand in the document; `quote` is the part of `text` that fits best."""

    document_id: str
    filename: str
    page: int | None
    text: str
    quote: str
    start: int
    end: int
    score: float
