"""PowerPoint slides, each one a page: title, texts, tables, diagrams, charts and the speaker's notes.

The XML is read by local names, so that slides of other programs, and strict ones, are read as well. Cells of a row are
separated by tabs: on slides tables mostly arrange things, and a sentence may go through several cells.
"""

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from utils.archives import Archive, local_name
from utils.images import read_pictures
from utils.loaders import Format, Loaded, LoadOptions, Page
from utils.texts import table

FORMATS = (
    Format(
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        ("pptx", "pptm", "ppsx", "ppsm", "potx", "potm"),
        member="ppt/",
    ),
)
TITLES = {"title", "ctrTitle"}
NOT_SAID = {"sldNum", "dt", "ftr", "hdr", "sldImg"}  # placeholders that repeat on every slide
SERIES = ("tx", "cat", "xVal", "val", "yVal")  # of a series of a chart: its name, what is measured, how much
MAX_POINTS = 5_000
FEW_CHARS = 50  # a slide with fewer, and with pictures, is a picture of a slide
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
MARKS = {"br": "\n", "tab": "\t"}


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    with Archive(path) as show:
        names = _slides(show)
    return Loaded(len(names), _pages(path, names, options))


def _pages(path: Path, names: list[str], options: LoadOptions) -> Iterator[Page]:
    with Archive(path) as show:
        for number, name in enumerate(names, 1):
            if number >= options.first_page:
                yield _page(show, name, number, options)


def _page(show: Archive, name: str, number: int, options: LoadOptions) -> Page:
    parts = show.related(name)
    text = "\n\n".join(_slide(show, name, parts))
    pictures = [part for kind, part in parts.values() if kind == "image" and part.endswith(PICTURES) and part in show]
    if len(text) >= FEW_CHARS or not pictures:
        return Page(number, text)
    read = read_pictures(map(show.read, pictures), options.ocr)
    return Page(number, f"{text}\n\n{read}", "ocr") if read.strip() else Page(number, text)


def _slides(show: Archive) -> list[str]:
    """Names of the slides in the order in which they are shown."""
    main = next((name for kind, name in show.related("").values() if kind == "officeDocument"), "ppt/presentation.xml")
    parts = show.related(main)
    ids = [_reference(item) for item in show.xml(main).iter("{*}sldId")] if main in show else []
    names = [parts[id][1] for id in ids if id in parts and parts[id][1] in show]
    loose = [name for name in show.names() if re.fullmatch(r"ppt/slides/slide\d+\.xml", name)]
    return names or sorted(loose, key=lambda name: (len(name), name))


def _reference(item: Any) -> str:
    return next((value for name, value in item.attrib.items() if name.endswith("}id")), "")


def _slide(show: Archive, name: str, parts: dict[str, tuple[str, str]]) -> Iterator[str]:
    texts = list(_texts(show.xml(name), show, parts))
    yield from sorted(texts, key=lambda text: not text.startswith("# "))  # the title first, wherever it was drawn
    for kind, part in parts.values():
        if kind == "notesSlide" and part in show:
            notes = "\n\n".join(text for text in _texts(show.xml(part), show, {}) if not text.startswith("# "))
            if notes:
                yield f"Notes: {notes}"


def _texts(parent: Any, show: Archive, parts: dict[str, tuple[str, str]]) -> Iterator[str]:
    for element in parent:
        tag = local_name(element)
        if tag == "sp":
            yield from _shape(element)
        elif tag == "pic":
            yield from (f"[{name.get('descr')}]" for name in element.iter("{*}cNvPr") if name.get("descr"))
        elif tag == "tbl":
            yield "\n".join(_row(row) for row in element.iter("{*}tr"))
        elif tag in ("chart", "relIds"):
            ids = [value for name, value in element.attrib.items() if name.endswith(("}id", "}dm"))]
            names = [parts[id][1] for id in ids if id in parts]
            yield from (_chart(show.xml(name)) for name in names if name in show)
        elif tag == "AlternateContent":
            yield from _texts(element[:1], show, parts)  # the same again follows, for older programs
        else:
            yield from _texts(element, show, parts)


def _shape(shape: Any) -> Iterator[str]:
    kind = next((item.get("type", "body") for item in shape.iter("{*}ph")), "")
    text = "\n".join(_paragraphs(shape))
    if text and kind in TITLES:
        yield "# " + " ".join(text.split())
    elif text and kind not in NOT_SAID:
        yield text


def _row(row: Any) -> str:
    return "\t".join(" ".join(" ".join(_paragraphs(cell)).split()) for cell in row.iter("{*}tc"))


def _paragraphs(parent: Any) -> Iterator[str]:
    for paragraph in parent.iter("{*}p"):
        text = ""
        for item in paragraph.iter("{*}t", "{*}br", "{*}tab"):
            text += MARKS.get(local_name(item), item.text or "")
        if text.strip():
            yield text


def _chart(root: Any) -> str:
    """The texts of a diagram; or of a chart, whose series become the columns of a table."""
    series = [[_values(part) for part in item if local_name(part) in SERIES] for item in root.iter("{*}ser")]
    columns = [["", *names[:MAX_POINTS]] for _, names, *_ in series[:1] if len(series[0]) > 2]
    columns += [[*parts[0], *parts[-1][:MAX_POINTS]] for parts in series if len(parts) > 1]
    return "\n".join([*_paragraphs(root), table(zip_longest(*columns, fillvalue=""))])


def _values(part: Any) -> list[str]:
    return [item.text or "" for item in part.iter("{*}v")]
