"""Documents in SQL: what they are and how far they have come. Their texts lie in files, their passages in the vector store.

A row is the truth of a document: only what is `ready` or `partial` here may be searched. Whoever changes the row of a
document in work is told when it is gone, because it was deleted meanwhile, or cancelled. A session or a knowledge base holds
the same content only once. The version of a base is raised with each change of what may be searched in it.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from models.database import (
    Database,
    conversations,
    documents,
    knowledge_bases,
    now,
    retried,
)
from utils.errors import ChatError, DocumentCancelled, DocumentUnreadable, Language, NotFound, Unavailable

Status = Literal["queued", "processing", "ready", "partial", "failed"]
Stage = Literal["queued", "extracting", "summarising", "indexing", "done"]

STAGES: dict[Stage, tuple[float, float]] = {  # where in the whole progress each begins and ends
    "queued": (0.0, 0.0),
    "extracting": (0.02, 0.8),
    "summarising": (0.8, 0.9),
    "indexing": (0.9, 1.0),
    "done": (1.0, 1.0),
}
UNFINISHED = ("queued", "processing")
SEARCHABLE = ("ready", "partial")
MAX_ATTEMPTS = 3  # runs without progress
MOST_DELETED = 500  # in one transaction


@dataclass(frozen=True, slots=True)
class Document:
    """Held by a conversation or by a knowledge base, one of which is set.

    `pages` reports how each page was read; `progress` runs from 0 to 1; `summary` is empty until there is one. `duplicate`
    says that it was there already when it was uploaded again.
    """

    id: str
    conversation_id: int | None
    filename: str
    media_type: str
    bytes: int
    sha256: str
    updated_at: datetime
    status: Status = "queued"
    stage: Stage = "queued"
    page_count: int | None = None
    chunk_count: int = 0
    error: str | None = None
    attempts: int = 0
    pages: list[dict[str, Any]] = field(default_factory=list)
    progress: float = 0.0
    summary: str = ""
    knowledge_base_id: str | None = None
    duplicate: bool = False

    @property
    def holder(self) -> str:
        """What holds it, as the name of a folder."""
        return self.knowledge_base_id or str(self.conversation_id)

    @property
    def content_key(self) -> str:
        """What no two documents of a holder have in common."""
        return f"{self.holder}:{self.sha256}"

    @property
    def finished(self) -> bool:
        return self.status not in UNFINISHED

    @property
    def searchable(self) -> bool:
        return self.status in SEARCHABLE

    def as_dict(self, language: Language = "en") -> dict[str, Any]:
        """The object of the HTTP contract; an error's message is in `language`."""
        return {**self.as_item(language), "pages": self.pages}

    def as_item(self, language: Language = "en") -> dict[str, Any]:
        """The same as it stands in a list: without the pages."""
        names = ("id", "filename", "media_type", "bytes", "sha256", "status", "progress", "stage")
        item = {name: getattr(self, name) for name in (*names, "page_count", "chunk_count", "summary")}
        if self.knowledge_base_id:
            item["knowledge_base_id"] = self.knowledge_base_id
        if self.duplicate:
            item["duplicate"] = True
        if (failure := self.failure) is None:
            return item
        problem = {"code": failure.code, "message": failure.message(language)}
        if isinstance(failure, DocumentUnreadable):
            problem["reason"] = failure.reason
        return {**item, "error": problem}

    @property
    def failure(self) -> ChatError | None:
        """Why it failed; None as long as it has not. Where the file is not at fault, some service that was needed is."""
        return failure_of(self.status, self.error)


def failure_of(status: str, error: str | None) -> ChatError | None:
    """What the columns of these names say."""
    if status != "failed":
        return None
    if error == DocumentCancelled.code:
        return DocumentCancelled()
    return DocumentUnreadable(error or "") if error in DocumentUnreadable.REASONS else Unavailable()


