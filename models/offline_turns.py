"""What a turn asks for, told without a language model from the messages that one would be sent."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from models.prompts import (
    WHICH,
    language_of,
    read_attachment_blocks,
    read_base_sizes,
    read_document_names,
    read_unready,
)
from models.questions import SUMMARISE, Wish, asks_by_name, understood
from models.turns import Attachment
from utils.errors import Language

DESCRIBE = "describe_documents"
QUERY_CHARS = 500
SHELF = 200  # documents in bases, at most, whose names are looked up to understand a question
COUNT = re.compile(r"（共 \d+ 页）$| \(\d+ pages\)$")
REPLY = re.compile(
    r"^(?:那个|那|就是?|是|用|the)+\s*|\s*(?:那|这)?(?:一?[个份本版]|版本)?(?:的|吧|one|version)*[。.!！\s]*$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class AskedTurn:
    """What is known of a turn: the question, what is wished in which language, and the results of tools, oldest first.

    `unready` says of documents why they cannot be searched. `unnamed`: documents are meant whose names are not known.
    """

    question: str
    pictures: Sequence[Attachment]
    wish: Wish
    language: Language
    results: Sequence[ToolMessage]
    unready: Sequence[str]
    unnamed: bool

    @classmethod
    def of(cls, messages: Sequence[BaseMessage]) -> "AskedTurn":
        asked = max((n for n, message in enumerate(messages) if isinstance(message, HumanMessage)), default=None)
        pictures, question = read_attachment_blocks("" if asked is None else messages[asked].text)
        text = (question.strip() or " ".join(picture.ocr_text for picture in pictures)).strip()[:QUERY_CHARS]
        system = messages[0].text if messages and isinstance(messages[0], SystemMessage) else ""
        results = [message for message in messages[asked or 0 :] if isinstance(message, ToolMessage)]
        names = read_document_names(system) + [name for result in results if is_list(result) for name in _items(result.text)]
        wish, language = understood(text, names), language_of(question or (messages[asked].text if asked else ""), names)
        before, choice = _asked_back(messages[: asked or 0])
        if before and (chosen := _picked(text, wish, choice)):
            return cls(
                before,
                pictures,
                replace(understood(before, names), documents=chosen),
                language_of(before, names),
                results,
                (),
                False,
            )
        unnamed = _wants_names(text, wish, names) and 0 < sum(read_base_sizes(system)) <= SHELF
        return cls(question, pictures, wish, language, results, read_unready(system), unnamed)


def is_list(result: ToolMessage) -> bool:
    """Whether a result is a list of names."""
    return result.name == DESCRIBE and result.status == "success" and result.text.startswith("- ")


def _items(text: str) -> list[str]:
    return [COUNT.sub("", line.removeprefix("- ")) for line in text.splitlines() if line.startswith("- ")]


def _wants_names(text: str, wish: Wish, names: Sequence[str]) -> bool:
    """Whether the names of all documents help to understand a question."""
    open_question = wish.documents or wish.kind in ("search", "compare") or (wish.kind == "pages" and wish.topic)
    known = wish.documents and {*names}.issuperset(wish.documents)
    return bool(open_question) and not known and asks_by_name(text)


def _asked_back(messages: Sequence[BaseMessage]) -> tuple[str, list[str]]:
    """The last question and the names to choose from, where all that was answered is which document is meant."""
    asked = max((n for n, message in enumerate(messages) if isinstance(message, HumanMessage)), default=None)
    said = messages[-1].text if messages and isinstance(messages[-1], AIMessage) else ""
    if asked is None or not any(which in said for which in WHICH.values()):
        return "", []
    return read_attachment_blocks(messages[asked].text)[1].strip()[:QUERY_CHARS], _items(said)


def _picked(text: str, wish: Wish, choice: Sequence[str]) -> tuple[str, ...]:
    """The document that a reply names, whole or by a part of its name that no other one has; nothing of another question."""
    if wish.kind == "about" and wish.documents and not SUMMARISE.search(text):
        return wish.documents[:1]
    part = REPLY.sub("", text).casefold()
    fitting = [name for name in choice if part and part in name.casefold()]
    return tuple(fitting) if len(fitting) == 1 else ()
