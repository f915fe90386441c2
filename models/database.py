"""The SQL database: tables, transactions, and the border at which SQLAlchemy's errors become ours.

SQLite (WAL) by default, PostgreSQL or MySQL by its URL. Schema changes go through Alembic only (`migrations/`).
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import wraps
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, TimeoutError

from models.engines import is_conflict, make_engine, reading
from utils.errors import StoreUnavailable

ATTEMPTS = 3  # at a transaction that others are in the way of

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Work = Callable[[Connection], Result]


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time; SQLite and MySQL keep no zone, so it is put back on the way out."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_RUNNING = text("status = 'running'")

owners = Table(
    "owners",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("owner_id", ForeignKey("owners.id", ondelete="CASCADE"), nullable=False),
    Column("session_id", String(128), nullable=False),
    Column("title", String(200), nullable=False, default=""),
    Column("system_prompt", Text, nullable=False, default=""),
    Column("temporary", Boolean, nullable=False, default=False),
    Column("expires_at", UtcDateTime),  # of temporary ones; renewed by each turn
    Column("last_seq", Integer, nullable=False, default=0),  # place of the newest message, cleared ones included
    Column("head_id", String(40)),  # the newest message of the branch that is shown, a cleared one too
    Column("message_count", Integer, nullable=False, default=0),  # of the branch that is shown, without cleared ones
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("owner_id", "session_id"),
    Index(None, "owner_id", "updated_at"),
    Index(None, "expires_at"),
    sqlite_autoincrement=True,  # an id names a folder of uploads: it must never come back
)

messages = Table(
    "messages",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("parent_id", String(40)),  # the message before it on its branch; it may be gone
    Column("active", Boolean, nullable=False, default=True),  # on the branch that is shown
    Column("client_id", String(128), nullable=False, default=""),  # what a client called its question
    Column("role", String(16), nullable=False),
    Column("content", Text, nullable=False, default=""),
    Column("status", String(16), nullable=False, default="complete"),
    Column("attachments", JSON, nullable=False, default=list),  # pictures of a question
    Column("steps", JSON, nullable=False, default=list),  # what the model and the tools said before an answer
    Column("reasoning", Text, nullable=False, default=""),
    Column("sources", JSON, nullable=False, default=list),
    Column("tool_calls", JSON, nullable=False, default=list),
    Column("model", String(200), nullable=False, default=""),
    Column("finish_reason", String(16), nullable=False, default=""),
    Column("input_tokens", Integer, nullable=False, default=0),
    Column("output_tokens", Integer, nullable=False, default=0),
    Column("created_at", UtcDateTime, nullable=False),
    Column("cleared_at", UtcDateTime),  # the same time for all messages of one clear
    UniqueConstraint("conversation_id", "seq"),
    Index(None, "cleared_at"),
    # small where the database can leave out all others; MySQL cannot
    Index("ix_messages_running", "status", "created_at", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
)

knowledge_bases = Table(
    "knowledge_bases",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner_id", ForeignKey("owners.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("version", Integer, nullable=False, default=0),  # of what may be searched in it
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "owner_id", "created_at"),
)

conversation_knowledge_bases = Table(
    "conversation_knowledge_bases",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True),
    Column("knowledge_base_id", ForeignKey("knowledge_bases.id", ondelete="CASCADE"), primary_key=True),
    Index(None, "knowledge_base_id"),
)

documents = Table(
    "documents",
    metadata,
    Column("id", String(40), primary_key=True),
    # one of these two holds it
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE")),
    Column("knowledge_base_id", ForeignKey("knowledge_bases.id", ondelete="CASCADE")),
    Column("content_key", String(120), unique=True),  # holder and hash; NULL of what was twice there before it was asked for
    Column("filename", String(255), nullable=False),
    Column("media_type", String(128), nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("status", String(16), nullable=False, default="queued"),
    Column("stage", String(16), nullable=False, default="queued"),
    Column("page_count", Integer),
    Column("chunk_count", Integer, nullable=False, default=0),
    Column("pages", JSON, nullable=False, default=list),  # how each page was read; texts and summary lie in files
    Column("error", String(64)),  # a key of DocumentUnreadable.REASONS, or the code of another error
    Column("attempts", Integer, nullable=False, default=0),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "conversation_id", "created_at"),
    Index(None, "knowledge_base_id", "created_at"),
    Index(None, "status", "updated_at"),
)

user_configs = Table(
    "user_configs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("owner_id", ForeignKey("owners.id", ondelete="CASCADE"), nullable=False),
    Column("user_identifier", String(128), nullable=False),
    Column("current_model_type", String(64), nullable=False, default=""),
    Column("max_tokens", Integer),
    Column("custom_api_url", String(2000), nullable=False, default=""),
    Column("custom_model", String(200), nullable=False, default=""),
    Column("custom_api_key", Text, nullable=False, default=""),  # encrypted
    UniqueConstraint("owner_id", "user_identifier"),
)


def now() -> datetime:
    """The present in UTC, to the microsecond."""
    return datetime.now(UTC)


class Database:
    """Transactions on one engine. All methods block: call them from threads, never on an event loop."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self._reading = reading(self.engine)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end, or rolled back by an exception."""
        with translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view of the database without its write lock."""
        with translated(), self.engine.connect().execution_options(**self._reading) as connection:
            yield connection

    def ping(self) -> None:
        """Raises StoreUnavailable when the database does not answer."""
        with self.read() as connection:
            connection.execute(select(1))

    def close(self) -> None:
        self.engine.dispose()


class TransactionConflict(StoreUnavailable):
    """Another transaction was in the way of one, which has been undone."""


@contextmanager
def translated() -> Iterator[None]:
    """Makes SQLAlchemy's errors ours, but for an IntegrityError, which is a caller's business: the row is there already."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, TimeoutError) as error:
        conflict = isinstance(error, DBAPIError) and is_conflict(error)
        raise (TransactionConflict if conflict else StoreUnavailable)(store="database") from error


