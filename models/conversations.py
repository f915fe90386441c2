"""Conversations in SQL, each reached by (owner, session id). Their turns are told in `models.turn_records`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from models.branches import count_shown, switch
from models.database import Database, conversations, messages, now, owners, retried
from models.turns import SessionKey
from utils.errors import NotFound

TITLE_CHARS = 60

# The statements of every turn, built once: building one costs more than running it.
_FIND = select(conversations).where(
    conversations.c.owner_id == bindparam("owner"),
    conversations.c.session_id == bindparam("session"),
    or_(conversations.c.expires_at.is_(None), conversations.c.expires_at > bindparam("present")),
)
_FIND_LOCKED = _FIND.with_for_update()


@dataclass(frozen=True, slots=True)
class Conversation:
    id: int
    key: SessionKey
    title: str
    system_prompt: str
    temporary: bool
    last_seq: int
    message_count: int
    head_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReadyDocument:
    """A document that may be searched."""

    id: str
    filename: str


def find_in(connection: Connection, key: SessionKey, *, lock: bool = False) -> Conversation | None:
    """The conversation of a session, as long as it has not expired.

    Whoever is going to change it, or its messages, takes its `lock`, and has others who want it wait.
    """
    statement = _FIND_LOCKED if lock else _FIND
    row = connection.execute(statement, {"owner": key.owner, "session": key.session_id, "present": now()}).first()
    if row is None:
        return None
    return Conversation(
        row.id, key, row.title, row.system_prompt, row.temporary, row.last_seq, row.message_count, row.head_id
    )


def find(database: Database, key: SessionKey) -> Conversation:
    """The conversation of a session. Raises NotFound."""
    with database.read() as connection:
        conversation = find_in(connection, key)
    if conversation is None:
        raise NotFound(what="session")
    return conversation


@retried
def find_or_create(database: Database, key: SessionKey, *, temporary_for: float | None = None) -> Conversation:
    """The conversation of a session, made if it is missing; `temporary_for` seconds if it is to be a temporary one."""
    with database.write() as connection:
        return find_in(connection, key) or create_in(connection, key, temporary_for)


def create_in(connection: Connection, key: SessionKey, temporary_for: float | None) -> Conversation:
    """Makes the conversation of a session. Raises IntegrityError when another worker makes it at this moment."""
    present = now()
    # what is left of an expired session of that name must not come back with it
    mine = conversations.c.owner_id == key.owner, conversations.c.session_id == key.session_id
    connection.execute(delete(conversations).where(*mine, conversations.c.expires_at <= present))
    if connection.execute(select(owners.c.id).where(owners.c.id == key.owner)).first() is None:
        connection.execute(insert(owners).values(id=key.owner, created_at=present))
    result = connection.execute(
        insert(conversations).values(
            owner_id=key.owner,
            session_id=key.session_id,
            temporary=temporary_for is not None,
            expires_at=None if temporary_for is None else present + timedelta(seconds=temporary_for),
            created_at=present,
            updated_at=present,
        )
    )
    (row_id,) = cast("tuple[int]", result.inserted_primary_key)
    return Conversation(row_id, key, "", "", temporary_for is not None, 0, 0)


@retried
def clear(database: Database, key: SessionKey) -> tuple[Conversation, int, datetime]:
    """Hides all messages; returns the conversation, how many were hidden, and when. Raises NotFound."""
    present = now()
    with database.write() as connection:
        conversation = find_in(connection, key, lock=True)
        if conversation is None:
            raise NotFound(what="session")
        cleared = count_shown(connection, conversation.id)
        connection.execute(
            update(messages)
            .where(messages.c.conversation_id == conversation.id, messages.c.cleared_at.is_(None))
            .values(cleared_at=present)
        )
        _touch(connection, conversation, 0, present)
    return conversation, cleared, present


@retried
def restore(database: Database, key: SessionKey, cleared_after: datetime) -> int:
    """Undoes the last clear, if it was made after `cleared_after`; returns how many messages came back. Raises NotFound."""
    with database.write() as connection:
        conversation = find_in(connection, key, lock=True)
        if conversation is None:
            raise NotFound(what="session")
        mine = messages.c.conversation_id == conversation.id
        last = connection.scalar(select(func.max(messages.c.cleared_at)).where(mine, messages.c.cleared_at > cleared_after))
        if last is None:
            return 0
        connection.execute(update(messages).where(mine, messages.c.cleared_at == last).values(cleared_at=None))
        count = count_shown(connection, conversation.id)
        _touch(connection, conversation, count, now())
    return count - conversation.message_count


@retried
def switch_branch(database: Database, key: SessionKey, message_id: str) -> None:
    """Shows the newest branch that holds a message. Raises NotFound."""
    with database.write() as connection:
        conversation = find_in(connection, key, lock=True)
        if conversation is None:
            raise NotFound(what="session")
        head = switch(connection, conversation.id, message_id)
        connection.execute(update(conversations).where(conversations.c.id == conversation.id).values(head_id=head))
        _touch(connection, conversation, count_shown(connection, conversation.id), now())


def _touch(connection: Connection, conversation: Conversation, message_count: int, present: datetime) -> None:
    # last_seq moves by one without a message: whatever a memory holds is out of date from now on
    connection.execute(
        update(conversations)
        .where(conversations.c.id == conversation.id)
        .values(message_count=message_count, last_seq=conversations.c.last_seq + 1, updated_at=present)
    )


def purge_cleared(database: Database, cleared_before: datetime) -> int:
    """Deletes messages that were cleared before a time; returns how many."""
    with database.write() as connection:
        return connection.execute(delete(messages).where(messages.c.cleared_at < cleared_before)).rowcount


def title_of(message: str) -> str:
    """A title from the first line of a first message, at most 60 characters."""
    line = next((line.strip() for line in message.splitlines() if line.strip()), "")
    return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 1] + "…"
