"""What pictures say, as text of the document in which they stand, so that it is cut, found and quoted like any other."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models.picture_words import WORDS
from utils.errors import Language
from utils.loaders import Page
from utils.pictures import MARK

MOST_TIMES = 2  # that the same picture stands in a document; what comes more often is a logo, and its words stand there once
MAX_CHARS = 8_000  # of the text in a picture, and of its description
NOTHING = "no_text"  # the detail of a page on which OCR found nothing

STRUCTURE = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|(?:```|~~~).*$)", re.MULTILINE)  # it would count as the document's own
BLANK_LINES = re.compile(r"\n\s*\n")
LEADING = re.compile(rf"\A\s*(?P<marks>(?:{MARK.pattern}\s*)+)(?P<line>[^\s\ufdd0][^\n\ufdd0]*)")


@dataclass(frozen=True, slots=True)
class Sight:
    """What a picture says: the text in it, its description. `detail` tells what could not be had, as in a page's report."""

    text: str = ""
    description: str = ""
    detail: str | None = None


def filled(pages: Sequence[Page], sights: Mapping[str, Sight], language: Language) -> list[Page]:
    """The pages with a block of text at each mark; of a picture that says nothing, or is not known, no trace is left.

    A page counts as read by OCR where more of its text was found in pictures than beside them.
    """
    counts = Counter(key for page in pages for key in MARK.findall(page.text))
    placed: Counter[str] = Counter()
    blocks = {key: block(sights[key], language) for key in counts if key in sights}
    result = []
    for page in pages:
        here = {}
        for key in MARK.findall(page.text):
            if counts[key] <= MOST_TIMES or not placed[key]:
                here[key] = blocks.get(key, "")
            placed[key] += 1
        result.append(_filled(page, here, [sights[key] for key in here if key in sights]))
    return result


def block(sight: Sight, language: Language) -> str:
    """A paragraph in the language of the document; empty where the picture says nothing."""
    words = WORDS[language]
    text, description = _plain(sight.text), _plain(sight.description)
    if description:
        return words["seen"] + description + (f"\n{words['text']}{text}" if text else "") + "]"
    return f"{words['only_text']}{text}]" if text else ""


def _plain(text: str) -> str:
    return BLANK_LINES.sub("\n", STRUCTURE.sub("", MARK.sub("", text[:MAX_CHARS]))).strip()


def _filled(page: Page, blocks: Mapping[str, str], sights: Sequence[Sight]) -> Page:
    if not MARK.search(page.text):
        return page
    text = _placed(page.text, dict(blocks))
    detail = next((sight.detail for sight in sights if sight.detail), None)
    if page.detail and page.detail != NOTHING:
        detail = page.detail
    if not text:
        return replace(page, text="", method="empty", detail=detail or page.detail or NOTHING)
    found = sum(_letters(_plain(sight.text)) for sight in sights)
    method = "ocr" if found > _letters(MARK.sub("", page.text)) else page.method
    return replace(page, text=text, method=method, detail=detail)


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _placed(text: str, blocks: dict[str, str]) -> str:
    """The text with blocks in the places of marks: paragraphs of their own, in the row of a table parts of the row.

    What stands before the first line comes after it, since that line is the title.
    """
    text = LEADING.sub(lambda match: match["line"] + "".join(match["marks"].split()), text, count=1)
    before, *rest = MARK.split(text)
    for key, after in zip(rest[::2], rest[1::2], strict=True):
        words = blocks.pop(key, "")  # twice on a page it is said once
        line = before.rpartition("\n")[2] + after.partition("\n")[0]
        if words and "\t" in line:
            before = " ".join(filter(None, (before, " ".join(words.split())))) + after
        elif words:
            before = "\n\n".join(filter(None, (before.rstrip("\n"), words, after.lstrip("\n"))))
            before += "" if after.strip("\n") else "\n\n"
        elif before[-1:] in ("", "\n") and after[:1] in ("", "\n"):
            before += after.lstrip("\n")
        else:
            before += after
    return before.strip("\n")
