"""What a tool is given by a turn."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from models.conversations import ReadyDocument
from models.knowledge_bases import ReadyBase
from models.passages import Passage
from models.tools import Description, Part, Reading, Tool, ToolContext, ToolOutput
from models.turns import SessionKey
from utils.errors import Language
from utils.settings import Settings

HANDBOOK, CONTRACT = ReadyDocument("d1", "员工手册.pdf"), ReadyDocument("d2", "Contract A.docx")


def tool_context(
    settings: Settings,
    passages: Sequence[Passage] = (),
    documents: Sequence[ReadyDocument] = (),
    language: Language = "en",
    *,
    bases: Sequence[ReadyBase] = (),
    shelf: Sequence[ReadyDocument] = (),
    pages: Sequence[str] | Mapping[str, Sequence[str]] = (),
    paged: bool = True,
    summaries: Sequence[str] = (),
    room: int = 12_000,
) -> ToolContext:
    """A context in which every search finds `passages`, of the documents that it is for.

    Each document has these `pages`, or parts, and the one of `summaries` that has its number; `shelf` is in the `bases`.
    With `pages` by id only these documents have any.
    """
    everything = [*documents, *shelf]

    def pages_of(document: ReadyDocument) -> Sequence[str]:
        return pages.get(document.id, ()) if isinstance(pages, Mapping) else pages

    async def search(query: str, chosen: Sequence[ReadyDocument] | None = None, k: int = 8) -> list[Passage]:
        ids = {document.id for document in chosen or ()}
        return [passage for passage in passages if chosen is None or passage.document_id in ids][:k]

    async def catalog() -> list[ReadyDocument]:
        return everything

    async def read(document: ReadyDocument, first: int, last: int) -> Reading:
        parts = [Part(number, text, 100 * number) for number, text in enumerate(pages_of(document), 1)]
        return Reading(parts[first - 1 : last], len(parts), paged)

    async def describe(chosen: Sequence[ReadyDocument]) -> list[Description]:
        told = dict(zip(everything, summaries, strict=False))
        return [
            Description(one, (len(pages_of(one)) or None) if paged else None, told.get(one, ""), ["总则", "年假"])
            for one in chosen
        ]

    async def condense(texts: Sequence[str], chars: int) -> list[str]:
        return [text[:chars] for text in texts]

    return ToolContext(
        settings,
        SessionKey("local", "s1"),
        documents,
        bases,
        language,
        search,
        catalog,
        read,
        describe,
        condense,
        lambda: room,
    )


def call(tool: Tool, context: ToolContext, **args: Any) -> ToolOutput:
    """Runs a tool as a turn does: arguments validated, on an event loop."""
    return asyncio.run(tool.run(tool.args.model_validate(args), context))  # type: ignore[arg-type]
