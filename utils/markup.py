"""HTML made into text: everything a reader would see, in its order, with headings, lists and tables in light Markdown."""

import html
import re
from typing import Any

from lxml import etree

from utils.charsets import decode
from utils.errors import DocumentUnreadable
from utils.texts import table

MAX_BYTES = 30_000_000  # of markup; its tree takes some twenty times as much memory
UNSEEN = {"head", "script", "style", "template", "noscript", "svg", "iframe", "object", "audio", "video", "canvas"}
HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
APART = {"blockquote", "dl", "figure", "hr", "ol", "p", "pre", "table", "ul", *HEADINGS}  # an empty line before and after
BLOCKS = APART | {
    *("address", "article", "aside", "body", "br", "caption", "center", "dd", "details", "dialog", "div", "dt", "fieldset"),
    *("figcaption", "footer", "form", "header", "legend", "li", "main", "nav", "option", "section", "select", "summary"),
    *("tbody", "td", "textarea", "tfoot", "th", "thead", "tr"),
}
MAX_ADDRESS = 120  # characters; longer ones are of no use to a reader
XHTML = re.compile(r"\s*<\?xml|[^>]*<html[^>]*http://www\.w3\.org/1999/xhtml")
NAMED_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z][A-Za-z0-9]{1,31};")


def html_text(content: bytes | str, *, links: bool = False, title: bool = True) -> str:
    """The text of a page. With `links`, the words of a link stand in brackets, a web address follows in parentheses."""
    text = (content if isinstance(content, str) else decode(content)).replace("\0", "")
    root = _parse(text)
    page = _Page(links)
    if title:
        name = " ".join("".join(root.xpath("string(//*[local-name()='title'])")).split())
        if name and name not in (" ".join(h.xpath("string()").split()) for h in root.iter("{*}h1")):
            page.lines += [f"# {name}", ""]
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        tag = etree.QName(element).localname.lower()
        if event == "end":
            page.leave(element, tag)
            page.add(element.tail if element is not root else None)
        elif tag in UNSEEN:
            walk.skip_subtree()
        else:
            page.enter(element, tag)
            page.add(element.text)
    page.end_line()
    return "\n".join(page.lines)


def _parse(text: str) -> Any:
    content = text.encode("utf-8", "replace")
    if len(content) > MAX_BYTES:
        raise DocumentUnreadable("too_large")
    limits: dict[str, Any] = {"no_network": True, "huge_tree": True, "remove_comments": True, "remove_pis": True}
    if XHTML.match(text[:2000]):  # as HTML, <title/> would swallow the whole text
        strict = etree.XMLParser(encoding="utf-8", resolve_entities=False, load_dtd=False, **limits)
        try:
            return etree.fromstring(NAMED_ENTITY.sub(lambda name: html.unescape(name[0]), text).encode(), strict)
        except etree.XMLSyntaxError:
            pass
    parser = etree.HTMLParser(encoding="utf-8", **limits)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError:
        root = None
    if any("depth" in error.message for error in parser.error_log.filter_from_fatals()):
        raise DocumentUnreadable("too_complex")  # what comes after is missing
    return etree.Element("html") if root is None else root


class _Page:
    """The lines that were read so far, and what is open: a line, lists, a table, a link."""

    def __init__(self, links: bool) -> None:
        self.lines: list[str] = []
        self._links = links
        self._line: list[str] = []
        self._prefix = ""
        self._kept = 0  # elements open whose white space counts
        self._lists: list[int | None] = []  # number of the last item, None where items have none
        self._rows: list[list[str]] | None = None  # of an open table of data; tables that hold tables are layout
        self._before_cell: list[str] = []
        self._link = (0, 0)

    def add(self, text: str | None) -> None:
        if text:
            self._line.append(text)

    def end_line(self, apart: bool = False) -> None:
        text = "".join(self._line)
        self._line.clear()
        text = text.strip("\n") if self._kept else " ".join(text.replace("\xad", "").split())
        if text.strip():
            self.lines.append(self._prefix + text)
            self._prefix = ""
        if apart and self.lines and self.lines[-1]:
            self.lines.append("")

    def enter(self, element: Any, tag: str) -> None:
        if tag in BLOCKS:
            self.end_line(apart=tag in APART and not self._lists)
        if tag in HEADINGS:
            self._prefix = HEADINGS[tag]
        elif tag in ("ul", "ol"):
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self._prefix = self._item()
        elif tag in ("pre", "textarea"):
            self._kept += 1
        elif tag == "table" and element.find(".//{*}table") is None:
            self._rows = []
        elif self._rows is not None and tag in ("td", "th"):
            self._before_cell, self.lines = self.lines, []
        elif tag == "a":
            self._link = (len(self.lines), len(self._line))

    def leave(self, element: Any, tag: str) -> None:
        if tag == "a" and self._links:
            self._close_link(element.get("href") or "")
        if tag in BLOCKS:
            self.end_line(apart=tag in APART and len(self._lists) < 2)
        if tag in HEADINGS:
            self._prefix = ""
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif tag in ("pre", "textarea"):
            self._kept -= 1
        elif self._rows is not None:
            self._leave_table(self._rows, tag)

    def _leave_table(self, rows: list[list[str]], tag: str) -> None:
        if tag == "tr":
            rows.append([])
        elif tag in ("td", "th"):
            cell, self.lines = " ".join(self.lines), self._before_cell
            if not rows:
                rows.append([])
            rows[-1].append(cell)
        elif tag == "table":
            self._rows = None
            if any(len(row) > 1 for row in rows):
                self.lines += [table(rows), ""]
            else:
                self.lines += [cell for row in rows for cell in row if cell]

    def _item(self) -> str:
        indent = "  " * (len(self._lists) - 1)
        if not self._lists or self._lists[-1] is None:
            return f"{indent}- "
        self._lists[-1] += 1
        return f"{indent}{self._lists[-1]}. "

    def _close_link(self, address: str) -> None:
        lines, start = self._link
        words = "".join(self._line[start:])
        if lines == len(self.lines) and any(map(str.isalnum, words)):
            shown = address.startswith(("http://", "https://")) and len(address) <= MAX_ADDRESS and address not in words
            web = address if shown else ""
            self._line[start:] = [f"[{words.strip()}]" + (f"({web})" if web else "")]
