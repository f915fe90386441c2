"""Tables as texts have them: rows in Markdown, cells with tabs between or, in the text layer of a PDF, words in lines."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from services.text.cutting import ROWS, cut, width

HEAD_WIDTH = 600  # of the head of a table that is repeated for other rows
LOOSE_ROWS = 3  # so many in a row make a table without marks
LOOSE_WORDS = 3  # at least in each row
LOOSE_WIDTH = 160
NUMBERS = 0.4  # of the words of a row are numbers, at least

_SEPARATOR = re.compile(r"\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?")
_BAR = re.compile(r"(?<!\\)\|")
_NUMBER = re.compile(r"[(¥￥$€£+#-]*\d[\d.,:/年月日-]*[)%％]?\Z|(?=[^\W\d_]{1,5}-?\d)\w+(?:-\w+)*\Z", re.ASCII)
_SENTENCE = re.compile(r"[。！？；，,;:：.!?]$|[。！？；]")


class Table(NamedTuple):
    """`head` is empty where the rows have none; `columns` are the least and the most cells of its rows."""

    head: str
    columns: tuple[int, int]
    loose: bool


def is_row(line: str) -> bool:
    """Whether a line is a row of a table: `| a | b |`, or cells with tabs between them."""
    row = line.strip()
    return "\t" in row or (len(row) > 1 and row[0] == row[-1] == "|")


def table_of(text: str) -> Table:
    """What is to be known of a table with these rows."""
    lines = text.strip("\n").split("\n")
    loose = not is_row(lines[0])
    counts = [len(_cells(line)) for line in lines if not _SEPARATOR.fullmatch(line.strip())] or [1]
    if not loose:
        return Table(_cut(_head(lines)), (max(counts), max(counts)), loose)
    if _is_loose_row(lines[0]):
        return Table("", (min(counts), max(counts)), loose)
    return Table(_cut(lines[0].strip()), (min(counts[1:]), max(counts[1:])), loose)


def goes_on(table: Table, below: Table, text: str) -> bool:
    """Whether the rows of `text`, with which a page begins, belong to the table at the end of the page before."""
    if below.head.partition("\n")[0] == table.head.partition("\n")[0] or table.loose != below.loose:
        return False
    if table.loose:
        return not below.head and below.columns[0] >= table.columns[0] and below.columns[1] <= table.columns[1]
    with_head = any(_SEPARATOR.fullmatch(line.strip()) for line in text.strip("\n").split("\n", 3)[:3])
    return not with_head and below.columns == table.columns


def loose_rows(lines: Sequence[str], before: Table | None) -> set[int]:
    """Which of the lines of a page are rows of tables without marks; those at its top may belong to the table `before`."""
    found: set[int] = set()
    first = 0
    rows = [_is_loose_row(line) for line in lines]
    for number in range(len(lines) + 1):
        if number < len(lines) and rows[number]:
            continue
        if number > first:
            begun = before is not None and before.loose and not any(map(str.strip, lines[:first]))
            if number - first >= LOOSE_ROWS or begun:
                found |= set(range(first, number))
                if first and _is_loose_head(lines[first - 1]):
                    found.add(first - 1)
        first = number + 1
    return found


def _cells(line: str) -> list[str]:
    row = line.strip()
    if row.startswith("|") and row.endswith("|"):
        return [cell.strip() for cell in _BAR.split(row)[1:-1]]
    return [cell.strip() for cell in line.split("\t")] if "\t" in line else row.split()


def _head(lines: Sequence[str]) -> str:
    """The first row, with the line that separates it, and a second one that names the parts of joined cells above it."""
    size = 1
    if len(lines) > size and _SEPARATOR.fullmatch(lines[size].strip()):
        size += 1
    if len(lines) > size and _is_second_head(_cells(lines[0]), _cells(lines[size])):
        size += 1
    if size < len(lines) and size < 3 and _SEPARATOR.fullmatch(lines[size].strip()):
        size += 1
    return "\n".join(line.strip() for line in lines[:size])


def _is_second_head(above: Sequence[str], row: Sequence[str]) -> bool:
    joined = [i for i, cell in enumerate(above) if i and (not cell or cell == above[i - 1])]
    filled = [row[i] for i in joined if i < len(row) and row[i]]
    return bool(filled) and len(filled) * 2 >= len(joined) and not any(_NUMBER.match(cell) for cell in row)


def _is_loose_row(line: str) -> bool:
    words = line.split()
    if len(words) < LOOSE_WORDS or width(line) > LOOSE_WIDTH or _SENTENCE.search(line.rstrip()):
        return False
    return sum(_NUMBER.match(word) is not None for word in words) >= NUMBERS * len(words)


def _is_loose_head(line: str) -> bool:
    words = line.split()
    numbers = any(_NUMBER.match(word) for word in words)
    return len(words) >= LOOSE_WORDS and width(line) <= LOOSE_WIDTH and not numbers and not _SENTENCE.search(line.rstrip())


def _cut(head: str) -> str:
    first = next(cut(head, 0, len(head), HEAD_WIDTH, ROWS), None)
    return head[: first.end].strip() if first else ""
