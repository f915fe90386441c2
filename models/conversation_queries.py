"""What clients ask of conversations beside their turns: lists, searches, histories; renaming and deleting.

Temporary sessions are in no list, since SQL holds nothing that they say.
"""

import base64
import binascii
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, or_, select, update

from models.branches import shown
from models.conversations import create_in, find_in
from models.database import Database, conversations, documents, messages, retried
from models.turns import SessionKey
from utils.errors import Conflict, InvalidField, NotFound

Branches = Literal["active", "all"]
PORTION = 200  # rows that are read at once where all are wanted
ATTACHMENT = ("filename", "media_type", "ocr_text", "description")  # what clients are told of a picture

_LISTED = [conversations.c[name] for name in ("id", "session_id", "title", "created_at", "updated_at", "message_count")]
_MESSAGE = [column for column in messages.c if column.name not in ("conversation_id", "steps", "client_id", "cleared_at")]
_STORED = conversations.c.temporary.is_(False)
_NOT_CLEARED = messages.c.cleared_at.is_(None)
_PLACE = struct.Struct(">qq")
_EPOCH, _TICK = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation as it stands in a list; the title is empty until the first message."""

    id: int
    session_id: str
    title: str
    created_at: datetime
    updated_at: datetime
    message_count: int


@dataclass(frozen=True, slots=True)
class History:
    """Messages, oldest first; `has_more`: there are older ones.

    Each is as `message_dict` makes it, with `siblings`: the ids of all messages at its place, oldest first, its own too.
    """

    messages: list[dict[str, Any]]
    has_more: bool


def page(
    database: Database, owner: str, *, limit: int, cursor: str | None = None, query: str = ""
) -> tuple[list[Listed], str | None]:
    """Conversations of an owner, the one used last first, and the cursor of what follows them, None at the end.

    With `query`, only those which have that text in their title or in a message that is shown, in whatever case. What nobody
    touches meanwhile comes exactly once; what is used moves to the top. Raises InvalidField for a wrong cursor.
    """
    conditions = [conversations.c.owner_id == owner, _STORED]
    if cursor is not None:
        conditions += _after(*_decode(cursor))
    if query:
        conditions.append(_says(query))
    order = conversations.c.updated_at.desc(), conversations.c.id.desc()
    with database.read() as connection:
        rows = connection.execute(select(*_LISTED).where(*conditions).order_by(*order).limit(limit + 1)).all()
    found = [Listed(*row) for row in rows[:limit]]
    return found, _encode(found[-1].updated_at, found[-1].id) if len(rows) > limit else None


def _after(updated_at: datetime, id: int) -> list[ColumnElement[bool]]:
    # the first condition alone is one that every database can look up in the index
    column = conversations.c.updated_at
    return [column <= updated_at, or_(column < updated_at, conversations.c.id < id)]


def _says(query: str) -> ColumnElement[bool]:
    said = exists().where(
        messages.c.conversation_id == conversations.c.id,
        messages.c.active,
        _NOT_CLEARED,
        messages.c.content.icontains(query, autoescape=True),
    )
    return or_(conversations.c.title.icontains(query, autoescape=True), said)


def _encode(updated_at: datetime, id: int) -> str:
    place = _PLACE.pack((updated_at - _EPOCH) // _TICK, id)
    return base64.urlsafe_b64encode(place + zlib.crc32(place).to_bytes(4)).decode().rstrip("=")


def _decode(cursor: str) -> tuple[datetime, int]:
    try:
        micros, id = _PLACE.unpack_from(base64.urlsafe_b64decode(cursor + "="))
        place = _EPOCH + micros * _TICK, id
        if _encode(*place) == cursor:
            return place
    except (binascii.Error, ValueError, struct.error, OverflowError):
        pass
    raise InvalidField(errors=[{"field": "cursor", "message": "is none that this server has given"}])


def find_listed(database: Database, key: SessionKey) -> Listed:
    """The row of one conversation, a temporary one too. Raises NotFound."""
    with database.read() as connection:
        return _listed(connection, key)


def _listed(connection: Connection, key: SessionKey) -> Listed:
    conversation = find_in(connection, key)
    if conversation is None:
        raise NotFound(what="session")
    return Listed(*connection.execute(select(*_LISTED).where(conversations.c.id == conversation.id)).one())


def create(database: Database, key: SessionKey, title: str) -> Listed:
    """Makes a conversation; with an empty title, its first message names it. Raises Conflict when there is one already."""

    @retried
    def attempt() -> Listed | None:
        with database.write() as connection:
            if find_in(connection, key) is not None:
                return None
            made = create_in(connection, key, None)
            connection.execute(update(conversations).where(conversations.c.id == made.id).values(title=title))
            return _listed(connection, key)

    listed = attempt()
    if listed is None:
        raise Conflict(errors=[{"field": "session_id", "message": "is taken by another conversation"}])
    return listed


def rename(database: Database, key: SessionKey, title: str) -> Listed:
    """Gives a conversation another title; its place in the list stays. Raises NotFound, for a temporary session too."""
    mine = conversations.c.owner_id == key.owner, conversations.c.session_id == key.session_id, _STORED
    with database.write() as connection:
        if not connection.execute(update(conversations).where(*mine).values(title=title)).rowcount:
            raise NotFound(what="session")
        return _listed(connection, key)


def improve_title(connection: Connection, conversation_id: int, automatic: str, better: str) -> None:
    """Puts a better title in the place of the automatic one; any other stays."""
    mine = conversations.c.id == conversation_id, conversations.c.title == automatic, _STORED
    connection.execute(update(conversations).where(*mine).values(title=better))


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
        statement = select(*_MESSAGE).where(_shown_of(conversation.id, branches)).order_by(messages.c.seq.desc())
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
        raise InvalidField(errors=[{"field": "before", "message": "names no message of this conversation"}])
    return seq


def _versions(connection: Connection, conversation_id: int) -> dict[tuple[str | None, str], list[str]]:
    """The ids of the messages that follow the same one, by that one and their role, oldest first."""
    rows = connection.execute(
        select(messages.c.id, messages.c.parent_id, messages.c.role)
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
        "usage": {
            "input_tokens": row.input_tokens,
            "output_tokens": row.output_tokens,
            "total_tokens": row.input_tokens + row.output_tokens,
        },
        "active": row.active,
        "attachments": [{name: attachment[name] for name in ATTACHMENT} for attachment in row.attachments],
    }


def delete_conversation(database: Database, conversation_id: int) -> int | None:
    """Deletes a conversation that has no documents, and its messages; returns how many there were, cleared ones included.

    None: nothing was deleted, because there are documents, which have to go first, with their files and vectors.
    """

    @retried
    def attempt() -> int | None:
        with database.write() as connection:
            # whoever adds a document has to wait from here on, and finds no conversation then
            connection.execute(select(conversations.c.id).where(conversations.c.id == conversation_id).with_for_update())
            if connection.scalar(select(exists().where(documents.c.conversation_id == conversation_id))):
                return None
            deleted = connection.execute(delete(messages).where(messages.c.conversation_id == conversation_id)).rowcount
            connection.execute(delete(conversations).where(conversations.c.id == conversation_id))
            return deleted

    return attempt()


def session_ids(database: Database, owner: str) -> Iterator[str]:
    """The sessions of an owner, temporary ones too, in the order in which they were made; read in portions."""
    last = 0
    columns = conversations.c.id, conversations.c.session_id
    while True:
        later = select(*columns).where(conversations.c.owner_id == owner, conversations.c.id > last)
        with database.read() as connection:
            rows = connection.execute(later.order_by(conversations.c.id).limit(PORTION)).all()
        yield from (row.session_id for row in rows)
        if len(rows) < PORTION:
            return
        last = rows[-1].id


def transcript(database: Database, conversation_id: int, *, branches: Branches) -> Iterator[dict[str, Any]]:
    """The messages that `history` gives, but for their `siblings`; read in portions, however many they are."""
    last = 0
    wanted = _shown_of(conversation_id, branches)
    while True:
        later = select(*_MESSAGE).where(wanted, messages.c.seq > last).order_by(messages.c.seq).limit(PORTION)
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
