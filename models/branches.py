"""The branches of a conversation: a question that was changed, or answered again, leaves what was there on a branch.

`messages.parent_id` makes a tree; `active` marks the path from its root to the head, which is the branch that is shown.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, update
from sqlalchemy.engine import Row

from models.database import messages
from models.turns import Branch
from utils.errors import NotFound

_NOT_CLEARED = messages.c.cleared_at.is_(None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a turn goes: after `parent_id`, the head of the branch that is now active.

    `question` is the row of the question that is answered again, which is `parent_id` then; else None.
    """

    parent_id: str | None
    question: Row[Any] | None = None


def go_to(connection: Connection, conversation_id: int, head: str | None, branch: Branch) -> Place:
    """Makes the branch active on which a turn goes on; `head` is that of the one that is active now.

    Raises NotFound when there is no such message.
    """
    if branch.kind == "after" and branch.message_id is None:
        parent, question = _beginning(connection, conversation_id, head), None
    elif branch.kind == "after":
        parent, question = _message(connection, conversation_id, branch.message_id).id, None
    elif branch.kind == "edit":
        edited = _question(connection, conversation_id, _message(connection, conversation_id, branch.message_id))
        parent, question = edited.parent_id, None
    else:
        question = _question(connection, conversation_id, _answered(connection, conversation_id, branch.message_id))
        parent = question.id
    activate(connection, conversation_id, parent)
    return Place(parent, question)


def known_to_client(connection: Connection, conversation_id: int, name: str) -> str | None:
    """The message that a client calls so; None when there is none.

    A client may call a question by our id and go on to do so when it changes it: it means the one that is shown.
    """
    found = _find(connection, conversation_id, name, messages.c.active.desc())
    return None if found is None else found.id


def switch(connection: Connection, conversation_id: int, message_id: str) -> str:
    """Makes the newest branch active that holds a message; its head. Raises NotFound."""
    head = str(_message(connection, conversation_id, message_id).id)
    newest: dict[str | None, str] = {}  # of the children of each message
    rows = connection.execute(
        select(messages.c.id, messages.c.parent_id)
        .where(messages.c.conversation_id == conversation_id, _NOT_CLEARED)
        .order_by(messages.c.seq)
    )
    for row in rows:
        newest[row.parent_id] = row.id
    while head in newest:
        head = newest[head]
    activate(connection, conversation_id, head)
    return head


def activate(connection: Connection, conversation_id: int, head: str | None) -> None:
    """Makes the path from the root to `head` the branch that is shown; None shows nothing."""
    mine = messages.c.conversation_id == conversation_id
    rows = connection.execute(select(messages.c.id, messages.c.parent_id, messages.c.active).where(mine)).all()
    parents = {row.id: row.parent_id for row in rows}
    path = set()
    while head in parents:
        path.add(head)
        head = parents[head]
    for active in (True, False):
        changed = [row.id for row in rows if row.active != active and (row.id in path) == active]
        for start in range(0, len(changed), 500):  # databases limit the parameters of a statement
            connection.execute(update(messages).where(messages.c.id.in_(changed[start : start + 500])).values(active=active))


def shown(conversation_id: int) -> ColumnElement[bool]:
    """The messages of a conversation that are shown."""
    return (messages.c.conversation_id == conversation_id) & messages.c.active & _NOT_CLEARED


def count_shown(connection: Connection, conversation_id: int) -> int:
    return connection.scalar(select(func.count()).select_from(messages).where(shown(conversation_id))) or 0


def _beginning(connection: Connection, conversation_id: int, head: str | None) -> str | None:
    """What the first message follows that is shown: the last one before it that is cleared, which a restore brings back."""
    rows = connection.execute(
        select(messages.c.id, messages.c.parent_id, messages.c.cleared_at).where(
            messages.c.conversation_id == conversation_id
        )
    )
    known = {row.id: row for row in rows}
    while head in known and known[head].cleared_at is None:
        head = known[head].parent_id
    return head


def _answered(connection: Connection, conversation_id: int, name: str | None) -> Row[Any]:
    """The message of that name; of none, the newest one that is shown."""
    if name is not None:
        return _message(connection, conversation_id, name)
    newest = connection.execute(
        select(messages).where(shown(conversation_id)).order_by(messages.c.seq.desc()).limit(1)
    ).first()
    if newest is None:
        raise NotFound(what="message")
    return newest


def _question(connection: Connection, conversation_id: int, message: Row[Any]) -> Row[Any]:
    return message if message.role == "user" else _message(connection, conversation_id, message.parent_id)


def _message(connection: Connection, conversation_id: int, name: str | None) -> Row[Any]:
    found = None if name is None else _find(connection, conversation_id, name)
    if found is None:
        raise NotFound(what="message")
    return found


def _find(connection: Connection, conversation_id: int, name: str, *preferred: ColumnElement[Any]) -> Row[Any] | None:
    """A message by our id, or a question by its client's."""
    named = (messages.c.id == name) | (messages.c.client_id == name)
    return connection.execute(
        select(messages)
        .where(messages.c.conversation_id == conversation_id, named, _NOT_CLEARED)
        .order_by(*preferred, (messages.c.id == name).desc(), messages.c.seq.desc())
        .limit(1)
    ).first()
