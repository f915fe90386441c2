"""Rows of knowledge bases and of what they hold: whose they are, what a session searches, and that content is there once."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from fixtures.databases import at_once
from models import conversations, document_lists, documents, housekeeping, knowledge_bases
from models.cursors import decode, encode
from models.database import Database, conversation_knowledge_bases, now
from models.documents import Document
from models.knowledge_bases import ReadyBase, UnreadyDocument
from models.turn_records import open_turn
from models.turns import SessionKey, Turn
from utils.errors import DocumentCancelled, InvalidField, NotFound

KEY = SessionKey("local", "test:session")
BASE = "kb_1"


def document(database: Database, name: str, base: str | None = BASE, content: str = "") -> Document:
    """A document in a base, or in the session."""
    conversation = None if base else conversations.find_or_create(database, KEY).id
    sha256 = content or f"hash of {name}"
    made = Document(name, conversation, "报告.pdf", "application/pdf", 3, sha256, now(), knowledge_base_id=base)
    return documents.add(database, made)


def read(database: Database, name: str, status: documents.Status = "ready", base: str | None = BASE) -> None:
    document(database, name, base)
    documents.start(database, name)
    documents.finish(database, name, status)


def version(database: Database, base: str = BASE) -> int:
    return knowledge_bases.find(database, "local", base).version


@pytest.fixture
def base(database: Database) -> str:
    return knowledge_bases.create(database, "local", BASE, "人事制度", "员工手册").id


def test_a_base_of_another_owner_does_not_exist(database: Database, base: str) -> None:
    document(database, "doc_1")
    attempts: list[Callable[[], Any]] = [
        partial(knowledge_bases.find, database, "other", base),
        partial(knowledge_bases.change, database, "other", base, name="x"),
        partial(knowledge_bases.attach, database, SessionKey("other", "theirs"), base),
        *(partial(one, database, "other", "doc_1") for one in (documents.find, documents.cancel, documents.delete)),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound):
            attempt()
    assert knowledge_bases.page(database, "other", limit=5) == ([], None)
    assert knowledge_bases.ids(database, "other") == []
    with pytest.raises(NotFound):
        conversations.find(database, SessionKey("other", "theirs"))  # nor was the session made
    assert documents.find(database, "local", "doc_1").holder == base
    assert knowledge_bases.find(database, "local", base).name == "人事制度"


def test_a_base_is_changed(database: Database, base: str) -> None:
    changed = knowledge_bases.change(database, "local", base, name="制度")
    assert (changed.name, changed.description) == ("制度", "员工手册")
    assert knowledge_bases.change(database, "local", base).name == "制度"


def test_bases_come_in_pages(database: Database) -> None:
    names = [f"kb_{number}" for number in range(5)]
    for name in names:
        knowledge_bases.create(database, "local", name, "同名")
    knowledge_bases.create(database, "other", "kb_x", "别人的")
    seen, cursor = [], None
    for size in (2, 2, 1):
        found, cursor = knowledge_bases.page(database, "local", limit=2, cursor=cursor)
        assert len(found) == size
        seen += [one.id for one in found]
    assert (seen, cursor) == (names, None)
    with pytest.raises(InvalidField):
        knowledge_bases.page(database, "local", limit=2, cursor="AAAA")


def test_documents_of_a_base_come_in_pages_though_some_are_deleted_meanwhile(database: Database, base: str) -> None:
    names = [f"doc_{number}" for number in range(7)]
    for name in names:
        document(database, name)
    document(database, "doc_x", None)
    first, cursor = document_lists.page_of_base(database, base, limit=3)
    for one in first:
        documents.delete(database, "local", one.id)
    second, cursor = document_lists.page_of_base(database, base, limit=4, cursor=cursor)
    assert ([one.id for one in [*first, *second]], cursor) == (names, None)


def test_what_may_be_searched_raises_the_version_and_nothing_else_does(database: Database, base: str) -> None:
    read(database, "doc_1")
    read(database, "doc_2", "partial")
    assert version(database) == 2
    read(database, "doc_3", "failed")
    read(database, "doc_4", base=None)
    document(database, "doc_5")
    documents.cancel(database, "local", "doc_5")
    for name in ("doc_3", "doc_4", "doc_5"):
        documents.delete(database, "local", name)
    assert version(database) == 2
    assert [one.id for one in knowledge_bases.ready_documents(database, base)] == ["doc_1", "doc_2"]
    documents.delete(database, "local", "doc_1")
    assert version(database) == 3
    assert documents.holders(database, ["doc_1", "doc_2"]).keys() == {"doc_2"}
    assert len(documents.delete_held(database, base)) == 1
    assert version(database) == 4


def test_no_change_of_a_version_is_lost(databases: tuple[Database, Database]) -> None:
    knowledge_bases.create(databases[0], "local", BASE, "人事制度")
    for number in range(5):
        names = [f"doc_{number}_{side}" for side in range(2)]
        for name in names:
            document(databases[0], name)
        at_once(*(partial(documents.finish, *one, "ready") for one in zip(databases, names, strict=True)))
        at_once(*(partial(documents.delete, one, "local", name) for one, name in zip(databases, names, strict=True)))
    assert version(databases[0]) == 20


def test_a_session_searches_its_files_and_its_bases(database: Database, base: str) -> None:
    read(database, "doc_1", base=None)
    read(database, "doc_2")
    document(database, "doc_3", None)
    knowledge_bases.create(database, "local", "kb_2", "别的")
    for _ in range(2):
        assert knowledge_bases.attach(database, KEY, base).id == base
    files, bases = knowledge_bases.searched(database, KEY)
    assert [one.id for one in files] == ["doc_1"] and bases == (ReadyBase(base, "人事制度", 1),)
    assert [one.id for one in document_lists.named(database, KEY, ["doc_1", "doc_2"])] == ["doc_1", "doc_2"]
    with database.write() as connection:
        opened = open_turn(connection, Turn(KEY, "年假几天？"), 60)
    assert opened.searched[:2] == (files, bases)
    assert opened.searched.unready == (UnreadyDocument("报告.pdf"),)
    documents.start(database, "doc_3")
    documents.finish(database, "doc_3", "failed", error="encrypted")
    with database.write() as connection:
        (failed,) = open_turn(connection, Turn(KEY, "年假几天？"), 60).searched.unready
    assert failed.failure and "密码" in failed.failure.message("zh")
    knowledge_bases.detach(database, KEY, base)
    assert knowledge_bases.searched(database, KEY) == (files, ())
    assert [one.id for one in document_lists.named(database, KEY, ["doc_1", "doc_2"])] == ["doc_1"]
    with pytest.raises(NotFound):
        knowledge_bases.detach(database, KEY, base)


def test_attaching_makes_the_session_even_for_two_at_once(databases: tuple[Database, Database]) -> None:
    knowledge_bases.create(databases[0], "local", BASE, "人事制度")
    for number in range(5):
        key = SessionKey("local", f"new-{number}")
        at_once(*(partial(knowledge_bases.attach, database, key, BASE, temporary_for=60) for database in databases))
        assert [one.id for one in knowledge_bases.attached(databases[0], key)] == [BASE]
        assert conversations.find(databases[0], key).temporary


def test_neither_a_base_nor_a_session_leaves_a_link_behind(database: Database, base: str) -> None:
    def links() -> int | None:
        with database.read() as connection:
            return connection.scalar(select(func.count()).select_from(conversation_knowledge_bases))

    for key in (KEY, SessionKey("local", "other")):
        knowledge_bases.attach(database, key, base)
    housekeeping.delete_conversation(database, conversations.find(database, KEY).id)
    assert links() == 1
    document(database, "doc_1")
    assert not knowledge_bases.remove(database, base)  # while it has a document
    documents.delete_held(database, base)
    assert knowledge_bases.remove(database, base) and links() == 0
    assert knowledge_bases.existing(database, [base]) == set()
    with pytest.raises(NotFound):
        document(database, "doc_2")


def test_the_same_content_is_there_once_in_each_holder(database: Database, base: str) -> None:
    for holder, names in ((base, ("doc_1", "doc_2")), (None, ("doc_3", "doc_4"))):
        assert [document(database, name, holder, "same").id for name in names] == [names[0]] * 2
    knowledge_bases.create(database, "local", "kb_2", "别的")
    assert document(database, "doc_5", "kb_2", "same").id == "doc_5"
    documents.delete(database, "local", "doc_1")
    assert document(database, "doc_6", base, "same").id == "doc_6"


def test_of_two_uploads_at_once_one_is_kept(databases: tuple[Database, Database]) -> None:
    knowledge_bases.create(databases[0], "local", BASE, "人事制度")
    for number in range(10):
        for side in (BASE, None):
            names = [f"doc_{number}_{side}_{place}" for place in range(2)]
            added = at_once(*(partial(document, *one, side, f"same {number}") for one in zip(databases, names, strict=True)))
            assert added[0].id == added[1].id


def test_a_cancelled_document_is_done_with_until_it_is_retried(database: Database, base: str) -> None:
    document(database, "doc_1")
    documents.start(database, "doc_1")
    assert documents.cancel(database, "local", "doc_1").status == "processing"
    assert not documents.enter(database, "doc_1", "indexing") and not documents.finish(database, "doc_1", "ready")
    assert documents.start(database, "doc_1") is None
    cancelled = documents.find(database, "local", "doc_1")
    assert (cancelled.status, cancelled.stage) == ("failed", "done")
    assert isinstance(cancelled.failure, DocumentCancelled)
    problem = {"code": "cancelled", "message": "文档的读取已取消，可以重试。"}
    assert cancelled.as_item("zh")["error"] == problem and cancelled.as_item()["knowledge_base_id"] == base
    assert documents.requeue(database, "doc_1") and not documents.requeue(database, "doc_1")
    again = documents.find(database, "local", "doc_1")
    assert (again.status, again.stage, again.failure, again.attempts) == ("queued", "queued", None, 0)


def test_a_finished_document_is_not_cancelled(database: Database, base: str) -> None:
    read(database, "doc_1")
    assert documents.cancel(database, "local", "doc_1").status == "ready"
    assert documents.find(database, "local", "doc_1").status == "ready"
    assert not documents.requeue(database, "doc_1")


def test_only_what_was_uploaded_again_is_called_a_duplicate(database: Database, base: str) -> None:
    made = document(database, "doc_1")
    assert "duplicate" not in made.as_item()
    assert replace(made, duplicate=True).as_item()["duplicate"] is True


def test_a_cursor_of_another_list_is_refused(database: Database) -> None:
    for of_conversations in (encode(now(), 42), encode(now(), 0x6162_6364_6566_6768)):
        assert decode(of_conversations, int)
    with pytest.raises(InvalidField):
        knowledge_bases.page(database, "local", limit=2, cursor=encode(now(), 42))
    with pytest.raises(InvalidField):
        decode(encode(now(), "kb_5c2e8f1a9d7b4036e1c4a7f2"), int)
