"""PDF: the text layer of each page, and OCR where a page has none that can be read.

PDFium reads a page first, as it keeps rows of tables together; where it finds nothing of use, pypdf, which has limits of its
own, is the second opinion. A page that neither can read is rendered and given to OCR. No page takes the document with it.
"""

import logging
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.errors import DocumentUnreadable
from utils.loaders import DAMAGE, Format, Loaded, LoadOptions, Page
from utils.pdfium import Pdfium
from utils.texts import reflow

FORMATS = (
    Format(
        "application/pdf",
        ("pdf",),
        magic=re.compile(rb"(?s)(?:.{0,1015}[\n\r\0])?\s*(?:\xef\xbb\xbf)?%PDF-"),
        hint=re.compile(rb"(?s).{0,1000}\d+ \d+ obj\b"),
    ),
)
UNREADABLE = 0.2  # part of a page's characters that may have no meaning
SCANNED = 0.5  # part of a page that a picture covers, from which on a few words are not its whole text
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
    text = HYPHEN.sub("", found.text).replace("\x02", "-") if found else ""
    if not _readable(text):
        text = _second_opinion(reader, number) or text
    scanned = found is not None and found.pictures > SCANNED and len(text.split()) < FEW_CHARS
    if _readable(text) and not scanned:
        return Page(number, reflow(text))
    return _read_picture(pdfium, number, options, reflow(text) if _readable(text) else "")


def _second_opinion(reader: Any, number: int) -> str:
    """The text that pypdf finds on a page; empty where that is none of use."""
    import pypdf

    try:
        text = reader.pages[number - 1].extract_text() if reader else ""
    except (*DAMAGE, MemoryError, pypdf.errors.PyPdfError):
        return ""
    return text if _readable(text) else ""


def _read_picture(pdfium: Pdfium, number: int, options: LoadOptions, text: str) -> Page:
    """A page by OCR; `text` is what its text layer holds, and stays where OCR finds no more."""
    image = pdfium.image(number, options.ocr_dpi)
    if image is None:
        return Page(number, text, detail=None if text else "unreadable")
    try:
        read = options.ocr(image)
    except DocumentUnreadable:
        return Page(number, text, detail="ocr_failed")
    if len(read) <= len(text):
        return Page(number, text, detail=None if text else "no_text")
    return Page(number, read, "ocr")


def _readable(text: str) -> bool:
    """Whether a text layer says something: some fonts give their characters no meaning, or a wrong one."""
    chars = "".join(text.split())
    nameless = sum(char == "\N{REPLACEMENT CHARACTER}" or unicodedata.category(char) in NAMELESS for char in chars)
    return len(chars) > 0 and nameless <= UNREADABLE * len(chars)
