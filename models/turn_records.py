"""The turns of a conversation in SQL.

A turn is two rows: the question, stored before the model is asked, and the answer, `running` until it is known. What is
cleared keeps its place (`seq`), so that a restore puts it back where it was.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from models.branches import Place, count_shown, go_to, known_to_client, shown
from models.conversations import Conversation, create_in, find_in, title_of
from models.database import Database, conversations, messages, now, retried
from models.knowledge_bases import Searched, searched_in
from models.turns import Attachment, Branch, MessageStatus, Turn

# The statements of every turn, built once: building one costs more than running it.
_ADD_MESSAGES = insert(messages)
_ADVANCE = (
    update(conversations)
    .where(conversations.c.id == bindparam("conversation"))
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in ("title", "system_prompt", "expires_at", "last_seq", "head_id", "message_count", "updated_at")
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
class OpenedTurn:
    """A turn whose question is stored. The memory is current when it ends at `previous_seq`, and the turn itself at `seq`.

    `branched`: the turn does not follow what the memory holds, so that it is to be made anew of the messages before
    `first_seq`, the place of the question.
    """

    conversation: Conversation
    question: str
    attachments: tuple[Attachment, ...]
    searched: Searched
    previous_seq: int
    first_seq: int
    seq: int
    branched: bool = False


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A question with what followed it, as it goes into the memory."""

    question: str
    attachments: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    answer: str


def open_turn(connection: Connection, turn: Turn, ttl: float) -> OpenedTurn:
    """Stores the question, and the answer as running. `ttl` in seconds is the life of a temporary session.

    Raises NotFound when the turn branches off a message that does not exist.
    """
    present = now()
    conversation = find_in(connection, turn.key, lock=True)
    if conversation is None:
        conversation = create_in(connection, turn.key, ttl if turn.temporary else None)
    found = searched_in(connection, conversation.id)
    if conversation.temporary:
        opened = _open_unstored(conversation, turn, found)
        values = {"title": "", "expires_at": present + timedelta(seconds=ttl), "message_count": 0, "head_id": None}
    else:
        opened = _open_stored(connection, conversation, turn, found, present)
        added = opened.seq - conversation.last_seq
        count = count_shown(connection, conversation.id) if opened.branched else conversation.message_count + added
        title = conversation.title or title_of(opened.question)
        values = {"title": title, "expires_at": None, "message_count": count, "head_id": turn.message_ids[1]}
    keeps_prompt = conversation.temporary or turn.system_prompt is None
    values |= {
        "system_prompt": conversation.system_prompt if keeps_prompt else turn.system_prompt,
        "last_seq": opened.seq,
        "updated_at": present,
    }
    connection.execute(_ADVANCE, {"conversation": conversation.id, **_renamed(values)})
    return opened


def _open_unstored(conversation: Conversation, turn: Turn, found: Searched) -> OpenedTurn:
    question = "\n\n".join([*(message.content for message in turn.before), turn.message])
    last = conversation.last_seq
    return OpenedTurn(conversation, question, turn.attachments, found, last, last + 1, last + 2)


def _open_stored(
    connection: Connection, conversation: Conversation, turn: Turn, found: Searched, present: datetime
) -> OpenedTurn:
    branch = _branch(connection, conversation.id, turn)
    head = conversation.head_id
    place = go_to(connection, conversation.id, head, branch) if branch else Place(head)
    last = conversation.last_seq
    common = {"conversation_id": conversation.id, "created_at": present}
    answer = {"id": turn.message_ids[1], "role": "assistant", "content": "", "status": "running", "attachments": []}
    if place.question is not None:
        asked = place.question
        rows = [{**common, **answer, "seq": last + 1, "parent_id": asked.id, "client_id": ""}]
        attachments = tuple(Attachment(**attachment) for attachment in asked.attachments)
        opened = OpenedTurn(conversation, asked.content, attachments, found, last, asked.seq, last + 1, True)
    else:
        text = _with_unknown(connection, conversation.id, turn)
        question = {"id": turn.message_ids[0], "role": "user", "content": text, "status": "complete"}
        attached = [attachment.as_dict() for attachment in turn.attachments]
        rows = [
            {**common, **question, "seq": last + 1, "parent_id": place.parent_id, "client_id": turn.client_id}
            | {"attachments": attached},
            {**common, **answer, "seq": last + 2, "parent_id": turn.message_ids[0], "client_id": ""},
        ]
        opened = OpenedTurn(conversation, text, turn.attachments, found, last, last + 1, last + 2, branch is not None)
    connection.execute(_ADD_MESSAGES, rows)
    return opened


def _branch(connection: Connection, conversation_id: int, turn: Turn) -> Branch | None:
    """Where the turn goes, if not after the head. A client that repeats the id of a question changes that question.

    A question is a new one, whatever the client wants with it, when its first attempt never got here.
    """
    branch = turn.branch
    if not turn.client_id or (branch and branch.kind == "after"):
        return branch
    branch = branch or Branch("edit", turn.client_id)
    names = (name for name in (branch.message_id, turn.client_id) if name)
    known = (known_to_client(connection, conversation_id, name) for name in names)
    message_id = next(filter(None, known), None)
    return Branch(branch.kind, message_id) if message_id else None


def _with_unknown(connection: Connection, conversation_id: int, turn: Turn) -> str:
    """The question, below those messages of the same request that the conversation does not have."""
    if not turn.before:
        return turn.message
    rows = connection.execute(
        select(messages.c.client_id, messages.c.content)
        .where(shown(conversation_id), messages.c.role == "user")
        .order_by(messages.c.seq.desc())
        .limit(len(turn.before) * 2)
    ).all()
    known = {row.client_id for row in rows if row.client_id}, {row.content for row in rows}
    new = (message.content for message in turn.before if message.id not in known[0] and message.content not in known[1])
    return "\n\n".join([*new, turn.message])


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    # a parameter of an UPDATE must not be named like a column
    return {f"new_{name}": value for name, value in values.items()}


def close_turn(connection: Connection, message_id: str, status: MessageStatus, values: dict[str, Any]) -> None:
    """Stores what became of an answer: `values` are the columns of its row."""
    connection.execute(_CLOSE, {"message": message_id, **_renamed({"status": status, **values})})


@retried
def history(database: Database, opened: OpenedTurn, answer_id: str, limit: int) -> list[StoredTurn]:
    """The newest `limit` turns before one that is open, oldest first: those that are shown.

    Another answer that is still `running` belongs to a worker that died: whoever asks holds the session's lock.
    """
    mine = messages.c.conversation_id == opened.conversation.id
    with database.write() as connection:
        connection.execute(
            update(messages)
            .where(mine, messages.c.status == "running", messages.c.id != answer_id)
            .values(status="interrupted")
        )
        rows = connection.execute(
            select(messages.c.role, messages.c.content, messages.c.attachments, messages.c.steps)
            .where(shown(opened.conversation.id), messages.c.seq < opened.first_seq)
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


def interrupt(connection: Connection, message_id: str, content: str, reasoning: str) -> None:
    """Marks an answer whose worker died, and keeps what there was of it."""
    connection.execute(
        update(messages)
        .where(messages.c.id == message_id, messages.c.status.in_(("running", "interrupted")), messages.c.content == "")
        .values(status="interrupted", content=content, reasoning=reasoning)
    )
