"""Tells what documents are about: their summaries."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from models.conversations import ReadyDocument
from models.document_names import named, no_such, own_first
from models.tools import Description, Strings, Tool, ToolContext, ToolOutput, without_documents
from utils.errors import Language

MOST = 20  # documents in one call
FEW_CHARS = 200  # of each summary, at least, before the list is cut instead
TITLE = {"en": "{name} ({pages} pages)", "zh": "{name}（共 {pages} 页）"}
HEADINGS = {"en": "Headings: {}", "zh": "标题：{}"}
NO_SUMMARY = {"en": "No summary.", "zh": "没有摘要。"}
PAST_THE_END = {
    "en": "There are {total} documents, and no number {first}.",
    "zh": "共有 {total} 份文档，没有第 {first} 份。",
}
GO_ON = {
    "en": "These are documents {first} to {last} of {total}; go on with first={next}.",
    "zh": "以上是第 {first} 至 {last} 份文档，共 {total} 份；继续请用 first={next}。",
}


class Arguments(BaseModel):
    documents: Strings = Field(default_factory=list, max_length=50, description="File names; all documents without them.")
    names_only: bool = Field(False, description="To list which documents there are, without their summaries.")
    first: int = Field(1, ge=1, description="Number of the document to begin with, where there are many.")


async def run(args: Arguments, context: ToolContext) -> ToolOutput:
    language = context.language
    chosen = catalog = await context.catalog()
    notes = []
    if args.documents:
        chosen, unknown = named(args.documents, own_first(catalog, context.documents))
        if unknown:
            notes.append(no_such(unknown, catalog, language))
    if args.first > max(len(chosen), 1):
        return ToolOutput(PAST_THE_END[language].format(total=len(chosen), first=args.first))
    room = context.room() - sum(map(len, notes)) - FEW_CHARS
    if args.names_only:
        blocks = ["\n".join(_names(chosen[args.first - 1 :], room))] if chosen else []
        count = blocks[0].count("\n") + 1 if blocks else 0
    else:
        blocks = _fitting(await context.describe(chosen[args.first - 1 : args.first - 1 + MOST]), room, language)
        count = len(blocks)
    last = args.first - 1 + count
    if blocks and last < len(chosen):
        notes.append(GO_ON[language].format(first=args.first, last=last, total=len(chosen), next=last + 1))
    return ToolOutput("\n\n".join([*blocks, *notes]))


def _names(documents: Sequence[ReadyDocument], room: int) -> list[str]:
    """As many names, in lines, as there is room for; one at least."""
    lines: list[str] = []
    for document in documents:
        lines.append(f"- {' '.join(document.filename.split())}")
        room -= len(lines[-1]) + 1
        if room < 0 and len(lines) > 1:
            return lines[:-1]
    return lines


def _fitting(descriptions: Sequence[Description], room: int, language: Language) -> list[str]:
    """As many descriptions as there is room for, each cut to its share; one at least."""
    share = max(room // max(len(descriptions), 1), FEW_CHARS)
    blocks: list[str] = []
    for description in descriptions:
        block = _block(description, share, language)
        room -= len(block) + 2
        if room < 0 and blocks:
            break
        blocks.append(block)
    return blocks


def _block(description: Description, chars: int, language: Language) -> str:
    name = description.document.filename
    head = name if description.pages is None else TITLE[language].format(name=name, pages=description.pages)
    summary = description.summary or NO_SUMMARY[language]
    lines = [head, summary if len(summary) <= chars else summary[: chars - 1] + "…"]
    headings = HEADINGS[language].format(" · ".join(description.headings))
    if description.headings and sum(map(len, lines)) + len(headings) <= chars:
        lines.append(headings)
    return "\n".join(lines)


TOOL = Tool(
    name="describe_documents",
    description="Tells what documents are about: name, number of pages, summary and headings of each.",
    args=Arguments,
    run=run,
    missing=without_documents,
)
