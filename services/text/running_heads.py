"""Finds headers and footers that run through a document, and page numbers: what stands at the edge of page after page.

Such a line is told from a text by what it does: it says the same on several pages in a row, and a number at its end or its
beginning, if there is one, counts the pages. Invoice numbers and dates do not. Where many pages show how they are counted,
it need not stand on several in a row.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from services.text.cutting import Span
from services.text.numerals import CHINESE, value_of
from utils.loaders import Page
from utils.texts import CJK

EDGE = 3  # lines of a page, at its top and at its bottom, that may be header or footer
LONGEST = 160  # characters of such a line
LEAST_PAGES = 3  # that have it
DENSITY = 0.45  # of the pages from the first to the last that have it: headers of left and right pages may differ
IN_STEP = 0.75  # of the numbers must count with the pages; pages may be missing in a scan
OF_TOTAL = 0.75  # is reached by the greatest number n of "n / m"; an invoice 17 / 2024 is far from it
MONTHS = 12  # 3/12 may be a date, 3/13 with numbers up to 13 is none

_MARKS = " -–—·•|/"  # between a title and a number
Edge = Literal["top", "bottom"]

_LABEL = re.compile(  # Page 3 of 20, p. 3, 第 3 页 共 20 页, 第三页
    r"\b(?:pages?|pg\.?|p\.|seite)\s*(\d+)(?:\s*(?:of|/|von|共)\s*\d+)?"
    rf"|第\s*([\d{CHINESE}]+)\s*[页頁](?:[\s/,，、(（]*[共总總]\s*[\d{CHINESE}]+\s*[页頁][)）]?)?",
    re.IGNORECASE,
)
_NUMERAL = r"(?P<number>\d{1,5}|[ivxl]{1,6})(?:(?P<slash>\s*/\s*)(?P<total>\d{1,5}))?"
_NUMBER = re.compile(rf"[-–—·•~|/\[(\s]*{_NUMERAL}[-–—·•~|/\])\s]*")  # the whole line: - 3 -
_FIRST = re.compile(rf"{_NUMERAL}\s*[-–—·•|/]?\s+(?=\S)")
_LAST = re.compile(rf"(?<=\S)\s+[-–—·•|/]?\s*{_NUMERAL}[-–—·•|]?$")
_MONTH = r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_NAMED = re.compile(  # a number behind these is not that of a page
    r"(?:\b(?:no|nr|id|number|day|week|chapter|lesson|section|part|item|question|figure|table|case|order|invoice)\W*"
    rf"|{_MONTH}\s*|[号號编編碼码第期卷年月])$"
)
_COUNTED = re.compile(rf"{_MONTH}|[年月日号號期卷天]")  # nor is one before these
_WORDS = re.compile(rf"[{CJK}]{{3}}|\w\W+\w")  # a number beside less than that belongs to it: Lesson 3
_DIGITS = re.compile(r"\d+")
_LETTER = re.compile(r"[^\W\d_]")
_SENTENCE = re.compile(r"[。！？；]|(?:\w+\W+){8}.*[.!?]$")  # in which a number may say anything
_UNUSUAL = re.compile(r"\t|^\s*#|^\s*\|.*\|\s*$")  # headings and rows of tables have their own place in chunks


class _Line(NamedTuple):
    start: int
    end: int
    text: str


class _Reading(NamedTuple):
    """What a line may say beside the number of its page, that number, and the number of all pages; 0 if it is not said."""

    title: str
    number: int | None = None
    total: int = 0


class _Seen(NamedTuple):
    """A line on a page; `place` counts the pages with text, `inner` is the next line further inside.

    `ahead` is how far the number of the page is ahead of the count of all pages.
    """

    place: int
    ahead: int | None
    reading: _Reading
    text: str
    inner: str


_Groups = dict[tuple[Edge, str, int, int], list[_Seen]]  # of the same title and number of all pages


def bodies(pages: Sequence[Page]) -> list[Span]:
    """The part of each page's text without headers and footers that stand on an earlier page already."""
    edges: list[dict[Edge, list[_Line]]] = [
        {"top": _edge(page.text, "top"), "bottom": _edge(page.text, "bottom")} for page in pages
    ]
    filled = [number for number, page in enumerate(pages) if page.number is not None and page.text.strip()]
    repeated: set[tuple[Edge, int, str]] = set()
    if len(filled) >= LEAST_PAGES:
        repeated = _repeated(_grouped((place, number, edges[number]) for place, number in enumerate(filled)))
    places = {number: place for place, number in enumerate(filled)}
    spans = []
    for number, page in enumerate(pages):
        start, end = 0, len(page.text)
        for line in _peeled(edges[number]["top"], "top", repeated, places.get(number)):
            start = line.end
        for line in _peeled(edges[number]["bottom"], "bottom", repeated, places.get(number)):
            end = line.start
        spans.append(Span(min(start, end), end))
    return spans


