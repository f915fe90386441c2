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

from utils import pdf_lines, pdf_pictures
from utils.images import rgb

ROOT = Path(__file__).resolve().parent.parent
MEMORY_BYTES = 1_000_000_000  # address space of the child
PAGE_SECONDS = 20  # of processor time
MAX_DEATHS = 3  # in one document
MAX_PICTURE_DEATHS = 2  # more that pictures cause, which cost no page
MAX_SIDE = 4_000  # pixels of a rendered page
LEAST_SIDE = 1_200  # pixels that a small page is rendered at
FEW_CHARS = 200  # with fewer on a page, its pictures are looked at
MAX_PICTURES = 100


class PageText(NamedTuple):
    """The text layer of a page; where it holds little, `pictures` is the part of the page that pictures cover, else 0."""

    text: str
    pictures: float


class PlacedPicture(NamedTuple):
    """A picture on a page: a `key` that it has wherever it is drawn again; the offset in the text of the page after which it
    stands; the part of the page that it covers; its number on the page."""

    key: str
    place: int
    covered: float
    number: int


class Pdfium:
    """One PDF. `page_count` is 0, and `encrypted` says why, where PDFium cannot open it; pages are counted from 1."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._deaths = 0
        self._picture_deaths = 0
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
        answer = self._ask(number, "text")
        return PageText(answer["text"], answer["pictures"]) if answer else None

    def image(self, number: int, dpi: int) -> Image.Image | None:
        """A page as a picture; None where it cannot be rendered."""
        answer = self._ask(number, "render", dpi)
        pixels = self._pixels(answer["stride"] * answer["height"]) if answer else None
        if not answer or not pixels:
            return None
        return Image.frombuffer("RGB", (answer["width"], answer["height"]), pixels, "raw", "BGR", answer["stride"], 1)

    def pictures(self, number: int) -> list[PlacedPicture]:
        """The pictures on a page that are worth a look, in the order in which they are drawn."""
        answer = self._ask_for_pictures(number, "pictures") or {"pictures": []}
        return [PlacedPicture(**picture, number=place) for place, picture in enumerate(answer["pictures"])]

    def picture(self, number: int, picture: int) -> Image.Image | None:
        """A picture on a page, by its number there, as it is seen; RGB. None where it cannot be had."""
        answer = self._ask_for_pictures(number, "picture", picture)
        pixels = self._pixels(answer["width"] * answer["height"] * 3) if answer else None
        return Image.frombytes("RGB", (answer["width"], answer["height"]), pixels) if answer and pixels else None

    def _ask_for_pictures(self, *request: Any) -> dict[str, Any] | None:
        """As `_ask`; where the child dies of it, no page is charged with that."""
        if self._picture_deaths >= MAX_PICTURE_DEATHS:
            return None
        deaths = self._deaths
        answer = self._ask(*request)
        self._picture_deaths += self._deaths - deaths
        self._deaths = deaths
        return answer

    def _pixels(self, size: int) -> bytes | None:
        """What follows an answer; None where the child died before it was all said."""
        pixels = self._child.stdout.read(size) if self._child and self._child.stdout else b""
        return pixels if len(pixels) == size else None

    def _start(self) -> dict[str, Any] | None:
        command = [sys.executable, "-m", "utils.pdfium", str(self._path.resolve())]
        self._child = subprocess.Popen(  # noqa: S603 (our own program)
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return self._answer()

    def _ask(self, *request: Any) -> dict[str, Any] | None:
        """The child's answer to a request: the number of a page, what to do, and with what."""
        if self._child is None and (self._deaths >= MAX_DEATHS or not self._start()):
            return None
        if self._child is None or self._child.stdin is None:
            return None
        with suppress(BrokenPipeError):
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
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
    open_page = _OpenPage(document)
    for line in sys.stdin:
        _allow_time()
        number, task, *about = json.loads(line)
        try:
            getattr(open_page.turned_to(number), task)(*about)
        except (pypdfium2.PdfiumError, IndexError, ValueError, ArithmeticError, MemoryError):
            _say({"failed": True})


class _OpenPage:
    """The page that is asked about, open until another one is; its other methods are what can be asked."""

    def __init__(self, document: Any) -> None:
        self._document, self._number = document, 0
        self._page: Any = None
        self._found: list[pdf_pictures.Found] | None = None

    def turned_to(self, number: int) -> Self:
        if number != self._number:
            if self._page:
                self._page.close()
            self._number, self._page, self._found = 0, None, None
            self._page, self._number = _page(self._document, number - 1), number
        return self

    def text(self) -> None:
        _say(_read(self._page))

    def render(self, dpi: int) -> None:
        _render(self._page, dpi)

    def pictures(self) -> None:
        _say({"pictures": pdf_pictures.describe(self._page, self._pictures)})

    def picture(self, number: int) -> None:
        image = rgb(pdf_pictures.render(self._page, self._pictures[number]).to_pil())
        _say({"width": image.width, "height": image.height})
        _send(image.tobytes())

    @property
    def _pictures(self) -> list[pdf_pictures.Found]:
        if self._found is None:
            self._found = pdf_pictures.find(self._page)
        return self._found


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

    text = pdf_lines.read(page).text
    covered = 0.0
    if len(text) < FEW_CHARS:
        pictures = page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE], max_depth=3)
        boxes = {picture.get_bounds() for picture in islice(pictures, MAX_PICTURES)}
        width, height = page.get_size()
        covered = sum((right - left) * (top - bottom) for left, bottom, right, top in boxes) / max(width * height, 1)
    return {"text": text, "pictures": covered}


def _render(page: Any, dpi: int) -> None:
    longest = max(*page.get_size(), 1)
    scale = min(max(dpi / 72, LEAST_SIDE / longest), MAX_SIDE / longest)
    bitmap = page.render(scale=scale)
    _say({"width": bitmap.width, "height": bitmap.height, "stride": bitmap.stride})
    _send(bitmap.buffer)


def _say(answer: dict[str, Any]) -> None:
    _send(json.dumps(answer).encode() + b"\n")


def _send(content: Any) -> None:
    sys.stdout.buffer.write(content)
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
