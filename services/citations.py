"""What an answer rests on: its sources, each with the words of the document that support the sentence that cites it."""

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.events import Source
from models.passages import Passage
from models.picture_words import inside
from models.prompts import MARKER
from services.citation_markers import Citation, place_of
from services.search.lexical import Terms, terms
from services.text.cutting import parts, sentences
from utils.prose import blocks, is_row

UNCITED = 5  # passages that are named when an answer cites none
QUOTE_CHARS = 300
CLAIMS = 4  # of one passage that are looked at
NUMBER_WEIGHT, CLAUSE_WEIGHT = 2.0, 4.0  # of terms that are numbers, and of those nearest to the marker
FIT_WEIGHT = 4.0  # of being what fits the question, in terms of which a passage has about one: it decides between equals
SHARE = 0.2  # of all that a passage holds of a claim, which another sentence has to add
ABOVE = 2_000  # characters above a line that may be what it is about

_ATTRIBUTION = re.compile(r"[>\s（(]*(?:[—–]+\s|(?:来源|出处|摘自|引自|source|from)[ \t]*[:：])", re.IGNORECASE)
_QUOTED = re.compile(r"[ \t]*>[> \t]*")
_GAP = re.compile(r"\n[> \t]*\n")
_NUMBER = re.compile(r"\d(?:[\d.,]*\d)?")


class Claim(NamedTuple):
    """A sentence without its markers, and the part of it that ends with the marker in question; or a block quotation."""

    sentence: str
    clause: str
    quoted: bool = False


class Quote(NamedTuple):
    """A part of a passage, by its offsets there; `score` says how much of a claim it holds."""

    start: int
    end: int
    score: float


def sources_of(
    text: str, citations: Sequence[Citation], passages: Sequence[Passage], question: str = ""
) -> tuple[Source, ...]:
    """The passages that an answer cites, by first citation; when it cites none, the first that it was given, not cited.

    Passage `n` of `passages` is what the marker `[n]` names; their texts stand in their documents (see `grounding`). Weak
    ones, which the search took for no answer, are named only when they are cited. Of a long quotation the part counts that
    fits the `question`.
    """
    cited: dict[int, list[int]] = {}
    for number, start in citations:
        cited.setdefault(number, []).append(start)
    if not cited:
        unique = {place_of(passage): passage for passage in reversed(passages) if not passage.weak}
        return tuple(_source(passage, None, [], question) for passage in [*reversed(unique.values())][:UNCITED])
    return tuple(
        _source(passages[number - 1], number, [claim_at(text, start) for start in starts[:CLAIMS]], question)
        for number, starts in cited.items()
    )


def _source(passage: Passage, number: int | None, claims: Sequence[Claim], question: str) -> Source:
    start, end = inside(passage.text, *supporting(passage, claims, question))
    known = passage.start < passage.end  # where it stands in the document
    return Source(
        document_id=passage.document_id,
        filename=passage.filename,
        page=passage.page,
        quote=passage.text[start:end],
        score=passage.score,
        cited=number is not None,
        number=number,
        start=passage.start + start if known else None,
        end=passage.start + end if known else None,
    )


def claim_at(text: str, place: int) -> Claim:
    """What the marker there stands for: the sentence that it is in or behind, or the quotation whose origin it tells."""
    first = text.rfind("\n", 0, place) + 1
    line, at = text[first:].partition("\n")[0], place - first
    above = text[max(0, first - ABOVE) : first].rstrip("> \t\n")
    if _ATTRIBUTION.match(line):
        quoted = _quotation(above) or _GAP.split(above)[-1]
        return Claim(quoted, quoted, quoted=True)
    claim = Claim("", "")
    for start, end in sentences(line):
        clauses = [part for part in MARKER.split(line[start:at])[::2] if _says_something(part)]
        if at < end and claim.sentence and not clauses:  # the marker stands behind its sentence
            break
        claim = Claim(_without_markers(line[start:end]), clauses[-1] if clauses else "")
        if at < end:
            break
    if _says_something(claim.sentence) or not above:
        return claim
    if quoted := _quotation(above):
        return Claim(quoted, quoted, quoted=True)
    last = [above[start:end] for start, end in sentences(above)][-1]  # the markers have a line of their own
    return Claim(_without_markers(last), "")


def _quotation(above: str) -> str:
    """The block quotation that a text ends with, without its marks; empty where it ends with none."""
    lines = [*takewhile(_QUOTED.match, reversed(above.splitlines()))]
    return "\n".join(_QUOTED.sub("", line, count=1) for line in reversed(lines))