def running_heads(pages: Sequence[Page], spans: Sequence[Span]) -> set[str]:
    """What the headers and footers say that `bodies` leaves out, each as of `key_of`; of two pages, what begins both."""
    apart = [part for page, (start, end) in zip(pages, spans, strict=True) for part in (page.text[:start], page.text[end:])]
    filled = [page.text for page in pages if page.number is not None and page.text.strip()]
    begin = [next((line.text for line in _edge(text, "top")), "") for text in filled[1:2]]
    return {key_of(line) for line in (*begin, *(line for part in apart for line in part.splitlines()))} - {""}


def key_of(line: str) -> str:
    """What a header says whatever the page."""
    return _DIGITS.sub("", without_page_number(line.strip())).strip(_MARKS)


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


def _peeled(lines: list[_Line], edge: Edge, repeated: set[tuple[Edge, int, str]], place: int | None) -> Iterator[_Line]:
    """The lines, from outside to inside, that are header or footer; the first that is not ends them."""
    for line in lines[:EDGE]:
        if place is None or (edge, place, line.text) not in repeated:
            return
        yield line


def _grouped(pages: Iterable[tuple[int, int, dict[Edge, list[_Line]]]]) -> _Groups:
    """The lines at the edges of pages, by what they say; one may be in two groups."""
    groups: _Groups = defaultdict(list)
    for place, page, edges in pages:
        for edge, lines in edges.items():
            for depth, line in enumerate(lines[:EDGE]):
                if len(line.text) > LONGEST or _UNUSUAL.search(line.text):
                    continue
                inner = lines[depth + 1].text if depth + 1 < len(lines) else ""
                for reading in _readings(line.text):
                    ahead = None if reading.number is None else reading.number - page
                    # bare numbers have nothing but their place in common
                    group = groups[edge, reading.title, reading.total, 0 if reading.title else depth]
                    if not group or group[-1].place != place:
                        group.append(_Seen(place, ahead, reading, line.text, inner))
    return groups


def _repeated(groups: _Groups) -> set[tuple[Edge, int, str]]:
    """The lines, each with its edge and page, that repeat what stands on an earlier one."""
    counts = _counts(groups)
    found: set[tuple[Edge, int, str]] = set()
    for (edge, *_), group in groups.items():
        if len(group) > 1 and _in_total(group):
            counted = [] if _SENTENCE.search(group[0].text) else [seen for seen in group if seen.ahead in counts]
            found |= {(edge, seen.place, seen.text) for seen in (group if _runs(group) else counted)[1:]}
    return found


def _counts(groups: _Groups) -> set[int]:
    """How the pages are counted: how far the numbers that are printed on many of them are ahead."""
    places: dict[int, set[int]] = defaultdict(set)
    for group in groups.values():
        for seen in group if len(group) > 1 else ():
            if seen.ahead is not None:
                places[seen.ahead].add(seen.place)
    return {ahead for ahead, on in places.items() if len(on) >= max(LEAST_PAGES, DENSITY * (max(on) - min(on) + 1))}


def _readings(line: str) -> Iterator[_Reading]:
    """What a line says if a number at its end, or one at its beginning, is that of the page, or else as it stands."""
    plain = " ".join(unicodedata.normalize("NFKC", line).lower().split())
    if label := _LABEL.search(plain):
        rest = (plain[: label.start()] + " " + plain[label.end() :]).strip(_MARKS)
        yield _Reading(rest, value_of(label[1] or label[2]))
        return
    if number := _NUMBER.fullmatch(plain):
        yield _Reading("", value_of(number["number"]), int(number["total"] or 0))
        return
    titles = []
    if (last := _LAST.search(plain)) and not _NAMED.search(plain[: last.start()]):
        titles.append((last, plain[: last.start()].rstrip(_MARKS)))
    if (first := _FIRST.match(plain)) and not _COUNTED.match(plain[first.end() :]):
        titles.append((first, plain[first.end() :]))
    titles = [
        (match, title) for match, title in titles if _WORDS.search(title) and _LETTER.search(title) and not _is_date(match)
    ]
    for match, title in titles:
        yield _Reading(title, value_of(match["number"]), int(match["total"] or 0))
    if not titles:
        yield _Reading(plain)


def _is_date(match: re.Match[str]) -> bool:
    """Whether "3/12" may be one; a number of pages mostly has spaces around it."""
    return match["slash"] == "/" and int(match["total"]) <= MONTHS


def _in_total(group: list[_Seen]) -> bool:
    """Whether numbers "n / m" count up to about m."""
    total = group[0].reading.total
    return not total or OF_TOTAL * total <= max(seen.reading.number or 0 for seen in group) <= total


def _runs(group: list[_Seen]) -> bool:
    """Whether these lines are one that runs through the pages."""
    if len(group) < LEAST_PAGES or len(group) < DENSITY * (group[-1].place - group[0].place + 1):
        return False
    numbered = [(seen.reading.number, seen.place) for seen in group if seen.reading.number is not None]
    if len({number for number, _ in numbered}) > 1:
        if _SENTENCE.search(group[0].text):
            return False
        steps = [(number - before) - (place - last) for (before, last), (number, place) in pairwise(numbered)]
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
