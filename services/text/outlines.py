"""The headings of a document: those that Markdown marks, and numbered ones as PDFs and plain texts have them.

第三章 休假 · 一、总则 · （一）范围 · 3.1 Results · Chapter 2: Methods. A number at its beginning makes no line a heading:
lists, references, years and sentences that happen to be broken there begin so too. A heading is short and no sentence, has a
text below it, follows the end of a sentence, and is the next one of its kind.
"""

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

from services.text.cutting import width
from services.text.numerals import CHINESE, value_of
from utils.texts import CJK

TITLE_WIDTH = 80
MARKED_CHARS = 200  # of a heading that is marked: each chunk below it bears it
LINES_ABOVE = 20  # that say how wide the text is set
NARROW = 30  # a line that no text is set to
SHORT_LINE = 0.75  # of the widest line above; a narrower one ends a paragraph, or is no part of one
MOST_COMMAS = 2  # more have lists of authors
MOST_SKIPPED = 2  # numbers that may be missing between two headings

Kind = Literal["part", "chapter", "section", "article", "一、", "（一）", "1.1"]
_LEVELS: dict[Kind, int] = {"part": 7, "chapter": 8, "section": 9, "article": 10, "一、": 11, "（一）": 12, "1.1": 13}
_BELOW_DECIMALS: dict[Kind, int] = {"一、": 18, "（一）": 19}  # where the document has 1.1 before these

_MARKDOWN = re.compile(r"(#{1,6})\s+(\S.*)")
_DIVISION = re.compile(
    rf"第\s?([\d{CHINESE}]{{1,6}})\s?(?:(?P<part>[编編篇卷]|部分)|(?P<chapter>章)|(?P<section>[节節])|(?P<article>[条條]))"
    r"(?:[\s:：、.]+|$|(?<=[章节節])(?![的中里内和与及或所已课是为有对第、，,]|[规規]定))(?P<title>.*)"
)
_ENGLISH = re.compile(
    r"(?:(?P<part>P(?:art|ART))|(?P<chapter>C(?:hapter|HAPTER)|A(?:ppendix|PPENDIX|nnex|NNEX))|(?P<section>S(?:ection|ECTION))"
    r"|(?P<article>A(?:rticle|RTICLE)))\s+(?:[IVXLC]{1,6}|\d{1,3}|[A-Z])(?:[\s.:：—–-]+|$)(?P<title>.*)"
)
_ANNEX = re.compile(rf"附(?:[录錄]\s?[A-Z\d{CHINESE}]{{0,3}}|件\s?[A-Z\d{CHINESE}]{{1,3}})(?:[\s:：、.]+|$)(?P<title>.*)")
_ITEM = re.compile(rf"([{CHINESE}]{{1,3}})[、.．]\s*(?P<title>\S.*)")
_SUBITEM = re.compile(rf"[（(]([{CHINESE}]{{1,3}})[)）]\s*(?P<title>\S.*)")
_DECIMAL = re.compile(
    rf"(\d{{1,2}}(?:[.．]\d{{1,2}}){{0,4}})(?:[.．、]\s*(?!\d)|\s+|(?<=[.．]\d)(?=[{CJK}])(?![万萬亿億个個倍元米吨]))(?P<title>\S.*)"
)
_NUMBERED: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (_DIVISION, "chapter"),
    (_ENGLISH, "chapter"),
    (_ANNEX, "chapter"),
    (_ITEM, "一、"),
    (_SUBITEM, "（一）"),
    (_DECIMAL, "1.1"),
)
_COUNTED = ("一、", "（一）", "1.1")
_SENTENCE_INSIDE = re.compile(
    r"[。！？；;]|[.!?]\s+\S|(?:\.\s?){4,}|…|·{3,}|_{3,}|\t|\|"
)  # or the dots of a table of contents
_PAGE = re.compile(r"\s\d{1,3}$")  # what ends a running head, which says where we are, but not where the chapter begins
_SENTENCE_END = re.compile(r"[。！；：，、.!;:,-]$")
_ENDED = re.compile(r"[.。！？!?:：;；…)）\]】”\"’'」』>*`}]$")


class Heading(NamedTuple):
    """Level 1 is the outermost; numbered headings are below those of Markdown."""

    level: int
    title: str


class Line(NamedTuple):
    """A line that is not blank; `below` says whether another one stands right above it, in the same paragraph."""

    place: tuple[int, int]  # page and offset
    text: str
    below: bool


class _Candidate(NamedTuple):
    """A line that looks like a heading; `number` counts the lines, `numbers` are those of 3.1 or 一、."""

    line: Line
    number: int
    kind: Kind
    numbers: tuple[int, ...]

    @property
    def level(self) -> int:
        return _LEVELS[self.kind] + max(len(self.numbers) - 1, 0)


@dataclass(slots=True)
class Outline:
    """The headings above the place that is being read."""

    levels: list[Heading] = field(default_factory=list)

    def enter(self, heading: Heading) -> None:
        self.levels = [above for above in self.levels if above.level < heading.level] + [heading]

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(heading.title for heading in self.levels)


def is_marked(line: str) -> bool:
    """Whether a line is a heading of Markdown."""
    return _MARKDOWN.match(line) is not None


def is_numbered(line: str) -> bool:
    """Whether a line looks like a numbered heading, wherever it stands."""
    return _candidate(Line((0, 0), line.strip(), False), 0) is not None


