"""HTML pages."""

import re
from pathlib import Path

from utils.loaders import Format, Loaded, LoadOptions, Page
from utils.markup import html_text

BEGINNING = rb"(?is)\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,4000}?-->\s*)*<(?:!doctype\s+html|html|head|body|title|meta)[\s>]"
FORMATS = (Format("text/html", ("html", "htm", "xhtml", "xht", "shtml"), hint=re.compile(BEGINNING)),)


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    return Loaded(None, iter([Page(None, html_text(path.read_bytes(), links=True))]))
