"""Markers of citations in an answer while it streams.

A marker that names a passage of the turn becomes `[n]`; one that names none is removed. Models write them in many ways:
`[1]`, `［1］`, `【1】`, `[[1]]`, `[1, 2]`, `[1-3]`, `[来源：1]`, `[citation:1]`, `【1†source】`, `[^1]`. Text is held back
only while it may still become a marker, and never changed where a bracket is something else: in code, formulas, links, JSON,
footnotes from where the first one is written (`[^1]: …`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from models.passages import Passage
from services.marker_forms import CLOSING, NO_MARKER_AFTER, MoreNeeded, read_marker

TAIL = 64  # characters of what was passed on that say how to read what follows
QUOTED, QUOTED_LEAST = 16, 8  # characters before a bracket by which a quotation is known

_WORD_END = re.compile(r"[A-Za-z0-9_)]\Z")
_NO_SPACE_BEFORE = frozenset(" \t\n,.;:!?)]}%*_|，。；：！？、）］】》〉」』”’…")

_LEAD = r"(?<![ \t])[ \t]*+(?:[(（][ \t]*+)?"  # what goes with a marker that is removed
_SPECIAL = re.compile(rf"{_LEAD}(?:[\[［【〔]|(?<=[ \t(（])\Z)|`+|~+|\$+|\\.?", re.DOTALL)
_CALM = re.compile(r"[\[［【〔`~$\\]|[ \t(（]\Z")
_GAP = re.compile(r"[ \t]*(?:(?:[,，、;；&和与及]|and(?=[ \t]))[ \t]*)?")
_GAP_BEGUN = re.compile(r"[ \t]*(?:(?:[,，、;；&和与及]|and)[ \t]*|an?)?")
_LINE_START = re.compile(r"\n[ \t>]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)*\Z")
_BLANK_LINE = re.compile(r"\n[ \t]*\Z")
_FOOTNOTE = re.compile(r"^[ \t]{0,3}\[\^\d{1,3}\]:", re.MULTILINE)
_FORMULA = re.compile(r"[A-Za-z\\{(\[|-]")


class Citation(NamedTuple):
    """A marker in the text beside it: the number of its passage, and where it begins."""

    number: int
    start: int


class Checked(NamedTuple):
    """A piece of text in which every marker names a passage."""

    text: str
    citations: tuple[Citation, ...] = ()


@dataclass(slots=True)
class _Region:
    """Where nothing is changed, up to `end`: code, the first line of a fenced block, the block, a formula."""

    kind: Literal["code", "info", "fence", "formula"]
    end: str

    @property
    def marks(self) -> re.Pattern[str]:
        return _TOKENS[self.kind if self.kind != "fence" else self.end[0]]


_TOKENS = {
    "code": re.compile(r"`+|\n"),
    "info": re.compile(r"`+|\n"),
    "`": re.compile(r"`+"),
    "~": re.compile(r"~+"),
    "formula": re.compile(r"\\.?|\$+|\n", re.DOTALL),
}


@dataclass(slots=True)
class _Group:
    """Markers side by side. The `lead` before them, blanks and a parenthesis, is held back until one of them is `kept`."""

    lead: str
    kept: list[int] = field(default_factory=list)


class MarkerFilter:
    """Checks one text of a model, piece by piece; where it is cut makes no difference.

    `passages` are those of the turn, the first of which has the number 1; there may come more of them meanwhile. With
    `footnotes` the text has some, and `[^1]` names one of them.
    """

    def __init__(self, passages: Sequence[Passage], *, footnotes: bool = False) -> None:
        self._passages = passages
        self._footnotes = footnotes
        self._text = ""  # not passed on yet
        self._tail = "\n"  # the end of what was
        self._region: _Region | None = None
        self._group: _Group | None = None
        self._out: list[str] = []
        self._size = 0
        self._citations: list[Citation] = []

    def feed(self, text: str) -> Checked:
        """The next piece, as far as it can be told."""
        if not (self._text or self._region or self._group or _CALM.search(text)):
            self._tail = (self._tail + text)[-TAIL:]
            return Checked(text)
        self._text += text
        return self._advance(final=False)

    def end(self) -> Checked:
        """What was held back, at the end of the text."""
        return self._advance(final=True)

    def _advance(self, *, final: bool) -> Checked:
        try:
            while self._text or (final and self._group):
                if self._region is not None:
                    self._in_region(self._region, final)
                elif self._group is not None:
                    self._in_group(self._group, final)
                else:
                    self._in_prose(final)
        except MoreNeeded:
            pass
        found = Checked("".join(self._out), tuple(self._citations))
        self._out, self._size, self._citations = [], 0, []
        return found

    def _pass(self, count: int) -> None:
        self._emit(self._text[:count])
        self._text = self._text[count:]

    def _emit(self, text: str) -> None:
        self._out.append(text)
        self._size += len(text)
        self._tail = (self._tail + text)[-TAIL:]

    def _in_prose(self, final: bool) -> None:
        match = _SPECIAL.search(self._text)
        self._pass(match.start() if match else len(self._text))
        if match is None:
            return
        mark = match[0]
        if mark[-1:] in CLOSING and mark[0] != "\\":
            self._bracket(mark[:-1], final)
        elif not final and len(mark) == len(self._text):
            raise MoreNeeded
        else:
            self._region = self._opened(mark)
            self._pass(len(mark))

    def _opened(self, mark: str) -> _Region | None:
        """What begins with a run of backticks, tildes or dollars, or with an escape."""
        at_start = _LINE_START.search(self._tail) is not None
        match mark[0]:
            case "`":
                return _Region("info" if len(mark) >= 3 and at_start else "code", mark)
            case "~" if len(mark) >= 3 and at_start:
                return _Region("info", mark)
            case "\\" if mark[1:] in ("(", "["):
                return _Region("formula", "\\)" if mark[1] == "(" else "\\]")
            case "$" if mark == "$$":
                return _Region("formula", "$$")
            case "$" if mark == "$" and _FORMULA.match(self._text, 1) and not self._tail[-1:].isalnum():
                return _Region("formula", "$")
        return None

    def _in_region(self, region: _Region, final: bool) -> None:
        match = region.marks.search(self._text)
        self._pass(match.start() if match else len(self._text))
        if match is None:
            return
        mark = match[0]
        if not final and mark != "\n" and len(mark) == len(self._text):
            raise MoreNeeded
        if region.kind == "fence":
            self._region = None if self._ends_fence(region, mark, final) else region
        elif region.kind == "info" and mark == "\n":
            self._region = _Region("fence", region.end)
        elif mark == region.end or (mark == "\n" and self._ends_formula_or_code(region)):
            self._region = None
        self._pass(len(mark))

    def _ends_fence(self, region: _Region, mark: str, final: bool) -> bool:
        if len(mark) < len(region.end) or not _LINE_START.search(self._tail):
            return False
        rest = self._text[len(mark) :].lstrip(" \t")
        if not rest and not final:
            raise MoreNeeded
        return not rest or rest[0] == "\n"

    def _ends_formula_or_code(self, region: _Region) -> bool:
        """At the end of a line: code and formulas in a line end with it, others with a blank line."""
        return region.end not in ("$$", "\\]") or _BLANK_LINE.search(self._tail) is not None

    def _bracket(self, lead: str, final: bool) -> None:
        """The text begins with a lead and a bracket."""
        found = self._marker(len(lead), final)
        if found is None:
            self._pass(len(lead) + 1)
            return
        self._group = _Group(lead)
        self._add(self._group, "", *found)

    def _in_group(self, group: _Group, final: bool) -> None:
        if not final and _GAP_BEGUN.fullmatch(self._text):
            raise MoreNeeded
        match = _GAP.match(self._text)
        gap = match[0] if match else ""
        if self._text[len(gap) : len(gap) + 1] in tuple(CLOSING):
            found = self._marker(len(gap), final)
            if found is not None:
                self._add(group, gap, *found)
                return
        if not group.kept:
            self._mend(group.lead, final)
        self._group = None

    def _add(self, group: _Group, gap: str, numbers: list[int], end: int) -> None:
        """Passes on a marker that ends there; `gap` parts it from the one before it."""
        self._text = self._text[end:]
        known = [number for number in map(self._number, numbers) if number]
        new = [number for number in dict.fromkeys(known) if number not in group.kept]
        if not new:
            return
        self._emit(gap if group.kept else group.lead or (gap if gap.isspace() else ""))
        for number in new:
            self._citations.append(Citation(number, self._size))
            self._emit(f"[{number}]")
        group.kept += new

    def _mend(self, lead: str, final: bool) -> None:
        """Closes the gap where markers were: `lead` stood before them, what is left of the text behind them."""
        text, blanks = self._text, lead
        if lead.strip():  # a parenthesis
            if text[:1] not in (")", "）"):
                self._emit(lead)
                self._text = text.lstrip(" \t")
                return
            blanks, text = lead[: len(lead) - len(lead.lstrip())], text[1:]
            if not text and not final:
                raise MoreNeeded
        self._text = text
        if _LINE_START.search(self._tail):
            self._emit(blanks)
            self._text = text.lstrip(" \t")
        elif text and text[0] not in _NO_SPACE_BEFORE:
            self._emit(blanks)

    def _marker(self, at: int, final: bool) -> tuple[list[int], int] | None:
        """The numbers of the marker whose bracket is at `at`, and its end; None when it is none."""
        text = self._text
        found = read_marker(text, at, final)
        if found is None:
            return None
        numbers, end = found
        before = self._tail + text[:at]
        if text[at + 1] == "^":
            self._footnotes |= text[end : end + 1] == ":" and _LINE_START.search(before) is not None
            if self._footnotes:
                return None
        if self._group is None and (NO_MARKER_AFTER.search(before) or (numbers == [0] and _WORD_END.search(before))):
            return None
        if "," in text[at:end] and not before.strip() and self._is_whole_line(end, final):
            return None  # the answer is a JSON array
        return None if self._is_quoted(before, text[at:end], numbers) else found

    def _is_whole_line(self, end: int, final: bool) -> bool:
        rest = self._text[end:].lstrip(" \t")
        if not rest and not final:
            raise MoreNeeded
        return not rest or rest[0] == "\n"

    def _is_quoted(self, before: str, marker: str, numbers: list[int]) -> bool:
        """Whether it is a reference of the document itself, in words that the answer quotes."""
        line = before.rpartition("\n")[2].lstrip()
        if not line.startswith(">") and all(map(self._number, numbers)):
            return False
        words = _squeezed(line.lstrip("> \t"))[-QUOTED:]
        wanted = words + _squeezed(marker)
        return len(words) >= QUOTED_LEAST and any(wanted in _squeezed(passage.text) for passage in self._passages)

    def _number(self, number: int) -> int | None:
        """The number of a passage; one that was found twice has the first of its numbers. None when there is none."""
        if not 0 < number <= len(self._passages):
            return None
        wanted = place_of(self._passages[number - 1])
        return next(n for n, passage in enumerate(self._passages, 1) if place_of(passage) == wanted)


def without_markers(text: str) -> str:
    """A text without its markers."""
    checking = MarkerFilter((), footnotes=_FOOTNOTE.search(text) is not None)
    return checking.feed(text).text + checking.end().text


def place_of(passage: Passage) -> tuple[str, int, str]:
    return passage.document_id, passage.start, passage.text


def _squeezed(text: str) -> str:
    return "".join(text.split())
