"""The words around what a picture inside a document says, which are the server's own and no part of a quotation."""

import re

from utils.errors import Language

WORDS: dict[Language, dict[str, str]] = {
    "en": {"seen": "[Picture: ", "text": "Text in the picture:\n", "only_text": "[Picture text:\n"},
    "zh": {"seen": "[图片：", "text": "图中文字：\n", "only_text": "[图片文字：\n"},
}
_OPENING = "|".join(re.escape(word.strip()) for words in WORDS.values() for word in words.values())
_BORDER = re.compile(rf"(?P<opening>{_OPENING})|(?P<left>\[)|(?P<right>\])(?P<last>[ \t]*(?:\n|\Z))?")


def inside(text: str, start: int, end: int) -> tuple[int, int]:
    """The longest part of text[start:end] without these words, and without white space at its beginning and its end."""
    places, depth, first = [], 0, start
    for border in _BORDER.finditer(text, start, end):
        if border["opening"] or (border["right"] and not depth and border["last"] is not None):
            places.append((first, border.start()))
            first = border.end()
        elif border["left"]:
            depth += 1
        elif border["right"]:
            depth -= bool(depth)
    longest, last = max([*places, (first, end)], key=lambda place: place[1] - place[0])
    part = text[longest:last]
    lead = len(part) - len(part.lstrip())
    return longest + lead, longest + max(lead, len(part.rstrip()))
