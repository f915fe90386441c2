"""The files of documents and pictures: `<UPLOAD_DIR>/<conversation>/<document>/` with

    original      what was uploaded
    pages.jsonl   how reading went: a line `{"page_count": n}` for each run, and after it a line for each page that was read
    text          the extracted text
    summary
    lock          held by the job that works on the document

and `<UPLOAD_DIR>/<conversation>/images/<image>/` with `original` and `upright`. Files in `incoming` are not accepted yet.
"""

import contextlib
import fcntl
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from models.documents import Document

INCOMING = "incoming"
IMAGES = "images"
ORIGINAL = "original"
SUMMARY = "summary"
TEXT = "text"
JOURNAL = "pages.jsonl"


def folder_of(uploads: Path, document: Document) -> Path:
    """Where the files of a document lie, whether or not there are any."""
    return uploads / str(document.conversation_id) / document.id


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


def remove(folder: Path) -> None:
    """Deletes a folder with all that is in it, if there is one."""
    shutil.rmtree(folder, ignore_errors=True)
