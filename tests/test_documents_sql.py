"""Rows of documents: whose they are, how attempts are counted, what a deletion means for a job that is at work."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update

from fixtures.databases import at_once
from models import conversations, document_lists, documents
from models.database import Database, now
from models.database import conversations as conversation_rows
from models.documents import MAX_ATTEMPTS, Document
from models.turns import SessionKey
from utils.errors import DocumentUnreadable, NotFound, UpstreamError

KEY = SessionKey("local", "会话".encode().hex())


def document(database: Database, name: str = "doc_1", key: SessionKey = KEY, **values: Any) -> Document:
    conversation = conversations.find_or_create(database, key)
    made = Document(name, conversation.id, "报告.pdf", "application/pdf", 3, f"hash of {name}", now(), **values)
    documents.add(database, made)
    return made


def test_document_of_another_owner_does_not_exist(database: Database) -> None:
    document(database)
    assert documents.find(database, "local", "doc_1").filename == "报告.pdf"
    with pytest.raises(NotFound):
        documents.find(database, "other", "doc_1")
    with pytest.raises(NotFound):
        documents.delete(database, "other", "doc_1")
    assert documents.load(database, "doc_1") is not None


def test_documents_are_listed_by_session_oldest_first(database: Database) -> None:
    for number in range(3):
        document(database, f"doc_{number}")
    document(database, "doc_x", SessionKey("local", "other"))
    assert [found.id for found in document_lists.of_session(database, KEY)] == ["doc_0", "doc_1", "doc_2"]
    with pytest.raises(NotFound):
        document_lists.of_session(database, SessionKey("other", KEY.session_id))


def test_document_of_an_expired_session_does_not_exist(database: Database) -> None:
    document(database)
    with database.write() as connection:
        connection.execute(update(conversation_rows).values(expires_at=now() - timedelta(seconds=1)))
    for attempt in (documents.find, documents.delete):
        with pytest.raises(NotFound):
            attempt(database, "local", "doc_1")


def test_document_of_a_session_that_is_gone_is_refused(database: Database) -> None:
    made = document(database)
    with pytest.raises(NotFound):
        documents.add(database, replace(made, id="doc_2", conversation_id=(made.conversation_id or 0) + 1))


def test_attempts_without_progress_are_bounded(database: Database) -> None:
    document(database)
    for _ in range(MAX_ATTEMPTS):
        assert documents.start(database, "doc_1") is not None
    assert documents.start(database, "doc_1") is None
    failed = documents.find(database, "local", "doc_1")
    assert (failed.status, failed.stage, failed.error) == ("failed", "done", "too_complex")
    assert isinstance(failed.failure, DocumentUnreadable)


def test_progress_and_forgiveness_let_attempts_count_anew(database: Database) -> None:
    document(database)
    for _ in range(MAX_ATTEMPTS):
        documents.start(database, "doc_1")
        documents.wait(database, "doc_1", "store_unavailable", forgive=True)
    for _ in range(MAX_ATTEMPTS):
        documents.start(database, "doc_1")
        assert documents.progressed(database, "doc_1")
    assert documents.start(database, "doc_1") is not None


def test_failing_upstream_is_no_fault_of_the_file(database: Database) -> None:
    document(database)
    for _ in range(MAX_ATTEMPTS):
        documents.start(database, "doc_1")
        documents.wait(database, "doc_1", UpstreamError.code, forgive=False)
    documents.start(database, "doc_1")
    failed = documents.find(database, "local", "doc_1")
    assert (failed.status, failed.error) == ("failed", "upstream_failed")
    assert failed.as_dict("zh")["error"] == {"code": "unavailable", "message": "服务暂时不可用，请稍后再试。"}


def test_job_of_a_deleted_document_is_told(database: Database) -> None:
    document(database)
    documents.start(database, "doc_1")
    assert documents.enter(database, "doc_1", "extracting")
    documents.delete(database, "local", "doc_1")
    assert not documents.enter(database, "doc_1", "indexing")
    assert not documents.progressed(database, "doc_1")
    assert not documents.finish(database, "doc_1", "ready")
    assert documents.start(database, "doc_1") is None


def test_finished_document_is_not_worked_on_again(database: Database) -> None:
    document(database)
    documents.start(database, "doc_1")
    assert documents.finish(database, "doc_1", "partial", page_count=2, chunk_count=5, pages=[{"page": 1}])
    assert documents.start(database, "doc_1") is None
    assert not documents.finish(database, "doc_1", "failed", error="damaged")
    assert document_lists.unfinished(database) == []
    found = documents.find(database, "local", "doc_1")
    assert (found.status, found.page_count, found.chunk_count, found.searchable) == ("partial", 2, 5, True)


def test_object_of_the_contract(database: Database) -> None:
    shown = replace(document(database), status="failed", error="encrypted", progress=1.0).as_dict("zh")
    assert list(shown) == [
        *("id", "filename", "media_type", "bytes", "sha256", "status", "progress", "stage"),
        *("page_count", "chunk_count", "summary", "error", "pages"),
    ]
    assert shown["error"] == {
        "code": "document_unreadable",
        "message": "无法读取该文档：文件需要密码。",
        "reason": "encrypted",
    }
    assert "error" not in document(database, "doc_2").as_item()


def test_attempts_of_two_workers_at_once_are_both_counted(databases: tuple[Database, Database]) -> None:
    for number in range(10):
        made = document(databases[0], f"doc_{number}")
        at_once(*(partial(documents.start, database, made.id) for database in databases))
    attempts = [found.attempts for found in document_lists.of_session(databases[0], KEY)]
    assert attempts == [2] * 10


def test_document_is_deleted_once(databases: tuple[Database, Database]) -> None:
    def deleted(database: Database) -> bool:
        try:
            return documents.delete(database, "local", "doc_1").id == "doc_1"
        except NotFound:
            return False

    for _ in range(10):
        document(databases[0])
        assert sorted(at_once(*(partial(deleted, database) for database in databases))) == [False, True]


def test_all_documents_of_a_session_are_deleted_once(databases: tuple[Database, Database]) -> None:
    for number in range(3):
        made = document(databases[0], f"doc_{number}")
    document(databases[0], "doc_x", SessionKey("local", "other"))
    deleted = at_once(*(partial(documents.delete_held, database, made.conversation_id or 0) for database in databases))
    assert sorted(len(found) for found in deleted) == [0, 3]
    assert document_lists.existing(databases[0], ["doc_0", "doc_1", "doc_2", "doc_x"]) == {"doc_x"}
