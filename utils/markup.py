"""HTML made into text: everything a reader would see, in its order, with headings, lists and tables in light Markdown."""

import html
import re
from contextlib import suppress
from typing import Any

from lxml import etree

from utils.charsets import decode
from utils.texts import table

UNSEEN = {"script", "style", "template", "noscript", "svg", "iframe", "object", "audio", "video", "canvas"}
HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
APART = {"blockquote", "dl", "figure", "hr", "ol", "p", "pre", "table", "ul", *HEADINGS}  # an empty line before and after
BLOCKS = APART | {
    *("address", "article", "aside", "body", "br", "caption", "center", "dd", "details", "dialog", "div", "dt", "fieldset"),
    *("figcaption", "footer", "form", "header", "legend", "li", "main", "nav", "option", "section", "select", "summary"),
    *("tbody", "td", "textarea", "tfoot", "th", "thead", "tr"),
}
MAX_ADDRESS = 120  # characters; longer ones are of no use to a reader
XHTML = re.compile(r"\s*<\?xml|[^>]*<html[^>]*http://www\.w3\.org/1999/xhtml")
LONG_TAG = re.compile(r"<([A-Za-z][\w:-]*)[^<>]{20000,}>")  # pictures inside the page; a million attributes
NAMED_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z][A-Za-z0-9]{1,31};")


def html_text(content: bytes | str, *, links: bool = False, title: bool = True) -> str:
    """The text of a page. With `links`, the words of a link stand in brackets, a web address follows in parentheses."""
    text = (content if isinstance(content, str) else decode(content)).replace("\0", "")
    text = LONG_TAG.sub(r"<\1>", text)
    page = _read_xhtml(text, links) if XHTML.match(text[:2000]) else None
    page = page or _read_html(text, links)
    shown = [f"# {page.title}", ""] if title and page.title and page.title not in page.topics else []
    return "\n".join(shown + page.lines)


def _read_xhtml(text: str, links: bool) -> "_Page | None":
    """By the rules of XML, without which <title/> swallows the whole text; None where the page breaks them."""
    page = _Page(links)
    known = NAMED_ENTITY.sub(lambda name: html.unescape(name[0]), text)
    parser = etree.XMLParser(target=page, encoding="utf-8", resolve_entities=False, load_dtd=False, no_network=True)
    try:
        etree.fromstring(known.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError:
        return None
    return page


def _read_html(text: str, links: bool) -> "_Page":
    page = _Page(links)
    with suppress(etree.XMLSyntaxError):  # an empty page
        etree.fromstring(text.encode("utf-8", "replace"), etree.HTMLParser(target=page, encoding="utf-8", huge_tree=True))
    return page


class _Page:
    """Takes the events of a parser, so that no tree is made, however large or deep the page is."""

    def __init__(self, links: bool) -> None:
        self.lines: list[str] = []
        self.title = ""
        self.topics: list[str] = []
        self._links = links
        self._line: list[str] = []
        self._prefix = ""
        self._unseen = 0  # elements open, from one that is not shown on
        self._in_title = False
        self._kept = 0  # elements open whose white space counts
        self._lists: list[int | None] = []  # number of the last item, None where items have none
        self._rows: list[list[str]] | None = None  # of an open table of data; tables that hold tables are layout
        self._before_cell: list[str] | None = None  # the lines before an open cell of it
        self._addresses: list[tuple[str, int, int]] = []  # of the links that are open, and where their words begin

    def start(self, name: str, attributes: Any) -> None:
        tag = name.rpartition("}")[2].lower()
        if self._unseen or tag in UNSEEN:
            self._unseen += 1
            return
        self._in_title = tag == "title"
        if tag in BLOCKS:
            self._end_line(apart=tag in APART and not self._lists)
        if tag in HEADINGS:
            self._prefix = HEADINGS[tag]
        elif tag in ("ul", "ol"):
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self._prefix = self._item()
        elif tag in ("pre", "textarea"):
            self._kept += 1
        elif tag == "a":
            self._addresses.append((attributes.get("href") or "", len(self.lines), len(self._line)))
        else:
            self._open_table(tag)

    def end(self, name: str) -> None:
        tag = name.rpartition("}")[2].lower()
        if self._unseen:
            self._unseen -= 1
            return
        self._in_title = False
        if tag == "a" and self._addresses:
            self._close_link(*self._addresses.pop())
        if tag in BLOCKS:
            self._end_line(apart=tag in APART and len(self._lists) < 2)
        if tag in HEADINGS:
            self._prefix = ""
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif tag in ("pre", "textarea"):
            self._kept = max(0, self._kept - 1)
        elif self._rows is not None:
            self._close_table(self._rows, tag)

    def data(self, text: str) -> None:
        if self._in_title:
            self.title = " ".join(f"{self.title} {text}".split())
        elif not self._unseen:
            self._line.append(text)

    def close(self) -> None:
        self._end_line()

    def _end_line(self, apart: bool = False) -> None:
        text = "".join(self._line)
        self._line.clear()
        text = text.strip("\n") if self._kept else " ".join(text.replace("\xad", "").split())
        if text.strip():
            self.lines.append(self._prefix + text)
            if self._prefix == HEADINGS["h1"]:
                self.topics.append(text)
            self._prefix = ""
        if apart and self.lines and self.lines[-1]:
            self.lines.append("")

    def _open_table(self, tag: str) -> None:
        if tag == "table":
            if self._rows is not None:  # the outer one is layout: its cells so far become lines
                cells = [cell for row in self._rows for cell in row if cell]
                self.lines = (
                    (self._before_cell or []) + cells + self.lines if self._before_cell is not None else self.lines + cells
                )
                self._before_cell = None
            self._rows = []
        elif self._rows is not None and tag in ("td", "th") and self._before_cell is None:
            self._before_cell, self.lines = self.lines, []

    def _close_table(self, rows: list[list[str]], tag: str) -> None:
        if tag == "tr":
            rows.append([])
        elif tag in ("td", "th") and self._before_cell is not None:
            cell, self.lines, self._before_cell = " ".join(filter(None, self.lines)), self._before_cell, None
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

    def _close_link(self, address: str, lines: int, start: int) -> None:
        words = "".join(self._line[start:])
        if self._links and lines == len(self.lines) and any(map(str.isalnum, words)):
            shown = address.startswith(("http://", "https://")) and len(address) <= MAX_ADDRESS and address not in words
            self._line[start:] = [f"[{words.strip()}]" + (f"({address})" if shown else "")]
