"""Searches the documents of a turn: for one question or several, in all of them or side by side in a few."""

import asyncio
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, zip_longest

from pydantic import BaseModel, Field

from models.conversations import ReadyDocument
from models.document_names import named, no_such, own_first
from models.passages import Passage
from models.prompts import CJK, NOT_THERE, WEAK, WEAK_DOCUMENT, WEAK_QUERY
from models.question_parts import key_characters
from models.quoting import terms
from models.tools import Strings, Tool, ToolContext, ToolOutput, without_documents

HITS = 8  # passages of one call
SIDE_BY_SIDE = 4  # documents, at most, of which each gives its share

# A best passage is weak that has both a low score and few of the query's words. Measured with 560 questions in Chinese and
# English, each put to 1, 5 and 20 documents: of those that the documents answer 98.6 % are not weak, of those that belong to
# other documents of the same collection 23 % are not, to those of another collection 9 %. Across languages no words are
# shared, and scores are lower: 92 %, 22 % and 26 %.
FLOOR, FLOOR_ACROSS_LANGUAGES = 0.3, 0.18
FEW_WORDS = 0.4
FEW_SIGNS = 2  # Chinese characters; in a query that short each one counts


class Arguments(BaseModel):
    query: str = Field(
        min_length=1, max_length=1_000, description="What to look for: a question or key words, in the language of the user."
    )
    queries: Strings = Field(
        default_factory=list,
        max_length=4,
        description="The parts of a compound question, each a query of its own that can be understood by itself.",
    )
    documents: Strings = Field(
        default_factory=list,
        max_length=50,
        description="File names, to look into these documents only. Two to four are searched side by side, to compare them.",
    )


@dataclass(frozen=True)
class Found:
    """What one query found in one group of documents."""

    query: str
    group: Sequence[ReadyDocument] | None
    passages: list[Passage]

    @cached_property
    def weak(self) -> bool:
        """Whether even the best passage hardly fits."""
        best = max(self.passages, key=lambda passage: passage.score, default=None)
        if best is None:
            return True
        wanted = terms(self.query)
        text = f"{best.context}\n{best.text}"
        if wanted and len(wanted & terms(text)) >= FEW_WORDS * len(wanted):
            return False
        signs = key_characters(self.query)
        if signs and len(signs) <= FEW_SIGNS and signs <= {*text}:  # 月租 is the monthly 租金, though no pair is the same
            return False
        across = bool(CJK.search(self.query)) != (len(CJK.findall(best.text)) * 5 >= len(best.text))
        return best.score < (FLOOR_ACROSS_LANGUAGES if across else FLOOR)


async def run(args: Arguments, context: ToolContext) -> ToolOutput:
    chosen, notes = None, []
    if args.documents:
        catalog = await context.catalog()
        chosen, unknown = named(args.documents, own_first(catalog, context.documents))
        if unknown:
            notes.append(no_such(unknown, catalog, context.language))
        if not chosen:
            return ToolOutput("\n\n".join(notes))
    parts = [query.strip()[:1_000] for query in args.queries if query.strip()]
    side_by_side = chosen is not None and 1 < len(chosen) <= SIDE_BY_SIDE
    groups = [[document] for document in chosen or ()] if side_by_side else [chosen]
    found = await _search([*dict.fromkeys([args.query, *parts])], groups, context)
    own = {document.id for document in context.documents}
    passages = [passage for group in found for passage in _interleaved(group, HITS // len(groups), own)]
    notes += _notes(found, parts, context)
    return ToolOutput("\n\n".join(notes), tuple(passages))


async def _search(
    queries: Sequence[str], groups: Sequence[Sequence[ReadyDocument] | None], context: ToolContext
) -> list[list[Found]]:
    """What each query finds in each group; a list for each group."""

    async def search(query: str, group: Sequence[ReadyDocument] | None) -> Found:
        # documents may be in the session and in its bases
        k = 2 * HITS if group is None and context.bases else HITS
        return Found(query, group, await context.search(query, group, k))

    return [list(await asyncio.gather(*(search(query, group) for query in queries))) for group in groups]


def _interleaved(found: Sequence[Found], most: int, own: Set[str]) -> list[Passage]:
    """The best passage of each query, then the second of each, none twice; and the best summary.

    Of documents that hold the same text, one of the session's `own` is taken.
    """
    mine = {passage.text: passage for one in found for passage in one.passages if passage.document_id in own}
    by_query = (
        [replace(mine.get(passage.text, passage), weak=one.weak) for passage in one.passages]
        for one in sorted(found, key=lambda one: one.weak)
    )
    chosen: dict[tuple[str, int, bool], Passage] = {}
    holder: dict[str, str] = {}
    summaries = 0
    for passage in chain.from_iterable(zip_longest(*by_query)):
        if passage is None or (key := (passage.document_id, passage.start, passage.summary)) in chosen:
            continue
        if holder.setdefault(passage.text, passage.document_id) != passage.document_id:
            continue
        if not summaries if passage.summary else len(chosen) - summaries < most:
            chosen[key] = passage
            summaries += passage.summary
    return list(chosen.values())


def _notes(found: Sequence[Sequence[Found]], parts: Sequence[str], context: ToolContext) -> list[str]:
    """Says what the documents do not seem to hold: which of the `parts` of the question, and which document nothing."""
    language = context.language
    every = [*chain(*found)]
    if not any(one.passages for one in every):
        return [NOT_THERE[language]]
    if all(one.weak for one in every):
        return [WEAK[language]]
    strong = {one.query for one in every if not one.weak}
    notes = [WEAK_QUERY[language].format(part) for part in parts if part not in strong]
    if len(found) > 1:
        silent = [group[0].group for group in found if all(one.weak for one in group)]
        notes += [WEAK_DOCUMENT[language].format(group[0].filename) for group in silent if group]
    return notes


TOOL = Tool(
    name="search_documents",
    description="Searches the documents of this conversation and returns the passages that fit best, with file and page.",
    args=Arguments,
    run=run,
    missing=without_documents,
)
