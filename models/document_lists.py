"""Documents as lists: those of a session, of a knowledge base, of everybody; without their pages."""

from collections.abc import Collection

from sqlalchemy import or_, select

from models import cursors
from models.conversations import find as find_conversation
from models.database import Database, conversation_knowledge_bases, documents
from models.documents import BRIEF, UNFINISHED, Document, select_in
from models.turns import SessionKey

MOST_NAMED = 10_000  # in one statement


def of_session(database: Database, key: SessionKey) -> list[Document]:
    """The documents of a session, oldest first. Raises NotFound when there is no such session."""
    conversation = find_conversation(database, key)
    with database.read() as connection:
        return select_in(connection, BRIEF, documents.c.conversation_id == conversation.id)


def page_of_base(
    database: Database, base_id: str, *, limit: int, cursor: str | None = None
) -> tuple[list[Document], str | None]:
    """Documents of a knowledge base, oldest first, and the cursor of what follows, None at the end.

    Raises InvalidField for a wrong cursor.
    """
    conditions = [documents.c.knowledge_base_id == base_id]
    if cursor is not None:
        conditions += cursors.after(documents.c.created_at, documents.c.id, cursor)
    order = documents.c.created_at, documents.c.id
    with database.read() as connection:
        statement = select(*order).where(*conditions).order_by(*order).limit(limit + 1)
        places = connection.execute(statement).all()
        shown = places[:limit]
        found = select_in(connection, BRIEF, documents.c.id.in_([place.id for place in shown]))
    return found, cursors.encode(*shown[-1]) if len(places) > limit else None


def named(database: Database, key: SessionKey, document_ids: Collection[str]) -> list[Document]:
    """Those of these documents that a session or a knowledge base attached to it holds. Raises NotFound for no session."""
    conversation = find_conversation(database, key)
    attached = select(conversation_knowledge_bases.c.knowledge_base_id).where(
        conversation_knowledge_bases.c.conversation_id == conversation.id
    )
    held = or_(documents.c.conversation_id == conversation.id, documents.c.knowledge_base_id.in_(attached))
    with database.read() as connection:
        return select_in(connection, BRIEF, documents.c.id.in_(document_ids), held)


def unfinished(database: Database) -> list[Document]:
    """All documents that are queued or in work."""
    with database.read() as connection:
        return select_in(connection, BRIEF, documents.c.status.in_(UNFINISHED))


def existing(database: Database, document_ids: Collection[str]) -> set[str]:
    """Which of these documents there are."""
    ids, found = list(document_ids), set[str]()
    with database.read() as connection:
        for first in range(0, len(ids), MOST_NAMED):
            some = documents.c.id.in_(ids[first : first + MOST_NAMED])
            found.update(connection.scalars(select(documents.c.id).where(some)))
    return found
