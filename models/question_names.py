"""Names of documents in a question: whole, quoted, without their extension, or in pieces as in 新旧办法."""

import re
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import PurePath

from models.document_names import FILE
from utils.chinese import simplified

MASK = "\ufffc"  # stands for each character of what was understood
NEAR = 10  # characters between the pieces of a name
PIECES = 50  # documents whose names are looked for in pieces
_QUOTED = r"[《〈「『“\"]\s*{}\s*[》〉」』”\"]"
_JOINED = re.compile(r"^[和与跟及同]+")
_TOKEN = re.compile(r"\d+|[a-zA-Z]+|[^\W\d_a-zA-Z]")
_VERSION = r"(?:年?版本?|年度?)?"
# what makes clear that an ordinary word is a document: where something stands, or what lays something down
_BEFORE = r"(?:根据|按照|依照|依据|遵照|参照|查看|翻看|\b(?:according\s+to|as\s+per|says)(?:\s+the)?\s+)"
_AFTER = r"(?:\s*(?:里|中|内|上(?=[的有写说怎是规])|规定|提到|写[了着明]|要求(?!书)))"
_IN = r"\b(?:in|from)(?:\s+the)?\s+"


class Named:
    """A question whose names of documents are taken out, step by step.

    `text` is what remains, with `MASK` for each character of a name; it is as long as the question.
    """

    def __init__(self, question: str, known: Sequence[str]) -> None:
        self.question, self.text = question, question
        # a pattern takes long to make: those for names of which nothing is in the question are not made
        text = question.lower()
        names = {name: _stem(name) for name in known}
        self.known = sorted((name for name, stem in names.items() if stem.lower() in text), key=len, reverse=True)
        self.others = [name for name in names if name not in self.known]
        self._found: dict[int, str] = {}

    @property
    def names(self) -> list[str]:
        """The names so far, in the order of the question."""
        return list(dict.fromkeys(self._found[place] for place in sorted(self._found)))

    def take_whole(self) -> None:
        """Names with their extensions, known or not, and known ones in quotation marks."""
        for name in self.known:
            self._take(name, re.escape(simplified(name)))
            self._take(name, _QUOTED.format(re.escape(_stem(name))))
        for match in FILE.finditer(self.text):
            name = match[0].lstrip(MASK)
            if self.text[: match.end() - len(name)].endswith(MASK):
                name = _JOINED.sub("", name)
            self._take(self.question[match.end() - len(name) : match.end()], re.escape(name))

    def take_places(self) -> None:
        """Known names without extensions where it is said that something stands in them."""
        for name in self.known:
            if len(stem := _stem(name)) > 1:
                word = _word(stem)
                self._take(name, rf"{_BEFORE}{word}|{word}(?={_AFTER})|{_IN}{word}(?=\s*(?:[,.?!]|$))")

    def take_words(self) -> None:
        """Known names without extensions, wherever they stand."""
        for name in self.known:
            if len(stem := _stem(name)) > 1:
                self._take(name, _word(stem))

    def take_pieces(self) -> None:
        """Known names of which pieces stand apart, as in 新旧办法 or 2024 版和 2025 版手册; only where they are several."""
        pieces = {name: found for name in self.others[:PIECES] if (found := self._pieces(_stem(name)))}
        if len({*self.names, *pieces}) < 2:
            return
        for name, spans in pieces.items():
            if name not in self._found.values():
                self._found.setdefault(min(spans)[0], name)
            for start, end in spans:
                more = re.compile(_VERSION).match(self.question, end)
                self._mask(start, more.end() if more else end)

    def take_part(self) -> None:
        """Words that begin the question and are part of known names: the name, if it is one alone."""
        head = re.match(rf"[^{MASK}\s]{{2,}}", self.text)
        word = head[0].removesuffix("的").removesuffix("中") if head else ""
        fitting = [name for name in self.others if len(word) > 1 and word.lower() in _stem(name).lower()]
        if fitting:
            self._take(fitting[0] if len(fitting) == 1 else word, rf"^{re.escape(word)}")

    def _take(self, name: str, pattern: str) -> None:
        for match in re.finditer(pattern, self.text, re.IGNORECASE):
            self._found[match.start()] = name
            self._mask(*match.span())

    def _mask(self, start: int, end: int) -> None:
        self.text = self.text[:start] + MASK * (end - start) + self.text[end:]

    def _pieces(self, stem: str) -> list[tuple[int, int]]:
        """Where two pieces that make up a name stand near to each other, one of them of two characters at least."""
        tokens, text = _TOKEN.findall(stem), self.question.lower()
        for cut in range(1, len(tokens)):
            head, tail = "".join(tokens[:cut]).lower(), "".join(tokens[cut:]).lower()
            if max(len(head), len(tail)) < 2 or head not in text or tail not in text:
                continue
            pairs = [*product(_places(head, text), _places(tail, text))]
            gap, *spans = min(((max(a[0], b[0]) - min(a[1], b[1]), a, b) for a, b in pairs), default=(NEAR + 1,))
            if 0 <= gap <= NEAR:
                return spans
        return []


def _places(piece: str, text: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer(_word(piece), text):
        yield match.span()


def _word(stem: str) -> str:
    """A pattern for a name that is no part of a longer Latin word or number."""
    return rf"(?<![a-z0-9]){re.escape(stem)}(?![a-z0-9])"


def _stem(name: str) -> str:
    return simplified(PurePath(name).stem)
