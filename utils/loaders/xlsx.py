"""Excel workbooks: each sheet a heading and a Markdown table, with the values that Excel computed.

The XML is read as a stream, by local names: workbooks of other programs, and strict ones, are read as well.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from utils.archives import Archive, local_name
from utils.errors import DocumentUnreadable
from utils.loaders import Format, Loaded, LoadOptions, Page
from utils.texts import table

FORMATS = (
    Format(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ("xlsx", "xlsm", "xltx", "xltm"),
        member="xl/workbook",
    ),
)
MAX_CELLS = 5_000_000  # of a sheet
DATES = {14, 15, 16, 17, 22, *range(27, 37), 45, 46, 47, *range(50, 59)}  # numbers of built-in formats
TIMES = {18, 19, 20, 21}
PERCENT = {9, 10}
QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    return Loaded(None, _sheets(path))


def _sheets(path: Path) -> Iterator[Page]:
    with Archive(path) as archive:
        main = next((name for kind, name in archive.related("").values() if kind == "officeDocument"), "xl/workbook.xml")
        book = archive.xml(main)
        parts = archive.related(main)
        named = dict(parts.values())
        strings = _strings(archive, named.get("sharedStrings", ""))
        kinds = _kinds(archive, named.get("styles", ""))
        epoch = datetime(1904, 1, 1) if _is_1904(book) else datetime(1899, 12, 30)
        for sheet in book.iter("{*}sheet"):
            ids = [value for name, value in sheet.attrib.items() if name.endswith("}id")]
            kind, name = parts.get(ids[0] if ids else "", ("", ""))
            if kind == "worksheet" and name in archive:
                rows = _rows(archive, name, _Values(strings, kinds, epoch))
                yield Page(None, f"# {sheet.get('name', '')}\n\n{table(rows)}\n")


def _is_1904(book: Any) -> bool:
    return any(item.get("date1904") in ("1", "true") for item in book.iter("{*}workbookPr"))


def _strings(archive: Archive, name: str) -> list[str]:
    """The texts that cells refer to by number, without the readings above characters."""
    return ["".join(_texts(item)) for item in archive.elements(name, "si")] if name in archive else []


def _texts(item: Any) -> Iterator[str]:
    for text in item.iter("{*}t"):
        if local_name(text.getparent()) != "rPh":
            yield text.text or ""


def _kinds(archive: Archive, name: str) -> list[str]:
    """What numbers mean in cells of each style: date, time, percent or number."""
    if name not in archive:
        return []
    styles = archive.xml(name)
    own = {item.get("numFmtId"): item.get("formatCode", "") for item in styles.iter("{*}numFmt")}
    used: Any = next(styles.iter("{*}cellXfs"), [])
    return [_kind(item.get("numFmtId", "0"), own.get(item.get("numFmtId"))) for item in used]


def _kind(number: str, code: str | None) -> str:
    if code is None:
        known = int(number)
        return next(
            (kind for kind, numbers in (("date", DATES), ("time", TIMES), ("percent", PERCENT)) if known in numbers),
            "number",
        )
    bare = QUOTED.sub("", code.lower())
    if "y" in bare or "d" in bare or "mmm" in bare:
        return "date"
    if "h" in bare or "s" in bare.replace("general", ""):
        return "time"
    return "percent" if "%" in bare else "number"


class _Values:
    """Makes cells into text."""

    def __init__(self, strings: list[str], kinds: list[str], epoch: datetime) -> None:
        self._strings, self._kinds, self._epoch = strings, kinds, epoch

    def text(self, cell: Any) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return "".join(_texts(cell))
        value = next((child.text or "" for child in cell if local_name(child) == "v"), "")
        if kind == "s":
            number = int(value or -1)
            return self._strings[number] if 0 <= number < len(self._strings) else ""
        if kind == "b":
            return {"0": "FALSE", "1": "TRUE"}.get(value, value)
        return self._number(value, int(cell.get("s", 0))) if kind == "n" and value else value

    def _number(self, value: str, style: int) -> str:
        kind = self._kinds[style] if style < len(self._kinds) else "number"
        try:
            number = float(value)
            if kind == "percent":
                return f"{number * 100:.10g}%"
            if kind == "number":
                return f"{number:.15g}" if "." in value or "E" in value.upper() else value
            moment = self._epoch + timedelta(seconds=round(number * 86_400))
        except (ValueError, OverflowError):
            return value
        if kind == "time":
            return moment.strftime("%H:%M:%S") if number < 1 else f"{number * 24:.10g} h"
        return moment.date().isoformat() if number == int(number) else moment.isoformat(" ")


def _rows(archive: Archive, name: str, values: _Values) -> list[list[str]]:
    """The rows of a sheet that hold something, without the columns that hold nothing."""
    rows: list[dict[int, str]] = []
    cells = 0
    for row in archive.elements(name, "row"):
        found: dict[int, str] = {}
        for place, cell in enumerate(child for child in row if local_name(child) == "c"):
            if text := values.text(cell):
                found[_column(cell.get("r", ""), place)] = text
        cells += len(found)
        if cells > MAX_CELLS:
            raise DocumentUnreadable("too_large")
        if found:
            rows.append(found)
    columns = sorted({column for row in rows for column in row})
    if len(rows) * len(columns) > MAX_CELLS:  # a few cells strewn over a huge sheet
        return [list(row.values()) for row in rows]
    return [[row.get(column, "") for column in columns] for row in rows]


def _column(reference: str, place: int) -> int:
    """The number of the column that a reference such as `AB12` names; `place` where there is no reference."""
    number = 0
    for letter in reference.upper():
        if "A" <= letter <= "Z":
            number = number * 26 + ord(letter) - 64
    return number - 1 if number else place
