"""The pictures inside a document: kept in a folder beside it while it is read, each once, in a size fit for OCR and models.

A loader leaves a mark in the text where a picture stands. Whoever knows what the picture says puts that in the mark's place,
so the text of a page without its marks is what it is without its pictures. Marks are made of characters that no text may
hold (Unicode reserves them for use inside programs); one that a file brings along names no picture.
"""

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from utils.errors import DocumentUnreadable
from utils.images import normalise_image

MARK = re.compile("\ufdd0([0-9a-f]{16})\ufdd1")
LEAST_SIDE = 100  # pixels of what is worth looking at; smaller ones are icons, lines and bullets
MAX_PIXELS = 2_200_000  # those of a page that is rendered for OCR
FEW_CHARS = 200  # that OCR finds on a page; with fewer its pictures are not only pictures of text
TRIES = 10  # pictures that are looked at for each that may be kept
SUSPECT = "suspect"
DEADLY = b"x"  # in the place of a picture that a process has died of
MAX_DEATHS = 3


def key_of(content: bytes) -> str:
    """The name of a picture with this content."""
    return hashlib.sha256(content).hexdigest()[:16]


def without_marks(text: str) -> str:
    """The text as it is without pictures."""
    return MARK.sub("", text)


class Pictures:
    """A folder of at most `most` pictures, which outlives the process. One that is damaged is an empty file there."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most
        self._kept = {path.stem for path in folder.glob("*.jpg")}
        self._unwanted: set[str] = set()
        self._tries = 0

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    @property
    def full(self) -> bool:
        """Whether no other picture is taken in."""
        return len(self._kept) >= self._most or self._tries >= TRIES * self._most or self.worn_out

    @property
    def worn_out(self) -> bool:
        """Whether processes have died of these pictures so often that the rest is better left alone."""
        return sum(self._path(key).stat().st_size == len(DEADLY) for key in self._kept) >= MAX_DEATHS

    def mark(self, key: str, get: Callable[[], Image.Image | None]) -> str:
        """The mark of a picture; empty where it is not worth keeping.

        `get` makes the picture, RGB; it gives None or raises DocumentUnreadable where it cannot. It is called once for each
        key, and not again after a process that died in it.
        """
        if key not in self._kept and key not in self._unwanted and not self.full:
            self._tries += 1
            self._take_in(key, get)
        return f"\ufdd0{key}\ufdd1" if key in self._kept else ""

    def read(self, key: str) -> Image.Image | None:
        """A picture that was kept; None where there is none, or where it is damaged."""
        try:
            return normalise_image(self._path(key))
        except DocumentUnreadable:
            return None

    def is_damaged(self, key: str) -> bool:
        """Whether a picture was marked that cannot be read."""
        return key in self._kept and self._path(key).stat().st_size <= len(DEADLY)

    @contextmanager
    def suspecting(self, key: str) -> Iterator[None]:
        """Names the picture that is worked on, so that it is known when the process dies of it."""
        self._folder.mkdir(exist_ok=True)
        suspect = self._folder / SUSPECT
        suspect.write_text(key)
        yield
        suspect.unlink()

    def give_up_suspect(self) -> bool:
        """After a process that died: whether it was at work on a picture, which then counts as damaged."""
        suspect = self._folder / SUSPECT
        if not suspect.exists():
            return False
        key = suspect.read_text()
        self._path(key).write_bytes(DEADLY)
        self._kept.add(key)
        suspect.unlink()
        return True

    def _take_in(self, key: str, get: Callable[[], Image.Image | None]) -> None:
        with self.suspecting(key):
            try:
                image = get()
            except DocumentUnreadable:
                image = None
            if image is not None and not _worth_a_look(image):
                self._unwanted.add(key)
                return
            part = self._path(key).with_suffix(".part")
            part.write_bytes(b"" if image is None else _encoded(image))
            part.replace(self._path(key))
            self._kept.add(key)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.jpg"


def picture_of(content: bytes) -> Image.Image:
    """The picture in a file of its own. Raises DocumentUnreadable."""
    return normalise_image(io.BytesIO(content), MAX_PIXELS)


def _worth_a_look(image: Image.Image) -> bool:
    darkest, brightest = image.convert("L").getextrema()
    return min(image.size) >= LEAST_SIDE and darkest != brightest


def _encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92)
    return out.getvalue()
