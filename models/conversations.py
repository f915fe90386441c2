"""Conversations and their messages in SQL, each reached by (owner, session id).

A turn is two rows: the question, stored before the model is asked, and the answer, `running` until it is known. What is
cleared keeps its place (`seq`), so that a restore puts it back where it was.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from models.database import Database, conversations, documents, messages, now, owners
from models.turns import MessageStatus, SessionKey, Turn
from utils.errors import NotFound

TITLE_CHARS = 60

# The statements of every turn, built once: building one costs more than running it.
_FIND = select(conversations).where(
    conversations.c.owner_id == bindparam("owner"),
    conversations.c.session_id == bindparam("session"),
    or_(conversations.c.expires_at.is_(None), conversations.c.expires_at > bindparam("present")),
)
_READY = (
    select(documents.c.id, documents.c.filename)
    .where(documents.c.conversation_id == bindparam("conversation"), documents.c.status.in_(("ready", "partial")))
    .order_by(documents.c.created_at)
)
_ADD_MESSAGES = insert(messages)
_ADVANCE = (
    update(conversations)
    .where(conversations.c.id == bindparam("conversation"))
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in ("title", "system_prompt", "expires_at", "last_seq", "message_count", "updated_at")
        }
    )
)
_ANSWER_COLUMNS = ("content", "status", "steps", "reasoning", "sources", "tool_calls", "model", "finish_reason")
_CLOSE = (
    update(messages)
    .where(messages.c.id == bindparam("message"))
    .values({name: bindparam(f"new_{name}") for name in (*_ANSWER_COLUMNS, "input_tokens", "output_tokens")})
)


@dataclass(frozen=True, slots=True)
class Conversation:
    id: int
    key: SessionKey
    title: str
    system_prompt: str
    temporary: bool
    last_seq: int
    message_count: int


@dataclass(frozen=True, slots=True)
class ReadyDocument:
    """A document that may be searched."""

    id: str
    filename: str


@dataclass(frozen=True, slots=True)
class OpenedTurn:
    """`previous_seq` is the place of the newest message before the turn: the memory is current when it ends there."""

    conversation: Conversation
    previous_seq: int
    answer_id: str
    documents: tuple[ReadyDocument, ...]


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A question with what followed it, as it goes into the memory."""

    question: str
    attachments: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    answer: str


def _find(connection: Connection, key: SessionKey) -> Conversation | None:
    """The conversation of a session, as long as it has not expired."""
    row = connection.execute(_FIND, {"owner": key.owner, "session": key.session_id, "present": now()}).first()
    if row is None:
        return None
    return Conversation(row.id, key, row.title, row.system_prompt, row.temporary, row.last_seq, row.message_count)


def find(database: Database, key: SessionKey) -> Conversation:
    """The conversation of a session. Raises NotFound."""
    with database.read() as connection:
        conversation = _find(connection, key)
    if conversation is None:
        raise NotFound(what="session")
    return conversation


def find_or_create(database: Database, key: SessionKey, *, temporary_for: float | None = None) -> Conversation:
    """The conversation of a session, made if it is missing; `temporary_for` seconds if it is to be a temporary one."""

    def attempt() -> Conversation:
        with database.write() as connection:
            return _find(connection, key) or _create(connection, key, temporary_for)

    try:
        return attempt()
    except IntegrityError:  # another worker made the same session at the same moment: it is there now
        return attempt()


def _create(connection: Connection, key: SessionKey, temporary_for: float | None) -> Conversation:
    present = now()
    # what is left of an expired session of that name must not come back with it
    connection.execute(
        delete(conversations).where(conversations.c.owner_id == key.owner, conversations.c.session_id == key.session_id)
    )
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


def open_turn(connection: Connection, turn: Turn, message_ids: tuple[str, str], ttl: float) -> OpenedTurn:
    """Stores the question, and the answer as running.

    `message_ids` name the two; `ttl` in seconds is the life of a temporary session.
    """
    present = now()
    conversation = _find(connection, turn.key) or _create(connection, turn.key, ttl if turn.temporary else None)
    stored = not conversation.temporary
    if stored:
        connection.execute(_ADD_MESSAGES, _rows(conversation, turn, message_ids, present))
    prompt = turn.system_prompt if stored and turn.system_prompt is not None else conversation.system_prompt
    values = {
        "title": (conversation.title or title_of(turn.message)) if stored else "",
        "system_prompt": prompt,
        "expires_at": None if stored else present + timedelta(seconds=ttl),
        "last_seq": conversation.last_seq + 2,
        "message_count": conversation.message_count + (2 if stored else 0),
        "updated_at": present,
    }
    connection.execute(_ADVANCE, {"conversation": conversation.id, **_renamed(values)})
    found = _ready_documents(connection, conversation.id)
    return OpenedTurn(conversation, conversation.last_seq, message_ids[1], found)


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    # a parameter of an UPDATE must not be named like a column
    return {f"new_{name}": value for name, value in values.items()}


