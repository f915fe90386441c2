"""The pages of a document as its job reads them, kept on disk, so that a later run goes on where an earlier one ended."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from services import document_files as files
from utils.errors import DocumentUnreadable
from utils.loaders import Page

PAGE = b'{"number"'  # how the line of a page begins
HARMLESS = ("blank", "no_text", "picture_unreadable")  # details of pages whose text is all there


class PageJournal:
    """A file of JSON lines: `{"page_count": n}` begins a run, each page that is read follows, `{"complete": true}` ends it.

    Where a format has no pages `page_count` is null: such a document is always read from its beginning.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.pages: list[Page] = []
        self.page_count: int | None = None
        self.complete = False
        self.stuck = False  # the last run that began did not get to the end of its first page
        for line in _whole_lines(path):
            self._take(line)

    @property
    def next_number(self) -> int:
        """The number of the first page that was not read yet."""
        return (self.pages[-1].number or 0) + 1 if self.pages else 1

    def begin(self, page_count: int | None) -> None:
        """A new run, after the file was opened."""
        if page_count is None:
            self._path.unlink(missing_ok=True)
            self.pages.clear()
        self._write({"page_count": page_count})

    def add(self, page: Page) -> None:
        self._write(asdict(page))

    def give_up_page(self, reason: str) -> None:
        """Passes over the next page, which cannot be read; `reason` is a key of `DocumentUnreadable.REASONS`."""
        self.add(Page(self.next_number, "", "empty", reason))

    @property
    def given_up(self) -> list[str]:
        """Why pages were given up."""
        return [page.detail for page in self.pages if page.detail in DocumentUnreadable.REASONS]

    @property
    def gaps(self) -> bool:
        """Whether something on a page could not be read."""
        return any(page.detail and page.detail not in HARMLESS for page in self.pages)

    def replace(self, pages: Sequence[Page]) -> None:
        """Puts other pages in the place of those that were read, all at once; with them the journal is complete."""
        lines = [{"page_count": self.page_count}, *map(asdict, pages), {"complete": True}]
        files.write(self._path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        self.pages, self.complete = list(pages), True

    def end(self) -> None:
        self._write({"complete": True})

    def report(self) -> list[dict[str, Any]]:
        """How each page was read, in numbers."""
        return [_entry(page) for page in self.pages]

    def _write(self, entry: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        if "complete" in entry:
            self.complete = True
        elif "page_count" in entry:
            self.page_count, self.stuck = entry["page_count"], True
        else:
            self.pages.append(Page(**entry))
            self.stuck = False


def _entry(page: Page) -> dict[str, Any]:
    entry: dict[str, Any] = {"page": page.number, "method": page.method, "chars": len(page.text)}
    return entry if page.detail is None else {**entry, "detail": page.detail}


def pages_of(path: Path, first: int, last: int) -> Iterator[Page]:
    """The pages of a finished journal from the `first` to the `last`, counted from 1; only these are decoded."""
    count = 0
    with path.open("rb") as file:
        for line in file:
            if not line.startswith(PAGE):
                continue
            count += 1
            if count > last:
                return
            if count >= first:
                yield Page(**json.loads(line))


def _whole_lines(path: Path) -> Iterable[dict[str, Any]]:
    """The lines of the file. One that a crash cut off is removed."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        while line := file.readline():
            if not line.endswith(b"\n"):
                file.seek(-len(line), 1)
                file.truncate()
                return
            yield json.loads(line)
