"""What a person would read on a fetched page: its title, its text and its links."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urldefrag, urljoin

from utils.charsets import decode
from utils.errors import UnsupportedType
from utils.texts import clean
from utils.web_utils import Fetched

MAX_HTML_CHARS = 500_000  # with the limit of tags, a page made to be slow takes some 2 s of a thread
MAX_TAGS = 30_000
MAX_LINKS = 1_000

_HTML = {"text/html", "application/xhtml+xml", ""}
# libxml2 takes quadratic time over a tag's attributes; a tag this long holds an embedded picture or is an attack
_LONG_TAG = re.compile(r"<[^<>]{8192,}>?")


@dataclass(frozen=True, slots=True)
class WebPage:
    """`text` is empty where nothing is meant to be read; `links` are absolute, without fragments, in their order."""

    url: str
    title: str
    text: str
    links: tuple[str, ...] = ()


async def read_page(fetched: Fetched) -> WebPage:
    """Takes the readable part out of a page, in a thread. Raises UnsupportedType for what is neither HTML, text nor JSON."""
    kind = fetched.media_type
    if kind in _HTML:
        return await asyncio.to_thread(_read_html, fetched)
    if kind.startswith("text/") or kind.endswith(("/json", "+json", "/xml", "+xml")):
        return WebPage(fetched.url, "", clean(await asyncio.to_thread(text_of, fetched)).strip())
    raise UnsupportedType(type=kind)


def text_of(fetched: Fetched) -> str:
    """The characters of an answer that is text."""
    return decode(fetched.body, fetched.charset or "")


def _read_html(fetched: Fetched) -> WebPage:
    import trafilatura  # with lxml 0.1 s and 28 MB, for workers that visit pages only
    from lxml import etree, html

    source = _LONG_TAG.sub(" ", text_of(fetched))[:MAX_HTML_CHARS]
    source = "<".join(source.split("<", MAX_TAGS)[:MAX_TAGS])
    try:
        tree = html.document_fromstring(source.encode("utf-8", "replace"), parser=html.HTMLParser(encoding="utf-8"))
    except etree.ParserError:  # nothing at all
        return WebPage(fetched.url, "", "")
    links = _links(tree, fetched.url)
    document = trafilatura.bare_extraction(tree, include_comments=False, include_tables=True, with_metadata=True)
    if document is None:
        return WebPage(fetched.url, "", "", links)
    found = document if isinstance(document, dict) else document.as_dict()
    title = " ".join(clean(found["title"] or "").split())
    return WebPage(fetched.url, title, clean(found["text"] or "").strip(), links)


def _links(tree: Any, base: str) -> tuple[str, ...]:
    links = []
    for href in tree.xpath("//a/@href")[:MAX_LINKS]:
        try:
            links.append(urldefrag(urljoin(base, href)).url)
        except ValueError:
            continue  # not a URL
    return tuple(dict.fromkeys(links))
