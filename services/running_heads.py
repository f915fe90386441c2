"""Finds headers and footers that run through a document, and page numbers: what stands at the edge of page after page.

Such a line is told from a text by what it does: it says the same on several pages in a row, and a number at its end or its
beginning, if there is one, counts the pages. Invoice numbers and dates do not.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from services.cutting import Span
from services.numerals import CHINESE, value_of
from utils.loaders import Page
from utils.texts import CJK

EDGE = 3  # lines of a page, at its top and at its bottom, that may be header or footer
LONGEST = 160  # characters of such a line
LEAST_PAGES = 3  # that have it
DENSITY = 0.45  # of the pages from the first to the last that have it: headers of left and right pages may differ
IN_STEP = 0.75  # of the numbers must count with the pages; pages may be missing in a scan

Edge = Literal["top", "bottom"]

_LABEL = re.compile(  # Page 3 of 20, p. 3, 第 3 页 共 20 页, 第三页
    r"\b(?:pages?|pg\.?|p\.|seite)\s*(\d+)(?:\s*(?:of|/|von|共)\s*\d+)?"
    rf"|第\s*([\d{CHINESE}]+)\s*[页頁](?:[\s/,，、(（]*[共总總]\s*[\d{CHINESE}]+\s*[页頁][)）]?)?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[-–—·•~|/\[(\s]*(\d{1,5}|[ivxl]{1,6})(?:\s*/\s*\d{1,5})?[-–—·•~|/\])\s]*")  # the whole line: - 3 -
_FIRST = re.compile(r"(\d{1,5})\s*[-–—·•|/]?\s+(?=\S)")
_LAST = re.compile(r"(?<=\S)\s+[-–—·•|/]?\s*(\d{1,5})[-–—·•|]?")
_NAMED = re.compile(  # a number behind these is not that of a page
    r"(?:\b(?:no|nr|id|number|day|week|chapter|lesson|section|part|item|question|figure|table|case|order|invoice)\W*|[号號编碼码第期卷])$"
)
_WORDS = re.compile(rf"[{CJK}]{{3}}|\w\W+\w")  # a number beside less than that belongs to it: Lesson 3
_SENTENCE = re.compile(r"[。！？；]|(?:\w+\W+){8}.*[.!?]$")  # in which a number may say anything
_UNUSUAL = re.compile(r"\t|^\s*#|^\s*\|.*\|\s*$")  # headings and rows of tables have their own place in chunks


class _Line(NamedTuple):
    start: int
    end: int
    text: str


class _Seen(NamedTuple):
    """A line on a page: `number` is that of the page, if it has one; `inner` is the next line further inside."""

    page: int
    number: int | None
    text: str
    inner: str


def bodies(pages: Sequence[Page]) -> list[Span]:
    """The part of each page's text without headers and footers that stand on an earlier page already."""
    edges = [{"top": _edge(page.text, "top"), "bottom": _edge(page.text, "bottom")} for page in pages]
    filled = [number for number, page in enumerate(pages) if page.number is not None and page.text.strip()]
    repeated: dict[Edge, set[tuple[int, str]]] = {"top": set(), "bottom": set()}
    if len(filled) >= LEAST_PAGES:
        for edge in repeated:
            repeated[edge] = _repeated([(place, edges[number][edge]) for place, number in enumerate(filled)])
    places = {number: place for place, number in enumerate(filled)}
    spans = []
    for number, page in enumerate(pages):
        start, end = 0, len(page.text)
        for line in _peeled(edges[number]["top"], repeated["top"], places.get(number)):
            start = line.end
        for line in _peeled(edges[number]["bottom"], repeated["bottom"], places.get(number)):
            end = line.start
        spans.append(Span(min(start, end), end))
    return spans


def without_page_number(line: str) -> str:
    """A line without what only says which page it stands on: Page 3 of 20, - 3 -."""
    return "" if _NUMBER.fullmatch(line.lower()) else _LABEL.sub("", line).strip()


