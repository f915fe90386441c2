"""Names of documents, as people and models write them."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
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
LEAD = re.compile(
    r".*(?:比较|对比|总结|概括|概述|归纳|说明|请问?|一下|查[看询]?|看看?|读[读取]?|根据|按照|关于|[和与跟及在对从把将给])"
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


def own_first(documents: Sequence[ReadyDocument], own: Sequence[ReadyDocument]) -> list[ReadyDocument]:
    """The documents without those that have the name of an `own` one: what a session holds itself is meant first."""
    mine = {document.id for document in own}
    names = {folded(document.filename) for document in own}
    return [one for one in documents if one.id in mine or folded(one.filename) not in names]


def like(name: str, documents: Sequence[ReadyDocument]) -> list[ReadyDocument]:
    """The documents of whose names, without their extensions, this is a part."""
    part = stem(name) if FILE.fullmatch(name.strip()) else folded(name)
    return [document for document in documents if part in _stem(document)] if len(part) > 1 else []


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
        hits = hits or _behind_words(folded(name), tables[1])
        found |= {document.id: document for document in hits}
        if not hits:
            unknown.append(name)
    return list(found.values()), unknown


def _behind_words(name: str, table: Mapping[str, list[ReadyDocument]]) -> list[ReadyDocument]:
    """The documents whose name ends this one, where only words of a sentence stand before it."""
    ends = [known for known in table if name.endswith(known) and LEAD.fullmatch(name.removesuffix(known))]
    return table[max(ends, key=len)] if ends else []


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
