"""Loaders: one file for each family of formats, each with `MEDIA_TYPES` and `load(path, options)`.

A loader yields the text of a file page by page. It runs in a job of its own under limits of time and memory, never in a web
worker. Text keeps light Markdown where the format knows structure: `# ` headings, `- ` lists, `| a | b |` table rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from utils.errors import DocumentUnreadable, UnsupportedType
from utils.registry import modules_of


@dataclass(frozen=True, slots=True)
class Page:
    """`number` is 1-based, None where the format has no pages. `detail` says why a page is empty or what went wrong."""

    number: int | None
    text: str
    method: Literal["text", "ocr", "empty"] = "text"
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """`ocr` reads a picture; pages before `first_page` (1-based) are passed over, so that a broken job can go on."""

    ocr: Callable[[Image.Image], str]
    max_pages: int = 5_000
    ocr_dpi: int = 150
    first_page: int = 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """`page_count` is None where the format has no pages; `pages` are made as they are asked for."""

    page_count: int | None
    pages: Iterator[Page]


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    """Opens a file with the loader of its media type. Raises DocumentUnreadable, here or while pages are read."""
    for module in modules_of("utils.loaders"):
        if media_type in module.MEDIA_TYPES:
            loaded: Loaded = module.load(path, media_type, options)
            if loaded.page_count is not None and loaded.page_count > options.max_pages:
                raise DocumentUnreadable("too_many_pages")
            return loaded
    raise UnsupportedType(type=media_type)
