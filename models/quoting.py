"""Reads the passages in what a tool returned, and the words of a question, for answers without a model."""

import re
import unicodedata
from dataclasses import dataclass

MOST = 3  # passages that are quoted

_AFTER_NAME = re.compile(r"，第 \d+ 页|, page \d+| · ")
HEADER = re.compile(r"^\[(\d{1,3})\][ \t]*(\S[^\n]*)$", re.MULTILINE)
SENTENCE = re.compile(r"[^。！？；!?\n]*?(?:[。！？；!?]+|\.(?=\s)|\n+|\Z)", re.DOTALL)
WORD = re.compile(r"[a-z0-9]+|[\u3400-\u9fff\uf900-\ufaff]+")
EMPTY_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a about an and any are as at be by can could did do does for from has have how i in is it its me my of on or our
        please say says that the their there these this those to us was we were what when where which who whom whose why
        will with would you your""",
    )
)
EMPTY_CHARACTERS = frozenset(
    "的了在是有和与及或吗呢吧啊呀我你您他她它们这那哪些么什怎几多少个请问为何谁对从到被把就都也还很"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A passage as it was written for a model: its number, where it stands, what it says."""

    number: int
    place: str
    text: str

    @property
    def filename(self) -> str:
        return _AFTER_NAME.split(self.place, maxsplit=1)[0]


def passages_in(text: str) -> list[Found]:
    """The passages in a result of a tool. Only the next number opens a passage, so that references in a text do not."""
    headers: list[re.Match[str]] = []
    for match in HEADER.finditer(text):
        begins = match.start() == 0 or text[: match.start()].endswith("\n\n")
        if begins and (not headers or int(match[1]) == int(headers[-1][1]) + 1):
            headers.append(match)
    ends = [match.start() for match in headers[1:]] + [len(text)]
    return [Found(int(m[1]), m[2].strip(), text[m.end() : end].strip()) for m, end in zip(headers, ends, strict=False)]


def terms(text: str) -> set[str]:
    """The words of a text that say something: beginnings of English words, pairs of Chinese characters."""
    found = set()
    for word in WORD.findall(unicodedata.normalize("NFKC", text).lower()):
        if word[0].isascii():
            if word not in EMPTY_WORDS:
                found.add(word.rstrip("s")[:6] or word)
        else:
            pairs = [word[n : n + 2] for n in range(len(word) - 1)] or [word]
            found.update(pair for pair in pairs if not EMPTY_CHARACTERS & set(pair))
    return found


def opening(text: str, chars: int) -> str:
    """The beginning of a text, of whole sentences where they are short; it ends in `…` when something is left out."""
    if len(text) <= chars:
        return text
    ends = [match.end() for match in SENTENCE.finditer(text, 0, chars + 1) if 0 < match.end() <= chars]
    return text[: ends[-1] if ends else chars].rstrip() + "…"
