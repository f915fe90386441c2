"""Reads pages of a document, or what is central on them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import BaseModel, Field

from models.conversations import ReadyDocument
from models.document_names import like, listed, named, no_such, own_first
from models.passages import Passage
from models.prompts import WHICH
from models.quoting import SENTENCE
from models.tools import Part, Reading, Tool, ToolContext, ToolOutput, without_documents
from utils.errors import Language

MOST = 200  # pages in one call
MOST_COUNTED = 50  # documents whose pages are looked up
HEAD_CHARS = 400  # for what stands above the pages
BLOCK_CHARS = 40  # of a page's number and place, beside the name of its file
FEW_CHARS, MANY_CHARS = 150, 600  # of the central sentences of a page

WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "pages": "{name}: pages {first} to {last} of {total}.",
        "page": "{name}: page {first} of {total}.",
        "parts": "{name} has no pages: parts {first} to {last} of {total}.",
        "one_part": "{name} has no pages: part {first} of {total}.",
        "summary": "Of each, these are its most central sentences.",
        "part": "part {number} of {total}",
        "empty": "Without text: {numbers}.",
        "past_pages": "{name} has {total} pages; there is no page {first}.",
        "past_parts": "{name} has no pages but {total} parts; there is no part {first}.",
        "stopped": "There is no room for more: go on with first_page={next}.",
        "inside": "Number {number} is cut: go on with first_page={number} and offset={offset}.",
        "none": "No document has that many pages.",
        "count": "{name} ({pages} pages)",
        "space": " ",
    },
    "zh": {
        "pages": "{name}：第 {first} 至 {last} 页，共 {total} 页。",
        "page": "{name}：第 {first} 页，共 {total} 页。",
        "parts": "{name} 没有页码：第 {first} 至 {last} 部分，共 {total} 部分。",
        "one_part": "{name} 没有页码：第 {first} 部分，共 {total} 部分。",
        "summary": "以下是各页最核心的句子。",
        "part": "第 {number} 部分，共 {total} 部分",
        "empty": "没有文字：{numbers}。",
        "past_pages": "{name} 共 {total} 页，没有第 {first} 页。",
        "past_parts": "{name} 没有页码，共 {total} 部分，没有第 {first} 部分。",
        "stopped": "篇幅所限，后面未列出：继续请用 first_page={next}。",
        "inside": "第 {number} 页（部分）未完：继续请用 first_page={number}，offset={offset}。",
        "none": "没有文档有这么多页。",
        "count": "{name}（共 {pages} 页）",
        "space": "",
    },
}


class Arguments(BaseModel):
    document: str = Field("", max_length=300, description="File name; needed where there are several documents.")
    first_page: int = Field(
        1,
        description="First page, counted from 1, or back from the end: -1 is the last. A part where a format has no pages.",
    )
    last_page: int = Field(
        0, description="Last page, itself included, counted like that; the first one when it is left out."
    )
    offset: int = Field(0, ge=0, description="Characters of the first page to pass over, to go on where it was cut.")
    summary: bool = Field(False, description="Whether to give the central sentences of each page instead of its whole text.")


async def run(args: Arguments, context: ToolContext) -> ToolOutput:
    words = WORDS[context.language]
    chosen = await _chosen(args, context)
    if isinstance(chosen, str):
        return ToolOutput(chosen)
    if args.first_page < 0 or args.last_page < 0:
        total = (await context.read(chosen, 1, 1)).total
        args = args.model_copy(update={name: _forward(getattr(args, name), total) for name in ("first_page", "last_page")})
    first = max(args.first_page, 1)
    reading = await context.read(chosen, first, min(max(first, args.last_page), first + MOST - 1))
    if first > reading.total:
        past = words["past_pages" if reading.paged else "past_parts"]
        return ToolOutput(past.format(name=chosen.filename, total=reading.total, first=first))
    parts = [_without(part, args.offset) if part.number == first else part for part in reading.parts]
    texts = await _condensed(parts, context) if args.summary else [part.text for part in parts]
    passages, stopped = _fitting(chosen, reading, list(zip(parts, texts, strict=True)), args.offset, context)
    return ToolOutput("\n".join(filter(None, [_head(chosen, reading, parts, args.summary, words), stopped])), passages)


def _forward(number: int, total: int) -> int:
    """A number that counts back from the end as one that counts from 1."""
    return max(total + 1 + number, 1) if number < 0 else number


async def _chosen(args: Arguments, context: ToolContext) -> ReadyDocument | str:
    """The document that is meant; else what to ask or to say."""
    catalog = await context.catalog()
    candidates = own_first(catalog, context.documents)
    if args.document.strip():
        found, unknown = named([args.document], candidates)
        if found:
            return found[-1]  # the newest of those with one name
        candidates = like(args.document, candidates)
        if not candidates:
            return no_such(unknown, catalog, context.language)
    if len(candidates) == 1:
        return candidates[0]
    return await _likely(candidates, abs(args.first_page), context)


async def _likely(candidates: Sequence[ReadyDocument], page: int, context: ToolContext) -> ReadyDocument | str:
    """The only one of the documents that has pages, or has as many; else the question which of them is meant."""
    words, which = WORDS[context.language], WHICH[context.language]
    if len(candidates) > MOST_COUNTED:
        return f"{which}\n{listed([document.filename for document in candidates], context.language)}"
    counts = {one.document: one.pages for one in await context.describe(candidates) if one.pages}
    fitting = [document for document, pages in counts.items() if pages >= page]
    if len(likely := fitting or [*counts]) == 1:
        return likely[0]
    names = [words["count"].format(name=one.filename, pages=counts[one]) for one in likely]
    names = names or [document.filename for document in candidates]
    head = which if fitting or not counts else f"{words['none']}{words['space']}{which}"
    return f"{head}\n{listed(names, context.language)}"


def _without(part: Part, offset: int) -> Part:
    """A part without its first characters."""
    return (
        replace(part, text=part.text[offset:], start=part.start + min(offset, len(part.text)), body="") if offset else part
    )


def _head(document: ReadyDocument, reading: Reading, parts: Sequence[Part], summary: bool, words: Mapping[str, str]) -> str:
    """Says what the passages below are."""
    first, last = parts[0].number, parts[-1].number
    one, several = ("page", "pages") if reading.paged else ("one_part", "parts")
    kind = words[one if first == last else several]
    sentences = [kind.format(name=document.filename, first=first, last=last, total=reading.total)]
    if empty := [str(part.number) for part in parts if not part.text.strip()]:
        sentences.append(words["empty"].format(numbers=", ".join(empty)))
    if summary:
        sentences.append(words["summary"])
    return words["space"].join(sentences)


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
        quote=first if first in part.text else "",
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
