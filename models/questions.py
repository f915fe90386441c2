"""What a question asks of documents, told by simple rules, Chinese and English: for answers without a language model."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from models.quoting import terms

Kind = Literal["search", "about", "pages", "compare"]
MAX_PARTS = 4  # of a compound question
FEW = 4  # documents, at most, that "compare them" can mean

SUMMARISE = re.compile(
    r"总结|概括|概述|摘要|归纳|简述|大意|要点|\bsummar\w*|\boverview|\b(?:main|key) (?:points?|ideas?)|\bgist\b|tl;?dr",
    re.IGNORECASE,
)
OVERVIEW = re.compile(
    rf"{SUMMARISE.pattern}|主要内容|什么内容|内容(?:是|有|包括)|(?:讲|说|写|谈|介绍|关于)[了着到]?(?:的是)?[些]?什么"
    r"|\boutline|\babout\b"
    r"|what(?:'s| is| does| do)\b.*\b(?:say|in|contain)\b",
    re.IGNORECASE,
)
_COMPARE = re.compile(
    r"比较|对比|相比|区别|差异|异同|不同|\bcompar\w*|\bcontrast\w*|\bdiffer\w*|\bversus\b|\bvs\b", re.IGNORECASE
)
_THEM = re.compile(
    r"[这那]?\s*[两三四几些]\s*[个份篇]?\s*(?:文档|文件|材料|资料|合同|报告|者)|[这那]些|它们|各[个份]?文[档件]"
    r"|\b(?:(?:both|the|these|those|all)\s+)?(?:(?:two|three|four)\s+)?(?:documents|files)\b|\b(?:both|them)\b",
    re.IGNORECASE,
)
# words that say what to do with documents, not what to look for in them
_FILLER = re.compile(
    r"请|帮我|麻烦|能否|可以|给我|我想知道|告诉我|一下|主要|内容|简要|简单|重点|中心|思想|分别|之间|各自|相同|点"
    r"|[这那两三四几]?[个份篇本些](?=文|材|资|报|附|$)|文档|文件|材料|资料|报告|附件|全文|上传的?|里面|里|中|上|它们|它"
    r"|[讲说写谈][了着到]?[些]?什么|关于什么|有[些]?什么|是什么|什么|包括|提到|[讲说写谈有是的了在和与及跟都吗呢吧]"
    r"|\b(?:please|can|could|would|you|me|us|give|tell|what|what's|whats|is|are|was|does|do|did|this|that|these|those|the"
    r"|all|an?|of|about|uploaded|attached|documents?|files?|pdfs?|papers?|texts?|reports?|attachments?|contents?|main|key"
    r"|points?|ideas?|it|its|they|them|says?|said|contains?|in|on|for|from|describe|explain|between|and|with|both|two|how"
    r"|written|stands?|short|brief|briefly|quick|quickly|whole|entire)\b",
    re.IGNORECASE,
)
_EDGES = " \t\n的和与及、，,。.？?！!：:；;“”\"'《》〈〉「」『』()（）"

_NUMBER = r"(\d{1,4}|[零〇一二两三四五六七八九十百]{1,6})"
_TO = r"\s*(?:到|至|[-–—~～]|to|through|until|and|&|和)\s*"
_RANGES = (
    re.compile(rf"第?\s*{_NUMBER}\s*页?{_TO}第?\s*{_NUMBER}\s*页"),
    re.compile(rf"\b(?:pages?|pp?\.)\s*(\d{{1,4}}){_TO}(?:page\s*)?(\d{{1,4}})\b", re.IGNORECASE),
)
_FIRST = (re.compile(rf"前\s*{_NUMBER}\s*页"), re.compile(r"\bfirst\s+(\w+)\s+pages\b", re.IGNORECASE))
_SINGLE = (
    re.compile(rf"第\s*{_NUMBER}\s*页"),
    re.compile(r"\b(?:page|p\.)\s*(\d{1,4}|\w+)\b", re.IGNORECASE),
    re.compile(r"\b(first|second|third|fourth|fifth)\s+page\b", re.IGNORECASE),
)
_DIGITS = {sign: value for value, signs in enumerate(("零〇", "一", "二两", *"三四五六七八九")) for sign in signs}
_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_WORDS |= {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5}

_FILE = re.compile(
    r"[^\s，。？！、；：,;:?!\"“”《》<>()（）]+\.(?:pdf|docx?|pptx?|xlsx?|csv|txt|md|html?|eml|epub|ipynb|png|jpe?g|tiff?|json|xml)"
    r"(?![a-z0-9])",
    re.IGNORECASE,
)
_LEAD = re.compile(r"^.*(?:比较|对比|总结|概括|概述|请问|请|[和与跟及在对从])(?=.)")
_QUOTED = r"[《〈「『“\"]\s*{}\s*[》〉」』”\"]"

_SENTENCE = re.compile(r"[?？;；。\n]+|[!！]+")
_ASKS = re.compile(
    r"什么|多少|谁|几|哪|何时|何地|何人|怎么|怎样|如何|为什么|为何|吗|是否|能否|多久|多长|多大|多高"
    r"|\b(?:what|who|whom|whose|when|where|which|why|how)\b|^\W*(?:is|are|was|were|do|does|did|can|could|has|have)\b",
    re.IGNORECASE,
)
_JOINT = re.compile(
    r"\s*[，,]?\s*(?:并且|而且|以及|还有|另外|同时|和)\s*|\s*[，,]\s*(?=[\u3400-\u9fff])"
    r"|\s*,?\s+and\s+(?:also\s+)?(?=(?:what|who|whom|whose|when|where|which|why|how|is|are|was|were|do|does|did|can)\b)"
    r"|\s*,\s+(?=(?:what|who|whom|whose|when|where|which|why|how)\b)",
    re.IGNORECASE,
)
_EACH = re.compile(r"^(?:请问)?(?P<items>.+?)[，,]?\s*分别(?P<rest>.+)$")
_ITEMS = re.compile(r"\s*(?:、|，|,|以及|和|与|及|跟)\s*")
_RESPECTIVELY = re.compile(r"^(?P<rest>\W*\w+\s+(?:is|are|was|were)\s+)(?P<items>.+?)[,\s]+respectively\W*$", re.IGNORECASE)
_ENGLISH_ITEMS = re.compile(r"\s*,\s*(?:and\s+)?|\s+and\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done. `topic` is what to look for, empty when it is the documents as a whole.

    `documents` are the names that the question mentions, `parts` those of a compound question (none when it is not),
    `pages` the first and the last page.
    """

    kind: Kind
    topic: str
    documents: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    pages: tuple[int, int] | None = None


