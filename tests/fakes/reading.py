"""Reads the bytes of a file as an upload is read: detected by content, then loaded."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from utils.file_util import detect
from utils.loaders import LoadOptions, Page, load

Ocr = Callable[[Image.Image], str]


def no_ocr(image: Image.Image) -> str:
    """For documents that must be read without OCR."""
    raise AssertionError("OCR was asked to read a page")


def read(content: bytes, name: str, ocr: Ocr = no_ocr, **options: int) -> list[Page]:
    """The pages of a document."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "upload")
        path.write_bytes(content)
        loaded = load(path, detect(path, name), LoadOptions(ocr=ocr, **options))
        return list(loaded.pages)


def text_of(content: bytes, name: str, ocr: Ocr = no_ocr) -> str:
    """The text of all pages, one below the other."""
    return "\n".join(page.text for page in read(content, name, ocr))
