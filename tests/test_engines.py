"""What each kind of database must do alike: addresses, texts, times, locks, and coming back."""

import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from multiprocessing import Manager
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError

from fixtures.databases import SERVERS, DatabaseServer
from models.conversations import find_or_create
from models.database import Database, TransactionConflict, Writer, conversations, messages, now, owners, retried
from models.engines import complete, make_engine
from models.migrations import upgrade
from models.turns import SessionKey
from utils.errors import StoreUnavailable

KEY = SessionKey("local", "会话".encode().hex())


def mode_of(url: str, together: Barrier) -> str:
    """Opens a database together with other processes; its journal mode, or what went wrong."""
    engine = make_engine(url)
    together.wait(30)
    try:
        with engine.begin() as connection:
            return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one())
    except DBAPIError as error:
        return str(error)
    finally:
        engine.dispose()


def test_a_new_sqlite_database_may_be_opened_by_many_processes_at_once(tmp_path: Path) -> None:
    with Manager() as manager, ProcessPoolExecutor(12) as processes:
        for attempt in range(40):  # without our lock SQLite refuses somebody in one of ten
            url, together = f"sqlite:///{tmp_path}/{attempt}/会话.db", manager.Barrier(12)
            assert list(processes.map(mode_of, [url] * 12, [together] * 12)) == ["wal"] * 12


@pytest.mark.parametrize(
    ("given", "driver", "rest"),
    [
        ("postgresql://user:password@localhost/dbname", "postgresql+psycopg", "user:password@localhost/dbname"),
        ("postgres://user@db:5433/chat", "postgresql+psycopg", "user@db:5433/chat"),
        ("postgresql+psycopg2://user@db/chat", "postgresql+psycopg", "user@db/chat"),
        ("mysql+pymysql://user:password@localhost/dbname", "mysql+pymysql", "user:password@localhost/dbname"),
        ("mysql://user:p%40ss@localhost/dbname", "mysql+pymysql", "user:p%40ss@localhost/dbname"),
        ("mariadb://user@localhost/dbname", "mysql+pymysql", "user@localhost/dbname"),
        ("sqlite:///./conversation.db", "sqlite", "/./conversation.db"),
    ],
)
def test_addresses_get_the_driver_that_is_installed(given: str, driver: str, rest: str) -> None:
    plain = complete(given).set(query={})
    assert plain.render_as_string(hide_password=False) == f"{driver}://{rest}"


def test_parameters_of_an_address_win_over_ours() -> None:
    query = complete("mysql://u@h/d?charset=utf8mb3&ssl_ca=/ca.pem").query
    assert (query["charset"], query["ssl_ca"], query["connect_timeout"]) == ("utf8mb3", "/ca.pem", "10")
    assert complete("postgresql://u@h/d?sslmode=require&connect_timeout=3").query["connect_timeout"] == "3"


def add_message(database: Database, **values: Any) -> None:
    conversation = find_or_create(database, KEY)
    row = {"id": "msg_1", "conversation_id": conversation.id, "seq": 1, "role": "user", "created_at": now(), **values}
    with database.write() as connection:
        connection.execute(insert(messages).values(row))


def read_message(database: Database) -> Any:
    with database.read() as connection:
        return connection.execute(select(messages)).one()


def test_texts_come_back_as_they_were(database: Database) -> None:
    text = "龘𠮷👩‍👩‍👧 naïve\r\n\t'\"\\%s %(x)s :name ?" * 5_000  # some 300 KB
    add_message(database, content=text, sources=[{"quote": "引文 👍\\u0000 \x7f"}], model="模型")
    row = read_message(database)
    assert (row.content, row.sources, row.model) == (text, [{"quote": "引文 👍\\u0000 \x7f"}], "模型")


def test_what_no_database_can_hold_does_not_cost_the_whole_message(database: Database) -> None:
    add_message(database, content="前\0后", steps=[{"text": "前\0后"}], model="m\0")
    row = read_message(database)
    assert row.content.replace("\0", "") == "前后"
    assert row.steps == [{"text": "前\0后"}]