def understood(question: str, known: Sequence[str]) -> Wish:
    """What a question asks for, where the documents with the `known` names are searched."""
    rest, exact = _without_names(question, known)
    rest, pages = _without_pages(rest)
    if pages or OVERVIEW.search(rest) or _COMPARE.search(rest):
        rest, more = _without_stems(rest, known)
        names = tuple(dict.fromkeys([*exact, *more]))
    else:
        names = tuple(exact)
    topic = _topic(rest)
    if pages:
        return Wish("pages", topic, names, pages=pages)
    if not topic and (names or OVERVIEW.search(rest)):
        return Wish("about", "", names)
    if _COMPARE.search(rest) and len(names) < 2 and 2 <= len(known) <= FEW and _THEM.search(rest):
        names = tuple(known)
    if len(names) > 1:
        return Wish("compare" if topic else "about", topic, names)
    return Wish("search", _clean(rest) if names else question.strip(), names, tuple(split(rest)))


def _without_names(question: str, known: Sequence[str]) -> tuple[str, list[str]]:
    """The question without the names of files, and these names, in their order."""
    found: dict[int, str] = {}

    def take(name: str, pattern: re.Pattern[str], text: str) -> str:
        def blank(match: re.Match[str]) -> str:
            found[match.start()] = name
            return " " * len(match[0])

        return pattern.sub(blank, text)

    for name in sorted(known, key=len, reverse=True):
        question = take(name, re.compile(re.escape(name), re.IGNORECASE), question)
        question = take(name, re.compile(_QUOTED.format(re.escape(PurePath(name).stem)), re.IGNORECASE), question)
    for match in _FILE.finditer(question):
        name = _LEAD.sub("", match[0])
        question = take(name, re.compile(re.escape(name)), question)
    return question, list(dict.fromkeys(found[place] for place in sorted(found)))


