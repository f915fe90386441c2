"""Cuts extracted text into chunks for search: along headings, paragraphs and sentences, Chinese and English alike.

Sizes are widths: a Latin letter counts 1, a Chinese character 2, because it says about as much as two letters. So one number
serves both languages and every mixture of them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal, NamedTuple

from models.passages import TextChunk
from utils.loaders import Page

CHUNK_WIDTH = 1_200  # measured: smaller ones are found less often; larger ones crowd the model's window
SECTION_WIDTH = 300  # a section at least this wide is not merged with the next one
ATOM_WIDTH = 4 * CHUNK_WIDTH  # a table row or a line of code is only cut when it is wider than this
PASSAGE_WIDTH = 400  # what is embedded and quoted: a few sentences

_HEADING = re.compile(r"(#{1,6})\s+(\S.*)")
_FENCE = re.compile(r"\s*(```|~~~)")
_TITLE = re.compile(r".{0,59}[^。！？；：，、.!?;:,…]")
_SECTION = re.compile(r"\s*(?:第[一二三四五六七八九十百\d]+[章节節条條编編部篇]|(?i:chapter|section|part)\s+[\dIVX])")
_LIST_ITEM = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)、])\s")

_CLOSERS = "[\"'”’」』）)】\\]]*+"
_ABBREVIATIONS = r"[A-Z] al ca cf vs pp [ei]\.[ge] approx resp [Nn]o [Vv]ol [Ss]ec [Ff]ig [Ff]igs [Ee]q [Rr]ef [Tt]ab [Dd]r"
_TITLES = "M[rs] Mrs St Prof Inc Ltd Co"
_NO_ABBREVIATION = "".join(rf"(?<!\b{word}\.)" for word in f"{_ABBREVIATIONS} {_TITLES}".split())
_LINE = re.compile(r"\n+")
_SENTENCE = re.compile(
    rf"[。！？；…]++{_CLOSERS}\s*"  # needs no space after it
    rf"|(?<![!?])[!?]++{_CLOSERS}(?=[\u3040-\u9fff])"  # a half-width mark amid Chinese
    rf"|(?:[!?]|\.{_NO_ABBREVIATION}){_CLOSERS}\s++(?=[\"'“‘(\[]?[^\Wa-z])"
    r"|\n\s*\n\s*"
)
_CLAUSE = re.compile(r"[，、：,;:]\s*(?=\D)|\n+")
_SPACE = re.compile(r"\s+")
_PROSE = (_SENTENCE, _LINE, _CLAUSE, _SPACE)
_ROWS = (_LINE, *_PROSE)
_LINES = (_LINE,)

Kind = Literal["heading", "table", "code", "prose"]


class Span(NamedTuple):
    """Offsets in characters, `end` exclusive."""

    start: int
    end: int


class _Block(NamedTuple):
    kind: Kind
    start: int
    end: int


@dataclass(slots=True)
class _Piece:
    """What is packed into chunks: a block, or a part of one that is too wide. `header` is the table row above it."""

    start: int
    end: int
    path: tuple[str, ...]
    heading: bool = False
    header: str = ""


@dataclass(slots=True)
class _Outline:
    """The headings above the place that is being read."""

    levels: list[tuple[int, str]] = field(default_factory=list)

    def open(self, text: str) -> None:
        """A document's first line is its title, above all headings, unless it is marked otherwise or is a sentence."""
        first, _, rest = text.strip().partition("\n")
        named = _TITLE.fullmatch(first.strip()) and not (_LIST_ITEM.match(first) or _SECTION.match(first))
        if rest and named and _kind(first) == "prose":
            self.levels = [(0, first.strip())]

    def enter(self, line: str) -> None:
        if match := _HEADING.match(line):
            level = len(match[1])
            self.levels = [above for above in self.levels if above[0] < level] + [(level, match[2].strip(" #"))]

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(title for _, title in self.levels)


def extracted_text(pages: Sequence[Page]) -> str:
    """The text of a document, to which all offsets refer."""
    return "\n\n".join(page.text for page in pages)


def chunk(pages: Sequence[Page]) -> list[TextChunk]:
    """The chunks of a document in order. Together they hold all of its text but white space at their edges.

    None crosses a page, and `extracted_text(pages)[c.start:c.end] == c.text` for each. A row of a table and a line of code
    stay whole. Rows that are cut off from the head of their table have it in `context`.
    """
    chunks: list[TextChunk] = []
    outline = _Outline()
    outline.open(next((page.text for page in pages if page.text.strip()), ""))
    offset = 0
    for page in pages:
        for group in _pack(page.text, _pieces(page.text, outline)):
            start, end = _stripped(page.text, group[0].start, group[-1].end)
            if start == end:  # blank lines of code
                continue
            chunks.append(
                TextChunk(
                    index=len(chunks),
                    text=page.text[start:end],
                    start=offset + start,
                    end=offset + end,
                    page=page.number,
                    heading=_common_path([piece.path for piece in group]),
                    context=group[0].header,
                )
            )
        offset += len(page.text) + 2
    return chunks


def passages(text: str) -> list[Span]:
    """The parts of a chunk that are embedded one by one and may be quoted: whole sentences where they are not too wide."""
    return parts(text, PASSAGE_WIDTH, _ROWS if _is_row(text.lstrip().partition("\n")[0]) else _PROSE)


