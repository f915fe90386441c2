"""Conversations as clients manage them: made, listed, searched, renamed, read again, and deleted with all they have."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from models import conversation_queries as queries
from models import conversations, histories
from models.conversation_queries import Listed
from models.conversations import Conversation
from models.database import Database
from models.histories import ATTACHMENT, Branches, History
from models.prompts import read_attachment_blocks
from models.turns import SessionKey
from services import document_files as files
from services.document_service import DocumentService
from services.knowledge_base_service import KnowledgeBaseService
from services.seizure import seize
from utils.background import Background
from utils.errors import NotFound
from utils.session_storage import Lease, SessionStorage
from utils.settings import Settings

# what the memory does not keep
_UNKNOWN: dict[str, Any] = {
    "status": "complete",
    "created_at": None,
    "reasoning": "",
    "sources": [],
    "tool_calls": [],
    "model": "",
}
_UNKNOWN |= {"finish_reason": "", "usage": None, "active": True, "attachments": []}


class ConversationService:
    """Its methods block."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        documents: DocumentService,
        storage: SessionStorage,
        background: Background,
    ) -> None:
        self.settings, self.database, self.documents = settings, database, documents
        self.storage, self.background = storage, background

    def create(self, key: SessionKey, title: str = "") -> Listed:
        """Makes a conversation; without a title, its first message names it. Raises Conflict when there is one already."""
        return queries.create(self.database, key, title)

    def page(self, owner: str, limit: int, cursor: str | None = None, query: str = "") -> tuple[list[Listed], str | None]:
        """Conversations of an owner, the one used last first, and the cursor of what follows. `query` searches.

        Raises InvalidField for a wrong cursor.
        """
        return queries.page(self.database, owner, limit=limit, cursor=cursor, query=query)

    def find(self, key: SessionKey) -> Listed:
        """Raises NotFound."""
        return queries.find_listed(self.database, key)

    def rename(self, key: SessionKey, title: str) -> Listed:
        """Raises NotFound."""
        return queries.rename(self.database, key, title)

    def history(
        self, key: SessionKey, branches: Branches = "active", limit: int | None = None, before: str | None = None
    ) -> History:
        """The messages that the user sees; those of a temporary session come from its memory.

        Raises NotFound, or InvalidField when `before` names no message.
        """
        if not conversations.find(self.database, key).temporary:
            return histories.history(self.database, key, branches=branches, limit=limit, before=before)
        return _cut(from_memory(self.background.run(self.storage.memory(str(key)))), limit, before)

    def delete(self, key: SessionKey) -> dict[str, Any]:
        """Stops what runs in a session, and deletes all that there is of it; says how much that was.

        A request that fails may be sent again. Raises NotFound, or TurnInProgress when a turn does not end in time.
        """
        conversations.find(self.database, key)
        with self._held(self.background.run(seize(self.storage, str(key)))) as lease:
            deleted = self._erase(conversations.find(self.database, key), lease)
        return {"session_id": key.session_id, "deleted": deleted}

    def delete_if(self, key: SessionKey, condition: Callable[[], bool]) -> bool:
        """Deletes a conversation if that is right once nothing can run in it any more; says whether it was.

        Raises NotFound, or TurnInProgress when something runs.
        """
        with self._held(self.background.run(self.storage.begin(str(key)))) as lease:
            if right := condition():
                self._erase(conversations.find(self.database, key), lease)
        return right

    def delete_all(self, owner: str) -> dict[str, int]:
        """Deletes all conversations and knowledge bases of an owner, and what users have configured; says how much."""
        total = dict.fromkeys(("conversations", "messages", "documents", "pictures", "passages"), 0)
        for session_id in queries.session_ids(self.database, owner):
            with contextlib.suppress(NotFound):  # it has expired, or somebody else deletes it
                deleted = self.delete(SessionKey(owner, session_id))["deleted"]
                total = {name: count + deleted.get(name, 1) for name, count in total.items()}
        for name, count in KnowledgeBaseService(self.database, self.documents).delete_all(owner).items():
            total[name] = total.get(name, 0) + count
        return {**total, "configs": queries.forget_configs(self.database, owner)}

    @contextmanager
    def _held(self, lease: Lease) -> Iterator[Lease]:
        try:
            yield lease
        finally:
            self.background.run(self.storage.release(lease))

    def _erase(self, conversation: Conversation, lease: Lease) -> dict[str, int]:
        """Deletes a conversation whose lock is held; the row goes last, so that what breaks off can be done again."""
        pictures = self._pictures(conversation.id)
        gone = [*self.documents.delete_all(conversation.id)]
        self.background.run(self.storage.forget(lease.key))
        while (messages := queries.delete_conversation(self.database, conversation.id)) is None:
            gone += self.documents.delete_all(conversation.id)  # uploaded in the meantime
        return {
            "messages": len(from_memory(lease.turns)) if conversation.temporary else messages,
            "documents": len(gone),
            "pictures": pictures,
            "passages": sum(document.chunk_count for document in gone),
        }

    def _pictures(self, conversation_id: int) -> int:
        folder = self.settings.UPLOAD_DIR / str(conversation_id) / files.IMAGES
        return len(list(folder.iterdir())) if folder.is_dir() else 0


def from_memory(turns: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages of a temporary session, as a history shows them, from its memory (see `services.history`)."""
    shown: list[dict[str, Any]] = []
    for turn in turns:
        question, *said = turn["messages"]
        attachments, text = read_attachment_blocks(question["content"])
        known = [{name: asdict(attachment)[name] for name in ATTACHMENT} for attachment in attachments]
        answer = "\n\n".join(step["content"] for step in said if step["role"] == "assistant" and step["content"])
        for role, content, id in (("user", text, turn["ids"][0]), ("assistant", answer, turn["ids"][1])):
            message = {"role": role, "content": content, "id": id, "parent_id": shown[-1]["id"] if shown else None}
            shown.append({**message, **_UNKNOWN, "siblings": [id]})
        shown[-2]["attachments"] = known
        shown[-1]["tool_calls"] = _tool_calls(said)
        shown[-1]["sources"] = turn.get("sources", [])
    return shown


def _tool_calls(said: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    results = {step["tool_call_id"]: step for step in said if step["role"] == "tool"}
    calls = [call for step in said if step["role"] == "assistant" for call in step.get("tool_calls", [])]
    return [
        {
            **{name: call[name] for name in ("id", "name", "args")},
            "status": result["status"],
            "result": result["content"],
            "ms": None,
        }
        for call in calls
        if (result := results.get(call["id"]))
    ]


def _cut(messages: list[dict[str, Any]], limit: int | None, before: str | None) -> History:
    if before is not None:
        place = next((place for place, message in enumerate(messages) if message["id"] == before), None)
        if place is None:
            raise histories.wrong_before()
        messages = messages[:place]
    newest = messages[-limit:] if limit else messages
    return History(newest, len(messages) > len(newest))