BRIEF = [column for column in documents.c if column.name not in ("pages", "created_at", "content_key")]
_WHOLE = [*BRIEF, documents.c.pages]


def select_in(
    connection: Connection, columns: list[Any], *conditions: ColumnElement[bool], lock: bool = False
) -> list[Document]:
    """Documents, oldest first; with `lock`, others who want to change them wait until this transaction ends."""
    statement = select(*columns).where(*conditions).order_by(documents.c.created_at, documents.c.id)
    rows = connection.execute(statement.with_for_update() if lock else statement)
    return [Document(**row._mapping) for row in rows]


def _change(connection: Connection, document_id: str, **values: Any) -> bool:
    """Changes a row of a document in work; False when it is gone, or finished."""
    mine = documents.c.id == document_id, documents.c.status.in_(UNFINISHED)
    return connection.execute(update(documents).where(*mine).values(updated_at=now(), **values)).rowcount == 1


def add(database: Database, document: Document) -> Document:
    """Stores a new document, queued; or returns the one of the same content that its holder has.

    Raises NotFound when its holder is gone.
    """
    try:
        return _add(database, document)
    except IntegrityError:
        raise NotFound(what="knowledge base" if document.knowledge_base_id else "session") from None


@retried  # where another upload of the same content was quicker, the next attempt finds it
def _add(database: Database, document: Document) -> Document:
    held = ("conversation_id", "knowledge_base_id", "content_key")
    names = ("id", *held, "filename", "media_type", "bytes", "sha256", "updated_at")
    with database.write() as connection:
        if found := select_in(connection, BRIEF, documents.c.content_key == document.content_key):
            return found[0]
        values = {name: getattr(document, name) for name in names}
        connection.execute(insert(documents).values(**values, created_at=document.updated_at))
    return document


def known(database: Database, content_key: str) -> Document | None:
    """The document of a holder that has this content, if there is one."""
    with database.read() as connection:
        found = select_in(connection, BRIEF, documents.c.content_key == content_key)
    return found[0] if found else None


def find(database: Database, owner: str, document_id: str) -> Document:
    """A document of an owner. Raises NotFound, also when its session has expired."""
    with database.read() as connection:
        found = select_in(connection, _WHOLE, documents.c.id == document_id, _visible_to(owner))
    if not found:
        raise NotFound(what="document")
    return found[0]


def _visible_to(owner: str) -> ColumnElement[bool]:
    unexpired = or_(conversations.c.expires_at.is_(None), conversations.c.expires_at > now())
    sessions = select(conversations.c.id).where(conversations.c.owner_id == owner, unexpired)
    bases = select(knowledge_bases.c.id).where(knowledge_bases.c.owner_id == owner)
    return or_(documents.c.conversation_id.in_(sessions), documents.c.knowledge_base_id.in_(bases))


def holders(database: Database, document_ids: Collection[str]) -> dict[str, str]:
    """What holds each of these documents, as the name of a folder; those that may not be searched are left out."""
    columns = documents.c.id, documents.c.conversation_id, documents.c.knowledge_base_id
    wanted = select(*columns).where(documents.c.id.in_(document_ids), documents.c.status.in_(SEARCHABLE))
    with database.read() as connection:
        return {row.id: row.knowledge_base_id or str(row.conversation_id) for row in connection.execute(wanted)}


def load(database: Database, document_id: str) -> Document | None:
    """A document, whoever owns it; None when it is gone."""
    with database.read() as connection:
        found = select_in(connection, _WHOLE, documents.c.id == document_id)
    return found[0] if found else None


def start(database: Database, document_id: str) -> Document | None:
    """Begins a run of a document's job; None when there is nothing to do, or when it was tried too often and now failed."""
    with database.write() as connection:
        found = select_in(connection, BRIEF, documents.c.id == document_id, documents.c.status.in_(UNFINISHED), lock=True)
        if not found:
            return None
        if found[0].attempts >= MAX_ATTEMPTS:
            _change(connection, document_id, status="failed", stage="done", error=found[0].error or "too_complex")
            return None
        _change(connection, document_id, status="processing", attempts=found[0].attempts + 1)
    return found[0]