def supporting(passage: Passage, claims: Sequence[Claim], question: str = "") -> tuple[int, int]:
    """The consecutive sentences of a passage that share most with one of the claims, by their offsets there.

    What is quoted word for word supports itself: of that the part that fits the `question`, where it is too long. Without a
    claim, or where nothing is shared, the part that fits the question best.
    """
    at = passage.text.find(passage.quote) if passage.quote else -1
    fit = (at, at + len(passage.quote)) if at >= 0 else (0, min(QUOTE_CHARS, len(passage.text)))
    units = [*_units(passage.text)] if claims else []
    if not units:
        return fit
    for claim in claims:
        if claim.quoted and (said := _said(passage.text, claim.sentence)):
            return _of_quotation(said, units, passage.text, question)
    unit_terms = [np.unique(terms(passage.text[start:end])) for start, end in units]
    best = max((_best(claim, units, unit_terms, fit) for claim in claims), key=lambda quote: quote.score)
    return (best.start, best.end) if best.score > 0 else fit


def _said(text: str, quotation: str) -> list[tuple[int, int]]:
    """Where the lines of a quotation stand in a text, in their order; those that do not are left out."""
    found: list[tuple[int, int]] = []
    for line in filter(str.strip, quotation.splitlines()):
        at = text.find(line.strip(), found[-1][1] if found else 0)
        if at >= 0 and any(map(str.isalnum, line)):
            found.append((at, at + len(line.strip())))
    return found


def _of_quotation(
    said: Sequence[tuple[int, int]], units: Sequence[tuple[int, int]], text: str, question: str
) -> tuple[int, int]:
    """All that is quoted where it is short, else those of its sentences that hold most of the question, or its beginning."""
    first, last = said[0][0], said[-1][1]
    if last - first <= QUOTE_CHARS:
        return first, last
    own = [unit for unit in units if any(start < unit[1] and unit[0] < end for start, end in said)]
    own_terms = [np.unique(terms(text[start:end])) for start, end in own]
    best = _best(Claim(question, ""), own, own_terms, (0, 0))
    return (best.start, best.end) if best.score > 0 else (first, min(said[0][1], first + QUOTE_CHARS))


def _best(claim: Claim, units: Sequence[tuple[int, int]], unit_terms: Sequence[Terms], fit: tuple[int, int]) -> Quote:
    """The run of units that holds most of a claim; none of them but for the sake of what it adds."""
    wanted = np.unique(terms(claim.sentence))
    has = np.array([np.isin(wanted, own, assume_unique=True) for own in unit_terms])
    weights = _weights(claim, wanted, has.sum(axis=0), len(units))
    starts, ends = np.array(units).T
    cost = SHARE * float(weights[has.any(axis=0)].sum()) * np.arange(len(units))
    best, top = Quote(0, 0, 0.0), -np.inf
    for first, start in enumerate(starts):
        last = max(int(np.searchsorted(ends, start + QUOTE_CHARS, side="right")), first + 1)
        scores = np.logical_or.accumulate(has[first:last]) @ weights
        sizes = ends[first:last] - start
        fitting = np.maximum(0, np.minimum(ends[first:last], fit[1]) - max(start, fit[0])) / sizes
        worth = np.where(scores > 0, scores + FIT_WEIGHT * fitting - cost[: last - first] - sizes / QUOTE_CHARS, -np.inf)
        at = int(worth.argmax())
        if worth[at] > top:
            best, top = Quote(int(start), int(ends[first + at]), float(scores[at])), float(worth[at])
    return best


def _weights(claim: Claim, wanted: Terms, frequency: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """What is in few units weighs more, as do numbers and what is near the marker."""
    weights: NDArray[np.float64] = np.log(1 + (count - frequency + 0.5) / (frequency + 0.5))
    weights[np.isin(wanted, terms(" ".join(_NUMBER.findall(claim.sentence))))] *= NUMBER_WEIGHT
    weights[np.isin(wanted, terms(claim.clause))] *= CLAUSE_WEIGHT
    return weights


def _units(text: str) -> Iterator[tuple[int, int]]:
    """Sentences, titles, and rows of tables, none longer than a quote may be."""
    for first, last in blocks(text):
        block = text[first:last]
        for start, end in [(0, len(block))] if is_row(block) else sentences(block):
            for part in parts(block[start:end], QUOTE_CHARS) if end - start > QUOTE_CHARS else [(0, end - start)]:
                yield first + start + part[0], first + start + part[1]


def _says_something(text: str) -> bool:
    return any(map(str.isalnum, _without_markers(text)))


def _without_markers(text: str) -> str:
    return MARKER.sub("", text)
