"""Finds tables of contents: lines such as `3.1 Results . . . . 17` whose titles stand again on the pages that they name.

In a search such a line would beat the section that it names, as it says little else. A price list looks the same; but its
items do not stand again on pages that are as far apart as the prices.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from services.text.cutting import Span
from services.text.numerals import value_of
from utils.loaders import Page

LONGEST = 300  # characters of an entry
LEAST_ENTRIES = 3
TRUE = 0.5  # of the entries on a page lead to their titles; some are spelled differently
MOST_PLACES = 20  # that a title may have; what stands on more pages leads to none of them

Place = tuple[int, int]  # the number of a page, from 0, and an offset in its text

_NUMBER = r"(?P<number>\d{1,4}|[ivxl]{1,6}|[IVXL]{1,6})"
_LEADERS = r"(?<![\s.·．・_‥…⋯])\s*+(?:(?:[.·．・_‥]\s?+){3,}+|(?:[…⋯]\s?+)++|(?<=\t))\s*+"
_DOTTED = re.compile(
    rf"(?P<title>\S.*?){_LEADERS}{_NUMBER}(?:[^\W\d_].*\d)?"
)  # two may be joined: 2.2 甲 . . . 4第 3 节 乙 4
_BARE = re.compile(rf"(?P<title>\S.*\S)\s+{_NUMBER}")  # chapters often have no dots
_HEADING = re.compile(r"[#*\s]*(?:目\s*[录錄次]|(?:table of )?contents)[*:：\s]*", re.IGNORECASE)
_NUMBERING = re.compile(r"^[\W\d_]+")
_NO_LETTER = re.compile(r"[\W_]+")


class _Entry(NamedTuple):
    """A line with a title and the number of a page; `above` is the line above where the title may begin."""

    place: Place
    number: int
    title: str
    dotted: bool
    above: Place | None = None
    whole: str = ""  # the title if it begins there


class _Run(NamedTuple):
    """Entries one below the other on one page; `named` says whether "Contents" stands above."""

    entries: list[_Entry]
    named: bool

    @property
    def dotted(self) -> list[_Entry]:
        return [entry for entry in self.entries if entry.dotted]


def contents(pages: Sequence[Page], spans: Sequence[Span]) -> set[Place]:
    """Where the lines of tables of contents begin. `spans` are the parts of the pages that are neither header nor footer."""
    bodies = [(number, page, span) for number, (page, span) in enumerate(zip(pages, spans, strict=True))]
    runs = [run for body in bodies for run in _runs(*body) if len(run.dotted) >= LEAST_ENTRIES]
    if not runs:
        return set()
    found = _found({title for run in runs for entry in run.entries for title in (entry.whole, entry.title)} - {""}, bodies)
    paged = {number for number, page, _ in bodies if page.number is not None}
    return {place for run in runs for place in _left_out(run, found, paged)}


def _lines(text: str, span: Span) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its beginning."""
    at = span.start
    while at < span.end:
        end = text.find("\n", at, span.end)
        end = span.end if end < 0 else end
        if line := text[at : min(end, at + LONGEST + 1)].strip():
            yield at, line
        at = end + 1


def _runs(number: int, page: Page, span: Span) -> Iterator[_Run]:
    """The runs of entries on a page; a single line between two entries does not end a run."""
    run: _Run | None = None
    above: tuple[int, str] | None = None  # the line above where it is no entry
    for start, line in _lines(page.text, span):
        entry = _entry((number, start), line)
        if entry is None:
            if run and above:
                yield run
                run = None
            above = (start, line)
            continue
        if run is None:
            run = _Run([], above is not None and _HEADING.fullmatch(above[1]) is not None)
        if above and entry.dotted:
            entry = entry._replace(above=(number, above[0]), whole=_key(above[1]) + entry.title)
        run.entries.append(entry)
        above = None
    if run:
        yield run


def _entry(place: Place, line: str) -> _Entry | None:
    if len(line) > LONGEST:
        return None
    dotted = _DOTTED.fullmatch(line)
    match = dotted or _BARE.fullmatch(line)
    return _Entry(place, value_of(match["number"]), _key(match["title"]), dotted is not None) if match else None


def _key(title: str) -> str:
    """A title without what may differ between two places: its number, case, punctuation and spaces."""
    plain = unicodedata.normalize("NFKC", title).lower()
    return _NO_LETTER.sub("", _NUMBERING.sub("", plain))


def _found(titles: set[str], bodies: Sequence[tuple[int, Page, Span]]) -> dict[str, set[int]]:
    """The pages, from 0, on which each of the titles fills a line, or two."""
    found: dict[str, set[int]] = defaultdict(set)
    for number, page, span in bodies:
        above = ""
        for _, line in _lines(page.text, span):
            key = _key(line)
            for title in {key, above + key} & titles:
                found[title].add(number)
            above = key
    return {title: numbers for title, numbers in found.items() if len(numbers) <= MOST_PLACES}


def _left_out(run: _Run, found: Mapping[str, set[int]], paged: set[int]) -> Iterator[Place]:
    """The lines of a run if it is part of a table of contents; those without dots only if they lead to their titles."""
    apart = [{page - entry.number for page in found.get(entry.whole, found.get(entry.title, ()))} for entry in run.entries]
    if run.entries[0].place[0] in paged:
        ((shift, _),) = Counter(one for some in apart for one in some).most_common(1) or [(0, 0)]
        true = [shift in some for some in apart]
    else:
        true = [run.named and bool(some) for some in apart]
    if sum(leads for entry, leads in zip(run.entries, true, strict=True) if entry.dotted) < TRUE * len(run.dotted):
        return
    for entry, leads in zip(run.entries, true, strict=True):
        if entry.dotted or leads:
            yield entry.place
        if entry.above and entry.whole in found and leads:
            yield entry.above
