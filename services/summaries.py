"""Summaries of whole documents: by the chat model where one is configured, else of their own most central sentences."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.llm_factory import chat_model, provider_name
from models.prompts import SUMMARY_OF_DOCUMENT, SUMMARY_OF_NOTES, SUMMARY_OF_PART, summary_prompt
from models.providers import local_transformers, offline
from services.citation_markers import without_markers
from services.text.cutting import parts, sentences, width
from services.text.running_heads import bodies
from utils import http_client
from utils.errors import ChatError, Language, UpstreamError
from utils.loaders import Page
from utils.prose import blocks, is_row, unwrapped
from utils.settings import Settings

log = logging.getLogger(__name__)

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
Ask = Callable[[str], Awaitable[str]]

SAMPLE = 400  # sentences that are compared; embedding them takes about a second
SENTENCE_WIDTH = (30, 300)  # what is shorter says little, what is longer is no sentence
LETTERS = 0.7  # of a sentence, at least; numbers and signs are references and cells
RAW_SAMPLES = 20  # times as many are looked at, as some of them are no sentences
WHOLE = 20  # times as long as a summary, a text is not looked at whole: there is more in it than markup
LEAD, LEAD_SENTENCES = 0.5, 4
CALLS = 4  # to the model at once
WINDOW_SHARE = 0.5  # of the model's window for the text; the rest is for the prompt, thoughts and the answer
NOTES_PER_CALL = 4  # at least, so that each round leaves fewer notes

_MARKUP = re.compile(r"^(?:#{1,6} +|[-*+•] +|\d{1,3}[.)、](?!\d) *|> ?)|[*_`]{2,}", re.MULTILINE)
_ENDED = re.compile(r"[。！？；…!?.][\"'”’」』）)】\]]*$")
_TABLE = re.compile(r"^(?P<head>\|.*\|)[ \t]*\n\|[ |:-]*-[ |:-]*\|[ \t]*(?P<rows>(?:\n[ \t]*\|.*)*)", re.MULTILINE)
_CELL = re.compile(r"(?<!\\)\|")
LEAST_ROOM = 100  # characters, for sentences beside tables
MOSTLY = 0.5  # of a text that are rows of tables: it is a table
TABLE_IS: dict[Language, str] = {
    "en": "A table with {rows} rows and the columns {columns}.",
    "zh": "表格，共 {rows} 行，各列为：{columns}。",
}
COMMA: dict[Language, str] = {"en": ", ", "zh": "、"}


def body_text(pages: Sequence[Page]) -> str:
    """The text of a document without the headers and footers that come again on its pages."""
    return "\n\n".join(page.text[start:end].strip() for page, (start, end) in zip(pages, bodies(pages), strict=True))


def document_summary(text: str, settings: Settings, embed: Embed) -> str:
    """The summary of a document, in its own language. Blocks; empty only for a blank text, and the model may fail."""
    # a job would load the local model anew for each document, within its limit of memory
    if provider_name(settings) in (offline.NAME, local_transformers.NAME):
        return own_words(text, embed)
    model = chat_model(settings)

    async def ask(prompt: str) -> str:
        return (await model.ainvoke(prompt)).text

    async def bounded() -> str:
        try:
            async with asyncio.timeout(settings.DOCUMENT_TIMEOUT_SECONDS / 2):
                limit = int(2 * WINDOW_SHARE * settings.LLM_CONTEXT_TOKENS)  # a token has a width of two or more
                return await summarise(text, ask, language_of(text), embed, limit)
        except TimeoutError:
            log.warning("the model took too long to summarise a document")
            return await asyncio.to_thread(own_words, text, embed)

    return http_client.run(bounded())


def language_of(text: str) -> Language:
    """Chinese when at least a fifth of the text is: an English paper may name its authors in Chinese."""
    wide = width(text) - len(text)
    return "zh" if wide * 5 >= len(text) else "en"


async def summarise(text: str, ask: Ask, language: Language, embed: Embed, limit: int) -> str:
    """The model's summary of the whole text: of each piece (`limit` wide), then of these notes, until one is left.

    Without markers: there is nothing here that they could name. When the model fails, the document's own words instead.
    """
    summary = ""
    try:
        summary = await _summarised(text, ask, language, limit)
    except* ChatError as failed:
        log.warning("a document is summarised without the model: %s", failed.exceptions[0])
    return summary or await asyncio.to_thread(own_words, text, embed)


async def _summarised(text: str, ask: Ask, language: Language, limit: int) -> str:
    places = asyncio.Semaphore(CALLS)

    async def answer(task: str, about: str) -> str:
        async with places:
            summary = without_markers(await ask(summary_prompt(task, about, language))).strip()
        if not summary:
            raise UpstreamError(upstream="chat model")
        return summary

    async def all_of(tasks: Sequence[tuple[str, str]]) -> list[str]:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(answer(*task)) for task in tasks]
        return [task.result() for task in running]

    pieces = [text[part.start : part.end] for part in parts(text, limit)]
    if len(pieces) == 1:
        return await answer(SUMMARY_OF_DOCUMENT[language], pieces[0])
    tasks = [
        (SUMMARY_OF_PART[language].format(number=number, total=len(pieces)), piece) for number, piece in enumerate(pieces, 1)
    ]
    notes = await all_of(tasks)
    while len(notes) > 1:
        notes = await all_of([(SUMMARY_OF_NOTES[language], group) for group in _grouped(notes, limit)])
    return notes[0]


def _grouped(notes: Sequence[str], limit: int) -> list[str]:
    """Notes side by side, in groups that are no wider than `limit`."""
    groups: list[str] = []
    for note in notes:
        start, end = parts(note, limit // NOTES_PER_CALL)[0]
        if groups and width(groups[-1]) + width(note[start:end]) + 2 <= limit:
            groups[-1] += f"\n\n{note[start:end]}"
        else:
            groups.append(note[start:end])
    return groups


def own_words(text: str, embed: Embed, max_chars: int = 600) -> str:
    """A summary without a model: central sentences, and of tables their columns and how many rows they have."""
    tables = list(_TABLE.finditer(text))
    if sum(len(table[0]) for table in tables) < MOSTLY * len(text.strip()):
        return central_sentences(text, embed, max_chars)
    language = language_of(text)
    summary = ""
    for table in tables:
        columns = [cell.strip() for cell in _CELL.split(table["head"].strip())[1:-1] if cell.strip()]
        said = TABLE_IS[language].format(rows=len(table["rows"].split("\n")) - 1, columns=COMMA[language].join(columns))
        if summary and len(summary) + len(said) >= max_chars:
            break
        summary += f"{said[:max_chars]}\n"
    rest = _TABLE.sub("", text)
    room = max_chars - len(summary)
    return (summary + (central_sentences(rest, embed, room) if rest.strip() and room > LEAST_ROOM else "")).strip()


def central_sentences(text: str, embed: Embed, max_chars: int = 600) -> str:
    """The sentences that together stand for the document best, in its order. Empty only for a blank text.

    Each is chosen because it is close to much of what those chosen before do not cover (facility location, greedily): the
    main themes come first and none twice. Of a long document an even sample is looked at.
    """
    whole = _tidy(text[: WHOLE * max_chars])
    if len(whole) <= max_chars and len(text) <= WHOLE * max_chars:
        return whole
    candidates = _sample(text)
    chosen = _chosen(candidates, embed(candidates), max_chars) if candidates else []
    summary = ""
    for sentence in (candidates[number] for number in sorted(chosen)):
        summary += _gap(summary) + sentence
    return summary or _beginning(whole, max_chars)


def _gap(before: str) -> str:
    """What parts a text from the sentence that follows: nothing in Chinese, where it ends as a sentence."""
    if not before or _ENDED.search(before):
        return " " if before and before[-1].isascii() else ""
    return "\n"


def _beginning(text: str, max_chars: int) -> str:
    """The first lines of a text, or as much of the first one as there is room for."""
    end = text.rfind("\n", 0, max_chars - 1)
    return text[: end if end > 0 else max_chars - 1].rstrip() + "…"


def _chosen(candidates: Sequence[str], vectors: NDArray[np.float32], room: int) -> list[int]:
    """The numbers of the sentences that fill `room` characters best, the best first."""
    lengths = np.array([len(sentence) + 1 for sentence in candidates])
    likeness = np.maximum(vectors @ vectors.T, 0)
    likeness *= likeness.mean(axis=0) ** 2  # what is like nothing else need not be covered
    appeal = 1 + LEAD * np.exp(-np.arange(len(candidates)) / LEAD_SENTENCES)  # beginnings say what it is about
    covered = np.zeros(len(candidates), np.float32)
    chosen: list[int] = []
    while len(fitting := np.flatnonzero(lengths <= room)):
        gains = appeal[fitting] * np.maximum(likeness[fitting] - covered, 0).sum(axis=1)
        best = int(fitting[np.argmax(gains)])
        if gains.max() <= 0:
            break
        chosen.append(best)
        covered = np.maximum(covered, likeness[best])
        room -= int(lengths[best])
    return chosen


def _tidy(text: str) -> str:
    """What a reader sees: no marks of headings and lists, no wrapped lines, each title and row on a line of its own."""
    return "\n".join(filter(None, (_plain(text[start:end]) for start, end in blocks(text))))


def _plain(text: str) -> str:
    return unwrapped(_MARKUP.sub("", text.strip()))


def _sample(text: str) -> list[str]:
    """Sentences from all over the document, as they read without markup. No rows of tables."""
    low, high = SENTENCE_WIDTH
    spans = [(start, end) for start, end in blocks(text) if not is_row(text[start:end])]
    spans = [(first + span.start, first + span.end) for first, last in spans for span in sentences(text[first:last])]
    spans = spans[:: max(1, len(spans) // (RAW_SAMPLES * SAMPLE))]  # those of a thousand pages would take much memory
    found = [_plain(text[start:end]) for start, end in spans]
    found = [sentence for sentence in dict.fromkeys(found) if low <= width(sentence) <= high and _is_prose(sentence)]
    step = max(1.0, len(found) / SAMPLE)
    return [found[int(n * step)] for n in range(min(len(found), SAMPLE))]


def _is_prose(sentence: str) -> bool:
    plain = sentence.replace(" ", "")
    return sum(map(str.isalpha, plain)) >= LETTERS * len(plain)
