"""PDFium in a process of its own, which may die without harm to the one that asks.

PDFium keeps rows of tables together, knows every font encoding and is fast, but has no limits: a small hostile file makes it
run for ever, take all memory or crash. So each page is read under limits of time and memory by a child, which is started
again where it dies. They talk in lines of JSON; pixels follow as raw bytes.
"""

import json
import resource
import subprocess
import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
MEMORY_BYTES = 1_000_000_000  # address space of the child
PAGE_SECONDS = 20  # of processor time
MAX_DEATHS = 3  # in one document
MAX_SIDE = 4_000  # pixels of a rendered page
LEAST_SIDE = 1_200  # pixels that a small page is rendered at
FEW_CHARS = 200  # with fewer on a page, its pictures are looked at
MAX_PICTURES = 100


class PageText(NamedTuple):
    """The text layer of a page; where it holds little, `pictures` is the part of the page that pictures cover, else 0."""

    text: str
    pictures: float


class Pdfium:
    """One PDF. `page_count` is 0, and `encrypted` says why, where PDFium cannot open it; pages are counted from 1."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._deaths = 0
        self._child: subprocess.Popen[bytes] | None = None
        opened = self._start() or {}
        self.page_count: int = opened.get("pages", 0)
        self.encrypted: bool = opened.get("encrypted", False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def text(self, number: int) -> PageText | None:
        """The text layer of a page; None where it cannot be read."""
        answer = self._ask(number, None)
        return PageText(answer["text"], answer["pictures"]) if answer else None

    def image(self, number: int, dpi: int) -> Image.Image | None:
        """A page as a picture; None where it cannot be rendered."""
        answer = self._ask(number, dpi)
        if not answer or not self._child or not self._child.stdout:
            return None
        pixels = self._child.stdout.read(answer["stride"] * answer["height"])
        return Image.frombuffer("RGB", (answer["width"], answer["height"]), pixels, "raw", "BGR", answer["stride"], 1)

    def _start(self) -> dict[str, Any] | None:
        command = [sys.executable, "-m", "utils.pdfium", str(self._path.resolve())]
        self._child = subprocess.Popen(  # noqa: S603 (our own program)
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return self._answer()

    def _ask(self, number: int, dpi: int | None) -> dict[str, Any] | None:
        if self._child is None and (self._deaths >= MAX_DEATHS or not self._start()):
            return None
        if self._child is None or self._child.stdin is None:
            return None
        with suppress(BrokenPipeError):
            self._child.stdin.write(json.dumps([number, dpi]).encode() + b"\n")
            self._child.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any] | None:
        """What the child says; None where it failed or, if there is no answer at all, died."""
        line = self._child.stdout.readline() if self._child and self._child.stdout else b""
        if not line.endswith(b"\n"):
            self._deaths += 1
            self.close()
            return None
        answer: dict[str, Any] = json.loads(line)
        return None if "failed" in answer else answer


def _serve(path: str) -> None:
    """The child: opens the file, then answers one request a line until its input ends."""
    import pypdfium2

    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_CORE, 0)
    _allow_time()
    try:
        document = pypdfium2.PdfDocument(path)
        document.init_forms()
        _say({"pages": len(document)})
    except pypdfium2.PdfiumError as error:
        _say({"encrypted": "password" in str(error).lower()})
        return
    for line in sys.stdin:
        _allow_time()
        number, dpi = json.loads(line)
        try:
            page = _page(document, number - 1)
            _render(page, dpi) if dpi else _say(_read(page))
            page.close()
        except (pypdfium2.PdfiumError, IndexError, ValueError, MemoryError):
            _say({"failed": True})


def _page(document: Any, index: int) -> Any:
    """A page with what was filled into its form as part of the text."""
    import pypdfium2.raw

    page = document[index]
    if not document.formenv or not pypdfium2.raw.FPDFPage_GetAnnotCount(page):
        return page
    page.flatten()
    page.close()
    return document[index]


def _read(page: Any) -> dict[str, Any]:
    import pypdfium2.raw

    text = page.get_textpage().get_text_range()  # with what runs over the edge of the page
    covered = 0.0
    if len(text) < FEW_CHARS:
        pictures = page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE], max_depth=3)
        boxes = [picture.get_bounds() for picture in islice(pictures, MAX_PICTURES)]
        width, height = page.get_size()
        covered = sum((right - left) * (top - bottom) for left, bottom, right, top in boxes) / max(width * height, 1)
    return {"text": text, "pictures": covered}


def _render(page: Any, dpi: int) -> None:
    longest = max(*page.get_size(), 1)
    scale = min(max(dpi / 72, LEAST_SIDE / longest), MAX_SIDE / longest)
    bitmap = page.render(scale=scale)
    _say({"width": bitmap.width, "height": bitmap.height, "stride": bitmap.stride})
    sys.stdout.buffer.write(bitmap.buffer)
    sys.stdout.buffer.flush()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


def _allow_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + PAGE_SECONDS)


def _limit(kind: int, soft: int) -> None:
    hard = resource.getrlimit(kind)[1]
    with suppress(ValueError, OSError):  # a system that does not know this limit
        resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


if __name__ == "__main__":
    _serve(sys.argv[1])
