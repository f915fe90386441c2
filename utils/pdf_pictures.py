"""The pictures on a page of a PDF, as PDFium sees them: for the child process of `utils.pdfium`, which may die of them."""

from collections.abc import Iterator
from ctypes import byref, c_uint, create_string_buffer
from typing import Any, NamedTuple

from utils.pdf_lines import Box, PageLines, read
from utils.pictures import LEAST_SIDE, MAX_PIXELS, key_of

MAX_DEPTH = 4  # of forms in forms
MAX_OBJECTS = 50_000  # that are looked at on a page
MAX_FOUND = 30  # on a page
MAX_SOURCE_PIXELS = 60_000_000
LEAST_SPACE = 36  # points; what is drawn smaller is an icon, however many pixels it has


class Found(NamedTuple):
    """A picture: its object, and the matrix that puts it on the page as it is seen."""

    item: Any
    matrix: Any
    width: int
    height: int


def find(page: Any) -> list[Found]:
    """The pictures on a page that are worth a look."""
    from pypdfium2 import PdfMatrix

    found = []
    for item, matrix in _images(page, None, PdfMatrix(), 0, [MAX_OBJECTS]):
        width, height = _size(item)
        left, bottom, right, top = matrix.on_rect(0, 0, 1, 1)
        fits = min(width, height) >= LEAST_SIDE and width * height <= MAX_SOURCE_PIXELS
        if fits and min(right - left, top - bottom) >= LEAST_SPACE:
            found.append(Found(item, matrix, width, height))
        if len(found) == MAX_FOUND:
            break
    return found


def _images(page: Any, form: Any, outer: Any, depth: int, left: list[int]) -> Iterator[tuple[Any, Any]]:
    """The image objects of a page or of a form, each with its matrix; `left` holds how many objects may be looked at."""
    import pypdfium2.raw as pdfium

    count = pdfium.FPDFFormObj_CountObjects(form) if form else pdfium.FPDFPage_CountObjects(page)
    for number in range(min(count, left[0])):
        left[0] -= 1
        item = pdfium.FPDFFormObj_GetObject(form, number) if form else pdfium.FPDFPage_GetObject(page, number)
        kind = pdfium.FPDFPageObj_GetType(item)
        if kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            yield item, _matrix(item).multiply(outer)
        elif kind == pdfium.FPDF_PAGEOBJ_FORM and depth < MAX_DEPTH:
            yield from _images(page, item, _matrix(item).multiply(outer), depth + 1, left)


def _matrix(item: Any) -> Any:
    import pypdfium2.raw as pdfium
    from pypdfium2 import PdfMatrix

    raw = pdfium.FS_MATRIX()
    return PdfMatrix.from_raw(raw) if pdfium.FPDFPageObj_GetMatrix(item, raw) else PdfMatrix()


def _size(item: Any) -> tuple[int, int]:
    """In pixels; 0 where it is unknown."""
    import pypdfium2.raw as pdfium

    width, height = c_uint(), c_uint()
    known = pdfium.FPDFImageObj_GetImagePixelSize(item, byref(width), byref(height))
    return (width.value, height.value) if known else (0, 0)


def describe(page: Any, found: list[Found]) -> list[dict[str, Any]]:
    """Of each picture its key, its place (an offset in the text of the page), and what part of the page it covers."""
    lines = read(page) if found else PageLines("", [], [])
    left, bottom, right, top = page.get_bbox()
    area = max((right - left) * (top - bottom), 1)
    answers = []
    for picture in found:
        box = picture.matrix.on_rect(0, 0, 1, 1)
        wide = min(box[2], right) - max(box[0], left)
        high = min(box[3], top) - max(box[1], bottom)
        covered = max(wide, 0) * max(high, 0) / area
        if covered:
            answers.append({"key": _key(picture), "place": _place(box, lines), "covered": covered})
        else:
            answers.append({"key": "", "place": 0, "covered": 0.0})
    return answers


def _key(picture: Found) -> str:
    """By what is stored, so that a logo on each page need not be decoded each time."""
    import pypdfium2.raw as pdfium

    length = pdfium.FPDFImageObj_GetImageDataRaw(picture.item, None, 0)
    stored = create_string_buffer(length)
    pdfium.FPDFImageObj_GetImageDataRaw(picture.item, stored, length)
    return key_of(b"%d %d " % (picture.width, picture.height) + stored.raw)


def _place(box: Box, page: PageLines) -> int:
    """The end of the line above a picture: the nearest one in its column, else on the page; 0 where there is none."""
    left, bottom, right, top = box
    middles = [(sum(line.box[1::2]) / 2, line.box, end) for line, end in zip(page.lines, page.ends, strict=True)]
    above = [item for item in middles if item[0] > (bottom + top) / 2]
    column = [item for item in above if item[1][0] < right and item[1][2] > left]
    return min(column or above, key=lambda item: item[0], default=(0, box, 0))[2]


def render(page: Any, picture: Found) -> Any:
    """A picture as it is seen on the page, as a bitmap of at most MAX_PIXELS pixels."""
    import pypdfium2.raw as pdfium
    from pypdfium2 import PdfBitmap, PdfiumError

    upright = picture.matrix.rotate(page.get_rotation())
    left, bottom, right, top = upright.on_rect(0, 0, 1, 1)
    sides, pixels = sorted((right - left, top - bottom)), sorted((picture.width, picture.height))
    finest = max(pixels[0] / sides[0], pixels[1] / sides[1])
    scale = min(finest, (MAX_PIXELS / (sides[0] * sides[1])) ** 0.5)
    before = _matrix(picture.item)
    pdfium.FPDFPageObj_SetMatrix(picture.item, upright.scale(scale, scale))
    try:
        raw = pdfium.FPDFImageObj_GetRenderedBitmap(page.pdf, page, picture.item)
    finally:
        pdfium.FPDFPageObj_SetMatrix(picture.item, before)
    if not raw:
        raise PdfiumError("no bitmap")
    return PdfBitmap.from_raw(raw)
