"""Plain text, Markdown, JSON, XML and source code, in any encoding."""

import html
import json
import re
from pathlib import Path

from utils.charsets import decode
from utils.loaders import Format, Loaded, LoadOptions, Page

PLAIN = """
txt text log asc rst adoc org tex bib srt vtt lrc diff patch cfg conf ini env properties toml yaml yml sql
py pyi rb pl pm php js mjs cjs jsx ts tsx vue svelte java kt kts scala groovy gradle c h cc cpp cxx hpp cs m mm swift go rs
zig dart lua r jl hs ml ex exs erl clj lisp el f f90 pas vb vbs asm s sh bash zsh fish bat cmd ps1 css scss sass less proto
graphql tf cmake make mk dockerfile
"""
FORMATS = (
    Format("text/plain", tuple(PLAIN.split())),
    Format("text/markdown", ("md", "markdown", "mdx", "rmd", "qmd")),
    Format("application/json", ("json", "jsonl", "ndjson", "geojson", "json5")),
    Format(
        "application/xml", ("xml", "rss", "atom", "xsd", "xsl", "xslt", "svg", "kml", "opml"), hint=re.compile(rb"\s*<\?xml")
    ),
)
ESCAPED = re.compile(r"(?<!\\)((?:\\\\)*)((?:\\u(?!00[0-9])[0-9A-Fa-f]{4})+)")

REFERENCE = re.compile(r"&#(?:x[0-9a-f]{2,6}|[0-9]{3,7});", re.IGNORECASE)


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    text = decode(path.read_bytes())
    if media_type == "application/xml":
        text = REFERENCE.sub(_character, text)
    elif media_type == "application/json":  # "\u4e2d\u6587" is found by nobody who looks for 中文
        text = ESCAPED.sub(lambda found: found[1] + json.loads(f'"{found[2]}"'), text)
    return Loaded(None, iter([Page(None, text)]))


def _character(reference: re.Match[str]) -> str:
    """The character that a reference names; one that may mean something in XML stays as it is."""
    character = html.unescape(reference[0])
    return character if character >= "\xa0" else reference[0]
