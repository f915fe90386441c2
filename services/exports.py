"""Conversations as files to take away: JSON with everything, for programs, or Markdown, for people.

JSON: `{"exported_at", "conversations": […], "knowledge_bases": […], "configs": […]}`, the last two where all of an owner is
exported. A conversation is a row as in lists, with `system_prompt`, the ids of its `knowledge_bases`, `documents` and
`messages`; a knowledge base is what it is by itself, with `documents`. Documents are as in lists, with their extracted
`text` (the files themselves can be downloaded); messages are as in a history, of all branches, told apart by `parent_id` and
`active`. Cleared messages are in neither kind: who wants them restores them first.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

import orjson

from models import conversation_queries, conversations, histories, knowledge_bases
from models.database import Database, now
from models.documents import Document
from models.knowledge_bases import KnowledgeBase
from models.turns import SessionKey
from services import document_files as files
from services import markdown_export
from services.conversation_service import ConversationService
from services.document_service import DocumentService
from utils.errors import Language, NotFound

Format = Literal["json", "markdown"]
Row = TypeVar("Row")
BLOCK = 65_536  # bytes that are sent at once
PORTION = 200  # rows that are read at once
NAME_CHARS = 60
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\u200e\u200f\u202a-\u202e\u2066-\u2069]+')


@dataclass(frozen=True, slots=True)
class Export:
    """A file in the making: its parts come as they are read."""

    filename: str
    media_type: str
    parts: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Content:
    """One conversation, whose messages are yet to be read."""

    row: dict[str, Any]
    system_prompt: str
    knowledge_bases: list[KnowledgeBase]
    documents: list[Document]
    messages: Iterable[dict[str, Any]]


class ExportService:
    """Its methods return at once what cannot be found; reading goes on while the parts are taken."""

    def __init__(self, database: Database, documents: DocumentService, conversations: ConversationService) -> None:
        self.database, self.documents, self.conversations = database, documents, conversations

    def conversation(self, key: SessionKey, form: Format, language: Language) -> Export:
        """One conversation, a temporary one too. Raises NotFound."""
        content = self._content(key, form, language)
        return self._export(_filename(content.row["title"]), [content], form, language)

    def everything(self, owner: str, form: Format, language: Language) -> Export:
        """Conversations of an owner but temporary ones, knowledge bases, and in JSON what users have configured, no keys."""
        sessions = list(conversation_queries.session_ids(self.database, owner, stored=True))
        contents = self._contents([SessionKey(owner, session_id) for session_id in sessions], form, language)
        return self._export(f"conversations-{now():%Y-%m-%d}", contents, form, language, owner)

    def _contents(self, keys: list[SessionKey], form: Format, language: Language) -> Iterator[Content]:
        for key in keys:
            try:
                yield self._content(key, form, language)
            except NotFound:  # deleted meanwhile
                continue

    def _content(self, key: SessionKey, form: Format, language: Language) -> Content:
        conversation = conversations.find(self.database, key)
        row = conversation_queries.find_listed(self.database, key).as_dict(language)
        messages: Iterable[dict[str, Any]]
        if conversation.temporary:
            messages = self.conversations.history(key).messages
        else:
            branches: histories.Branches = "all" if form == "json" else "active"
            messages = histories.transcript(self.database, conversation.id, branches=branches)
        bases = knowledge_bases.attached(self.database, key)
        return Content(row, conversation.system_prompt, bases, [*self.documents.list(key)], messages)

    def _export(
        self, name: str, contents: Iterable[Content], form: Format, language: Language, owner: str | None = None
    ) -> Export:
        """These conversations; with `owner`, what else that one has too."""
        if form == "json":
            return Export(f"{name}.json", "application/json", _blocks(self._json(contents, language, owner)))
        texts = (text.encode() for text in self._markdown(contents, language, owner))
        return Export(f"{name}.md", "text/markdown; charset=utf-8", _blocks(texts))

    def _json(self, contents: Iterable[Content], language: Language, owner: str | None) -> Iterator[bytes]:
        yield b'{"exported_at":' + orjson.dumps(now().isoformat()) + b',"conversations":['
        yield from _with_commas(self._json_conversation(content, language) for content in contents)
        if owner is not None:
            yield b'],"knowledge_bases":['
            yield from _with_commas(self._json_base(base, language) for base in self._bases(owner))
            yield b'],"configs":' + orjson.dumps(conversation_queries.configs(self.database, owner)) + b"}\n"
        else:
            yield b"]}\n"

    def _markdown(self, contents: Iterable[Content], language: Language, owner: str | None) -> Iterator[str]:
        for content in contents:
            yield from _markdown(content, language)
        for base in self._bases(owner) if owner is not None else ():
            documents = (document.as_item(language) for document in self._documents(base))
            yield from markdown_export.knowledge_base(base.as_dict(), documents, language)

    def _bases(self, owner: str) -> Iterator[KnowledgeBase]:
        return _all(partial(knowledge_bases.page, self.database, owner, limit=PORTION))

    def _documents(self, base: KnowledgeBase) -> Iterator[Document]:
        return _all(partial(self.documents.page_of_base, base.id, limit=PORTION))

    def _json_base(self, base: KnowledgeBase, language: Language) -> Iterator[bytes]:
        yield orjson.dumps(base.as_dict()).removesuffix(b"}") + b',"documents":['
        yield from _with_commas([self._json_document(document, language)] for document in self._documents(base))
        yield b"]}"

    def _json_conversation(self, content: Content, language: Language) -> Iterator[bytes]:
        bases = [base.id for base in content.knowledge_bases]
        head = orjson.dumps({**content.row, "system_prompt": content.system_prompt, "knowledge_bases": bases})
        yield head.removesuffix(b"}") + b',"documents":['
        yield from _with_commas([self._json_document(document, language)] for document in content.documents)
        yield b'],"messages":['
        yield from _with_commas([orjson.dumps(message)] for message in content.messages)
        yield b"]}"

    def _json_document(self, document: Document, language: Language) -> bytes:
        folder = files.folder_of(self.documents.settings.UPLOAD_DIR, document)
        return orjson.dumps({**document.as_item(language), "text": files.text_of(folder)})


def _markdown(content: Content, language: Language) -> Iterator[str]:
    documents = [document.as_item(language) for document in content.documents]
    bases = [base.name for base in content.knowledge_bases]
    return markdown_export.conversation(content.row, content.system_prompt, bases, documents, content.messages, language)


def _all(page: Callable[..., tuple[Sequence[Row], str | None]]) -> Iterator[Row]:
    """The rows of all pages."""
    cursor: str | None = None
    while True:
        found, cursor = page(cursor=cursor)
        yield from found
        if cursor is None:
            return


def _with_commas(groups: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    for number, group in enumerate(groups):
        if number:
            yield b","
        yield from group


def _blocks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer pieces."""
    waiting = bytearray()
    for part in parts:
        waiting += part
        if len(waiting) >= BLOCK:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def _filename(title: str) -> str:
    """A title as the name of a file, on every system."""
    name = " ".join(_NOT_IN_NAMES.sub(" ", title).split())[:NAME_CHARS].strip(". ")
    return name or "conversation"
