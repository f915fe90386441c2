"""The files of documents and pictures: `<UPLOAD_DIR>/<holder>/<document>/`, the holder being a conversation or a
knowledge base, with

    original      what was uploaded
    pages.jsonl   how reading went: a line `{"page_count": n}` for each run, and after it a line for each page that was read
    pictures/     the pictures inside it and what is known of them, until all of them are in its text
    text          the extracted text
    chunks.json   where in the text its chunks are, as they were indexed
    summary
    lock          held by the job that works on the document

and `<UPLOAD_DIR>/<conversation>/images/<image>/` with `original` and `upright.jpg`. What lies in `incoming` is not accepted
yet.
"""

import contextlib
import fcntl
import hashlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from models.documents import Document
from utils.errors import DocumentUnreadable, TooLarge
from utils.settings import Settings

INCOMING = "incoming"
IMAGES = "images"
ORIGINAL = "original"
UPRIGHT = "upright.jpg"
SUMMARY = "summary"
TEXT = "text"
CHUNKS = "chunks.json"
JOURNAL = "pages.jsonl"
PICTURES = "pictures"
COPY_BYTES = 1 << 20
MOVES = 3


@dataclass(frozen=True, slots=True)
class Incoming:
    """An uploaded file that is not accepted yet. `sha256` is in hexadecimal."""

    path: Path
    bytes: int
    sha256: str

    def accept(self, folder: Path) -> None:
        """Moves it to its place in `folder`, which is new."""
        for attempt in range(MOVES):
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.path.parent.rename(folder)
                return
            except FileNotFoundError:  # a deletion has just taken the empty parent away
                if attempt == MOVES - 1:
                    raise


@contextlib.contextmanager
def received(settings: Settings, stream: BinaryIO, name: str) -> Iterator[Incoming]:
    """Writes an upload to disk; unless accepted it is gone at the end. Raises TooLarge, DocumentUnreadable if empty."""
    folder = settings.UPLOAD_DIR / INCOMING / name
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield _store(stream, folder / ORIGINAL, settings.UPLOAD_MAX_BYTES)
    finally:
        remove(folder)


def _store(stream: BinaryIO, path: Path, limit: int) -> Incoming:
    size, digest = 0, hashlib.sha256()
    with path.open("wb") as file:
        while block := stream.read(COPY_BYTES):
            size += len(block)
            if size > limit:
                raise TooLarge(limit=limit)
            digest.update(block)
            file.write(block)
    if not size:
        raise DocumentUnreadable("empty")
    return Incoming(path, size, digest.hexdigest())


def folder_of(uploads: Path, document: Document) -> Path:
    """Where the files of a document lie, whether or not there are any."""
    return uploads / document.holder / document.id


@contextlib.contextmanager
def locked(folder: Path, wait: float = 0.0) -> Iterator[bool]:
    """Whether this process now has a document's folder to itself; tries for `wait` seconds.

    The kernel frees the lock when its holder dies. Without a folder there is nothing to share.
    """
    try:
        file = (folder / "lock").open("a")
    except FileNotFoundError:
        yield True
        return
    with file:
        deadline = time.monotonic() + wait
        while not (mine := _try_lock(file.fileno())) and time.monotonic() < deadline:
            time.sleep(0.01)
        yield mine


def _try_lock(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write(path: Path, text: str) -> None:
    """Writes a file so that a reader sees all of it or none."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def summary_of(folder: Path) -> str:
    """A document's summary, empty until there is one."""
    try:
        return (folder / SUMMARY).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def text_of(folder: Path) -> str:
    """A document's extracted text, empty until there is one."""
    try:
        return (folder / TEXT).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def forget_reading(folder: Path) -> None:
    """Deletes what was made of a document, which is to be read from its beginning; the file itself stays."""
    for name in (JOURNAL, TEXT, CHUNKS, SUMMARY):
        (folder / name).unlink(missing_ok=True)
    remove(folder / PICTURES)


def remove(folder: Path) -> None:
    """Deletes a folder with all that is in it, if there is one."""
    shutil.rmtree(folder, ignore_errors=True)
