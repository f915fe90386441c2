"""What an answer rests on: its sources, each with the words of the document that support the sentence that cites it."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.events import Source
from models.passages import Passage
from models.prompts import MARKER
from services.citation_markers import Citation, place_of
from services.cutting import parts, sentences
from services.lexical import Terms, terms

UNCITED = 5  # passages that are named when an answer cites none
QUOTE_CHARS = 300
CLAIMS = 4  # of one passage that are looked at
NUMBER_WEIGHT, CLAUSE_WEIGHT = 2.0, 4.0  # of terms that are numbers, and of those nearest to the marker
FIT_WEIGHT = 4.0  # of being what fits the question, in terms of which a passage has about one: it decides between equals
SHARE = 0.2  # of all that a passage holds of a claim, which another sentence has to add
ABOVE = 600  # characters above a line that may be what it is about

_ATTRIBUTION = re.compile(r"[>\s]*[—–]+\s")
_GAP = re.compile(r"\n[> \t]*\n")
_NUMBER = re.compile(r"\d(?:[\d.,]*\d)?")
_ROW = re.compile(r"[|\t]")


class Claim(NamedTuple):
    """A sentence without its markers, and the part of it that ends with the marker in question."""

    sentence: str
    clause: str


class Quote(NamedTuple):
    """A part of a passage, by its offsets there; `score` says how much of a claim it holds."""

    start: int
    end: int
    score: float


def sources_of(text: str, citations: Sequence[Citation], passages: Sequence[Passage]) -> tuple[Source, ...]:
    """The passages that an answer cites, by first citation; when it cites none, the first that it was given, not cited.

    Passage `n` of `passages` is what the marker `[n]` names; their texts stand in their documents (see `grounding`). Weak
    ones, which the search took for no answer, are named only when they are cited.
    """
    cited: dict[int, list[int]] = {}
    for number, start in citations:
        cited.setdefault(number, []).append(start)
    if not cited:
        unique = {place_of(passage): passage for passage in reversed(passages) if not passage.weak}
        return tuple(_source(passage, None, []) for passage in [*reversed(unique.values())][:UNCITED])
    return tuple(
        _source(passages[number - 1], number, [claim_at(text, start) for start in starts[:CLAIMS]])
        for number, starts in cited.items()
    )


def _source(passage: Passage, number: int | None, claims: Sequence[Claim]) -> Source:
    start, end = _stripped(passage.text, *supporting(passage, claims))
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
        quoted = _GAP.split(above)[-1]
        return Claim(quoted, quoted)
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
    last = [above[start:end] for start, end in sentences(above)][-1]  # the markers have a line of their own
    return Claim(_without_markers(last), "")


def supporting(passage: Passage, claims: Sequence[Claim]) -> tuple[int, int]:
    """The consecutive sentences of a passage that share most with one of the claims, by their offsets there.

    Without a claim, or where nothing is shared, the part that fits the question best.
    """
    at = passage.text.find(passage.quote) if passage.quote else -1
    fit = (at, at + len(passage.quote)) if at >= 0 else (0, min(QUOTE_CHARS, len(passage.text)))
    units = [*_units(passage.text)] if claims else []
    if not units:
        return fit
    unit_terms = [np.unique(terms(passage.text[start:end])) for start, end in units]
    best = max((_best(claim, units, unit_terms, fit) for claim in claims), key=lambda quote: quote.score)
    return (best.start, best.end) if best.score > 0 else fit


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
    """Sentences, and rows of tables, none longer than a quote may be."""
    for start, end in sentences(text):
        if end - start <= QUOTE_CHARS and not _ROW.search(text, start, end):
            yield start, end
            continue
        for line in re.finditer(r"[^\n]+", text[start:end]):
            for part in parts(line[0], QUOTE_CHARS):
                yield start + line.start() + part.start, start + line.start() + part.end


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def _says_something(text: str) -> bool:
    return any(map(str.isalnum, _without_markers(text)))


def _without_markers(text: str) -> str:
    return MARKER.sub("", text)
