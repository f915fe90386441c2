"""Jupyter notebooks: text, code and the text that the code printed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from utils.charsets import decode
from utils.loaders import Format, Loaded, LoadOptions, Page

FORMATS = (
    Format("application/x-ipynb+json", ("ipynb",), hint=re.compile(rb'(?s)\s*\{.*"(?:cells|nbformat|worksheets)"\s*:')),
)
LONGEST_OUTPUT = 5_000  # characters


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    book = json.loads(decode(path.read_bytes()))
    cells = [*book.get("cells", []), *(cell for sheet in book.get("worksheets", []) for cell in sheet.get("cells", []))]
    language = book.get("metadata", {}).get("kernelspec", {}).get("language") or "python"
    text = "\n\n".join(part for cell in cells for part in _parts(cell, str(language)) if part.strip())
    return Loaded(None, iter([Page(None, text)]))


def _parts(cell: dict[str, Any], language: str) -> Iterator[str]:
    source = _joined(cell.get("source", cell.get("input", "")))
    if cell.get("cell_type") == "heading":
        source = "#" * int(cell.get("level", 1)) + " " + source
    yield f"```{language}\n{source}\n```" if cell.get("cell_type") == "code" and source.strip() else source
    for output in cell.get("outputs", []):
        yield _joined(output.get("text") or output.get("data", {}).get("text/plain", ""))[:LONGEST_OUTPUT]


def _joined(text: Any) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text)