def headings(lines: Iterable[Line]) -> dict[tuple[int, int], Heading]:
    """The headings among the lines of a document, by their places. Lines of code must not be among these."""
    found: dict[tuple[int, int], Heading] = {}
    candidates: list[_Candidate] = []
    widths: deque[int] = deque([0], maxlen=LINES_ABOVE)
    free, comment, last = True, None, 0
    for last, line in enumerate(lines):
        under_candidate = bool(candidates) and candidates[-1].number == last - 1
        if under_candidate and line.below and line.text[0].islower() and widths[-1] >= SHORT_LINE * max(widths):
            candidates.pop()  # it is the beginning of a sentence
        match = _MARKDOWN.match(line.text)
        if match and len(match[1]) == 1 and comment and line.below:  # one comment of a program below the other
            found.pop(comment, None)
        elif match:
            found[line.place] = Heading(len(match[1]), match[2].strip(" #")[:MARKED_CHARS].rstrip())
        elif (free or under_candidate or not line.below) and (candidate := _candidate(line, last)):
            candidates.append(candidate)
        comment = line.place if match and len(match[1]) == 1 else None
        widths.append(width(line.text))
        free = match is not None or bool(_ENDED.search(line.text)) or widths[-1] < max(NARROW, SHORT_LINE * max(widths))
    kept = [one for run in _runs(candidates) for one in _with_text_below(run) if one.number < last]
    if len(found) > 1:  # where headings are marked, 1. is an item of a list
        kept = [one for one in kept if one.kind != "1.1" or len(one.numbers) > 1]
    return found | _leveled(sorted(_in_sequence(kept), key=lambda one: one.number))


def _candidate(line: Line, number: int) -> _Candidate | None:
    for pattern, kind in _NUMBERED:
        if match := pattern.match(line.text):
            kind = next((name for name in _LEVELS if match.groupdict().get(name)), kind)
            numbers = tuple(map(value_of, re.split("[.．]", match[1]))) if kind in _COUNTED else ()
            running = not line.place[1] and kind not in _COUNTED and _PAGE.search(match["title"])
            return None if running or not _is_title(match["title"], kind) else _Candidate(line, number, kind, numbers)
    return None


def _is_title(text: str, kind: Kind) -> bool:
    if not text:
        return kind not in _COUNTED
    if kind == "1.1" and text.count(",") > MOST_COMMAS:
        return False
    named = any(character.isalpha() for character in text) and not text[0].islower()
    return named and width(text) <= TITLE_WIDTH and not (_SENTENCE_INSIDE.search(text) or _SENTENCE_END.search(text))


def _runs(candidates: Sequence[_Candidate]) -> Iterator[list[_Candidate]]:
    """Candidates that stand right below one another on a page."""
    run: list[_Candidate] = []
    for candidate in candidates:
        if run and (candidate.number != run[-1].number + 1 or candidate.line.place[0] != run[-1].line.place[0]):
            yield run
            run = []
        run.append(candidate)
    if run:
        yield run


def _with_text_below(run: list[_Candidate]) -> list[_Candidate]:
    """Those of a run that are headings: a chapter and its first section; not the items of a list or a table of contents."""
    if all(one.level < after.level for one, after in pairwise(run)):
        return run
    return run[1:] if len(run) == 2 and run[0].level > run[1].level else []


def _in_sequence(candidates: Sequence[_Candidate]) -> Iterator[_Candidate]:
    """Those whose numbers follow each other; numbers of chapters are trusted."""
    yield from _counted([one for one in candidates if one.kind == "1.1"])
    last: dict[Kind, int] = {}
    for one in candidates:
        if one.kind in ("一、", "（一）"):
            (number,) = one.numbers
            if number != 1 and not 0 < number - last.get(one.kind, number) <= 1 + MOST_SKIPPED:
                continue
            last[one.kind] = number
        if one.kind not in ("（一）", "1.1"):  # numbers below it begin anew
            last = {"一、": last["一、"]} if one.kind == "一、" else {}
        if one.kind != "1.1":
            yield one


def _counted(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Of decimal numbers the most that ascend, without large gaps; one alone must be of the kind of 3.1."""
    kept: list[_Candidate] = []
    for one in _longest_ascent(candidates):
        if _follows(kept[-1].numbers if kept else one.numbers[:1], one.numbers):
            kept.append(one)
    return kept if len(kept) > 1 or any(len(one.numbers) > 1 for one in kept) else []


def _follows(before: tuple[int, ...], numbers: tuple[int, ...]) -> bool:
    """Whether 3.2, 3.1.1 or 4 may come after 3.1."""
    at = next((i for i, pair in enumerate(zip(before, numbers, strict=False)) if pair[0] != pair[1]), len(before))
    steps = [number - (before[i] if i == at and i < len(before) else 0) for i, number in enumerate(numbers) if i >= at]
    return all(step <= 1 + MOST_SKIPPED for step in steps)


def _longest_ascent(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """The longest part of the list whose numbers ascend; of equal ones the last, as a table of contents comes first."""
    lowest: list[tuple[int, ...]] = []  # the lowest last number of an ascent, by its length
    ends: list[int] = []
    before: list[int] = []
    for place, one in enumerate(candidates):
        length = bisect_left(lowest, one.numbers)
        lowest[length : length + 1] = [one.numbers]
        ends[length : length + 1] = [place]
        before.append(ends[length - 1] if length else -1)
    chain, place = [], ends[-1] if ends else -1
    while place >= 0:
        chain.append(candidates[place])
        place = before[place]
    return chain[::-1]


def _leveled(candidates: Sequence[_Candidate]) -> dict[tuple[int, int], Heading]:
    kinds = [one.kind for one in candidates if one.kind in _COUNTED]
    lower = _BELOW_DECIMALS if kinds[:1] == ["1.1"] else {}
    return {one.line.place: Heading(lower.get(one.kind, one.level), one.line.text) for one in candidates}
