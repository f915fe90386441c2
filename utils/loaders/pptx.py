"""PowerPoint slides, each one a page: title, texts, tables, diagrams, charts and the speaker's notes.

The XML is read by local names, so that slides of other programs, and strict ones, are read as well. Cells of a row are
separated by tabs: on slides tables mostly arrange things, and a sentence may go through several cells.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lxml import etree

from utils.loaders import Format, Loaded, LoadOptions, Page

if TYPE_CHECKING:
    from utils.archives import Archive

FORMATS = (
    Format(
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        ("pptx", "pptm", "ppsx", "ppsm", "potx", "potm"),
        member="ppt/",
    ),
)
TITLES = {"title", "ctrTitle"}
NOT_SAID = {"sldNum", "dt", "ftr", "hdr", "sldImg"}  # placeholders that repeat on every slide
MAX_TEXTS = 10_000  # of a chart


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    from utils.archives import Archive

    with Archive(path) as show:
        names = _slides(show)
    return Loaded(len(names), _pages(path, names))


def _pages(path: Path, names: list[str]) -> Iterator[Page]:
    from utils.archives import Archive

    with Archive(path) as show:
        for number, name in enumerate(names, 1):
            yield Page(number, "\n\n".join(_slide(show, name)))


def _slides(show: "Archive") -> list[str]:
    """Names of the slides in the order in which they are shown."""
    main = next((name for kind, name in show.related("").values() if kind == "officeDocument"), "ppt/presentation.xml")
    parts = show.related(main)
    ids = [_reference(item) for item in show.xml(main).iter("{*}sldId")] if main in show else []
    names = [parts[id][1] for id in ids if id in parts and parts[id][1] in show]
    loose = [name for name in show.names() if re.fullmatch(r"ppt/slides/slide\d+\.xml", name)]
    return names or sorted(loose, key=lambda name: (len(name), name))


def _reference(item: Any) -> str:
    return next((value for name, value in item.attrib.items() if name.endswith("}id")), "")


def _slide(show: "Archive", name: str) -> Iterator[str]:
    parts = show.related(name)
    texts = list(_texts(show.xml(name), show, parts))
    yield from sorted(texts, key=lambda text: not text.startswith("# "))  # the title first, wherever it was drawn
    for kind, part in parts.values():
        if kind == "notesSlide" and part in show:
            notes = "\n\n".join(text for text in _texts(show.xml(part), show, {}) if not text.startswith("# "))
            if notes:
                yield f"Notes: {notes}"


def _texts(parent: Any, show: "Archive", parts: dict[str, tuple[str, str]]) -> Iterator[str]:
    for element in parent:
        tag = _tag(element)
        if tag == "sp":
            yield from _shape(element)
        elif tag == "tbl":
            rows = ("\t".join(" ".join(_paragraphs(cell)) for cell in row.iter("{*}tc")) for row in element.iter("{*}tr"))
            yield "\n".join(row for row in rows if row.strip())
        elif tag in ("chart", "relIds"):
            yield from _drawing(element, show, parts)
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


def _paragraphs(parent: Any) -> Iterator[str]:
    for paragraph in parent.iter("{*}p"):
        pieces = {"t": lambda item: item.text or "", "br": lambda item: "\n", "tab": lambda item: "\t"}
        text = "".join(pieces[_tag(item)](item) for item in paragraph.iter() if _tag(item) in pieces)
        if text.strip():
            yield text


def _drawing(element: Any, show: "Archive", parts: dict[str, tuple[str, str]]) -> Iterator[str]:
    """The texts of a chart or of a diagram, which are parts of their own."""
    ids = [value for name, value in element.attrib.items() if name.endswith(("}id", "}dm"))]
    for _, part in (parts[id] for id in ids if id in parts):
        if part in show:
            root = show.xml(part)
            found = list(_paragraphs(root)) or []
            found += [item.text for item in root.iter("{*}v") if item.text][:MAX_TEXTS]
            yield "\n".join(found)


def _tag(element: Any) -> str:
    return "" if callable(element.tag) else str(etree.QName(element).localname)
