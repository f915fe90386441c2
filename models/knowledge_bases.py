"""Knowledge bases in SQL: named collections of documents that belong to an owner and are attached to sessions.

`version` counts the changes of what may be searched in a base (see `models.documents`): who keeps something that was made of
its documents keeps it under that number.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, null, select, union_all, update

from models import cursors
from models.conversations import Conversation, ReadyDocument, create_in, find_in
from models.database import (
    Database,
    conversation_knowledge_bases,
    documents,
    knowledge_bases,
    now,
    owners,
    retried,
)
from models.documents import SEARCHABLE, failure_of
from models.turns import SessionKey
from utils.errors import ChatError, NotFound

WHAT = "knowledge base"

_SEARCHABLE = documents.c.status.in_(SEARCHABLE)
_COUNT = select(func.count()).where(documents.c.knowledge_base_id == knowledge_bases.c.id)
_COLUMNS = [column for column in knowledge_bases.c if column.name != "owner_id"]
_LISTED = [*_COLUMNS, _COUNT.scalar_subquery().label("document_count")]
_ORDER = knowledge_bases.c.created_at, knowledge_bases.c.id
_ATTACHED = knowledge_bases.c.id.in_(
    select(conversation_knowledge_bases.c.knowledge_base_id).where(
        conversation_knowledge_bases.c.conversation_id == bindparam("conversation")
    )
)
# A statement of every turn: files and bases at once, so that those who have no bases do not pay for them.
_SEARCHED = union_all(
    select(
        documents.c.id,
        documents.c.filename.label("name"),
        null().label("version"),
        null().label("documents"),
        documents.c.created_at,
        documents.c.status,
        documents.c.error,
    ).where(documents.c.conversation_id == bindparam("conversation")),
    select(
        knowledge_bases.c.id,
        knowledge_bases.c.name,
        knowledge_bases.c.version,
        _COUNT.where(_SEARCHABLE).scalar_subquery(),
        knowledge_bases.c.created_at,
        null(),
        null(),
    ).where(_ATTACHED),
).order_by("created_at", "id")


@dataclass(frozen=True, slots=True)
class ReadyBase:
    """A knowledge base that is attached to a session. `documents` is the number of those that may be searched."""

    id: str
    name: str
    version: int
    documents: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class UnreadyDocument:
    """A document that cannot be searched: it is being read, or has a `failure`."""

    filename: str
    failure: ChatError | None = None


class Searched(NamedTuple):
    """What a session searches, oldest first: its own documents, and bases; and those documents that are not ready."""

    documents: tuple[ReadyDocument, ...] = ()
    bases: tuple[ReadyBase, ...] = ()
    unready: tuple[UnreadyDocument, ...] = ()


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    id: str
    name: str
    description: str
    version: int
    created_at: datetime
    updated_at: datetime
    document_count: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The object of the HTTP contract."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "document_count": self.document_count,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }


def create(database: Database, owner: str, base_id: str, name: str, description: str = "") -> KnowledgeBase:
    """Makes an empty knowledge base; several may have the same name."""

    @retried
    def attempt() -> KnowledgeBase:
        present = now()
        base = KnowledgeBase(base_id, name, description, 0, present, present)
        values = {column.name: getattr(base, column.name) for column in _COLUMNS}
        with database.write() as connection:
            if connection.execute(select(owners.c.id).where(owners.c.id == owner)).first() is None:
                connection.execute(insert(owners).values(id=owner, created_at=present))
            connection.execute(insert(knowledge_bases).values(**values, owner_id=owner))
        return base

    return attempt()


def find(database: Database, owner: str, base_id: str) -> KnowledgeBase:
    """A knowledge base of an owner. Raises NotFound."""
    with database.read() as connection:
        return _find_in(connection, owner, base_id)


def _find_in(connection: Connection, owner: str, base_id: str) -> KnowledgeBase:
    mine = knowledge_bases.c.id == base_id, knowledge_bases.c.owner_id == owner
    row = connection.execute(select(*_LISTED).where(*mine)).first()
    if row is None:
        raise NotFound(what=WHAT)
    return KnowledgeBase(**row._mapping)


def page(database: Database, owner: str, *, limit: int, cursor: str | None = None) -> tuple[list[KnowledgeBase], str | None]:
    """Knowledge bases of an owner, oldest first, and the cursor of what follows them, None at the end.

    Raises InvalidField for a wrong cursor.
    """
    conditions = [knowledge_bases.c.owner_id == owner]
    if cursor is not None:
        conditions += cursors.after(*_ORDER, cursor)
    with database.read() as connection:
        rows = connection.execute(select(*_LISTED).where(*conditions).order_by(*_ORDER).limit(limit + 1)).all()
    found = [KnowledgeBase(**row._mapping) for row in rows[:limit]]
    return found, cursors.encode(found[-1].created_at, found[-1].id) if len(rows) > limit else None


def ids(database: Database, owner: str) -> list[str]:
    """All knowledge bases of an owner."""
    with database.read() as connection:
        return list(connection.scalars(select(knowledge_bases.c.id).where(knowledge_bases.c.owner_id == owner)))


def change(database: Database, owner: str, base_id: str, **values: str) -> KnowledgeBase:
    """Gives a knowledge base another `name` or `description`. Raises NotFound."""
    mine = knowledge_bases.c.id == base_id, knowledge_bases.c.owner_id == owner
    with database.write() as connection:
        connection.execute(update(knowledge_bases).where(*mine).values(updated_at=now(), **values))
        return _find_in(connection, owner, base_id)


def remove(database: Database, base_id: str) -> bool:
    """Deletes a knowledge base that has no documents, and detaches it from all sessions.

    False: nothing was deleted, because there are documents, which have to go first, with their files and vectors.
    """

    @retried
    def attempt() -> bool:
        with database.write() as connection:
            # whoever adds a document has to wait from here on, and finds no base then
            connection.execute(select(knowledge_bases.c.id).where(knowledge_bases.c.id == base_id).with_for_update())
            if connection.scalar(select(exists().where(documents.c.knowledge_base_id == base_id))):
                return False
            connection.execute(delete(knowledge_bases).where(knowledge_bases.c.id == base_id))
        return True

    return attempt()


def existing(database: Database, base_ids: Collection[str]) -> set[str]:
    """Which of these knowledge bases there are."""
    with database.read() as connection:
        return set(connection.scalars(select(knowledge_bases.c.id).where(knowledge_bases.c.id.in_(base_ids))))


def attach(database: Database, key: SessionKey, base_id: str, *, temporary_for: float | None = None) -> KnowledgeBase:
    """Lets a session search a knowledge base; the session is made if it is missing, as `find_or_create` does.

    Raises NotFound when its owner has no such base.
    """

    @retried
    def attempt() -> KnowledgeBase:
        with database.write() as connection:
            base = _find_in(connection, key.owner, base_id)
            conversation = find_in(connection, key, lock=True) or create_in(connection, key, temporary_for)
            link = {"conversation_id": conversation.id, "knowledge_base_id": base.id}
            if not connection.scalar(select(exists().where(*_same(link)))):
                connection.execute(insert(conversation_knowledge_bases).values(link))
        return base

    return attempt()


def detach(database: Database, key: SessionKey, base_id: str) -> None:
    """Undoes that. Raises NotFound for a session that is not there, or a base that is not attached to it."""
    with database.write() as connection:
        link = {"conversation_id": _session(connection, key).id, "knowledge_base_id": base_id}
        if not connection.execute(delete(conversation_knowledge_bases).where(*_same(link))).rowcount:
            raise NotFound(what=WHAT)


def _same(link: dict[str, Any]) -> list[Any]:
    return [conversation_knowledge_bases.c[name] == value for name, value in link.items()]


def attached(database: Database, key: SessionKey) -> list[KnowledgeBase]:
    """The knowledge bases that a session searches, oldest first. Raises NotFound when there is no such session."""
    with database.read() as connection:
        known = {"conversation": _session(connection, key).id}
        rows = connection.execute(select(*_LISTED).where(_ATTACHED).order_by(*_ORDER), known)
        return [KnowledgeBase(**row._mapping) for row in rows]


def _session(connection: Connection, key: SessionKey) -> Conversation:
    if (conversation := find_in(connection, key)) is None:
        raise NotFound(what="session")
    return conversation


def searched(database: Database, key: SessionKey) -> tuple[tuple[ReadyDocument, ...], tuple[ReadyBase, ...]]:
    """What a session searches, oldest first: its own documents that are ready, and bases. Raises NotFound."""
    with database.read() as connection:
        found = searched_in(connection, _session(connection, key).id)
    return found.documents, found.bases


def searched_in(connection: Connection, conversation_id: int) -> Searched:
    rows = connection.execute(_SEARCHED, {"conversation": conversation_id}).all()
    own = [row for row in rows if row.version is None]
    return Searched(
        tuple(ReadyDocument(row.id, row.name) for row in own if row.status in SEARCHABLE),
        tuple(ReadyBase(row.id, row.name, row.version, row.documents) for row in rows if row.version is not None),
        tuple(UnreadyDocument(row.name, failure_of(row.status, row.error)) for row in own if row.status not in SEARCHABLE),
    )


def versions(database: Database) -> dict[str, int]:
    """The versions of all knowledge bases, whoever owns them, by their ids."""
    with database.read() as connection:
        rows = connection.execute(select(knowledge_bases.c.id, knowledge_bases.c.version))
        return {row.id: row.version for row in rows}


def ready_documents(database: Database, base_id: str) -> list[ReadyDocument]:
    """All documents of a base that may be searched, oldest first."""
    columns = documents.c.id, documents.c.filename
    mine = select(*columns).where(documents.c.knowledge_base_id == base_id, _SEARCHABLE)
    with database.read() as connection:
        rows = connection.execute(mine.order_by(documents.c.created_at, documents.c.id))
        return [ReadyDocument(row.id, row.filename) for row in rows]
