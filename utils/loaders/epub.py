"""Books in EPUB, chapter by chapter in the order of the spine."""

import posixpath
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from utils.archives import Archive
from utils.errors import DocumentUnreadable
from utils.loaders import Format, Loaded, LoadOptions, Page
from utils.markup import html_text

FORMATS = (Format("application/epub+zip", ("epub",), member="META-INF/container.xml"),)
CONTAINER = "META-INF/container.xml"
PROTECTED = "META-INF/encryption.xml"


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    return Loaded(None, _chapters(path))


def _chapters(path: Path) -> Iterator[Page]:
    with Archive(path) as book:
        package = next(book.xml(CONTAINER).iter("{*}rootfile")).get("full-path", "")
        opf = book.xml(package)
        files = {item.get("id"): item.get("href", "") for item in opf.iter("{*}item")}
        folder = posixpath.dirname(package)
        names = [
            posixpath.normpath(posixpath.join(folder, unquote(files.get(item.get("idref"), ""))))
            for item in opf.iter("{*}itemref")
        ]
        locked = {item.get("URI") for item in book.xml(PROTECTED).iter("{*}CipherReference")} if PROTECTED in book else set()
        if locked & set(names):
            raise DocumentUnreadable("encrypted")
        for name in dict.fromkeys(names):
            if name in book:
                yield Page(None, html_text(book.read(name), title=False))
