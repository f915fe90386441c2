"""Loaders: one file for each family of formats, each with `FORMATS` and `load(path, media_type, options)`.

A loader yields the text of a file page by page. It runs in a job of its own under limits of time and memory, never in a web
worker; these modules themselves are light, as the web workers learn from `FORMATS` what can be read, so a parser is imported
where it is used. Text keeps light Markdown where the format knows structure: `# ` headings, `- ` lists, `| a | b |` rows of
tables; in Word and on slides, where tables mostly arrange text, tabs separate the cells of a row.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from PIL import Image

from utils.errors import DocumentUnreadable, UnsupportedType
from utils.pictures import Pictures
from utils.registry import modules_of
from utils.texts import clean

MAX_CHARS = 50_000_000  # of one document's text
# What parsers raise on damaged files: a wrong number, a missing key, an object of another kind, a loop.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    OSError,
    SyntaxError,  # lxml
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Format:
    """How a media type is recognised; `endings` of names are lower-case, without the dot.

    A binary format is known by `magic`, which its first 64 KB match; by `member`, with which the name of a member of the zip
    file begins; or by `stream`, a stream of the OLE file. A format without these three is text, told from other texts by its
    endings or, where the name says nothing, by `hint`, which its first 64 KB match.
    """

    media_type: str
    endings: tuple[str, ...]
    magic: re.Pattern[bytes] | None = None
    member: str = ""
    stream: str = ""
    hint: re.Pattern[bytes] | None = None

    @property
    def is_text(self) -> bool:
        return not (self.magic or self.member or self.stream)


@dataclass(frozen=True, slots=True)
class Page:
    """`number` is 1-based, None where the format has no pages.

    `detail` says why a page is empty or what went wrong: `blank`, `unreadable` (it can be neither read nor rendered),
    `no_text` (OCR found none), `ocr_failed`, `damaged`. Later come `picture_unreadable` and `picture_not_described`.
    What stands `apart` belongs to no section of the document, such as the headers and footers of Word.
    """

    number: int | None
    text: str
    method: Literal["text", "ocr", "empty"] = "text"
    detail: str | None = None
    apart: bool = False


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """`ocr` reads a picture; pages before `first_page` (1-based) are passed over, so that a broken job can go on.

    `pictures` takes in what stands between the texts of a page, which then holds their marks; None: pictures are left out.
    """

    ocr: Callable[[Image.Image], str]
    pictures: Pictures | None = None
    max_pages: int = 5_000
    ocr_dpi: int = 150
    first_page: int = 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """`page_count` is None where the format has no pages; `pages` are made as they are asked for."""

    page_count: int | None
    pages: Iterator[Page]


def formats() -> tuple[Format, ...]:
    """Every format that can be read."""
    return tuple(form for module in modules_of("utils.loaders") for form in module.FORMATS)


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    """Opens a file with the loader of its media type. Raises DocumentUnreadable, here or while pages are read."""
    for module in modules_of("utils.loaders"):
        if any(form.media_type == media_type for form in module.FORMATS):
            try:
                loaded: Loaded = module.load(path, media_type, options)
            except (MemoryError, RecursionError) as error:
                raise DocumentUnreadable("too_complex") from error
            except DAMAGE as error:
                raise DocumentUnreadable("damaged") from error
            if loaded.page_count is not None and loaded.page_count > options.max_pages:
                raise DocumentUnreadable("too_many_pages")
            return Loaded(loaded.page_count, _tidy(loaded.pages, options.first_page))
    raise UnsupportedType(type=media_type)


def _empty(page: Page, text: str) -> Page:
    """A page without text, and why it has none."""
    return replace(page, text=text, method="empty", detail=page.detail or ("no_text" if page.method == "ocr" else "blank"))


def _tidy(pages: Iterator[Page], first_page: int) -> Iterator[Page]:
    """The pages with clean text; errors of parsers become ours, and a document cannot grow without end."""
    chars = 0
    try:
        for page in pages:
            text = clean(page.text)
            chars += len(text)
            if chars > MAX_CHARS:
                raise DocumentUnreadable("too_large")
            if page.number is None or page.number >= first_page:
                yield replace(page, text=text) if text.strip() else _empty(page, text)
    except (MemoryError, RecursionError) as error:
        raise DocumentUnreadable("too_complex") from error
    except DAMAGE as error:
        raise DocumentUnreadable("damaged") from error
