"""What the housekeeper asks the SQL database: what has expired or is too much, and who owns the folders that it finds."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, literal, select, update

from models.database import Database, conversations, documents, messages, now
from models.documents import UNFINISHED
from models.turns import SessionKey


@dataclass(frozen=True, slots=True)
class OldConversation:
    """One that is not among the newest of its owner."""

    id: int
    key: SessionKey
    updated_at: datetime


def expired(database: Database) -> list[int]:
    """The conversations of temporary sessions whose time is over."""
    with database.read() as connection:
        return list(connection.scalars(select(conversations.c.id).where(conversations.c.expires_at <= now())))


def delete_conversation(database: Database, conversation_id: int) -> None:
    """Deletes a conversation with its messages and documents."""
    with database.write() as connection:
        connection.execute(conversations.delete().where(conversations.c.id == conversation_id))


def crowded_owners(database: Database, keep: int) -> list[str]:
    """The owners of more than `keep` conversations, temporary ones included. Read from the index alone."""
    counted = select(conversations.c.owner_id).group_by(conversations.c.owner_id).having(func.count() > keep)
    with database.read() as connection:
        return list(connection.scalars(counted))


def surplus(database: Database, owner: str, keep: int, limit: int) -> list[OldConversation]:
    """Conversations of an owner beyond the `keep` that were used last, temporary ones aside: at most `limit`."""
    columns = conversations.c.id, conversations.c.session_id, conversations.c.updated_at
    old = (
        select(*columns)
        .where(conversations.c.owner_id == owner, conversations.c.temporary.is_(False))
        .order_by(conversations.c.updated_at.desc(), conversations.c.id.desc())
        .offset(keep)
        .limit(limit)
    )
    with database.read() as connection:
        return [
            OldConversation(row.id, SessionKey(owner, row.session_id), row.updated_at) for row in connection.execute(old)
        ]


def is_idle(database: Database, old: OldConversation) -> bool:
    """Whether a conversation was not used since it was found to be old, and no document of it is in work."""
    unused = select(conversations.c.id).where(conversations.c.id == old.id, conversations.c.updated_at == old.updated_at)
    runs = exists().where(messages.c.conversation_id == old.id, messages.c.status == "running")
    reads = exists().where(documents.c.conversation_id == old.id, documents.c.status.in_(UNFINISHED))
    with database.read() as connection:
        return connection.scalar(unused.where(~runs, ~reads)) is not None


def interrupt_lost(database: Database, created_before: datetime) -> int:
    """Marks answers that are still running although they began before a time; returns how many."""
    # a value in the statement, since an index of some rows serves no parameter
    lost = messages.c.status == literal("running", literal_execute=True), messages.c.created_at < created_before
    with database.read() as connection:
        if connection.scalar(select(messages.c.id).where(*lost).limit(1)) is None:
            return 0
    with database.write() as connection:
        return connection.execute(update(messages).where(*lost).values(status="interrupted")).rowcount


def existing(database: Database, conversation_ids: Collection[int]) -> dict[int, bool]:
    """Which of these conversations there are, and whether each is a temporary one."""
    columns = conversations.c.id, conversations.c.temporary
    with database.read() as connection:
        rows = connection.execute(select(*columns).where(conversations.c.id.in_(conversation_ids)))
        return {row.id: row.temporary for row in rows}


def attached(database: Database, conversation_id: int) -> set[str]:
    """The paths of the pictures in a conversation's messages."""
    with database.read() as connection:
        found = connection.scalars(select(messages.c.attachments).where(messages.c.conversation_id == conversation_id))
        return {attachment["path"] for attachments in found for attachment in attachments}
