"""The words around what a picture inside a document says, which are the server's own and no part of a quotation."""

import re

from utils.errors import Language

WORDS: dict[Language, dict[str, str]] = {
    "en": {"seen": "[Picture: ", "text": "Text in the picture:\n", "only_text": "[Picture text:\n"},
    "zh": {"seen": "[图片：", "text": "图中文字：\n", "only_text": "[图片文字：\n"},
}
_OPENING = re.compile(
    rf"\s*(?:{'|'.join(re.escape(word.strip()) for words in WORDS.values() for word in words.values())})\s*"
)


def inside(text: str, start: int, end: int) -> tuple[int, int]:
    """The part of text[start:end] without these words, and without white space, at its beginning and its end."""
    while opening := _OPENING.match(text, start, end):
        start = opening.end()
    part = text[start:end].rstrip()
    if part.endswith("]") and part.count("]") > part.count("["):
        part = part[:-1].rstrip()
    lead = len(part) - len(part.lstrip())
    return start + lead, start + max(lead, len(part))
