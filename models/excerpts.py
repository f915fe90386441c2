"""What of a passage is quoted to a question: the sentences and rows that fit it, word for word, and little else."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log

from models.picture_words import inside
from models.quoting import MOST, Found, terms
from utils.prose import blocks, columns, is_row, is_rule

WIDTH = 300  # of an excerpt; a Chinese character counts 2
ADDED = 0.2  # of what the best unit says to the question, which another one has to add
NEAR = 0.6  # of the best one's weight: it is quoted too, where there is room
ALIKE = 0.6  # of their words, and two sentences say the same
NAMED, GENERAL = 2.0, 0.3  # weights of numbers and Latin words in a Chinese question, and of words that rules are full of
FACT = 0.5  # of the weight of the weightiest word, for a number where one is asked for
HEAD = 0.5  # of the weight of a word, for a row in whose table's head it stands
HEAD_WIDTH, LED = 120, 3

_SENTENCE = re.compile(r".+?(?:[。！？；!?]+[\"'”’」』）)】]*|(?<![\s.][A-Z])(?<!^[A-Z])\.(?=\s+[^a-z])|\Z)", re.DOTALL)
_CLAUSE = re.compile(r"[^，,、：:|\s]*(?:[，,、：:|\s]+|\Z)")
_GENERAL = terms(
    "规定 标准 要求 情况 内容 办法 制度 有关 相关 具体 方面 信息"
    " rule regulation policy detail information requirement according"
)
_ASKS_FIGURE = re.compile(
    r"[几多][少天年月个长久大高远次岁]|几|哪[天年月日]|何时|什么时候|时间|日期|规定|标准|期限|金额|费用|价格|预算"
    r"|\bhow (?:many|much|long|often|old|far|large|big|high)\b|\bwhen\b|\bwhat (?:date|time|year|day|price|number|rules?)\b"
    r"|\brules?\b|\blimits?\b",
    re.IGNORECASE,
)
_ORDINAL = re.compile(
    r"第\s*[\d一二三四五六七八九十百零〇]+\s*[章节節条條款项項页頁部编編]|^\W*\d+(?:\.\d+)*[.、)）\s]|^\W*[一二三四五六七八九十]+[、)）]"
)
_FIGURE = re.compile(
    r"\d|[一二两三四五六七八九十百千万半]+(?:个|天|日|年|月|周|小时|分|秒|元|倍|次|人|件|名|级|岁|成|米|公里|千克)"
    r"|百分之|不超过|不少于|至少|至多|指的?是"
    r"|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|hundred|thousand|half|at least|at most)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Sought:
    """What a question asks for: its words with their weights, and whether it asks for a figure or a rule."""

    weights: Mapping[str, float]
    figure: bool

    def weight(self, words: Iterable[str]) -> float:
        return sum(self.weights.get(word, 0.0) for word in words)

    def bonus(self, text: str) -> float:
        """What a figure in a text is worth."""
        found = self.figure and _FIGURE.search(_ORDINAL.sub("", text))
        return FACT * max(self.weights.values(), default=0.0) if found else 0.0


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence, a title or a row, by its place in a text. `head` is the place of the head of its table."""

    start: int
    end: int
    text: str
    words: frozenset[str]
    row: bool
    leads: bool  # to what follows it: a title, the head of a table, or "as follows:"
    head: tuple[int, int] | None = None
    head_words: frozenset[str] = frozenset()


def sought(question: str, passages: Sequence[Found]) -> Sought:
    """What a question asks for, where these passages were found: a word that is in few of their sentences weighs most."""
    wanted = terms(question)
    units = [unit.words & wanted for passage in passages for unit in _units(passage.text)]
    counts = Counter(word for words in units for word in words)
    weights = {}
    for word in wanted:
        kind = GENERAL if word in _GENERAL else NAMED if word[0].isdecimal() or _is_foreign(word, question) else 1.0
        weights[word] = kind * log(1 + (len(units) + 1) / (counts[word] + 0.5))
    return Sought(weights, _ASKS_FIGURE.search(question) is not None)


def best(passages: Sequence[Found], asked: Sought) -> list[Found]:
    """The passages that say most of what is asked for, and those that say what the others do not; at most `MOST`."""
    hits = {n: asked.weights.keys() & terms(f"{passage.place}\n{passage.text}") for n, passage in enumerate(passages)}
    scores = {n: asked.weight(words) + _figures(passages[n].text, asked) for n, words in hits.items() if words}
    top = max(scores.values(), default=0.0)
    chosen: list[int] = []
    covered: set[str] = set()
    for n in sorted(scores, key=lambda n: -scores[n]):
        if scores[n] >= NEAR * top or asked.weight(hits[n] - covered) >= ADDED * top:
            chosen.append(n)
            covered |= hits[n]
    return [passages[n] for n in chosen[:MOST]]


def excerpts(passages: Sequence[Found], asked: Sought) -> Iterator[tuple[Found, str]]:
    """The passages, each with what is quoted of it; one that only repeats what was quoted before is left out."""
    said: list[frozenset[str]] = []
    for passage in passages:
        if text := _excerpt(passage.text, asked, said):
            yield passage, text


def _opening(text: str) -> str:
    """The first sentences and rows of a text; `…` behind them when something is left out."""
    end = 0
    for unit in _units(text):
        if end and columns(text[: unit.end]) > WIDTH:
            return text[:end].rstrip() + "…"
        end = unit.end
    return text


def _figures(text: str, asked: Sought) -> float:
    return max((asked.bonus(unit.text) for unit in _units(text) if unit.words & asked.weights.keys()), default=0.0)


