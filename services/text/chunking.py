"""Cuts extracted text into chunks for search: along headings, paragraphs and sentences, Chinese and English alike."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

from models.passages import TextChunk
from services.text.blocks import Block, blocks, is_list_item
from services.text.cutting import LINES, PROSE, ROWS, Cuts, Span, cut, ends_within_lines, parts, stripped, width
from services.text.outlines import Heading, Outline, is_marked, is_numbered
from services.text.running_heads import bodies, key_of, running_heads, without_page_number
from services.text.tables import is_row
from utils.loaders import Page

CHUNK_WIDTH = 1_200  # measured: smaller ones are found less often; larger ones crowd the model's window
SECTION_WIDTH = 300  # a section at least this wide is not merged with the next one
ATOM_WIDTH = 4 * CHUNK_WIDTH  # a table row or a line of code is only cut when it is wider than this
PASSAGE_WIDTH = 400  # what is embedded and quoted: a few sentences
WHOLE_LINES = 0.6  # of the lines of a paragraph end something; they are no sentences that are broken at the margin
SHORT_LINE = 0.6  # of the widest line; a narrower one was not broken at the margin
TITLE_LINES = 3  # the title is one of the first, as a page number may be above it
TITLE_CHARS = 100
BEGINNING = 5_000  # characters in which the title is looked for

_TITLE = re.compile(r".{0,59}[^。！？；：，、.!?;:,…]")
_END = re.compile(r"[.。！？!?;；:：…{}()\]）】>，,*]$")


@dataclass(slots=True)
class _Piece:
    """What is packed into chunks: a block, or a part of one that is too wide. `header` is the head of the table above it.

    `heading` says that it is a heading, or a running one, and no text that the headings in `path` are about.
    """

    start: int
    end: int
    path: tuple[str, ...]
    heading: bool = False
    header: str = ""


def extracted_text(pages: Sequence[Page]) -> str:
    """The text of a document, to which all offsets refer."""
    return "\n\n".join(page.text for page in pages)


def chunk(pages: Sequence[Page]) -> list[TextChunk]:
    """The chunks of a document in order. They hold all of its text but white space, headers and footers that come again, and
    tables of contents, which say what stands elsewhere and would be found in the place of it.

    None crosses a page, and `extracted_text(pages)[c.start:c.end] == c.text` for each. A row of a table and a line of code
    stay whole. Rows that are cut off from the head of their table have it in `context`.
    """
    chunks: list[TextChunk] = []
    outline, spans = Outline(), bodies(pages)
    first = next((page.text for page in pages if page.text.strip() and not page.apart), "")
    running = running_heads(pages, spans)
    if title := _title(first, running):
        outline.enter(Heading(0, title))
    offset = 0
    for page, found in zip(pages, blocks(pages, spans), strict=True):
        outline = Outline() if page.apart else outline
        for group in _groups(page.text, found, outline, running):
            start, end = stripped(page.text, group[0].start, group[-1].end)
            if start == end:  # blank lines of code
                continue
            chunks.append(
                TextChunk(
                    index=len(chunks),
                    text=page.text[start:end],
                    start=offset + start,
                    end=offset + end,
                    page=page.number,
                    heading=_common_path(group),
                    context=group[0].header,
                )
            )
        offset += len(page.text) + 2
    return chunks


def passages(text: str) -> list[Span]:
    """The parts of a chunk that are embedded one by one and may be quoted: whole sentences where they are not too wide."""
    return parts(text, PASSAGE_WIDTH, LINES if is_row(text.lstrip().partition("\n")[0]) else PROSE)


def _title(text: str, running: set[str]) -> str:
    """The first line of a document, which stands above all headings unless it is marked otherwise or is a sentence.

    A line that says the same as a `running` header is none, as that may say anything.
    """
    lines = [
        line.strip() for line in text[:BEGINNING].split("\n") if line.strip() and key_of(line[:TITLE_CHARS]) not in running
    ]
    titles = [without_page_number(line[:TITLE_CHARS]) for line in lines]
    at = next((number for number, title in enumerate(titles[:TITLE_LINES]) if title), len(lines))
    if at + 1 >= len(lines) or is_row(lines[at]):
        return ""
    named = _TITLE.fullmatch(titles[at]) and not (is_list_item(titles[at]) or is_marked(titles[at]))
    return titles[at] if named and not is_numbered(titles[at]) else ""


def _common_path(group: Sequence[_Piece]) -> tuple[str, ...]:
    """The headings above all of a chunk that is not a heading itself."""
    paths = [piece.path for piece in group if not piece.heading] or [group[-1].path]
    same = takewhile(lambda titles: len(set(titles)) == 1, zip(*paths, strict=False))
    return tuple(titles[0] for titles in same)


def _pieces(text: str, found: Iterable[Block], outline: Outline, running: set[str]) -> Iterator[_Piece]:
    for block in found:
        if block.heading:
            outline.enter(block.heading)
        cuts, wide = _cuts(text, block)
        line = text[block.start : min(block.end, block.start + TITLE_CHARS)].strip()
        heading = block.kind == "heading" or line in outline.path or key_of(line) in running
        for part in cut(text, block.start, block.end, CHUNK_WIDTH, cuts, wide):
            header = "" if part.start == block.start and not block.goes_on else block.head
            yield _Piece(*part, outline.path, heading, header)


def _cuts(text: str, block: Block) -> tuple[Cuts, int]:
    """Where a block may be cut, and how wide what it is cut into may be by exception."""
    if block.kind in ("code", "table"):
        return ROWS, ATOM_WIDTH
    lines = [line.rstrip() for line in text[block.start : block.end].split("\n") if line.strip()]
    running = ends_within_lines(text, block.start, block.end) * 2 >= len(lines)
    return (LINES if len(lines) > 2 and _whole(lines, running) >= WHOLE_LINES * len(lines) else PROSE), 0


def _whole(lines: Sequence[str], running: bool) -> int:
    """How many lines are not broken at the margin. In `running` text short ones say nothing: others may be joined."""
    short = 0 if running else SHORT_LINE * max(map(len, lines))
    return sum(len(line) < short or _END.search(line) is not None for line in lines)


def _groups(text: str, found: Sequence[Block], outline: Outline, running: set[str]) -> Iterator[list[_Piece]]:
    """What becomes a chunk each. A table of contents becomes none, and no chunk holds what is above and what is below it."""
    for kept, some in groupby(found, key=lambda block: block.kind != "contents"):
        if kept:
            yield from _pack(text, _pieces(text, some, outline, running))


def _pack(text: str, pieces: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    """Gathers pieces into chunks. A heading stays with what follows; a section starts a chunk unless the last is small."""
    group: list[_Piece] = []
    for piece in pieces:
        bare = all(member.heading for member in group)
        if group and (piece.heading or not bare):
            size = width(text[group[0].start : group[-1].end])
            full = size + width(text[piece.start : piece.end]) > CHUNK_WIDTH
            if full or (piece.heading and size >= SECTION_WIDTH and not bare):
                yield group
                group = []
        group.append(piece)
    if group:
        yield group