def enter(database: Database, document_id: str, stage: Stage) -> bool:
    """Stores that a document has come to a stage; False when it is gone."""
    with database.write() as connection:
        return _change(connection, document_id, stage=stage)


def progressed(database: Database, document_id: str) -> bool:
    """Lets attempts count anew, because the last one got somewhere; False when the document is gone."""
    with database.write() as connection:
        return _change(connection, document_id, attempts=0)


def wait(database: Database, document_id: str, error: str, *, forgive: bool) -> None:
    """Puts a document back among the queued, because of `error`; `forgive` takes the attempt back."""
    values: dict[str, Any] = {"attempts": documents.c.attempts - 1} if forgive else {"error": error}
    with database.write() as connection:
        _change(connection, document_id, status="queued", **values)


@retried
def finish(database: Database, document_id: str, status: Status, **values: Any) -> bool:
    """Stores the end of a document's way; False when it is gone."""
    with database.write() as connection:
        done = _change(connection, document_id, status=status, stage="done", **values)
        if done and status in SEARCHABLE:
            holder = select(documents.c.knowledge_base_id).where(documents.c.id == document_id)
            _raise_versions(connection, knowledge_bases.c.id == holder.scalar_subquery())
    return done


def _raise_versions(connection: Connection, bases: ColumnElement[bool]) -> None:
    connection.execute(update(knowledge_bases).where(bases).values(version=knowledge_bases.c.version + 1))


def cancel(database: Database, owner: str, document_id: str) -> Document:
    """Ends the work on a document as failed; returns it as it was. One that is finished stays so. Raises NotFound."""
    with database.write() as connection:
        found = select_in(connection, BRIEF, documents.c.id == document_id, _visible_to(owner), lock=True)
        if not found:
            raise NotFound(what="document")
        _change(connection, document_id, status="failed", stage="done", error=DocumentCancelled.code)
    return found[0]


def requeue(database: Database, document_id: str) -> bool:
    """Queues a document again that has failed; False when it has not, or not any more."""
    failed = documents.c.id == document_id, documents.c.status == "failed"
    values = {"status": "queued", "stage": "queued", "error": None, "attempts": 0, "updated_at": now()}
    with database.write() as connection:
        return connection.execute(update(documents).where(*failed).values(values)).rowcount == 1


@retried
def delete(database: Database, owner: str, document_id: str) -> Document:
    """Deletes the row of a document; returns it as it was. Raises NotFound."""
    with database.write() as connection:
        found = select_in(connection, BRIEF, documents.c.id == document_id, _visible_to(owner), lock=True)
        if not found:
            raise NotFound(what="document")
        _delete(connection, found)
    return found[0]


@retried
def delete_held(database: Database, holder: int | str) -> list[Document]:
    """Deletes rows of the documents of a conversation or a knowledge base; returns them as they were, [] when none is left.

    At most MOST_DELETED of them at once.
    """
    column = documents.c.conversation_id if isinstance(holder, int) else documents.c.knowledge_base_id
    first = select(documents.c.id).where(column == holder).order_by(documents.c.id).limit(MOST_DELETED)
    with database.write() as connection:
        # and none that is added meanwhile, of which the caller would not know
        found = select_in(connection, BRIEF, documents.c.id.in_(list(connection.scalars(first))), lock=True)
        _delete(connection, found)
    return found


def _delete(connection: Connection, found: list[Document]) -> None:
    connection.execute(documents.delete().where(documents.c.id.in_([document.id for document in found])))
    if bases := {document.knowledge_base_id for document in found if document.searchable and document.knowledge_base_id}:
        _raise_versions(connection, knowledge_bases.c.id.in_(bases))
