"""Rows of conversations and their messages, on each kind of database, while several processes change them at once."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, update

from fixtures.databases import at_once
from models import documents
from models.conversations import clear, find, find_or_create, restore, switch_branch
from models.database import Database, Writer, conversations, messages, now
from models.documents import Document
from models.turn_records import close_turn, history, open_turn
from models.turns import Branch, SessionKey, Turn
from utils.errors import NotFound

KEY = SessionKey("local", "会话".encode().hex())
LONG_AGO = now() - timedelta(days=7)
EMPTY = {"steps": [], "reasoning": "", "sources": [], "tool_calls": [], "model": "m", "finish_reason": "stop"}
EMPTY |= {"input_tokens": 1, "output_tokens": 2}


@pytest.fixture
def writers(databases: tuple[Database, Database]) -> Iterator[tuple[Writer, Writer]]:
    made = Writer(databases[0]), Writer(databases[1])
    yield made
    for writer in made:
        writer.close()


def ask(database: Database, message: str, answer: str = "好", **options: Any) -> Turn:
    """Stores a turn with its answer."""
    turn = Turn(KEY, message, **options)
    with database.write() as connection:
        open_turn(connection, turn, 60)
    with database.write() as connection:
        close_turn(connection, turn.message_ids[1], "complete", {"content": answer, **EMPTY})
    return turn


def shown(database: Database) -> list[str]:
    with database.read() as connection:
        rows = select(messages.c.content).where(messages.c.active, messages.c.cleared_at.is_(None)).order_by(messages.c.seq)
        return list(connection.scalars(rows))


def test_turns_of_two_processes_in_one_new_session_follow_each_other(
    databases: tuple[Database, Database], writers: tuple[Writer, Writer]
) -> None:
    turns = [Turn(KEY, f"问题 {number}") for number in range(40)]
    futures = [writers[number % 2].submit(partial(open_turn, turn=turn, ttl=60)) for number, turn in enumerate(turns)]
    for future in futures:
        future.result(60)
    with databases[0].read() as connection:
        rows = connection.execute(select(messages).order_by(messages.c.seq)).all()
    assert [row.seq for row in rows] == list(range(1, 81))
    assert [row.parent_id for row in rows] == [None, *(row.id for row in rows[:-1])]
    conversation = find(databases[1], KEY)
    assert (conversation.last_seq, conversation.message_count, conversation.head_id) == (80, 80, rows[-1].id)


def test_session_is_made_once_however_many_need_it(databases: tuple[Database, Database]) -> None:
    made = at_once(*(partial(find_or_create, database, KEY) for database in databases * 4))
    assert len({conversation.id for conversation in made}) == 1


def test_session_that_another_process_has_just_made_is_not_made_anew(databases: tuple[Database, Database]) -> None:
    for number in range(10):
        key = replace(KEY, session_id=f"{number}")
        turns = Turn(key, "甲"), Turn(key, "乙")

        def opened(database: Database, turn: Turn) -> None:
            find_or_create(database, turn.key)
            with database.write() as connection:
                open_turn(connection, turn, 60)

        at_once(*(partial(opened, *pair) for pair in zip(databases, turns, strict=True)))
        assert find(databases[0], key).message_count == 4


def test_expired_session_is_made_anew_without_what_was_in_it(databases: tuple[Database, Database]) -> None:
    old = find_or_create(databases[0], KEY, temporary_for=60)
    documents.add(databases[0], Document("doc_1", old.id, "旧.pdf", "application/pdf", 3, "abc", now()))
    with databases[0].write() as connection:
        connection.execute(update(conversations).values(expires_at=now() - timedelta(seconds=1)))
    made = at_once(*(partial(find_or_create, database, KEY) for database in databases * 2))
    assert {conversation.id for conversation in made} != {old.id} and len({c.id for c in made}) == 1
    assert documents.load(databases[1], "doc_1") is None


def test_of_several_that_clear_or_restore_at_once_one_does(databases: tuple[Database, Database]) -> None:
    for number in range(3):
        ask(databases[0], f"问题 {number}")
    assert sorted(cleared for _, cleared, _ in at_once(*(partial(clear, one, KEY) for one in databases))) == [0, 6]
    assert shown(databases[0]) == [] and find(databases[0], KEY).message_count == 0
    assert sorted(at_once(*(partial(restore, one, KEY, LONG_AGO) for one in databases))) == [0, 6]
    assert len(shown(databases[1])) == 6 and find(databases[1], KEY).message_count == 6


def test_counts_stay_right_while_turns_begin_and_histories_are_cleared(
    databases: tuple[Database, Database], writers: tuple[Writer, Writer]
) -> None:
    find_or_create(databases[0], KEY)

    def asks(writer: Writer) -> None:
        for number in range(10):
            writer.submit(partial(open_turn, turn=Turn(KEY, f"问题 {number}"), ttl=60)).result(60)

    def clears(database: Database) -> None:
        for _ in range(5):
            clear(database, KEY)
            restore(database, KEY, LONG_AGO)

    at_once(*(partial(asks, writer) for writer in writers), *(partial(clears, database) for database in databases))
    conversation = find(databases[0], KEY)
    assert conversation.message_count == len(shown(databases[0]))
    with databases[0].read() as connection:
        places = list(connection.scalars(select(messages.c.seq)))
    assert len(places) == 40 and conversation.last_seq >= max(places)


def test_clear_hides_and_restore_brings_back_what_the_last_clear_hid(database: Database) -> None:
    ask(database, "一")
    clear(database, KEY)
    ask(database, "二")
    _, cleared, at = clear(database, KEY)
    ask(database, "三")
    assert (cleared, shown(database)) == (2, ["三", "好"])
    assert restore(database, KEY, at) == 0
    assert restore(database, KEY, at - timedelta(microseconds=1)) == 2
    assert shown(database) == ["二", "好", "三", "好"]
    with pytest.raises(NotFound):
        clear(database, replace(KEY, owner="other"))


def test_history_before_a_turn_is_what_is_shown(database: Database) -> None:
    ask(database, "一", "甲")
    lost = Turn(KEY, "二")
    with database.write() as connection:
        open_turn(connection, lost, 60)
    turn = Turn(KEY, "三")
    with database.write() as connection:
        opened = open_turn(connection, turn, 60)
    turns = history(database, opened, turn.message_ids[1], 10)
    assert [(stored.question, stored.answer) for stored in turns] == [("一", "甲"), ("二", "")]
    with database.read() as connection:
        status = connection.scalar(select(messages.c.status).where(messages.c.id == lost.message_ids[1]))
    assert status == "interrupted"


def test_branches_lead_away_and_back(database: Database) -> None:
    ask(database, "一", "甲", client_id="c1")
    first = ask(database, "二", "乙")
    ask(database, "改", "丙", branch=Branch("edit", first.message_ids[0]))
    assert shown(database) == ["一", "甲", "改", "丙"]
    ask(database, "", "丁", branch=Branch("again", None))
    assert shown(database) == ["一", "甲", "改", "丁"]
    switch_branch(database, KEY, first.message_ids[1])
    assert shown(database) == ["一", "甲", "二", "乙"]
    ask(database, "新", "戊", client_id="c1")  # a question that the client has changed
    assert shown(database) == ["新", "戊"]
    assert find(database, KEY).message_count == 2
    with pytest.raises(NotFound):
        ask(database, "", branch=Branch("again", "msg_none"))
