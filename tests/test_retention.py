"""The newest conversations of each user are kept, older ones go with all that belongs to them; lost answers are marked."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import insert, select, update

from fixtures.ingestion import Product, a_product, eventually
from models import conversation_queries as queries
from models import documents, histories, housekeeping
from models.conversations import find_or_create
from models.database import Database, conversations, messages, now, owners
from models.turn_records import close_turn, open_turn
from models.turns import SessionKey, Turn
from services.housekeeping import LATE_SECONDS, Housekeeper
from services.text.chunking import chunk
from utils.loaders import Page

KEEP = 3
OWNER, OTHER = "张三", "李四"
ANSWER: dict[str, Any] = {"content": "好的。", "steps": [], "reasoning": "", "sources": [], "tool_calls": [], "model": ""}
ANSWER |= {"finish_reason": "stop", "input_tokens": 1, "output_tokens": 1}


@pytest.fixture
def crowded(tmp_path: Path, redis_url: str, chroma_url: str) -> Iterator[Product]:
    """A product that keeps three conversations of each user."""
    with a_product(tmp_path, redis_url, chroma_url, CONVERSATIONS_KEEP=str(KEEP)) as product:
        yield product


@pytest.fixture
def housekeeper(crowded: Product) -> Housekeeper:
    return Housekeeper(crowded.settings)


def say(database: Database, key: SessionKey, *, answered: bool = True, **options: Any) -> str:
    """A turn; the id of its answer."""
    turn = Turn(key, "预算是多少？", **options)
    with database.write() as connection:
        open_turn(connection, turn, 60)
        if answered:
            close_turn(connection, turn.message_ids[1], "complete", ANSWER)
    return turn.message_ids[1]


def talk(product: Product, owner: str, *names: str, **options: Any) -> None:
    for name in names:
        say(product.database, SessionKey(owner, name), **options)


def kept(product: Product, owner: str) -> list[str]:
    return [row.session_id for row in queries.page(product.database, owner, limit=200)[0]]


def read(product: Product, key: SessionKey) -> documents.Document:
    """A document that has been read, with its vectors."""
    document = product.upload(key, "预算为三十万元。", "预算.txt")
    chunks = chunk([Page(1, "预算为三十万元。", "text")])
    product.documents.retrieval.index(document.id, document.filename, document.holder, chunks, "预算")
    documents.finish(product.database, document.id, "ready", chunk_count=len(chunks))
    return document


def test_the_newest_conversations_of_each_owner_are_kept(crowded: Product, housekeeper: Housekeeper) -> None:
    talk(crowded, OWNER, *"abcdef")
    talk(crowded, OTHER, *"xyz")
    talk(crowded, OWNER, "b")
    housekeeper.retain()
    assert kept(crowded, OWNER) == ["b", "f", "e"]
    assert kept(crowded, OTHER) == ["z", "y", "x"]
    with crowded.database.read() as connection:
        assert len(connection.execute(select(messages.c.id)).all()) == 14


def test_an_old_conversation_goes_with_all_it_has(crowded: Product, housekeeper: Housekeeper, redis_url: str) -> None:
    key = SessionKey(OWNER, "old")
    document = read(crowded, key)
    say(crowded.database, key)
    talk(crowded, OWNER, *"abc")
    with redis.Redis.from_url(redis_url) as client:
        client.rpush(f"memory:{key}", '{"seq":2,"messages":[]}')
        assert crowded.stored(document) and crowded.folder(document).exists()
        housekeeper.retain()
        assert kept(crowded, OWNER) == ["c", "b", "a"]
        assert not crowded.stored(document) and not crowded.folder(document).parent.exists()
        assert [name for name in client.scan_iter() if b"/old" in name] == []
    assert documents.load(crowded.database, document.id) is None


def test_nothing_is_deleted_while_something_goes_on_in_it(
    crowded: Product, housekeeper: Housekeeper, redis_url: str
) -> None:
    talk(crowded, OWNER, "answering", answered=False)
    crowded.upload(SessionKey(OWNER, "reading"), "预算为三十万元。", "预算.txt")
    talk(crowded, OWNER, "locked", "idle", *"abc")
    with redis.Redis.from_url(redis_url) as client:
        client.set("worker:w1", 1)
        client.set(f"lock:{SessionKey(OWNER, 'locked')}", "w1:token")
        housekeeper.retain()
        assert set(kept(crowded, OWNER)) == {"answering", "reading", "locked", *"abc"}
        client.delete("worker:w1")  # its worker has died: the lock is free
        housekeeper.retain()
        assert set(kept(crowded, OWNER)) == {"answering", "reading", *"abc"}


def test_a_conversation_that_is_used_again_at_the_last_moment_stays(crowded: Product, housekeeper: Housekeeper) -> None:
    talk(crowded, OWNER, *"abcd")
    (old,) = housekeeping.surplus(crowded.database, OWNER, KEEP, 10)
    assert housekeeping.is_idle(crowded.database, old)
    talk(crowded, OWNER, "a")

    def still() -> bool:
        return housekeeping.is_idle(crowded.database, old)

    with housekeeper.sessions() as sessions:
        assert not sessions.delete_if(old.key, still)
    assert kept(crowded, OWNER) == ["a", "d", "c", "b"]


def test_temporary_sessions_neither_count_nor_go(crowded: Product, housekeeper: Housekeeper) -> None:
    talk(crowded, OWNER, *"abc")
    talk(crowded, OWNER, "t1", "t2", temporary=True)
    housekeeper.retain()
    assert kept(crowded, OWNER) == ["c", "b", "a"]
    assert set(queries.session_ids(crowded.database, OWNER)) == {*"abc", "t1", "t2"}


def test_the_ingestion_worker_sees_to_it(crowded: Product) -> None:
    talk(crowded, OWNER, *"abcde")
    lost = say(crowded.database, SessionKey(OWNER, "e"), answered=False)
    with crowded.database.write() as connection:
        connection.execute(update(messages).where(messages.c.id == lost).values(created_at=now() - timedelta(days=1)))
    with crowded.worker():
        eventually(lambda: len(kept(crowded, OWNER)) == KEEP)
        eventually(lambda: histories.history(crowded.database, SessionKey(OWNER, "e")).messages[-1]["status"] != "running")
    assert kept(crowded, OWNER) == ["e", "d", "c"]


def test_zero_keeps_all(tmp_path: Path, redis_url: str, chroma_url: str) -> None:
    with a_product(tmp_path, redis_url, chroma_url, CONVERSATIONS_KEEP="0") as product:
        talk(product, OWNER, *"abcdef")
        Housekeeper(product.settings).retain()
        assert len(kept(product, OWNER)) == 6


def test_only_owners_of_too_many_are_looked_at(database: Database) -> None:
    present = now()
    rows = [
        {"owner_id": f"o{n}", "session_id": f"s{k}", "created_at": present, "updated_at": present - timedelta(days=k)}
        for n in range(500)
        for k in range(5 if n % 100 == 7 else 3)
    ]
    with database.write() as connection:
        connection.execute(insert(owners), [{"id": f"o{n}", "created_at": present} for n in range(500)])
        connection.execute(insert(conversations), rows)
    crowded = housekeeping.crowded_owners(database, KEEP)
    assert sorted(crowded) == ["o107", "o207", "o307", "o407", "o7"]
    assert [old.key for old in housekeeping.surplus(database, "o7", KEEP, 9)] == [SessionKey("o7", f"s{k}") for k in (3, 4)]
    assert len(housekeeping.surplus(database, "o7", KEEP, 1)) == 1


def test_answers_that_nobody_writes_any_more_are_marked(crowded: Product, housekeeper: Housekeeper) -> None:
    lost, slow = (SessionKey(OWNER, name) for name in ("lost", "slow"))
    say(crowded.database, lost)
    answers = [say(crowded.database, key, answered=False) for key in (lost, slow)]
    longest = crowded.settings.TURN_TIMEOUT_SECONDS + LATE_SECONDS
    with crowded.database.write() as connection:
        for answer, seconds in zip(answers, (longest + 5, longest - 60), strict=True):
            past = now() - timedelta(seconds=seconds)
            connection.execute(update(messages).where(messages.c.id == answer).values(created_at=past))
    housekeeper.interrupt()
    shown = [histories.history(crowded.database, key).messages for key in (lost, slow)]
    assert [[message["status"] for message in one] for one in shown] == [
        ["complete", "complete", "complete", "interrupted"],
        ["complete", "running"],
    ]


def test_lost_answers_are_found_on_every_database(database: Database) -> None:
    key = SessionKey(OWNER, "s")
    find_or_create(database, key)
    say(database, key, answered=False)
    assert housekeeping.interrupt_lost(database, now() - timedelta(seconds=60)) == 0
    assert housekeeping.interrupt_lost(database, now() + timedelta(seconds=60)) == 1
    assert housekeeping.interrupt_lost(database, now() + timedelta(seconds=60)) == 0


def test_old_conversations_are_judged_alike_on_every_database(database: Database) -> None:
    for name in ("answering", "reading", "idle"):
        say(database, SessionKey(OWNER, name), answered=name != "answering")
    reading = find_or_create(database, SessionKey(OWNER, "reading"))
    document = documents.Document("doc_1", reading.id, "a.txt", "text/plain", 1, "", now())
    documents.add(database, document)
    found = {old.key.session_id: old for old in housekeeping.surplus(database, OWNER, 0, 9)}
    assert [name for name, old in found.items() if housekeeping.is_idle(database, old)] == ["idle"]
    documents.finish(database, "doc_1", "ready")
    assert housekeeping.is_idle(database, found["reading"])
