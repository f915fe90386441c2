"""What has the form of a citation's marker, and where a bracket means something else."""

import re

LONGEST = 40  # characters between the brackets; a list of ten numbers has them

CLOSING = {"[": "]", "［": "］", "【": "】", "〔": "〕"}
_LABELS = (
    *("参考资料", "参考文献", "参考", "来源", "资料", "引用", "出处", "段落", "文献", "文档"),
    *("sources", "source", "citations", "citation", "cite", "references", "reference", "refs", "ref", "passages", "passage"),
    *("document", "doc"),
)
_RANGE = r"[ \t]?[-–—~～至][ \t]?"
_COMMA = r"[ \t]?(?:[,，、;；&和与]|and(?=[ \t]))[ \t]?"
_ITEM = rf"\d{{1,3}}(?:{_RANGE}\d{{1,3}})?"


def _begun(word: str) -> str:
    """A pattern for the word and each of its beginnings, none included."""
    return "".join(f"(?:{re.escape(letter)}" for letter in word) + ")?" * len(word)


_LABEL = rf"(?:{'|'.join(_LABELS)})[ \t]?[:：]?[ \t]?"
_PAGE = r"(?:pages?|pp?\.?|第)[ \t]?"  # what some write behind the number, as it stands above the passage
_PAGES = rf"(?:[ \t]?[,，:：])?[ \t]?{_PAGE}\d{{1,4}}(?:{_RANGE}\d{{1,4}})?(?:[ \t]?页)?"
_PAGES_BEGUN = (
    rf"(?:[ \t]?[,，:：])?[ \t]?(?:{_begun('page')}|{_PAGE}(?:\d{{1,4}}(?:{_RANGE}(?:\d{{1,4}})?)?[ \t]?页?[ \t]?)?)"
)
_LINES = r"†[^\]】\n]*"  # of a page, as some services have it; their numbers may have two parts, which are not ours
_NOTE, _NOTE_BEGUN = r"\^(?P<note>[1-9]\d{0,2})", r"\^(?:[1-9]\d{0,2})?"  # a footnote
_BODY = re.compile(
    rf"{_NOTE}|[ \t]?(?:{_LABEL})?"
    rf"(?:(?P<items>{_ITEM}(?:{_COMMA}{_ITEM})*)(?:{_PAGES}|{_LINES})?|\d{{1,3}}:\d{{1,3}}{_LINES})[ \t]?",
    re.IGNORECASE,
)
_LAST_BEGUN = (
    rf"{_ITEM}(?:{_COMMA}|[ \t]?(?:and?|a)?|{_PAGES_BEGUN}|{_LINES})?"
    rf"|\d{{1,3}}(?:{_RANGE}|:(?:\d{{1,3}}(?:{_LINES})?)?)"
)
_BODY_BEGUN = re.compile(
    rf"{_NOTE_BEGUN}"
    rf"|[ \t]?(?:{'|'.join(map(_begun, _LABELS))}|(?:{_LABEL})?(?:{_ITEM}{_COMMA})*(?:{_LAST_BEGUN})?)",
    re.IGNORECASE,
)

# What follows a bracket that is no marker: a link, the address of a reference, an assignment.
_NO_MARKER_BEFORE = re.compile(r"\([^\s(\[［【〔]|:[ \t]{0,2}(?:https?:|<)| ?=")
_NO_MARKER_BEFORE_BEGUN = re.compile(r"(?::[ \t]{0,2}(?:h(?:t(?:t(?:ps?)?)?)?)?| |\()?")
# What stands before one: the name of an array, another bracket, the key of a JSON object, a relation.
NO_MARKER_AFTER = re.compile(
    r"(?:(?<![A-Za-z0-9_'’.])[a-z]|[A-Za-z0-9]_[A-Za-z0-9_]*[A-Za-z0-9]|\]|\^|[\[［【〔][\d,， ]*)\Z"
    r"|(?:\"\s*:|[=∈∉⊂⊆≤≥{\[]|\\in|\],)\s*\Z"
)


class MoreNeeded(Exception):
    """What there is of the text does not tell yet how to read it."""


def read_marker(text: str, at: int, final: bool) -> tuple[list[int], int] | None:
    """The numbers of what has the form of a marker, and its end. Raises MoreNeeded."""
    start = at + (2 if text.startswith("[[", at) else 1)
    closing = CLOSING[text[at]] * (start - at)
    end = text.find(closing, start, start + LONGEST)
    if end < 0:
        body = text[start : start + LONGEST]
        if len(closing) == 2:
            body = body.removesuffix("]")
        if not final and len(text) - start < LONGEST and _BODY_BEGUN.fullmatch(body):
            raise MoreNeeded
        return None
    match = _BODY.fullmatch(text, start, end)
    numbers = _numbers(match["items"] or match["note"] or "") if match else None
    if numbers is None:
        return None
    end += len(closing)
    if not final and _NO_MARKER_BEFORE_BEGUN.fullmatch(text, end):
        raise MoreNeeded
    return None if _NO_MARKER_BEFORE.match(text, end) else (numbers, end)


def _numbers(items: str) -> list[int] | None:
    """All numbers of a list with ranges; None when it cannot be one of passages, which are counted from 1."""
    numbers: list[int] = []
    for item in re.split(_COMMA, items) if items else ():
        first, *last = (int(number) for number in re.findall(r"\d+", item))
        if last and last[0] <= first:
            return None
        numbers += range(first, last[0] + 1) if last else [first]
    return None if len(numbers) > 1 and 0 in numbers else numbers