def ready_documents(database: Database, key: SessionKey) -> tuple[ReadyDocument, ...]:
    """The documents of a session that may be searched, oldest first. Raises NotFound."""
    with database.read() as connection:
        conversation = _find(connection, key)
        if conversation is None:
            raise NotFound(what="session")
        return _ready_documents(connection, conversation.id)


def _ready_documents(connection: Connection, conversation_id: int) -> tuple[ReadyDocument, ...]:
    return tuple(
        ReadyDocument(row.id, row.filename) for row in connection.execute(_READY, {"conversation": conversation_id})
    )


def _rows(conversation: Conversation, turn: Turn, message_ids: tuple[str, str], present: datetime) -> list[dict[str, Any]]:
    question, answer = message_ids
    common = {"conversation_id": conversation.id, "created_at": present}
    attachments = [attachment.as_dict() for attachment in turn.attachments]
    return [
        {
            **common,
            "id": question,
            "seq": conversation.last_seq + 1,
            "role": "user",
            "content": turn.message,
            "status": "complete",
            "attachments": attachments,
        },
        {
            **common,
            "id": answer,
            "seq": conversation.last_seq + 2,
            "role": "assistant",
            "content": "",
            "status": "running",
            "attachments": [],
        },
    ]


def close_turn(connection: Connection, message_id: str, status: MessageStatus, values: dict[str, Any]) -> None:
    """Stores what became of an answer: `values` are the columns of its row."""
    connection.execute(_CLOSE, {"message": message_id, **_renamed({"status": status, **values})})


def history(database: Database, conversation_id: int, before_seq: int, limit: int) -> list[StoredTurn]:
    """The newest `limit` turns that are not cleared, oldest first, up to the message at `before_seq`.

    An answer that is still `running` belongs to a worker that died: whoever asks holds the session's lock.
    """
    mine = messages.c.conversation_id == conversation_id
    with database.write() as connection:
        connection.execute(
            update(messages)
            .where(mine, messages.c.seq <= before_seq, messages.c.status == "running")
            .values(status="interrupted")
        )
        rows = connection.execute(
            select(messages.c.role, messages.c.content, messages.c.attachments, messages.c.steps)
            .where(mine, messages.c.seq <= before_seq, messages.c.cleared_at.is_(None))
            .order_by(messages.c.seq.desc())
            .limit(limit * 2)
        ).all()[::-1]
    turns: list[StoredTurn] = []
    for row in rows:
        if row.role == "user":
            turns.append(StoredTurn(row.content, row.attachments, [], ""))
        elif turns:
            turns[-1] = StoredTurn(turns[-1].question, turns[-1].attachments, row.steps, row.content)
    return turns


def clear(database: Database, key: SessionKey) -> tuple[Conversation, int, datetime]:
    """Hides all messages; returns the conversation, how many were hidden, and when. Raises NotFound."""
    present = now()
    with database.write() as connection:
        conversation = _find(connection, key)
        if conversation is None:
            raise NotFound(what="session")
        cleared = connection.execute(
            update(messages)
            .where(messages.c.conversation_id == conversation.id, messages.c.cleared_at.is_(None))
            .values(cleared_at=present)
        ).rowcount
        _touch(connection, conversation, 0, present)
    return conversation, cleared, present


def restore(database: Database, key: SessionKey, cleared_after: datetime) -> int:
    """Undoes the last clear, if it was made after `cleared_after`; returns how many messages came back. Raises NotFound."""
    with database.write() as connection:
        conversation = _find(connection, key)
        if conversation is None:
            raise NotFound(what="session")
        mine = messages.c.conversation_id == conversation.id
        last = connection.scalar(select(func.max(messages.c.cleared_at)).where(mine, messages.c.cleared_at > cleared_after))
        if last is None:
            return 0
        restored = connection.execute(
            update(messages).where(mine, messages.c.cleared_at == last).values(cleared_at=None)
        ).rowcount
        count = connection.scalar(select(func.count()).where(mine, messages.c.cleared_at.is_(None))) or 0
        _touch(connection, conversation, count, now())
    return restored


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
