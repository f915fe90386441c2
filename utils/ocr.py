"""Reads the text in pictures, with RapidOCR (models in its wheel) or the program tesseract."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image

from utils.errors import DocumentUnreadable, ProviderNotConfigured
from utils.texts import reflow

log = logging.getLogger(__name__)

MAX_STRIPS = 40
GUTTER = 0.8  # least space between columns of text, in heights of a line


class Line(NamedTuple):
    """A piece of text and its box in pixels."""

    left: float
    top: float
    right: float
    bottom: float
    text: str


def recogniser(
    engine: Literal["rapidocr", "tesseract"], languages: str, timeout: float = 60
) -> Callable[[Image.Image], str]:
    """The function that reads an RGB picture. `languages` (`chi_sim+eng`) and `timeout` (seconds) are for tesseract only.

    The engine starts with the first picture, in the process that reads it. Raises ProviderNotConfigured where tesseract or
    one of its languages is not installed, DocumentUnreadable where a picture defeats the engine.
    """
    read = partial(_tesseract, languages=languages, timeout=timeout) if engine == "tesseract" else _rapidocr
    return lambda image: "" if _is_blank(image) else read(image)


def _is_blank(image: Image.Image) -> bool:
    darkest, brightest = image.convert("L").getextrema()
    return bool(darkest == brightest)


def _tesseract(image: Image.Image, languages: str, timeout: float) -> str:
    import pytesseract

    try:
        return reflow(pytesseract.image_to_string(image, lang=languages, timeout=timeout))
    except pytesseract.TesseractNotFoundError as error:
        raise ProviderNotConfigured(setting="OCR_ENGINE") from error
    except pytesseract.TesseractError as error:
        log.warning("tesseract failed: %s", error.message)
        if "language" in error.message:
            raise ProviderNotConfigured(setting="OCR_LANGUAGES") from error
        raise DocumentUnreadable("damaged") from error
    except RuntimeError as error:  # its time was up
        raise DocumentUnreadable("too_complex") from error


def _rapidocr(image: Image.Image) -> str:
    import cv2

    engine = _engine(os.getpid())
    texts = []
    for strip in _strips(np.asarray(image)):
        if strip.min() == strip.max():
            continue
        try:
            found = engine(np.ascontiguousarray(strip[:, :, ::-1]))
        except (cv2.error, ValueError) as error:
            raise DocumentUnreadable("damaged") from error
        pairs = zip(found.boxes, found.txts, strict=True) if found.txts else ()
        texts.append(arrange([_line(box, text) for box, text in pairs if text.strip()]))
    return "\n".join(texts)


def _line(corners: Any, text: str) -> Line:
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return Line(left, top, right, bottom, text)


@cache
def _engine(process: int) -> Any:
    """RapidOCR with one thread, for one process: its sessions do not survive a fork. Nothing is downloaded."""
    import cv2
    import rapidocr

    cv2.setNumThreads(1)
    models = Path(rapidocr.__file__).parent / "models"
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "error",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Det.model_path": str(models / "PP-OCRv6_det_small.onnx"),
            "Cls.model_path": str(models / "ch_ppocr_mobile_v2.0_cls_mobile.onnx"),
            "Rec.model_path": str(models / "PP-OCRv6_rec_small.onnx"),
        }
    )


def _strips(pixels: Any) -> Iterator[Any]:
    """A long picture, such as a screenshot of a whole chat, in strips that are cut where there is least ink."""
    height, width = pixels.shape[:2]
    most = max(int(1.5 * width), 1_000, height // MAX_STRIPS)
    start = 0
    while height > 2.5 * width and height - start > 1.3 * most:
        around = pixels[start + most * 3 // 4 : start + most].mean(axis=2)
        end = start + most * 3 // 4 + int(np.argmin(around.std(axis=1)))
        yield pixels[start:end]
        start = end
    yield pixels[start:]


def arrange(lines: Sequence[Line]) -> str:
    """Lines in the order in which they are read: columns of text one after the other, rows of a table as rows."""
    lines = sorted(lines, key=lambda line: line.top)
    if not lines:
        return ""
    height = median(line.bottom - line.top for line in lines)
    gutter = _gutter(lines, height * GUTTER)
    if gutter is None:
        return _rows(lines, height)
    blocks: list[str] = []
    band: list[Line] = []
    for line in [*lines, None]:
        if line is None or line.left < gutter < line.right:  # a title over both columns, or the end
            sides = [item for item in band if item.right <= gutter], [item for item in band if item.left >= gutter]
            blocks += [arrange(side) for side in sides if side]
            blocks += [line.text] if line else []
            band = []
        else:
            band.append(line)
    return "\n".join(blocks)


def _gutter(lines: Sequence[Line], space: float) -> float | None:
    """The middle of the free space between two columns of running text; None where there are none."""
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    narrow = sorted(line for line in lines if line.right - line.left < 0.6 * (right - left))
    reached = left
    for number, line in enumerate(narrow):
        if line.left - reached >= space and _is_text(narrow[:number]) and _is_text(narrow[number:]):
            return (line.left + reached) / 2
        reached = max(reached, line.right)
    return None


def _is_text(lines: Sequence[Line]) -> bool:
    """Whether these are lines of running text: most of them fill their column. Cells of a table do not."""
    if len(lines) < 4:
        return False
    width = max(line.right for line in lines) - min(line.left for line in lines)
    return sum(line.right - line.left > 0.75 * width for line in lines) * 2 > len(lines)


def _rows(lines: Sequence[Line], height: float) -> str:
    """One line of text for each row; an empty line where the space between two rows is that of a paragraph."""
    rows: list[list[Line]] = []
    for line in lines:
        row = rows[-1] if rows else []
        middle = (line.top + line.bottom) / 2
        if row and middle < row[0].bottom and row[0].top < middle:
            row.append(line)
        else:
            rows.append([line])
    text = ""
    bottom = rows[0][0].top
    for row in rows:
        text += "\n" if row[0].top - bottom > 1.2 * height else ""
        text += " ".join(line.text for line in sorted(row)) + "\n"
        bottom = max(line.bottom for line in row)
    return reflow(text.rstrip("\n"))