def test_times_keep_their_microseconds_and_come_back_in_utc(database: Database) -> None:
    china = datetime(2026, 11, 20, 8, 30, 0, 123_456, timezone(timedelta(hours=8)))
    add_message(database, created_at=china, cleared_at=china + timedelta(microseconds=1))
    row = read_message(database)
    assert row.created_at == china and row.created_at.tzinfo is UTC
    with database.read() as connection:
        found = connection.scalar(select(messages.c.id).where(messages.c.cleared_at > china))
    assert found == "msg_1"


def test_sessions_whose_names_look_alike_are_several(database: Database) -> None:
    names = ["abc", "Abc", "ABC", "äbc", "abc ", "ａｂｃ", "会话", "會話"]
    made = {find_or_create(database, SessionKey(owner, name)).id for name in names for owner in ("local", "Local")}
    assert len(made) == len(names) * 2
    assert {find_or_create(database, SessionKey("local", name)).id for name in names} < made


def test_owner_takes_everything_along(database: Database) -> None:
    add_message(database)
    with database.write() as connection:
        connection.execute(owners.delete())
    with database.read() as connection:
        assert [connection.execute(select(table)).all() for table in (conversations, messages)] == [[], []]


def test_readers_see_one_state_while_others_write(database: Database) -> None:
    add_message(database)
    with database.read() as connection:
        before = connection.scalar(select(conversations.c.title))
        with database.write() as other:
            other.execute(update(conversations).values(title="改了"))
        assert connection.scalar(select(conversations.c.title)) == before
    with database.read() as connection:
        assert connection.scalar(select(conversations.c.title)) == "改了"


@pytest.fixture(params=SERVERS)
def database_server(request: pytest.FixtureRequest) -> DatabaseServer:
    server: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def served(database_server: DatabaseServer) -> Iterator[Database]:
    """A database of a server."""
    url = database_server.new()
    upgrade(url)
    opened = Database(url)
    yield opened
    opened.close()


def lock_crosswise(database: Database, attempts: list[str]) -> Any:
    """A function of two names, whose owners it changes in that order; the first two that run it block each other."""
    together = threading.Barrier(2)

    def change(first: str, second: str) -> None:
        attempts.append(first)
        with database.write() as connection:
            for name in (first, second):
                connection.execute(update(owners).where(owners.c.id == name).values(created_at=now()))
                if name == first and len(attempts) <= 2:
                    together.wait(20)

    with database.write() as connection:
        connection.execute(insert(owners), [{"id": name, "created_at": now()} for name in "甲乙"])
    return change


def test_transactions_that_wait_for_each_other_are_tried_again(served: Database) -> None:
    attempts: list[str] = []
    change = retried(lock_crosswise(served, attempts))
    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(change, "甲", "乙"), threads.submit(change, "乙", "甲")]:
            done.result(30)
    assert len(attempts) == 3


def test_a_conflict_that_is_not_tried_again_is_an_unavailable_store(served: Database) -> None:
    change = lock_crosswise(served, [])
    with ThreadPoolExecutor(2) as threads:
        done = [threads.submit(change, "甲", "乙"), threads.submit(change, "乙", "甲")]
        errors = [future.exception(30) for future in done]
    assert [type(error) for error in errors if error] == [TransactionConflict]


def test_a_server_that_comes_back_is_used_again(database_server: DatabaseServer, served: Database) -> None:
    conversation = find_or_create(served, KEY)
    writer = Writer(served)
    database_server.stop()
    try:
        with pytest.raises(StoreUnavailable):
            served.ping()
        waiting = [writer.submit(lambda connection: connection.scalar(select(conversations.c.id))) for _ in range(20)]
        assert {type(future.exception(30)) for future in waiting} == {StoreUnavailable}
    finally:
        database_server.start()
    found = writer.submit(lambda connection: connection.scalar(select(conversations.c.id))).result(30)
    assert found == conversation.id and find_or_create(served, KEY) == conversation
    writer.close()
