"""The parts of a compound question, Chinese and English."""

import re
import string
from collections.abc import Iterator

from models.quoting import EMPTY_CHARACTERS, EMPTY_WORDS, WORD

MAX_PARTS = 4
EDGES = " \t\n、，,。.？?！!：:；;“”\"'《》〈〉「」『』()（）"

_SENTENCE = re.compile(r"([^?？;；。\n!！]+)([?？;；。\n!！]*)")
_ASKS = re.compile(
    r"什么|多少|谁|几|哪|何时|何地|何人|怎么|怎样|如何|为什么|为何|吗|是否|能否|多久|多长|多大|多高|多远"
    r"|\b(?:what|who|whom|whose|when|where|which|why|how)\b|^\W*(?:is|are|was|were|do|does|did|can|could|has|have)\b",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"什么时候|什么时间|多少钱|多长时间|多[少久长大高远]|什么|哪[里儿些个天年]?|怎么[样办]?|如何|几[个天年月次]?|何时|何地"
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


def split(question: str) -> list[str]:
    """The parts of a compound question, two to four, each a question of its own; empty when it is a simple one."""
    sentences = [
        sentence for sentence, mark in _SENTENCE.findall(question) if set("?？") & {*mark} or _ASKS.search(sentence)
    ]
    parts = [part.strip(EDGES) for sentence in sentences for part in _split_sentence(sentence)]
    parts = list(dict.fromkeys(part for part in parts if _says_something(part)))
    return parts[:MAX_PARTS] if len(parts) > 1 else []


def _says_something(part: str) -> bool:
    words = WORD.findall(part.lower())
    return any(word not in EMPTY_WORDS if word[0].isascii() else set(word) - EMPTY_CHARACTERS for word in words)


def key_characters(question: str) -> set[str]:
    """The Chinese characters of a question that say something, without those that ask."""
    return set("".join(WORD.findall(_ASKING.sub(" ", question)))) - EMPTY_CHARACTERS - set(string.printable)


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
