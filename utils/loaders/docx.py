"""Word documents: the body's XML in its order, with everything that Word shows; what was deleted is left out.

Headings become `#`, list items carry the number that Word draws, notes stand below their paragraph. Headers and footers come
once each, on a page of their own behind the body. Cells of a row are separated by tabs: tables in Word mostly arrange text,
and a sentence may go through several cells. Elements are known by their local names, so that documents of other programs,
and strict ones, are read as well.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from utils.archives import Archive, local_name
from utils.errors import DocumentUnreadable
from utils.images import read_pictures
from utils.loaders import Format, Loaded, LoadOptions, Page
from utils.pictures import FEW_CHARS as FEW_READ
from utils.pictures import Pictures, key_of, picture_of, without_marks
from utils.word_lists import BULLET, Lists
from utils.word_styles import Style, child, read_styles, value

FORMATS = (
    Format(
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ("docx", "docm", "dotx", "dotm"),
        member="word/",
    ),
)
UNSEEN = {
    "del",
    "moveFrom",
    "instrText",
    "delText",
    "pPr",
    "rPr",
    "tblPr",
    "tblGrid",
    "trPr",
    "tcPr",
    "sdtPr",
    "rt",
    "Fallback",
}
MARKS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
PICTURES = ("blip", "imagedata")
NOTES = {"footnoteReference": "footnotes", "endnoteReference": "endnotes"}
SHORT_ROW = 200  # characters; the cells of a longer row with several paragraphs are set below each other
FEW_CHARS = 20  # a document with fewer, and with pictures, is a scan
PICTURE = re.compile(r"word/media/.*\.(?:png|jpe?g|gif|bmp|tiff?|webp)")
LEAST_SPACE = 457_200  # EMU, half an inch; what is drawn smaller is an icon
MAX_PICTURES = 2_000  # that are looked at in one document


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    return Loaded(None, _pages(path, options))


def _pages(path: Path, options: LoadOptions) -> Iterator[Page]:
    with Archive(path) as archive:
        document = _Document(archive, options.pictures)
        text = "\n\n".join(document.blocks())
        plain = without_marks(text)
        scans = [] if len(plain) >= FEW_CHARS else list(filter(PICTURE.fullmatch, archive.names()))
        if scans:
            read = read_pictures(map(archive.read, scans), options.ocr)
            method: Literal["text", "ocr"] = "text" if plain.strip() and not read.strip() else "ocr"
            yield Page(None, f"{text if len(read) < FEW_READ else plain}\n\n{read}", method)
        else:
            yield Page(None, text)
        if beside := "\n\n".join(document.headers_and_footers()):
            yield Page(None, beside, apart=True)


class _Drawings:
    """The pictures of the main part, each with its mark."""

    def __init__(self, archive: Archive, main: str, kept: Pictures | None) -> None:
        self._archive, self._kept = archive, kept
        parts = archive.related(main).items() if kept else ()
        self._names = {id: name for id, (kind, name) in parts if kind == "image" and PICTURE.fullmatch(name)}
        self._marks: dict[str, str] = {}

    def mark(self, element: Any) -> str:
        """The mark of the picture that `a:blip` or `v:imagedata` shows; empty where none is kept.

        Headers and notes name their pictures by numbers of their own, and in headers they are logos.
        """
        if local_name(element.getroottree().getroot()) != "document":
            return ""
        name = self._names.get(value(element, "embed") or value(element, "id"), "")
        if name in self._archive and name not in self._marks and len(self._marks) < MAX_PICTURES:
            self._marks[name] = self._taken_in(name)
        return self._marks.get(name, "")

    def _taken_in(self, name: str) -> str:
        if self._kept is None or self._kept.full:
            return ""
        try:
            content = self._archive.read(name)
        except DocumentUnreadable:  # it swells, or it is damaged
            return self._kept.mark(key_of(name.encode()), lambda: None)
        return self._kept.mark(key_of(content), partial(picture_of, content))


class _Beside(NamedTuple):
    """What hangs on a paragraph: text boxes, notes, and the marks of pictures."""

    boxes: list[Any]
    notes: list[Any]
    marks: list[str]


class _Document:
    """Turns the parts of one document into blocks of text."""

    def __init__(self, archive: Archive, pictures: Pictures | None) -> None:
        self._archive = archive
        roots = [name for kind, name in archive.related("").values() if kind == "officeDocument"]
        self._main = next(name for name in (*roots, "word/document.xml") if name in archive)
        self._parts = list(archive.related(self._main).values())
        self._drawings = _Drawings(archive, self._main, pictures)
        self._styles = read_styles(self._part("styles"))
        self._lists = Lists(self._part("numbering"))
        self._notes = {kind: self._read_notes(kind) for kind in NOTES.values()}
        self._noted = 0
        self._titled = 0  # 1 below a title: then the highest headings are second to it

    def blocks(self) -> Iterator[str]:
        """Every paragraph and every table of the body."""
        for element in self._archive.elements(self._main, "p", "tbl", "sdt"):
            yield from self._blocks(element)

    def headers_and_footers(self) -> Iterator[str]:
        """Those of all sections, those that are the same once; bare numbers of pages are left out."""
        names = dict.fromkeys(
            name for kind in ("header", "footer") for k, name in self._parts if k == kind and name in self._archive
        )
        texts = ("\n".join(self._blocks(self._archive.xml(name))) for name in names)
        yield from dict.fromkeys(text for text in texts if any(map(str.isalpha, text)))

    def _part(self, kind: str) -> Any:
        name = next((name for k, name in self._parts if k == kind and name in self._archive), None)
        return self._archive.xml(name) if name else None

    def _read_notes(self, kind: str) -> dict[str, Any]:
        root = self._part(kind)
        return {} if root is None else {value(item, "id"): item for item in root}

    def _blocks(self, element: Any) -> Iterator[str]:
        tag = local_name(element)
        if tag == "p":
            yield from self._paragraph(element)
        elif tag == "tbl":
            yield self._table(element)
        elif tag not in UNSEEN:
            for child in element:
                yield from self._blocks(child)

    def _paragraph(self, paragraph: Any) -> Iterator[str]:
        beside = _Beside([], [], [])
        text = "".join(self._inline(paragraph, beside)).strip("\n")
        lead = self._lead(paragraph) if text.strip() else ""
        text = (lead + (text.strip() if lead else text) if text.strip() else "") + "".join(beside.marks)
        if text:
            yield text
        for box in beside.boxes:
            yield from self._blocks(box)
        for note in beside.notes:
            self._noted += 1
            yield f"[{self._noted}] " + " ".join(block.strip() for block in self._blocks(note))

    def _inline(self, parent: Any, beside: _Beside) -> Iterator[str]:
        for element in parent:
            tag = local_name(element)
            if tag == "t":
                yield element.text or ""
            elif tag in MARKS:
                yield MARKS[tag]
            elif tag == "txbxContent":
                beside.boxes.append(element)
            elif tag in PICTURES:
                beside.marks.append(self._drawings.mark(element))
            elif tag in NOTES:
                note = self._notes[NOTES[tag]].pop(value(element, "id"), None)
                beside.notes.extend([] if note is None else [note])
            elif tag == "AlternateContent":
                yield from self._inline(_chosen(element), beside)
            elif tag not in UNSEEN and not _is_icon(element):
                yield from self._inline(element, beside)

    def _lead(self, paragraph: Any) -> str:
        """What stands before the text: the marks of a heading, the number or the dash of a list."""
        if child(paragraph, "pPr") is None:
            return ""
        named = child(paragraph, "pPr", "pStyle")
        name = "" if named is None else value(named)
        style = Style.of(paragraph).over(self._styles.get(name, Style()))
        level = self._lists.level_of_style(style.list_number, name) if style.list_level is None else style.list_level
        label = self._lists.label(style.list_number, level)
        if style.heading is not None and style.heading < 9:
            return self._hashes(style.heading) + " " + (f"{label} " if label and label != BULLET else "")
        return "  " * level + f"{label} " if label else ""

    def _hashes(self, level: int) -> str:
        """The mark of a heading, of the document's title, or of a subtitle, which is second to it."""
        if level < 0:
            self._titled = 1
            return "#" * (level + 3)
        return "#" * min(level + 1 + self._titled, 6)

    def _table(self, table: Any) -> str:
        lines = []
        for row in _inside(table, "tr"):
            cells = [[text for text in self._blocks(cell) if text.strip()] for cell in _inside(row, "tc")]
            paragraphs = [text for cell in cells for text in cell]
            if sum(map(len, paragraphs)) > SHORT_ROW and len(paragraphs) > len(cells):
                lines += paragraphs
            elif paragraphs and child(row, "trPr", "del") is None:
                lines.append("\t".join(" ".join(" ".join(cell).split()) for cell in cells))
        return "\n".join(lines)


def _inside(parent: Any, tag: str) -> Iterator[Any]:
    """The rows of a table or the cells of a row, be they in content controls; not those of tables inside."""
    for element in parent:
        if local_name(element) == tag:
            yield element
        elif local_name(element) in ("sdt", "sdtContent", "customXml", "ins", "moveTo"):
            yield from _inside(element, tag)


def _is_icon(element: Any) -> bool:
    """Whether this is a drawing that is too small to say anything."""
    if local_name(element) not in ("inline", "anchor"):
        return False
    extent = child(element, "extent")
    sides = [value(extent, name) for name in ("cx", "cy")] if extent is not None else []
    return any(side.isdecimal() and int(side) < LEAST_SPACE for side in sides)


def _chosen(alternatives: Any) -> Any:
    """Of the same thing for newer and for older programs the first that holds text, else the first that holds a picture."""
    for tags in (("{*}t",), tuple(f"{{*}}{tag}" for tag in PICTURES)):
        for branch in alternatives:
            if next(branch.iter(*tags), None) is not None:
                return branch
    return ()
