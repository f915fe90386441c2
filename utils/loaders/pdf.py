"""PDF: the text layer of each page, and OCR where a page has none that can be read.

PDFium reads a page first, as it keeps rows of tables together; where it finds nothing of use, pypdf, which has limits of its
own, is the second opinion. A page that neither can read is rendered and given to OCR. No page takes the document with it.
"""

import logging
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from utils.errors import DocumentUnreadable
from utils.loaders import DAMAGE, Format, Loaded, LoadOptions, Page
from utils.pdfium import Pdfium
from utils.pictures import FEW_CHARS as FEW_READ
from utils.pictures import Pictures
from utils.texts import SHAPES, reflow

FORMATS = (
    Format(
        "application/pdf",
        ("pdf",),
        magic=re.compile(rb"(?s)(?:.{0,1015}[\n\r\0])?\s*(?:\xef\xbb\xbf)?%PDF-"),
        hint=re.compile(rb"(?s).{0,1000}\d+ \d+ obj\b"),
    ),
)
UNREADABLE = 0.2  # part of a page's characters that may have no meaning
SCANNED = 0.5  # part of a page that pictures cover, from which on a few words are not its whole text
WHOLE = 0.9  # part of a page that a scan or a background covers
FEW_CHARS = 100
HYPHEN = re.compile("(?<=[a-zà-ÿ])\x02(?=[a-zà-ÿ])")  # a word that PDFium found broken at the end of a line
NAMELESS = ("Cn", "Co", "Cs", "Cc")  # categories of characters that say nothing


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    reader = _open(path)
    count = _count(reader)
    if not count or reader.is_encrypted:  # pypdf also takes the empty owner password, with which no viewer opens a file
        with Pdfium(path) as pdfium:
            if pdfium.encrypted:
                raise DocumentUnreadable("encrypted")
            count = count or pdfium.page_count
    if not count:
        raise DocumentUnreadable("damaged")
    return Loaded(count, _pages(reader, path, count, options))


def _open(path: Path) -> Any:
    """The file as pypdf sees it; None where pypdf cannot open it."""
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it reports every flaw of a file
    try:
        reader = pypdf.PdfReader(path)
        return reader if not reader.is_encrypted or reader.decrypt("") else None
    except (*DAMAGE, pypdf.errors.PyPdfError):
        return None


def _count(reader: Any) -> int:
    import pypdf

    try:
        return len(reader.pages) if reader else 0
    except (*DAMAGE, pypdf.errors.PyPdfError):
        return 0


def _pages(reader: Any, path: Path, count: int, options: LoadOptions) -> Iterator[Page]:
    with Pdfium(path) as pdfium:
        for number in range(options.first_page, count + 1):
            yield _page(reader, pdfium, number, options)


def _page(reader: Any, pdfium: Pdfium, number: int, options: LoadOptions) -> Page:
    found = pdfium.text(number)
    drawn = found.text if found else ""
    text = _whole_words(drawn)
    if not _readable(text):
        drawn, text = "", _second_opinion(reader, number) or text
    covered = found.pictures if found and len(text.split()) < FEW_CHARS else 0.0
    if not _readable(text):
        return _read_picture(pdfium, number, options, "")
    pictures = _pictures(pdfium, number, options.pictures) if covered <= WHOLE else []
    if covered <= SCANNED or pictures:
        return Page(number, _with_marks(reflow(text), drawn, pictures))
    return _read_picture(pdfium, number, options, reflow(text))


def _whole_words(text: str) -> str:
    return HYPHEN.sub("", text).replace("\x02", "-")


def _pictures(pdfium: Pdfium, number: int, kept: Pictures | None, most: float = WHOLE) -> list[tuple[int, str]]:
    """The place and the mark of each picture that covers no more than `most` of the page."""
    if kept is None or kept.full:
        return []
    placed = [picture for picture in pdfium.pictures(number) if picture.key and picture.covered <= most]
    marks = [(item.place, kept.mark(item.key, partial(pdfium.picture, number, item.number))) for item in placed]
    return [(place, mark) for place, mark in marks if mark]


def _with_marks(text: str, drawn: str, pictures: list[tuple[int, str]]) -> str:
    """The text of a page with the marks of its pictures at the ends of lines.

    Their places are offsets in `drawn`, from which `text` differs in white space and in shapes of characters; where that is
    empty, all stand at the end.
    """
    ends = [match.end() for match in re.finditer(r"\S", text)]
    places = []
    for place, mark in pictures:
        before = len("".join(_whole_words(drawn[:place]).translate(SHAPES).split())) if drawn else len(ends)
        end = text.find("\n", ends[min(before, len(ends)) - 1] if before else 0)
        places.append((end if end >= 0 else len(text), mark))
    for place, mark in sorted(places, key=lambda item: item[0], reverse=True):
        text = text[:place] + mark + text[place:]
    return text


def _second_opinion(reader: Any, number: int) -> str:
    """The text that pypdf finds on a page; empty where that is none of use."""
    import pypdf

    try:
        text = reader.pages[number - 1].extract_text() if reader else ""
    except (*DAMAGE, MemoryError, pypdf.errors.PyPdfError):
        return ""
    return text if _readable(text) else ""


def _read_picture(pdfium: Pdfium, number: int, options: LoadOptions, text: str) -> Page:
    """A page by OCR; `text` is what its text layer holds, and stays where OCR finds no more.

    Where that is little, its pictures are not only pictures of text.
    """
    image = pdfium.image(number, options.ocr_dpi)
    if image is None:
        return Page(number, text, detail=None if text else "unreadable")
    if not text and image.getcolors(1):  # it has but one
        return Page(number, "", detail="blank")
    try:
        read = options.ocr(image)
    except DocumentUnreadable:
        return Page(number, text, detail="ocr_failed")
    better = len(read) > len(text)
    page = Page(number, read, "ocr") if better else Page(number, text, detail=None if text else "no_text")
    if len(page.text) < FEW_READ:
        marks = [mark for _, mark in _pictures(pdfium, number, options.pictures, most=math.inf)]
        return replace(page, text=page.text + "".join(marks), method="ocr" if marks else page.method)
    return page


def _readable(text: str) -> bool:
    """Whether a text layer says something: some fonts give their characters no meaning, or a wrong one."""
    chars = "".join(text.split())
    nameless = sum(char == "\N{REPLACEMENT CHARACTER}" or unicodedata.category(char) in NAMELESS for char in chars)
    return len(chars) > 0 and nameless <= UNREADABLE * len(chars)