def _excerpt(text: str, asked: Sought, said: list[frozenset[str]]) -> str:
    """What of a text answers; `said` are the words of the sentences that were quoted, and gets those of these."""
    units = list(_units(text))
    scores = [_score(unit, asked) for unit in units]
    if not any(scores):
        return _opening(text) if not said else ""
    chosen = _chosen(units, scores, asked, said)
    heads = {unit.head[0] for unit in (units[n] for n in chosen) if unit.head}
    chosen -= {n for n in chosen if units[n].start in heads}  # it is written above its rows
    for n in list(chosen):
        if units[n].leads:
            chosen |= _led(units, n, chosen)
    said += [unit.words for n, unit in enumerate(units) if n in chosen]
    return _written(text, units, sorted(chosen))


def _score(unit: _Unit, asked: Sought) -> float:
    hits = asked.weight(unit.words)
    return (hits + HEAD * asked.weight(unit.head_words - unit.words) + asked.bonus(unit.text)) if hits else 0.0


def _chosen(units: Sequence[_Unit], scores: Sequence[float], asked: Sought, said: Sequence[frozenset[str]]) -> set[int]:
    """The units that together say most: first what each adds, then what comes near the best one, for which there is room."""
    ranked = sorted((n for n, score in enumerate(scores) if score), key=lambda n: (-scores[n], units[n].leads, n))
    top, room = scores[ranked[0]], WIDTH
    chosen: set[int] = set()
    covered: set[str] = set()
    for least in (None, NEAR * top):
        for n in ranked:
            unit = units[n]
            added = asked.weight(unit.words - covered) if covered else scores[n]
            fits = added >= ADDED * top if least is None else scores[n] >= least
            others = [*said, *(units[other].words for other in chosen)]
            if n in chosen or not fits or any(_alike(unit, words) for words in others):
                continue
            if not chosen or columns(unit.text) <= room:
                chosen.add(n)
                covered |= unit.words
                room -= columns(unit.text)
    return chosen


def _alike(unit: _Unit, words: frozenset[str]) -> bool:
    """Whether a sentence says what another one says; rows differ in little."""
    return not unit.row and len(unit.words & words) > ALIKE * len(unit.words | words)


def _led(units: Sequence[_Unit], number: int, chosen: set[int]) -> set[int]:
    """What follows a unit that leads to it: the text below a title, the list behind a colon."""
    room = WIDTH - sum(columns(units[n].text) for n in chosen)
    led = set()
    many = units[number].text.endswith((":", "：")) or units[number].row
    for n in range(number + 1, min(len(units), number + 1 + (LED if many else 1))):
        room -= columns(units[n].text)
        if room < 0:
            break
        led.add(n)
    return led


def _written(text: str, units: Sequence[_Unit], numbers: Sequence[int]) -> str:
    """The units as they stand in the text, `…` where something is left out, rows below the head of their table."""
    parts: list[str] = []
    last, head = -2, None
    for n in numbers:
        unit = units[n]
        if n == last + 1 and parts:
            parts[-1] += text[units[last].end : unit.end]
        else:
            if unit.head and unit.head != head:
                parts += ["…"] if parts else []
                parts.append(text[slice(*unit.head)])
            elif parts and not unit.row:
                parts.append("…")
            parts.append(text[unit.start : unit.end])
        last, head = n, unit.head
    return "\n".join(parts)


def _units(text: str) -> Iterator[_Unit]:
    """Sentences, titles and rows, none wider than an excerpt may be."""
    found = [(start, end) for start, end in blocks(text)]
    head, table = None, False
    for number, (start, end) in enumerate(found):
        line = text[start:end]
        if not is_row(line):
            table = False
            yield from _sentences(text, start, end)
            continue
        if is_rule(line):
            continue
        opens = not table
        if opens:
            ruled = number + 1 < len(found) and is_rule(text[slice(*found[number + 1])])
            last = found[number + 1][1] if ruled else end
            titled = ruled or not (line.lstrip().startswith("|") or _FIGURE.search(line))
            head = (start, last) if titled and columns(line) <= HEAD_WIDTH else None
        table = True
        if opens and head:
            yield _unit(text, start, end, row=True, leads=True)
            continue
        for first, last in _cut(text, start, end):
            own = terms(text[slice(*head)]) if head else ()
            yield _unit(text, first, last, row=True, head=head, head_words=frozenset(own))


def _sentences(text: str, start: int, end: int) -> Iterator[_Unit]:
    places = [match.span() for match in _SENTENCE.finditer(text, start, end)]
    for first, last in places:
        for begin, close in _cut(text, first, last):
            begin, close = inside(text, begin, close)
            if begin < close:
                said = text[begin:close]
                title = len(places) == 1 and columns(said) <= 40 and said[-1] not in "。！？；.!?…"
                yield _unit(text, begin, close, leads=said.endswith((":", "：")) or title)


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A part of a text in pieces no wider than an excerpt, cut between clauses and cells where possible."""
    first = at = start
    for match in _CLAUSE.finditer(text, start, end):
        if at > first and columns(text[first : match.end()]) > WIDTH:
            yield first, at
            first = at
        at = match.end()
        while columns(text[first:at]) > WIDTH:
            yield first, first + WIDTH // 2
            first += WIDTH // 2
    if first < at:
        yield first, at


def _unit(
    text: str,
    start: int,
    end: int,
    *,
    row: bool = False,
    leads: bool = False,
    head: tuple[int, int] | None = None,
    head_words: frozenset[str] = frozenset(),
) -> _Unit:
    said = text[start:end]
    return _Unit(start, end, said, frozenset(terms(said)), row, leads, head, head_words)


def _is_foreign(word: str, question: str) -> bool:
    """Whether a word is Latin in a Chinese question: mostly a name."""
    return word[0].isascii() and any("\u3400" <= sign <= "\u9fff" for sign in question)
