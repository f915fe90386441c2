"""Workbooks of Excel 5 to 2003: each sheet a heading and a Markdown table."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.errors import DocumentUnreadable
from utils.loaders import Format, Loaded, LoadOptions, Page
from utils.texts import table

FORMATS = (
    Format("application/vnd.ms-excel", ("xls", "xlt"), stream="Workbook"),
    Format("application/vnd.ms-excel", ("xls", "xlt"), stream="Book"),
)


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    import xlrd

    try:
        book = xlrd.open_workbook(str(path), logfile=io.StringIO(), on_demand=True)
    except xlrd.XLRDError as error:
        raise DocumentUnreadable("encrypted" if "encrypted" in str(error) else "damaged") from error
    return Loaded(None, _sheets(book))


def _sheets(book: Any) -> Iterator[Page]:
    for number in range(book.nsheets):
        sheet = book.sheet_by_index(number)
        rows = ([_text(cell, book.datemode) for cell in row] for row in sheet.get_rows())
        yield Page(None, f"# {sheet.name}\n\n{table(rows)}\n")
        book.unload_sheet(number)


def _text(cell: Any, datemode: int) -> str:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            moment = xlrd.xldate_as_datetime(cell.value, datemode)
        except (ValueError, OverflowError):
            return str(cell.value)
        return str(moment.date() if cell.value == int(cell.value) else moment.isoformat(" "))
    if cell.ctype == xlrd.XL_CELL_NUMBER:
        return f"{cell.value:.15g}"
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return "TRUE" if cell.value else "FALSE"
    return xlrd.error_text_from_code.get(cell.value, "") if cell.ctype == xlrd.XL_CELL_ERROR else str(cell.value)
