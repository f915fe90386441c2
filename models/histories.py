"""The messages of conversations as clients see them: those that are not cleared, of one branch or of all."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, select

from models.branches import shown
from models.conversations import find_in
from models.database import Database, messages
from models.events import Usage
from models.turns import SessionKey
from utils.errors import InvalidField, NotFound

Branches = Literal["active", "all"]
PORTION = 200  # messages that are read at once where all are wanted
ATTACHMENT = ("filename", "media_type", "ocr_text", "description")  # what clients are told of a picture

_PARENT = messages.alias()
# the message before one, unless it is cleared or gone
_AFTER = _PARENT.c.id.label("parent_id")
_WITH_PARENT = messages.outerjoin(_PARENT, (_PARENT.c.id == messages.c.parent_id) & _PARENT.c.cleared_at.is_(None))
_NOT_SHOWN = ("conversation_id", "steps", "client_id", "cleared_at", "parent_id")
_MESSAGE = [_AFTER, *(column for column in messages.c if column.name not in _NOT_SHOWN)]
_NOT_CLEARED = messages.c.cleared_at.is_(None)


@dataclass(frozen=True, slots=True)
class History:
    """Messages, oldest first; `has_more`: there are older ones.

    Each is as `message_dict` makes it, with `siblings`: the ids of all messages at its place, oldest first, its own too.
    """

    messages: list[dict[str, Any]]
    has_more: bool


def history(
    database: Database,
    key: SessionKey,
    *,
    branches: Branches = "active",
    limit: int | None = None,
    before: str | None = None,
) -> History:
    """The messages of a conversation that are not cleared: those of the branch that is shown, or of all branches.

    At most the newest `limit`, of those before the message that `before` names. Raises NotFound, or InvalidField when there
    is no such message.
    """
    with database.read() as connection:
        conversation = find_in(connection, key)
        if conversation is None:
            raise NotFound(what="session")
        wanted = select(*_MESSAGE).select_from(_WITH_PARENT).where(_shown_of(conversation.id, branches))
        statement = wanted.order_by(messages.c.seq.desc())
        if before is not None:
            statement = statement.where(messages.c.seq < _seq_of(connection, conversation.id, before))
        rows = connection.execute(statement.limit(None if limit is None else limit + 1)).all()
        versions = _versions(connection, conversation.id)
    found = [{**message_dict(row), "siblings": versions[row.parent_id, row.role]} for row in reversed(rows[:limit])]
    return History(found, len(rows) > len(found))


def _seq_of(connection: Connection, conversation_id: int, message_id: str) -> int:
    named = messages.c.conversation_id == conversation_id, messages.c.id == message_id, _NOT_CLEARED
    seq: int | None = connection.scalar(select(messages.c.seq).where(*named))
    if seq is None:
        raise wrong_before()
    return seq


def wrong_before() -> InvalidField:
    """The error where a history is to end before a message that it does not have."""
    return InvalidField.at("before", "names no message of this conversation", "不是此对话中的消息")


def _versions(connection: Connection, conversation_id: int) -> dict[tuple[str | None, str], list[str]]:
    """The ids of the messages that follow the same one, by that one and their role, oldest first."""
    rows = connection.execute(
        select(messages.c.id, _AFTER, messages.c.role)
        .select_from(_WITH_PARENT)
        .where(messages.c.conversation_id == conversation_id, _NOT_CLEARED)
        .order_by(messages.c.seq)
    )
    versions = defaultdict(list)
    for row in rows:
        versions[row.parent_id, row.role].append(row.id)
    return versions


def message_dict(row: Row[Any]) -> dict[str, Any]:
    """A message as clients see it, but for `siblings`."""
    return {
        "role": row.role,
        "content": row.content,
        "id": row.id,
        "parent_id": row.parent_id,
        "status": row.status,
        "created_at": row.created_at.isoformat(),
        "reasoning": row.reasoning,
        "sources": row.sources,
        "tool_calls": row.tool_calls,
        "model": row.model,
        "finish_reason": row.finish_reason,
        "usage": Usage(row.input_tokens, row.output_tokens).as_dict(),
        "active": row.active,
        "attachments": [{name: attachment[name] for name in ATTACHMENT} for attachment in row.attachments],
    }


def transcript(database: Database, conversation_id: int, *, branches: Branches) -> Iterator[dict[str, Any]]:
    """The messages that `history` gives, but for their `siblings`; read in portions, however many they are."""
    last = 0
    wanted = select(*_MESSAGE).select_from(_WITH_PARENT).where(_shown_of(conversation_id, branches))
    while True:
        later = wanted.where(messages.c.seq > last).order_by(messages.c.seq).limit(PORTION)
        with database.read() as connection:
            rows = connection.execute(later).all()
        for row in rows:
            yield message_dict(row)
        if len(rows) < PORTION:
            return
        last = rows[-1].seq


def _shown_of(conversation_id: int, branches: Branches) -> ColumnElement[bool]:
    if branches == "active":
        return shown(conversation_id)
    return (messages.c.conversation_id == conversation_id) & _NOT_CLEARED
