"""Reads pages of a document, or what is central on them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import BaseModel, Field

from models.conversations import ReadyDocument
from models.document_names import listed, named, no_such
from models.passages import Passage
from models.quoting import SENTENCE, quote
from models.tools import Part, Reading, Tool, ToolContext, ToolOutput, without_documents
from utils.errors import Language

MOST = 200  # pages in one call
HEAD_CHARS = 400  # for what stands above the pages
BLOCK_CHARS = 40  # of a page's number and place, beside the name of its file
FEW_CHARS, MANY_CHARS = 150, 600  # of the central sentences of a page

WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "pages": "{name}: pages {first} to {last} of {total}.",
        "parts": "{name} has no pages: parts {first} to {last} of {total}.",
        "summary": "Of each, these are its most central sentences.",
        "part": "part {number} of {total}",
        "empty": "Without text: {numbers}.",
        "past": "{name} ends with number {total}; there is no number {first}.",
        "stopped": "There is no room for more: go on with first_page={next}.",
        "inside": "Number {number} is cut: go on with first_page={number} and offset={offset}.",
        "which": "Name the document.",
    },
    "zh": {
        "pages": "{name}：第 {first} 至 {last} 页，共 {total} 页。",
        "parts": "{name} 没有页码：第 {first} 至 {last} 部分，共 {total} 部分。",
        "summary": "以下是各页最核心的句子。",
        "part": "第 {number} 部分，共 {total} 部分",
        "empty": "没有文字：{numbers}。",
        "past": "{name} 只到第 {total} 页（部分），没有第 {first} 页（部分）。",
        "stopped": "篇幅所限，后面未列出：继续请用 first_page={next}。",
        "inside": "第 {number} 页（部分）未完：继续请用 first_page={number}，offset={offset}。",
        "which": "请指明文档。",
    },
}


class Arguments(BaseModel):
    document: str = Field("", max_length=300, description="File name; needed where there are several documents.")
    first_page: int = Field(1, ge=1, description="First page, counted from 1; a part where the format has no pages.")
    last_page: int = Field(0, ge=0, description="Last page, itself included; the first one when it is left out.")
    offset: int = Field(0, ge=0, description="Characters of the first page to pass over, to go on where it was cut.")
    summary: bool = Field(False, description="Whether to give the central sentences of each page instead of its whole text.")


async def run(args: Arguments, context: ToolContext) -> ToolOutput:
    words, catalog = WORDS[context.language], await context.catalog()
    found, unknown = named([args.document], catalog) if args.document.strip() else ([*catalog], [])
    if unknown:
        return ToolOutput(no_such(unknown, catalog, context.language))
    if len(found) > 1 and not args.document.strip():
        names = listed([document.filename for document in catalog], context.language)
        return ToolOutput(f"{words['which']}\n{names}")
    document = found[-1]  # the newest of those with one name
    first = args.first_page
    reading = await context.read(document, first, min(max(first, args.last_page), first + MOST - 1))
    if first > reading.total:
        return ToolOutput(words["past"].format(name=document.filename, total=reading.total, first=first))
    parts = [_without(part, args.offset) if part.number == first else part for part in reading.parts]
    texts = await _condensed(parts, context) if args.summary else [part.text for part in parts]
    passages, stopped = _fitting(document, reading, list(zip(parts, texts, strict=True)), args.offset, context)
    return ToolOutput("\n".join(filter(None, [_head(document, reading, parts, args.summary, words), stopped])), passages)


def _without(part: Part, offset: int) -> Part:
    """A part without its first characters."""
    return (
        replace(part, text=part.text[offset:], start=part.start + min(offset, len(part.text)), body="") if offset else part
    )


def _head(document: ReadyDocument, reading: Reading, parts: Sequence[Part], summary: bool, words: Mapping[str, str]) -> str:
    """Says what the passages below are."""
    kind, last = words["pages" if reading.paged else "parts"], parts[-1].number
    sentences = [kind.format(name=document.filename, first=parts[0].number, last=last, total=reading.total)]
    if empty := [str(part.number) for part in parts if not part.text.strip()]:
        sentences.append(words["empty"].format(numbers=", ".join(empty)))
    if summary:
        sentences.append(words["summary"])
    return " ".join(sentences)


async def _condensed(parts: Sequence[Part], context: ToolContext) -> Sequence[str]:
    """The central sentences of each part; fewer where there are many parts."""
    share = (context.room() - HEAD_CHARS) // max(len(parts), 1)
    return await context.condense([part.body.strip() or part.text for part in parts], min(max(share, FEW_CHARS), MANY_CHARS))


def _fitting(
    document: ReadyDocument, reading: Reading, texts: Sequence[tuple[Part, str]], offset: int, context: ToolContext
) -> tuple[tuple[Passage, ...], str]:
    """The parts for which there is room, with these texts, and how to go on if some are left out."""
    words, room = WORDS[context.language], context.room() - HEAD_CHARS
    passages: list[Passage] = []
    for part, text in texts:
        room -= len(document.filename) + BLOCK_CHARS
        if room < len(text) and passages:
            return tuple(passages), words["stopped"].format(next=part.number)
        where = "" if reading.paged else words["part"].format(number=part.number, total=reading.total)
        shown = text[: max(room, 0)]
        if shown.strip():
            passages.append(_passage(document, part, shown, where, reading.paged))
        if len(shown) < len(text):
            return tuple(passages), words["inside"].format(number=part.number, offset=offset + len(shown))
        room -= len(shown)
    return tuple(passages), ""


def _passage(document: ReadyDocument, part: Part, text: str, where: str, paged: bool) -> Passage:
    opening = SENTENCE.match(text.lstrip())
    first = opening[0].strip() if opening else ""
    return Passage(
        document_id=document.id,
        filename=document.filename,
        page=part.number if paged else None,
        text=text,
        quote=first if first and first in part.text else quote(part.text, set()).strip(),
        start=part.start,
        end=part.start + len(part.text),
        score=1.0,  # it was asked for
        context=where,
    )


TOOL = Tool(
    name="read_document",
    description="Reads pages of a document, from the first to the last that is asked for. Use it when the user names pages, "
    "or to read on around a passage that a search found.",
    args=Arguments,
    run=run,
    missing=without_documents,
)
