"""Reads a document as a sequence of paragraphs, headings, tables and code, some of which go on over a page break."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from services.text.contents import Place, contents
from services.text.cutting import Span
from services.text.numerals import CHINESE
from services.text.outlines import Heading, Line, headings
from services.text.tables import Table, goes_on, is_row, loose_rows, table_of
from utils.loaders import Page

_ANY = re.compile(r"[^\n]*\n?")
_FENCE = re.compile(r"\s*(```|~~~)([^`\n]*)")
_LIST_ITEM = re.compile(
    r"\s*(?:[-*+–—]\s|[•·●○■□◆◇▪▶※①-⑳]|\d{1,3}[.)、．）](?!\d)|[（(](?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[)）]|[a-zA-Z][.)、]\s"
    rf"|[（(]?[{CHINESE}]{{1,3}}[)）、]|第[\d{CHINESE}]{{1,6}}[条條款项項])"
)

Kind = Literal["heading", "table", "code", "prose", "contents"]


class _Marks(NamedTuple):
    """What is known of lines: where code begins and ends, which belong to a table of contents, and the headings."""

    fences: set[Place]
    contents: set[Place]
    headings: dict[Place, Heading]


class Block(NamedTuple):
    """`heading` is that of the kind; `head` is that of the table, which may begin on an earlier page if it `goes_on`."""

    kind: Kind
    start: int
    end: int
    heading: Heading | None = None
    head: str = ""
    goes_on: bool = False


def is_list_item(line: str) -> bool:
    return _LIST_ITEM.match(line) is not None


def blocks(pages: Sequence[Page], spans: Sequence[Span]) -> Iterator[list[Block]]:
    """The blocks of each page, in order; `spans` are the parts of the pages that are looked at."""
    fences, listed = _fences(pages, spans), contents(pages, spans)
    marks = _Marks(fences, listed, headings(_lines_of_text(pages, spans, fences, listed)))
    table: Table | None = None
    fenced = False
    for number, (page, span) in enumerate(zip(pages, spans, strict=True)):
        found, fenced = _read(page.text, span, number, marks, fenced, table)
        found = list(_with_heads(page.text, found, table))
        if found:
            last = found[-1]
            ended = table_of(page.text[last.start : last.end]) if last.kind == "table" else None
            table = ended and (table if len(found) == 1 and last.goes_on else ended)
        yield found


def _lines(text: str, span: Span) -> Iterator[Span]:
    for match in _ANY.finditer(text, span.start, span.end):
        if match.end() > match.start():
            yield Span(match.start(), match.end())


def _fences(pages: Sequence[Page], spans: Sequence[Span]) -> set[Place]:
    """Where code begins and ends: a fence that is never closed is none."""
    found: list[tuple[Place, str, bool]] = []
    for number, (page, span) in enumerate(zip(pages, spans, strict=True)):
        if "```" in page.text or "~~~" in page.text:
            for start, end in _lines(page.text, span):
                if match := _FENCE.fullmatch(page.text[start:end].rstrip("\n")):
                    found.append(((number, start), match[1], not match[2].strip("`~ \t")))
    closing = {mark: [i for i, (_, own, bare) in enumerate(found) if own == mark and bare] for mark in ("```", "~~~")}
    places: set[Place] = set()
    at = 0
    while at < len(found):
        later = closing[found[at][1]]
        close = bisect_right(later, at)
        if close < len(later):
            places |= {found[at][0], found[later[close]][0]}
            at = later[close]
        at += 1
    return places


def _lines_of_text(pages: Sequence[Page], spans: Sequence[Span], fences: set[Place], listed: set[Place]) -> Iterator[Line]:
    fenced = False
    for number, (page, span) in enumerate(zip(pages, spans, strict=True)):
        below = False
        for start, end in _lines(page.text, span):
            line = page.text[start:end].strip()
            if (number, start) in fences:
                fenced, below = not fenced, False
            elif fenced or not line or (number, start) in listed:
                below = False
            else:
                yield Line((number, start), line, below)
                below = True


def _read(
    text: str,
    span: Span,
    number: int,
    marks: _Marks,
    fenced: bool,
    before: Table | None,
) -> tuple[list[Block], bool]:
    """The blocks of one page, and whether code goes on behind it."""
    lines = list(_lines(text, span))
    loose = loose_rows([text[start:end] for start, end in lines], before)
    found: list[Block] = []
    open_kind: Kind | None = None
    for i, (start, end) in enumerate(lines):
        line = text[start:end]
        fence = (number, start) in marks.fences
        heading = None if fenced or fence else marks.headings.get((number, start))
        kind: Kind | None = "code" if fenced or fence else _kind(line, heading, i in loose)
        if kind and kind != "code" and (number, start) in marks.contents:
            kind = "contents"
        starts = heading is not None or (fence and not fenced) or (kind == "prose" and is_list_item(line))
        starts = starts or (kind == "table" and i in loose and i - 1 not in loose)
        if kind and (kind != open_kind or starts):
            found.append(Block(kind, start, end, heading))
        elif kind:
            found[-1] = found[-1]._replace(end=end)
        open_kind = kind
        fenced = fenced != fence
    return found, fenced


def _kind(line: str, heading: Heading | None, loose: bool) -> Kind | None:
    if not line.strip():
        return None
    if heading:
        return "heading"
    return "table" if loose or is_row(line) else "prose"


def _with_heads(text: str, found: Sequence[Block], before: Table | None) -> Iterator[Block]:
    for number, block in enumerate(found):
        if block.kind != "table":
            yield block
            continue
        rows = text[block.start : block.end]
        own = table_of(rows)
        continued = number == 0 and before is not None and goes_on(before, own, rows)
        yield block._replace(head=before.head if continued and before else own.head, goes_on=continued)
