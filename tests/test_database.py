"""The writer that gathers the writes of a process."""

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from models.database import Database, Writer
from utils.errors import StoreUnavailable


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
    started, going, seen = threading.Event(), threading.Event(), []

    def waits(connection: Connection) -> None:
        started.set()
        going.wait(15)

    first = writer.submit(waits)
    started.wait(15)
    futures = [writer.submit(seen.append) for _ in range(20)]
    going.set()
    for future in (first, *futures):
        future.result(15)
    assert len(seen) == 20 and len(set(map(id, seen))) == 1


def test_one_that_fails_takes_no_other_with_it(database: Database, writer: Writer) -> None:
    started, going = threading.Event(), threading.Event()

    def waits(connection: Connection) -> None:
        started.set()
        going.wait(15)

    def fails(connection: Connection) -> None:
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    writer.submit(waits)
    started.wait(15)
    before, bad, again, after = (writer.submit(work) for work in (adds("甲"), fails, adds("甲"), adds("乙")))
    going.set()
    assert (before.result(15), after.result(15)) == ("甲", "乙")
    with pytest.raises(StoreUnavailable):
        bad.result(15)
    with pytest.raises(IntegrityError):
        again.result(15)
    assert owners(database) == {"甲", "乙"}


def test_what_waits_is_written_before_it_ends(database: Database) -> None:
    writer = Writer(database)
    futures = [writer.submit(adds(f"{number}")) for number in range(50)]
    writer.close()
    assert all(future.done() for future in futures) and len(owners(database)) == 50
