"""Random conversations, compared with a simple model of one: branches, clears and restores in every order."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from fakes.replies import status
from fakes.upstream import Upstream
from models import histories
from models.conversations import ReadyDocument, find
from models.database import Database, messages
from models.migrations import upgrade
from models.passages import Passage
from models.turns import Branch, SessionKey, Turn
from services.chat_service import ChatService
from utils.background import Background
from utils.errors import NotFound, UpstreamRejected
from utils.session_storage import SessionStorage
from utils.settings import Settings

SESSIONS = itertools.count()


@dataclass(eq=False)
class Message:
    id: str
    client_id: str
    parent: "Message | None"
    role: str
    text: str
    cleared: int = 0  # the number of the clear that has hidden it

    @property
    def path(self) -> list["Message"]:
        """From the beginning to this one."""
        return [*(self.parent.path if self.parent else []), self]

    @property
    def shown_parent(self) -> str | None:
        return self.parent.id if self.parent and not self.parent.cleared else None


@dataclass
class Model:
    """What a conversation ought to be."""

    messages: list[Message] = field(default_factory=list)
    head: Message | None = None
    clears: int = 0

    @property
    def shown(self) -> list[Message]:
        return [message for message in self.path if not message.cleared]

    @property
    def path(self) -> list[Message]:
        return self.head.path if self.head else []

    @property
    def beginning(self) -> Message | None:
        """What the first message follows that is shown."""
        hidden = [message for message in self.path if message.cleared]
        return hidden[-1] if hidden else None

    def named(self, name: str, *, by_client: bool = False) -> Message | None:
        """A message by our id or its client's; a client means one that it sees."""
        found = [m for m in self.messages if name in (m.id, m.client_id) and not m.cleared]
        place = self.messages.index
        return max(found, key=lambda m: (by_client and m in self.path, m.id == name, place(m)), default=None)

    def question(self, message: Message | None) -> Message:
        if message is None:
            raise NotFound(what="message")
        return message if message.role == "user" else self.question(message.parent)

    def start(self, turn: Turn) -> tuple[Message | None, Message | None]:
        """What a turn follows, and the question that it answers again, if it does. Raises NotFound."""
        branch = turn.branch
        if turn.client_id:
            known = self.named(turn.client_id, by_client=True)
            branch = Branch(branch.kind if branch else "edit", known.id) if known else None
        match branch:
            case Branch("after", name):
                if name and self.named(name) is None:
                    raise NotFound(what="message")
                return (self.named(name) if name else self.beginning), None
            case Branch("edit", name):
                return self.question(self.named(name or "")).parent, None
            case Branch("again", name):
                again = self.question(self.named(name) if name else max(self.shown, key=self.messages.index, default=None))
                return again.parent, again
        return self.head, None

    def ask(self, turn: Turn, answer: str) -> list[str]:
        """Adds a turn; what the model is told."""
        parent, question = self.start(turn)
        before = [m for m in (parent.path if parent else []) if not m.cleared and m.text]
        if question is None:
            question = Message(turn.message_ids[0], turn.client_id, parent, "user", turn.message)
            self.messages.append(question)
        self.head = Message(turn.message_ids[1], "", question, "assistant", answer)
        self.messages.append(self.head)
        return [m.text for m in [*before, question]]

    def clear(self) -> int:
        hidden, self.clears = len(self.shown), self.clears + 1
        for message in self.messages:
            message.cleared = message.cleared or self.clears
        return hidden

    def restore(self) -> int:
        before, last = len(self.shown), max((m.cleared for m in self.messages), default=0)
        for message in self.messages:
            if message.cleared == last:
                message.cleared = 0
        return len(self.shown) - before

    def switch(self, name: str) -> None:
        head = self.named(name)
        if head is None:
            raise NotFound(what="message")
        while later := [m for m in self.messages if m.parent is head and not m.cleared]:
            head = later[-1]
        self.head = head


class NoDocuments:
    def search(
        self, query: str, documents: Sequence[ReadyDocument], k: int = 8, *, summaries: bool = False
    ) -> list[Passage]:
        raise AssertionError("there is nothing to search")