def parts(text: str, limit: int, cuts: Sequence[re.Pattern[str]] = _PROSE) -> list[Span]:
    """All of `text` but white space, in parts no wider than `limit` that end with sentences where possible."""
    spans = (_stripped(text, *part) for part in _cut(text, 0, len(text), limit, cuts))
    return [span for span in spans if span.start < span.end]


def sentences(text: str) -> list[Span]:
    """The sentences of `text` in order, without white space around them."""
    spans = (_stripped(text, *part) for part in _split(text, 0, len(text), _SENTENCE))
    return [span for span in spans if span.start < span.end]


def width(text: str) -> int:
    """The size of `text`: 1 for an ASCII character, 2 for a Chinese one. UTF-8 takes 1 and 3 bytes for these."""
    return (len(text) + len(text.encode("utf-8", "surrogatepass"))) // 2


def _stripped(text: str, start: int, end: int) -> Span:
    part = text[start:end]
    lead = len(part) - len(part.lstrip())
    return Span(start + lead, start + max(lead, len(part.rstrip())))


def _common_path(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    same = takewhile(lambda titles: len(set(titles)) == 1, zip(*paths, strict=False))
    return tuple(titles[0] for titles in same)


def _blocks(text: str) -> Iterator[_Block]:
    """Paragraphs, headings, tables and code, in order."""
    block: _Block | None = None
    fenced = False
    for match in re.finditer(r"[^\n]*\n?", text):
        line = match[0]
        fence = _FENCE.match(line) is not None
        kind: Kind | None = "code" if fenced or fence else _kind(line)
        starts = kind == "heading" or (fence and not fenced) or (kind == "prose" and _LIST_ITEM.match(line) is not None)
        if block and (kind != block.kind or starts):
            yield block
            block = None
        if kind:
            block = _Block(kind, block.start if block else match.start(), match.end())
        if fence:
            fenced = not fenced
    if block:
        yield block


def _kind(line: str) -> Kind | None:
    if not line.strip():
        return None
    if _HEADING.match(line):
        return "heading"
    return "table" if _is_row(line) else "prose"


def _is_row(line: str) -> bool:
    """Whether a line is a row of a table: `| a | b |`, or cells with tabs between them."""
    row = line.strip()
    return "\t" in row or (len(row) > 1 and row[0] == row[-1] == "|")


def _pieces(text: str, outline: _Outline) -> Iterator[_Piece]:
    for kind, start, end in _blocks(text):
        if kind == "heading":
            outline.enter(text[start:end])
        if kind == "table":
            yield from _rows(text, start, end, outline.path)
        else:
            cuts = _LINES if kind == "code" else _PROSE
            for part in _cut(text, start, end, CHUNK_WIDTH, cuts):
                yield _Piece(*part, outline.path, heading=kind == "heading")


def _rows(text: str, start: int, end: int, path: tuple[str, ...]) -> Iterator[_Piece]:
    """A table in parts; all but the first know the head of the table."""
    head = text[start:end].split("\n", 1)[0].strip()
    for part in _cut(text, start, end, CHUNK_WIDTH, _LINES):
        yield _Piece(*part, path, header="" if part.start == start else head)


def _pack(text: str, pieces: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    """Gathers pieces into chunks. A heading stays with what follows; a section starts a chunk unless the last is small."""
    group: list[_Piece] = []
    for piece in pieces:
        if group and not all(member.heading for member in group):
            size = width(text[group[0].start : group[-1].end])
            full = size + width(text[piece.start : piece.end]) > CHUNK_WIDTH
            if full or (piece.heading and size >= SECTION_WIDTH):
                yield group
                group = []
        group.append(piece)
    if group:
        yield group


def _cut(text: str, start: int, end: int, limit: int, cuts: Sequence[re.Pattern[str]]) -> Iterator[Span]:
    """Parts of about the same width, none wider than `limit`, cut where the first of `cuts` that helps allows it.

    Lines (of tables and code) are only cut inside when they are wider than ATOM_WIDTH.
    """
    size = width(text[start:end])
    if size <= limit:
        yield Span(start, end)
        return
    if not cuts:
        yield from _cut_anywhere(text, start, end, limit)
        return
    goal = size / -(-size // limit)
    first, last, taken = start, start, 0
    for part in _split(text, start, end, cuts[0]):
        part_width = width(text[part.start : part.end])
        if taken and (taken + part_width / 2 > goal or taken + part_width > limit):
            yield Span(first, last)
            first, taken = part.start, 0
        if part_width > (ATOM_WIDTH if cuts is _LINES else limit):
            yield from _cut(text, *part, limit, (_SPACE,) if cuts is _LINES else cuts[1:])
            first, taken = part.end, 0
        else:
            taken += part_width
        last = part.end
    if first < last:
        yield Span(first, last)


def _cut_anywhere(text: str, start: int, end: int, limit: int) -> Iterator[Span]:
    """Parts no wider than `limit`, or of a single character."""
    at, taken = start, 0
    for place in range(start, end):
        wide = 1 + len(text[place].encode("utf-8", "surrogatepass"))  # twice the width, which may be a half
        if taken + wide > 2 * limit and place > at:
            yield Span(at, place)
            at, taken = place, 0
        taken += wide
    yield Span(at, end)


def _split(text: str, start: int, end: int, separator: re.Pattern[str]) -> Iterator[Span]:
    """The parts of text[start:end], each with the separator that ends it."""
    at = start
    for match in separator.finditer(text, start, end):
        if match.end() > at:
            yield Span(at, match.end())
            at = match.end()
    if at < end:
        yield Span(at, end)
