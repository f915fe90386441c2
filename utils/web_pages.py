"""What a person would read on a fetched page: its title, its text and its links."""

import asyncio
import codecs
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urldefrag, urljoin

from utils.errors import UnsupportedType
from utils.web_utils import Fetched

MAX_HTML_CHARS = 500_000  # a page made to be slow then takes 4 s of a thread
MAX_LINKS = 1_000

_HTML = {"text/html", "application/xhtml+xml", ""}
# libxml2 takes quadratic time over a tag's attributes; a tag this long holds an embedded picture or is an attack
_LONG_TAG = re.compile(r"<[^<>]{8192,}>?")
_META_CHARSET = re.compile(rb"<meta[^<>]{0,300}?charset\s*=\s*[\"']?\s*([\w-]{1,40})", re.IGNORECASE)
# Python has codecs that are no charsets at all, or that take quadratic time: a page may only name one of these
_CHARSETS = re.compile(r"ascii|utf-(8|16|16-[lb]e)|gb\w+|hz|big5\w*|euc_\w+|shift_jis\w*|iso(8859-|2022_)\w+|cp\d+|koi8-\w")
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "ascii": "cp1252", "iso8859-1": "cp1252", "utf-8": "utf-8-sig"}
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


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
        return WebPage(fetched.url, "", decode(fetched.body, fetched.charset).strip())
    raise UnsupportedType(type=kind)


def decode(body: bytes, charset: str | None = None) -> str:
    """Text of the web: by its byte order mark, the charset of its header or of its own meta tag, else UTF-8 or GB18030."""
    meta = _META_CHARSET.search(body[:4096])
    named = [name for mark, name in _MARKS if body.startswith(mark)]
    named += [name for name in (charset, meta and meta[1].decode("ascii")) if name]
    declared = [codec for codec in map(_codec, named) if codec]
    for codec in declared or ["utf-8-sig", "gb18030"]:
        text = _strictly(body, codec)
        if text is not None:
            return text
    return body.decode(declared[0] if declared else "utf-8", "replace")


def _codec(charset: str) -> str | None:
    """The Python codec of a charset's name, None where there is none."""
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return None
    return _SUPERSETS.get(name, name) if _CHARSETS.fullmatch(name) else None


def _strictly(body: bytes, codec: str) -> str | None:
    try:
        return body.decode(codec)
    except UnicodeDecodeError as error:
        if error.start and error.start >= len(body) - 4:  # a limit has cut the last character
            return body[: error.start].decode(codec)
        return None


def _read_html(fetched: Fetched) -> WebPage:
    import trafilatura  # 0.1 s and 28 MB, for workers that visit pages only

    tree = trafilatura.load_html(_LONG_TAG.sub(" ", decode(fetched.body, fetched.charset))[:MAX_HTML_CHARS])
    if tree is None:
        return WebPage(fetched.url, "", "")
    links = _links(tree, fetched.url)
    document = trafilatura.bare_extraction(tree, include_comments=False, include_tables=True, with_metadata=True)
    if document is None:
        return WebPage(fetched.url, "", "", links)
    found = document.as_dict() if not isinstance(document, dict) else document
    return WebPage(fetched.url, found["title"] or "", found["text"] or "", links)


def _links(tree: Any, base: str) -> tuple[str, ...]:
    links = []
    for href in tree.xpath("//a/@href")[:MAX_LINKS]:
        try:
            links.append(urldefrag(urljoin(base, href)).url)
        except ValueError:
            continue  # not a URL
    return tuple(dict.fromkeys(links))