class Conversation:
    """A real conversation beside its model; each step is done to both, and compared."""

    def __init__(self, chat: ChatService, upstream: Upstream) -> None:
        self.chat, self.upstream, self.database = chat, upstream, chat.shop.database
        self.key = SessionKey("local", f"s{next(SESSIONS)}")
        self.model = Model()
        self.numbers = itertools.count()

    def name(self, place: int) -> str:
        """The id of some message; none of this conversation's while there is none."""
        known = self.model.messages
        return known[place % len(known)].id if known else "msg_0"

    def step(self, kind: str, place: int) -> None:
        match kind:
            case "clear" | "restore":
                done = getattr(self.chat, kind)(self.key)
                assert done[f"{kind}{'ed' if kind == 'clear' else 'd'}_messages"] == getattr(self.model, kind)()
            case "switch":
                self.both(lambda: self.chat.switch_branch(self.key, self.name(place)), self.model.switch, self.name(place))
            case "lose":  # what Redis knew
                self.chat.background.run(self.chat.shop.storage.forget(str(self.key)))
            case _:
                self.ask(kind, place)
        self.compare()

    def ask(self, kind: str, place: int) -> None:
        options: dict[str, dict[str, Any]] = {
            "after": {"branch": Branch("after", self.name(place) if place % 3 else None)},
            "edit": {"branch": Branch("edit", self.name(place))},
            "again": {"branch": Branch("again", self.name(place) if place % 3 else None)},
            "client": {"client_id": f"c{place % 3}"},
            "our id": {"client_id": self.name(place)},
            "client again": {"client_id": self.name(place), "branch": Branch("again", None)},
        }
        turn = Turn(self.key, f"问{next(self.numbers)}", **options.get(kind, {}))
        self.upstream.requests.clear()
        if kind == "fail":
            self.upstream.reply(status(401))
        answer = "" if kind == "fail" else f"答{next(self.numbers)}"
        if answer:
            self.upstream.on(lambda request: answer)
        told = self.both(lambda: self.chat.start(turn).answer(), lambda turn: self.model.ask(turn, answer), turn)
        if told is not None:
            assert [message["content"] for message in self.upstream.requests[0].messages[1:]] == told

    def both(self, real: Any, modelled: Any, argument: Any) -> Any:
        """Does the same to both; what the model says of it, None if there is no such message."""
        try:
            said = modelled(argument)
        except NotFound:
            with pytest.raises(NotFound):
                real()
            return None
        try:
            real()
        except UpstreamRejected:
            assert self.model.head is not None and not self.model.head.text
        return said

    def compare(self) -> None:
        conversation = find(self.database, self.key)
        with self.database.read() as connection:
            mine = messages.c.conversation_id == conversation.id
            rows = connection.execute(select(messages).where(mine).order_by(messages.c.seq)).all()
        expected = [
            (m.id, m.parent.id if m.parent else None, m in self.model.path, bool(m.cleared)) for m in self.model.messages
        ]
        assert [(row.id, row.parent_id, row.active, row.cleared_at is not None) for row in rows] == expected
        head = self.model.head.id if self.model.head else None
        assert (conversation.head_id, conversation.message_count) == (head, len(self.model.shown))
        assert conversation.last_seq >= max((row.seq for row in rows), default=0)
        seen = histories.history(self.database, self.key).messages
        assert [(m["id"], m["parent_id"], m["content"], m["siblings"]) for m in seen] == [
            (m.id, m.shown_parent, m.text, self.siblings(m)) for m in self.model.shown
        ]

    def siblings(self, message: Message) -> list[str]:
        place = (message.shown_parent, message.role)
        return [m.id for m in self.model.messages if not m.cleared and (m.shown_parent, m.role) == place]


@pytest.fixture
def chat(tmp_path: Path, redis_url: str, upstream: Upstream) -> Iterator[ChatService]:
    options = Settings(
        LLM_API_URL=upstream.url, LLM_API_KEY="k", LLM_MODEL="scripted", DATA_DIR=tmp_path, REDIS_URL=redis_url
    )
    upgrade(options.database_url)
    database, background = Database(options.database_url), Background()
    storage = SessionStorage(redis_url, ttl=3600, lock_ttl=300, wait=5)
    made = ChatService(options, database, storage, background, NoDocuments())
    yield made
    made.close()
    background.close()
    database.close()


STEPS = (
    "ask",
    "ask",
    "after",
    "edit",
    "again",
    "client",
    "our id",
    "client again",
    "fail",
    "clear",
    "restore",
    "switch",
    "lose",
)
Script = list[tuple[str, int]]


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 20)), min_size=2, max_size=14))
def test_whatever_is_done_in_whatever_order(chat: ChatService, upstream: Upstream, script: Script) -> None:
    conversation = Conversation(chat, upstream)
    conversation.step("ask", 0)
    for kind, place in script:
        conversation.step(kind, place)
