"""Pieces of documents: what the pipeline makes and what a search returns."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextChunk:
    """A piece of a document's extracted text: `text == extracted[start:end]`, offsets in characters.

    `page` is 1-based, None where the format has no pages; `heading` is the path of headings above, outermost first.
    `context` is the head of the table whose rows follow. Both help to find and to read the chunk and are not part of `text`.
    """

    index: int
    text: str
    start: int
    end: int
    page: int | None
    heading: tuple[str, ...] = ()
    context: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A hit of a search. `text` and `quote` stand in the document; `quote` is the part of `text` that fits best.

    `score` runs from 0 to 1 and falls from hit to hit; that of the best hit says how much of the question it can hold.
    `context` is as in a chunk: headings, the head of a table. `chunk` is the number of the chunk in its document. With
    `summary` the text is the document's summary, which stands on no page, is no chunk and may not be cited. A `weak` one was
    only the nearest that there is.
    """

    document_id: str
    filename: str
    page: int | None
    text: str
    quote: str
    start: int
    end: int
    score: float
    context: str = ""
    summary: bool = False
    chunk: int = -1
    weak: bool = False
