"""What the housekeeper asks the SQL database: which sessions have expired, and who still owns the folders that it finds."""

from collections.abc import Collection

from sqlalchemy import select

from models.database import Database, conversations, messages, now


def expired(database: Database) -> list[int]:
    """The conversations of temporary sessions whose time is over."""
    with database.read() as connection:
        return list(connection.scalars(select(conversations.c.id).where(conversations.c.expires_at <= now())))


def delete_conversation(database: Database, conversation_id: int) -> None:
    """Deletes a conversation with its messages and documents."""
    with database.write() as connection:
        connection.execute(conversations.delete().where(conversations.c.id == conversation_id))


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
