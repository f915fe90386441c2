"""Which lines of a text belong together: those of wrapped prose do; titles, labels, items of lists and rows stand alone."""

import re
from collections.abc import Iterator, Sequence

from utils.texts import FULL_LINE, NEW_ITEM, WIDE

FULL = 0.75  # of the widest line around, at least, is a line that was wrapped
WIDEST = 100  # columns of a line that was wrapped; what is longer is a whole paragraph
AROUND = 3  # lines that are looked at

_LINE = re.compile(r"[^\n]+")
_OWN = re.compile(r"\s*(?:#{1,6}\s|\||```|~~~|>|\u3000\u3000)|.*\t")  # is not continued, and continues nothing
_OPEN = re.compile(r"[^\W_]$|[，、,“‘（《〈「『”’）》〉」』)(-]$")  # a sentence goes on behind it
_CJK_BREAK = re.compile(r"(?<=[\u3000-\u9fff\uf900-\uffef])[ \t]*\n[ \t]*(?=[\u3000-\u9fff\uf900-\uffef])")
_ROW = re.compile(r"\s*\|.*\||[^\n]*\S\t")
_RULE = re.compile(r"[\s|:-]*-[\s|:-]*")


def blocks(text: str) -> Iterator[tuple[int, int]]:
    """The lines of a text by their offsets, those that were wrapped as one; no blank ones."""
    lines = [(match.start(), match.end()) for match in _LINE.finditer(text) if match[0].strip()]
    widths = [columns(text[start:end]) for start, end in lines]
    first = 0
    for number in range(1, len(lines) + 1):
        if number == len(lines) or not _goes_on(text, lines, widths, number):
            yield lines[first][0], lines[number - 1][1]
            first = number


def is_row(line: str) -> bool:
    """Whether a line is a row of a table."""
    return _ROW.match(line) is not None


def is_rule(line: str) -> bool:
    """Whether a line is what stands below the head of a table: | --- | --- |."""
    return "-" in line and _RULE.fullmatch(line) is not None


def unwrapped(text: str) -> str:
    """Wrapped lines as one line: without a space between Chinese characters."""
    return " ".join(_CJK_BREAK.sub("", text).split())


def columns(text: str) -> int:
    """The width of a text as it is printed: 2 for a Chinese character, 1 for a letter."""
    return len(text) + len(WIDE.findall(text))


def _goes_on(text: str, lines: Sequence[tuple[int, int]], widths: Sequence[int], number: int) -> bool:
    """Whether a line continues the sentence of the line before it."""
    (start, end), (following, last) = lines[number - 1 : number + 1]
    line, after = text[start:end].rstrip(), text[following:last]
    around = widths[max(0, number - AROUND) : number + AROUND - 1]
    return (
        text[end:following].count("\n") == 1
        and widths[number - 1] >= max(FULL_LINE, FULL * min(max(around), WIDEST))
        and bool(_OPEN.search(line))
        and not _OWN.match(line)
        and not _OWN.match(after)
        and not NEW_ITEM.match(after.lstrip())
    )