def _edge(text: str, edge: Edge) -> list[_Line]:
    """The outermost lines of a page that are not blank, from outside to inside."""
    lines: list[_Line] = []
    at = 0 if edge == "top" else len(text)
    while len(lines) <= EDGE and (0 <= at < len(text) if edge == "top" else at > 0):
        if edge == "top":
            start, end = at, text.find("\n", at)
            at = end = len(text) if end < 0 else end + 1
        else:
            start, end = text.rfind("\n", 0, at) + 1, at
            at = start - 1 if start else 0
        line = text[start : min(end, start + LONGEST + 2)].strip()
        if line:
            lines.append(_Line(start, end, line))
    return lines


def _peeled(lines: list[_Line], repeated: set[tuple[int, str]], place: int | None) -> Iterator[_Line]:
    """The lines, from outside to inside, that are header or footer; the first that is not ends them."""
    for line in lines[:EDGE]:
        if place is None or (place, line.text) not in repeated:
            return
        yield line


def _repeated(pages: Sequence[tuple[int, list[_Line]]]) -> set[tuple[int, str]]:
    """The lines, each with its page, that repeat what stands on an earlier one."""
    groups: dict[tuple[str, int], list[_Seen]] = defaultdict(list)
    for place, lines in pages:
        for depth, line in enumerate(lines[:EDGE]):
            if len(line.text) > LONGEST or _UNUSUAL.search(line.text):
                continue
            key, number = _read(line.text)
            inner = lines[depth + 1].text if depth + 1 < len(lines) else ""
            group = groups[key, 0 if key else depth]  # bare numbers have nothing but their place in common
            if not group or group[-1].page != place:
                group.append(_Seen(place, number, line.text, inner))
    return {(seen.page, seen.text) for group in groups.values() if _runs(group) for seen in group[1:]}


def _read(line: str) -> tuple[str, int | None]:
    """What a line says beside the number of its page, and that number."""
    plain = " ".join(unicodedata.normalize("NFKC", line).lower().split())
    if label := _LABEL.search(plain):
        rest = (plain[: label.start()] + " " + plain[label.end() :]).strip(" -–—·•|/")
        return rest, value_of(label[1] or label[2])
    if number := _NUMBER.fullmatch(plain):
        return "", value_of(number[1])
    first, last = _FIRST.match(plain), re.search(_LAST.pattern + "$", plain)
    if first and last:  # Annual Report 2024 · 13: the year is the larger one
        first, last = (first, None) if int(first[1]) < int(last[1]) else (None, last)
    if last and _WORDS.search(plain[: last.start()]) and not _NAMED.search(plain[: last.start()]):
        return plain[: last.start()].rstrip(" -–—·•|/"), int(last[1])
    if first and _WORDS.search(plain[first.end() :]):
        return plain[first.end() :], int(first[1])
    return plain, None


def _runs(group: list[_Seen]) -> bool:
    """Whether these lines are one that runs through the pages."""
    if len(group) < LEAST_PAGES or len(group) < DENSITY * (group[-1].page - group[0].page + 1):
        return False
    numbered = [seen for seen in group if seen.number is not None]
    if len({seen.number for seen in numbered}) > 1:
        if _SENTENCE.search(group[0].text):
            return False
        steps = [(after.number or 0) - (one.number or 0) - (after.page - one.page) for one, after in pairwise(numbered)]
        if sum(abs(step) <= 1 for step in steps) < IN_STEP * len(steps):
            return False
    elif not group[0].text.strip("0123456789 -–—·•"):  # the same bare number again and again is a value
        return False
    return sum(_heads_table(seen) for seen in group) * 2 < len(group)


def _heads_table(seen: _Seen) -> bool:
    """Whether a line is the head of a table without borders: as many words as in the row below, which has numbers."""
    words, below = seen.text.split(), seen.inner.split()
    has_numbers = any(word[0].isdecimal() for word in below)
    return 3 <= len(words) == len(below) and has_numbers and not any(word[0].isdecimal() for word in words)