def retried(transaction: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Lets a function that is one transaction run again when another one was in its way, or made the same row first."""

    @wraps(transaction)
    def attempt(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        for _ in range(ATTEMPTS - 1):
            with suppress(IntegrityError, TransactionConflict):
                return transaction(*args, **kwargs)
        return transaction(*args, **kwargs)

    return attempt


class Writer:
    """The writes of all turns of one process, in a thread of its own: those that wait become one transaction.

    Under load a transaction holds more writes instead of making each wait for the lock of the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: SimpleQueue[tuple[Work[Any], Future[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work[Result]) -> Future[Result]:
        """Runs `work` in a transaction; the future is done when it is committed. `work` may be run several times."""
        future: Future[Result] = Future()
        self._queue.put((work, future))
        return future

    def close(self) -> None:
        """Writes what waits, and ends."""
        self._queue.put(None)
        self._thread.join(10)

    def _serve(self) -> None:
        going = True
        while going:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            going = None not in batch
            self._commit([job for job in batch if job is not None and job[1].set_running_or_notify_cancel()])

    def _commit(self, batch: list[tuple[Work[Any], Future[Any]]]) -> None:
        try:
            results = self._run([work for work, _ in batch])
        except Exception as error:  # noqa: BLE001 (whoever waits for the future handles it)
            if len(batch) > 1:
                self._commit_each(batch)
            elif batch:
                batch[0][1].set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)

    @retried
    def _run(self, works: list[Work[Any]]) -> list[Any]:
        with self._database.write() as connection:
            return [work(connection) for work in works]

    def _commit_each(self, batch: list[tuple[Work[Any], Future[Any]]]) -> None:
        """One that fails must not take the others with it."""
        try:
            self._database.ping()  # a server that is away is waited for once, not by each
        except StoreUnavailable as error:
            for _, future in batch:
                future.set_exception(error)
            return
        for job in batch:
            self._commit([job])
