"""Cuts text where a reader would: behind sentences where possible, at lines, clauses and spaces otherwise.

Sizes are widths: a Latin letter counts 1, a Chinese character 2, because it says about as much as two letters. So one number
serves both languages and every mixture of them.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

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

Cuts = Sequence[re.Pattern[str]]  # in the order in which they are tried
PROSE: Cuts = (_SENTENCE, _LINE, _CLAUSE, _SPACE)
LINES: Cuts = (_LINE, *PROSE)  # only a line that is wider than the limit is cut inside
ROWS: Cuts = (_LINE, _SPACE)  # for rows of tables and lines of code


class Span(NamedTuple):
    """Offsets in characters, `end` exclusive."""

    start: int
    end: int


def width(text: str) -> int:
    """The size of `text`: 1 for an ASCII character, 2 for a Chinese one. UTF-8 takes 1 and 3 bytes for these."""
    return (len(text) + len(text.encode("utf-8", "surrogatepass"))) // 2


def stripped(text: str, start: int, end: int) -> Span:
    """The part of text[start:end] without white space around it."""
    part = text[start:end]
    lead = len(part) - len(part.lstrip())
    return Span(start + lead, start + max(lead, len(part.rstrip())))


def parts(text: str, limit: int, cuts: Cuts = PROSE) -> list[Span]:
    """All of `text` but white space, in parts no wider than `limit` that end with sentences where possible."""
    spans = (stripped(text, *part) for part in cut(text, 0, len(text), limit, cuts))
    return [span for span in spans if span.start < span.end]


def sentences(text: str) -> list[Span]:
    """The sentences of `text` in order, without white space around them."""
    spans = (stripped(text, *part) for part in _split(text, 0, len(text), _SENTENCE))
    return [span for span in spans if span.start < span.end]


def ends_within_lines(text: str, start: int, end: int) -> int:
    """How many sentences of text[start:end] end in the middle of a line, as those of running text do."""
    return sum("\n" not in match[0] and match.end() < end for match in _SENTENCE.finditer(text, start, end))


def cut(text: str, start: int, end: int, limit: int, cuts: Cuts, wide: int = 0) -> Iterator[Span]:
    """Parts of about the same width, none wider than `limit`, cut where the first of `cuts` that helps allows it.

    What the first of `cuts` leaves whole is only cut inside when it is wider than `wide`.
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
        if part_width > max(limit, wide):
            yield from cut(text, *part, limit, cuts[1:])
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
