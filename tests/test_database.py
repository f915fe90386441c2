"""The writer that gathers the writes of a process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from models.database import Database, Writer
from models.migrations import is_current, upgrade
from utils.errors import StoreUnavailable


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/chat.db"
    upgrade(url)
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    made = Writer(database)
    yield made
    made.close()


def adds(owner: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(text("INSERT INTO owners VALUES (:id, '2026-01-01 00:00:00.000000')"), {"id": owner})
        return owner

    return work


def owners(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.scalars(text("SELECT id FROM owners")))


def test_a_write_is_committed_when_its_future_is_done(database: Database, writer: Writer) -> None:
    assert writer.submit(adds("甲")).result(5) == "甲"
    assert owners(database) == {"甲"}


def test_writes_that_wait_become_one_transaction(database: Database, writer: Writer) -> None:
    seen = []

    def counted(connection: Connection) -> None:
        seen.append(connection)

    with database.write():  # the lock is held: what comes meanwhile has to wait
        futures = [writer.submit(counted) for _ in range(20)]
    for future in futures:
        future.result(15)
    assert len(seen) == 20 and len(set(map(id, seen))) < 20


def test_one_that_fails_takes_no_other_with_it(database: Database, writer: Writer) -> None:
    def fails(connection: Connection) -> None:
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    with database.write():
        before, bad, after = writer.submit(adds("甲")), writer.submit(fails), writer.submit(adds("乙"))
    assert (before.result(15), after.result(15)) == ("甲", "乙")
    with pytest.raises(StoreUnavailable):
        bad.result(15)
    assert owners(database) == {"甲", "乙"}


def test_what_waits_is_written_before_it_ends(database: Database) -> None:
    writer = Writer(database)
    futures = [writer.submit(adds(f"{number}")) for number in range(50)]
    writer.close()
    assert all(future.done() for future in futures) and len(owners(database)) == 50


def test_the_schema_is_current_after_an_upgrade_and_not_before(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    empty = Database(url)
    assert not is_current(empty.engine)
    upgrade(url)
    upgrade(url)
    assert is_current(empty.engine)
    empty.close()
