"""Tables of separated values, as Markdown."""

import csv
import io
from pathlib import Path

from utils.charsets import decode
from utils.loaders import Format, Loaded, LoadOptions, Page
from utils.texts import table

FORMATS = (
    Format("text/csv", ("csv",)),
    Format("text/tab-separated-values", ("tsv", "tab")),
)
SEPARATORS = ",\t;|"
LONGEST_CELL = 1_000_000  # characters


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    text = decode(path.read_bytes())
    return Loaded(None, iter([Page(None, _table(text) or text)]))


def _table(text: str) -> str:
    """The table; empty where there is only one column or the quotes do not match."""
    csv.field_size_limit(LONGEST_CELL)
    sample = text[:20_000].splitlines()[:50]
    separator = max(SEPARATORS, key=lambda mark: sum(mark in line for line in sample))
    if not any(separator in line for line in sample):
        return ""
    try:
        return table(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error:
        return ""
