"""What clients do with conversations as wholes: lists, searches, titles, deletion. What they say is told in `histories`.

Temporary sessions are in no list, since SQL holds nothing that they say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, exists, or_, select, update

from models import cursors
from models.conversations import create_in, find_in
from models.database import Database, conversations, documents, messages, retried, user_configs
from models.turns import SessionKey
from utils.errors import Conflict, Language, NotFound

UNTITLED: dict[Language, str] = {"en": "New conversation", "zh": "新对话"}
PORTION = 200  # rows that are read at once where all are wanted

_LISTED = [conversations.c[name] for name in ("id", "session_id", "title", "created_at", "updated_at", "message_count")]
_STORED = conversations.c.temporary.is_(False)
_NOT_CLEARED = messages.c.cleared_at.is_(None)


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation as it stands in a list; the title is empty until the first message."""

    id: int
    session_id: str
    title: str
    created_at: datetime
    updated_at: datetime
    message_count: int

    def as_dict(self, language: Language = "en") -> dict[str, Any]:
        """The row of the HTTP contract; what has no title yet is named in `language`."""
        return {
            "session_id": self.session_id,
            "title": self.title or UNTITLED[language],
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
            "message_count": self.message_count,
        }


def page(
    database: Database, owner: str, *, limit: int, cursor: str | None = None, query: str = ""
) -> tuple[list[Listed], str | None]:
    """Conversations of an owner, the one used last first, and the cursor of what follows them, None at the end.

    With `query`, only those which have that text in their title or in a message that is shown, in whatever case. What nobody
    touches meanwhile comes exactly once; what is used moves to the top. Raises InvalidField for a wrong cursor.
    """
    conditions = [conversations.c.owner_id == owner, _STORED]
    if cursor is not None:
        conditions += cursors.after(conversations.c.updated_at, conversations.c.id, cursor, descending=True)
    if query:
        conditions.append(_says(query))
    order = conversations.c.updated_at.desc(), conversations.c.id.desc()
    with database.read() as connection:
        rows = connection.execute(select(*_LISTED).where(*conditions).order_by(*order).limit(limit + 1)).all()
    found = [Listed(*row) for row in rows[:limit]]
    return found, cursors.encode(found[-1].updated_at, found[-1].id) if len(rows) > limit else None


def _says(query: str) -> ColumnElement[bool]:
    said = exists().where(
        messages.c.conversation_id == conversations.c.id,
        messages.c.active,
        _NOT_CLEARED,
        messages.c.content.icontains(query, autoescape=True),
    )
    return or_(conversations.c.title.icontains(query, autoescape=True), said)


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


def session_ids(database: Database, owner: str, *, stored: bool = False) -> Iterator[str]:
    """The sessions of an owner in the order in which they were made; read in portions. `stored`: no temporary ones."""
    last = 0
    columns = conversations.c.id, conversations.c.session_id
    mine = [conversations.c.owner_id == owner, *([_STORED] if stored else [])]
    while True:
        later = select(*columns).where(*mine, conversations.c.id > last)
        with database.read() as connection:
            rows = connection.execute(later.order_by(conversations.c.id).limit(PORTION)).all()
        yield from (row.session_id for row in rows)
        if len(rows) < PORTION:
            return
        last = rows[-1].id


def configs(database: Database, owner: str) -> list[dict[str, Any]]:
    """What the users of an owner have configured, without their keys."""
    names = ("current_model_type", "max_tokens", "custom_api_url", "custom_model")
    columns = user_configs.c.user_identifier, *(user_configs.c[name] for name in names)
    with database.read() as connection:
        rows = connection.execute(select(*columns).where(user_configs.c.owner_id == owner).order_by(user_configs.c.id))
        return [dict(zip(("user_id", *names), row, strict=True)) for row in rows]


def forget_configs(database: Database, owner: str) -> int:
    """Deletes what the users of an owner have configured; returns how many configurations there were."""
    with database.write() as connection:
        return connection.execute(delete(user_configs).where(user_configs.c.owner_id == owner)).rowcount
