"""Names of documents, as people and models write them."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import PurePath

from models.conversations import ReadyDocument
from utils.errors import Language

NAMES_CHARS = 1_500  # of a list of names
QUOTES = "\"'`“”‘’「」『』《》〈〉【】<>"
FILE = re.compile(  # a name with its extension; Chinese text has no blanks around it
    r"[^\s，。？！、；：,;:?!\"“”《》<>()（）]+?\.(?:pdf|docx?|pptx?|xlsx?|csv|txt|md|html?|eml|epub|ipynb|png|jpe?g|tiff?|json|xml)"
    r"(?![a-z0-9]|\.[a-z])",
    re.IGNORECASE,
)
MORE = {"en": "… and {} more", "zh": "……以及另外 {} 份"}
NO_SUCH = {
    "en": "There is no document {names}. The documents are:\n{known}",
    "zh": "没有名为 {names} 的文档。现有文档：\n{known}",
}


def folded(name: str) -> str:
    """A name without what people do not care about: case, full and half width, quotation marks, white space."""
    plain = unicodedata.normalize("NFKC", name).strip().strip(QUOTES + unicodedata.normalize("NFKC", QUOTES))
    return " ".join(plain.split()).casefold()


def stem(name: str) -> str:
    """The name, folded, without its extension."""
    return PurePath(folded(name)).stem


def named(names: Sequence[str], documents: Sequence[ReadyDocument]) -> tuple[list[ReadyDocument], list[str]]:
    """The documents with these names or ids, in the order of the names, and the names that none has.

    A name without its extension will do. Of several documents with one name all are meant.
    """
    tables = [_by(documents, key) for key in (_id, _filename, _stem)]
    found: dict[str, ReadyDocument] = {}
    unknown = []
    for name in names:
        keys = (name.strip(), folded(name), folded(name))
        hits = next((table[key] for table, key in zip(tables, keys, strict=True) if key in table), [])
        found |= {document.id: document for document in hits}
        if not hits:
            unknown.append(name)
    return list(found.values()), unknown


def _id(document: ReadyDocument) -> str:
    return document.id


def _filename(document: ReadyDocument) -> str:
    return folded(document.filename)


def _stem(document: ReadyDocument) -> str:
    return stem(document.filename)


def _by(documents: Sequence[ReadyDocument], key: Callable[[ReadyDocument], str]) -> dict[str, list[ReadyDocument]]:
    table = defaultdict(list)
    for document in documents:
        table[key(document)].append(document)
    return dict(table)


def listed(names: Sequence[str], language: Language, chars: int = NAMES_CHARS) -> str:
    """Names in lines `- name`, cut where there are too many of them to read."""
    lines = []
    for number, name in enumerate(names):
        line = f"- {' '.join(name.split())}"
        chars -= len(line) + 1
        if chars < 0 and number:
            lines.append(MORE[language].format(len(names) - number))
            break
        lines.append(line)
    return "\n".join(lines)


def no_such(names: Sequence[str], documents: Sequence[ReadyDocument], language: Language) -> str:
    """Says that there are no documents with these names, and which there are."""
    quoted = ("、" if language == "zh" else ", ").join(f"“{name}”" for name in names)
    return NO_SUCH[language].format(names=quoted, known=listed([document.filename for document in documents], language))


def is_no_such(text: str) -> bool:
    """Whether a text begins with what `no_such` says."""
    return text.startswith(tuple(words.partition("{")[0] for words in NO_SUCH.values()))
