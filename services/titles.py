"""Titles that a model gives to conversations, in the place of those made from the first line of the first message."""

import asyncio
import logging
import re
import unicodedata
from collections.abc import Awaitable, Callable

from models.conversation_queries import improve_title
from models.conversations import TITLE_CHARS
from models.llm_factory import chat_model, provider_name
from models.prompts import title_prompt
from models.providers import offline
from utils.errors import ChatError
from utils.file_util import JOINERS
from utils.settings import Settings

log = logging.getLogger(__name__)

TITLE_SECONDS = 60
TITLE_TOKENS = 1_000  # a title takes a few; a model may think before
EXCERPT = 2_000  # characters of the question, and of the answer, that the model is shown

_NOISE = re.compile(r"^(?:title|标题|题目|標題)\s*[:：]|^(?:#+|[-*+>])\s|\*\*|`", re.IGNORECASE)
_QUOTES = ('""', "''", "“”", "‘’", "「」", "『』", "《》", "〈〉", "«»", "()", "（）", "[]", "【】")


async def improve(
    settings: Settings,
    write: Callable[..., Awaitable[None]],
    conversation_id: int,
    automatic: str,
    question: str,
    answer: str,
) -> None:
    """Replaces the `automatic` title of a conversation after its first turn; any other title stays, as does this one when
    the model fails.

    `write(function, *args)` runs `function(connection, *args)` in a transaction. Does nothing without TITLE_MODEL.
    """
    if not settings.TITLE_MODEL or provider_name(settings) == offline.NAME:
        return
    prompt = title_prompt(question[:EXCERPT], answer[:EXCERPT])
    try:
        async with asyncio.timeout(TITLE_SECONDS):
            model = chat_model(settings, model=settings.TITLE_MODEL, max_tokens=TITLE_TOKENS)
            written = (await model.ainvoke(prompt)).text
        if better := clean(written):
            await write(improve_title, conversation_id, automatic, better)
    except (ChatError, TimeoutError) as error:
        log.warning("A conversation keeps its first title: %s", error or "the model took too long")


def clean(written: str) -> str:
    """The title in what a model wrote: one line without labels, markup and quotation marks, at most 60 characters."""
    lines = (" ".join(_visible(line).split()) for line in written.splitlines())
    title, seen = next((line for line in lines if line and not line.startswith("```")), ""), None
    while title != seen:
        bare = _NOISE.sub("", title).strip()
        title, seen = _unquoted(bare.rstrip("。.，,：:") or bare), title
    return title if len(title) <= TITLE_CHARS else title[: TITLE_CHARS - 1] + "…"


def _visible(text: str) -> str:
    return "".join(c if c in JOINERS or unicodedata.category(c)[0] != "C" else " " for c in text)


def _unquoted(title: str) -> str:
    for pair in _QUOTES:
        opening, closing = pair[0], pair[1]
        inner = title[1:-1]
        if len(title) > 1 and title[0] == opening and title[-1] == closing and not {opening, closing} & set(inner):
            return inner.strip()
    return title