def _without_stems(text: str, known: Sequence[str]) -> tuple[str, list[str]]:
    """The same for names without their extensions, which may be ordinary words."""
    found = []
    for name in sorted(known, key=len, reverse=True):
        stem = PurePath(name).stem
        if len(stem) > 1 and (match := re.search(rf"(?<![a-z0-9]){re.escape(stem)}(?![a-z0-9])", text, re.IGNORECASE)):
            found.append((match.start(), name))
            text = text[: match.start()] + " " * len(match[0]) + text[match.end() :]
    return text, [name for _, name in sorted(found)]


def _without_pages(text: str) -> tuple[str, tuple[int, int] | None]:
    """The text without the pages that it names, and the first and the last of them."""
    numbers: list[int] = []

    def take(match: re.Match[str]) -> str:
        values = [_value(group) for group in match.groups()]
        if not all(values):
            return match[0]
        numbers.extend(values)
        return " "

    for pattern in _RANGES:
        text = pattern.sub(take, text)
    for pattern in _FIRST:
        before = len(numbers)
        text = pattern.sub(take, text)
        if len(numbers) > before:
            numbers.append(1)
    for pattern in _SINGLE:
        text = pattern.sub(take, text)
    return text, (min(numbers), max(numbers)) if numbers else None


def _value(number: str) -> int:
    """The value of a number in digits, or of a small one in words; 0 for what is none."""
    if number.isdecimal():
        return int(number)
    if number.lower() in _WORDS:
        return _WORDS[number.lower()]
    total, last = 0, 0
    for sign in number:
        if sign in "十百":
            total, last = total + (last or 1) * (10 if sign == "十" else 100), 0
        elif sign in _DIGITS:
            last = _DIGITS[sign]
        else:
            return 0
    return total + last


def _topic(text: str) -> str:
    """What to look for: the text without the words that say what to do. Empty when nothing remains."""
    if _COMPARE.search(text):
        text = _THEM.sub(" ", _COMPARE.sub(" ", text))
    bare = _FILLER.sub(" ", OVERVIEW.sub(" ", text))
    return _clean(text) if terms(bare) else ""


def _clean(text: str) -> str:
    return " ".join(text.strip(_EDGES).split())


def split(question: str) -> list[str]:
    """The parts of a compound question, two to four, each a question of its own; empty when it is a simple one."""
    parts = [part for sentence in _SENTENCE.split(question) if _ASKS.search(sentence) for part in _split_sentence(sentence)]
    parts = [part.strip(_EDGES.replace("的", "")) for part in parts]
    parts = list(dict.fromkeys(part for part in parts if terms(part)))
    return parts[:MAX_PARTS] if len(parts) > 1 else []


def _split_sentence(sentence: str) -> Iterator[str]:
    start = 0
    for joint in _JOINT.finditer(sentence):
        if _ASKS.search(sentence[start : joint.start()]) and _ASKS.search(sentence[joint.end() :]):
            yield from _split_items(sentence[start : joint.start()])
            start = joint.end()
    yield from _split_items(sentence[start:])


def _split_items(clause: str) -> list[str]:
    """`A 和 B 分别是多少` and "what are A and B respectively" are two questions."""
    for pattern, separator, order in ((_EACH, _ITEMS, "{0}{1}"), (_RESPECTIVELY, _ENGLISH_ITEMS, "{1}{0}")):
        if match := pattern.match(clause.strip()):
            items = separator.split(match["items"])
            if len(items) > 1 and all(item.strip() for item in items):
                return [order.format(item, match["rest"]) for item in items]
    return [clause]
