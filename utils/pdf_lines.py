"""The lines of a page of a PDF in the order in which they are read: for the child process of `utils.pdfium`.

PDFium gives lines in the order in which they were drawn, and many programs draw header and footer first. Only such lines,
which stand clear of all others, are put in their place: all else is left alone, as columns are not read from top to bottom.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

FIRST = 6  # of the lines that are drawn first, or last, which may be header or footer
FAR = 1.5  # heights of a line between it and the next one, from which on it is not part of the same paragraph
EDGE = 1 / 8  # of a page's height, at its top and at its bottom, in which header and footer stand
MARGIN = 1 / 14  # at the top, in which nothing else stands: text that begins below it may go on beneath a picture

_LINE = re.compile(r"\S[^\r\n]*")
Box = tuple[float, float, float, float]  # left, bottom, right, top in points


class Line(NamedTuple):
    """`box` is in the space of the page as it is stored; `bottom` and `top` are heights on the page as it is seen."""

    text: str
    box: Box
    bottom: float
    top: float

    @property
    def height(self) -> float:
        return self.top - self.bottom

    def clear_of(self, lower: "Line") -> bool:
        """Whether much white lies between this line and one below it."""
        return self.bottom - lower.top > FAR * min(self.height, lower.height)


class PageLines(NamedTuple):
    """`ends` are the offsets in `text` at which the lines end."""

    text: str
    lines: list[Line]
    ends: list[int]


def read(page: Any) -> PageLines:
    """The text of a page, with what runs over its edge. Header and footer have a blank line between them and the rest."""
    floor, ceiling = _heights(page.get_bbox(), page.get_rotation())
    height = ceiling - floor
    low = floor + EDGE * height
    lines = _in_order(_drawn(page), low, ceiling - EDGE * height)
    text, ends = "", []
    for number, line in enumerate(lines):
        above = lines[number - 1]
        apart = (above.bottom > ceiling - MARGIN * height or line.top < low) and above.clear_of(line)
        text += ("\n\n" if apart else "\n") if number else ""
        text += line.text
        ends.append(len(text))
    return PageLines(text, lines, ends)


def _drawn(page: Any) -> list[Line]:
    """The lines in the order of PDFium."""
    textpage, turned = page.get_textpage(), page.get_rotation()
    drawn = textpage.get_text_range()
    lines, at, units = [], 0, 0  # PDFium counts units of UTF-16
    for match in _LINE.finditer(drawn):
        text = match[0].rstrip()
        units += _units(drawn[at : match.start()])
        box = _box(textpage, units, units + _units(text) - _units(text[-1]))
        units, at = units + _units(text), match.start() + len(text)
        lines.append(Line(text, box, *_heights(box, turned)))
    return lines


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _box(textpage: Any, first: int, last: int) -> Box:
    """What is around two characters, by their places in the text."""
    import pypdfium2.raw as pdfium

    found = [pdfium.FPDFText_GetCharIndexFromTextIndex(textpage, place) for place in (first, last)]
    boxes = [textpage.get_charbox(index, loose=True) for index in found if index >= 0] or [(0.0, 0.0, 0.0, 0.0)]
    lefts, bottoms, rights, tops = zip(*boxes, strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)


def _heights(box: Box, turned: int) -> tuple[float, float]:
    """The bottom and the top of a box on a page that is turned by so many degrees."""
    left, bottom, right, top = box
    return {90: (-right, -left), 180: (-top, -bottom), 270: (left, right)}.get(turned, (bottom, top))


def _in_order(lines: Sequence[Line], low: float, high: float) -> list[Line]:
    """The lines with a footer that was drawn first at the end, and a header that was drawn last at the beginning."""
    first = [line for line in lines[:FIRST] if line.top < low]
    last = [line for line in lines[-FIRST:] if line.bottom > high]
    rest = [line for line in lines if line not in first and line not in last]
    lowest = min((line.bottom for line in rest), default=low)
    highest = max((line.top for line in rest), default=high)
    footer = [line for line in first if lowest - line.top > FAR * line.height]
    header = [line for line in last if line.bottom - highest > FAR * line.height]
    return [*header, *(line for line in lines if line not in header and line not in footer), *footer]
