"""Pictures, read by OCR; a TIFF may have several pages."""

import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from utils.errors import DocumentUnreadable
from utils.images import MAX_FRAMES, frames
from utils.loaders import Format, Loaded, LoadOptions, Page

FORMATS = (
    Format("image/png", ("png", "apng"), magic=re.compile(rb"\x89PNG\r\n\x1a\n")),
    Format("image/jpeg", ("jpg", "jpeg", "jpe", "jfif"), magic=re.compile(rb"\xff\xd8\xff")),
    Format("image/gif", ("gif",), magic=re.compile(rb"GIF8[79]a")),
    Format("image/webp", ("webp",), magic=re.compile(rb"(?s)RIFF.{4}WEBP")),
    Format("image/bmp", ("bmp", "dib"), magic=re.compile(rb"(?s)BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0")),
    Format("image/tiff", ("tif", "tiff"), magic=re.compile(rb"II[*+]\0|MM\0[*+]")),
    Format("image/avif", ("avif", "avifs"), magic=re.compile(rb"(?s).{4}ftypavi[fs]|.{4}ftypmif1.{0,40}avif")),
)


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    count = _count(path) if media_type == "image/tiff" else 1
    return Loaded(count, _pages(path, count, options))


def _count(path: Path) -> int:
    with Image.open(path, formats=("TIFF",)) as image:
        return min(getattr(image, "n_frames", 1), MAX_FRAMES)


def _pages(path: Path, count: int, options: LoadOptions) -> Iterator[Page]:
    pictures = frames(path)
    for number in range(1, count + 1):
        try:
            picture = next(pictures)
        except DocumentUnreadable:
            if number == 1:
                raise
            yield Page(number, "", detail="damaged")  # and so are those that follow
            return
        if number >= options.first_page:
            yield Page(number, options.ocr(picture), "ocr")
