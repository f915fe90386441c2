"""Uploads as the web sees them: what is taken in, whose it is, how it is watched, and that nothing stays behind."""

import asyncio
import hashlib
import io
from pathlib import Path

import pytest
from sqlalchemy import update

from fakes import documents as make
from fakes.replies import hang
from fixtures.ingestion import Product, hanging
from models.database import documents as document_rows
from models.database import now
from models.documents import Document
from models.turns import SessionKey
from services.document_service import DocumentService
from services.housekeeping import Housekeeper
from utils.errors import DocumentCancelled, DocumentUnreadable, NotFound, TooLarge, UnsupportedType
from utils.settings import Settings

TEXT = "预算为三十万元。"


def everything_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []


def service(product: Product, **options: object) -> DocumentService:
    settings = Settings(**(product.environment | options))
    return DocumentService(settings, product.database, product.documents.retrieval)


def test_upload_is_stored_and_queued(idle_product: Product) -> None:
    key = idle_product.key()
    document = idle_product.upload(key, TEXT, "..\\..\\预算.txt")
    assert (document.filename, document.media_type, document.bytes) == ("预算.txt", "text/plain", len(TEXT.encode()))
    assert document.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    assert idle_product.documents.work.jobs.live() == {document.id}
    path, filename, media_type = idle_product.documents.content("local", document.id)
    assert (path.read_bytes().decode(), filename, media_type) == (TEXT, "预算.txt", "text/plain")
    assert [path.name for path in everything_in(idle_product.settings.UPLOAD_DIR)] == ["original"]


@pytest.mark.parametrize(
    ("content", "filename", "options", "error"),
    [
        (b"x" * 101, "a.txt", {"UPLOAD_MAX_BYTES": 100}, TooLarge),
        (b"", "a.txt", {}, DocumentUnreadable),
        (b"\x7fELF\x02\x01\x01\x00" + bytes(range(256)) * 4, "程序.txt", {}, UnsupportedType),
        (make.english_pdf(["text"]), "报告.docx", {"ALLOWED_FILE_TYPES": ("docx",)}, UnsupportedType),
    ],
)
def test_refused_upload_leaves_nothing(
    idle_product: Product, content: bytes, filename: str, options: dict[str, object], error: type[Exception]
) -> None:
    key = idle_product.key()
    with pytest.raises(error):
        service(idle_product, **options).accept(key, io.BytesIO(content), filename)
    assert everything_in(idle_product.settings.UPLOAD_DIR) == []
    assert idle_product.documents.work.jobs.live() == set()
    with pytest.raises(NotFound):
        idle_product.documents.list(key)


def test_sessions_and_owners_never_see_each_others_documents(idle_product: Product) -> None:
    key = SessionKey("anna", "test-session")
    document = idle_product.upload(key, TEXT, "预算.txt")
    idle_product.upload(SessionKey("bert", "test-session"), TEXT, "别人的.txt")
    idle_product.upload(SessionKey("anna", "other"), TEXT, "另一个.txt")
    assert [found.id for found in idle_product.documents.list(key)] == [document.id]
    assert idle_product.documents.get("anna", document.id).id == document.id
    for attempt in (idle_product.documents.get, idle_product.documents.content, idle_product.documents.delete):
        with pytest.raises(NotFound):
            attempt("bert", document.id)
    with pytest.raises(NotFound):
        idle_product.documents.watch("bert", document.id)
    with pytest.raises(NotFound):
        idle_product.documents.search(SessionKey("bert", "test-session"), "预算", 3, [document.id])
    with pytest.raises(NotFound):
        idle_product.documents.search(SessionKey("carl", "test-session"), "预算", 3)


def test_search_takes_only_the_documents_that_are_named(product: Product) -> None:
    key = product.key()
    first, second = (product.finished(product.upload(key, f"{TEXT}{n}", f"{n}.txt")) for n in "一二")
    assert {hit.document_id for hit in product.documents.search(key, "预算", 5)} == {first.id, second.id}
    assert {hit.document_id for hit in product.documents.search(key, "预算", 5, [second.id])} == {second.id}


def test_a_queued_document_that_is_cancelled_leaves_its_queue_until_it_is_retried(idle_product: Product) -> None:
    document = idle_product.upload(idle_product.key(), TEXT, "预算.txt")
    with pytest.raises(NotFound):
        idle_product.documents.cancel("anna", document.id)
    assert isinstance(idle_product.documents.cancel("local", document.id).failure, DocumentCancelled)
    assert idle_product.documents.work.jobs.live() == set()
    with pytest.raises(NotFound):
        idle_product.documents.retry("anna", document.id)
    assert idle_product.documents.retry("local", document.id).status == "queued"
    assert idle_product.documents.work.jobs.live() == {document.id}


def test_deleted_document_is_gone_and_not_read(idle_product: Product) -> None:
    document = idle_product.upload(idle_product.key(), TEXT, "预算.txt")
    assert idle_product.documents.delete("local", document.id).id == document.id
    assert everything_in(idle_product.settings.UPLOAD_DIR) == []
    assert idle_product.documents.work.jobs.live() == set()
    with pytest.raises(NotFound):
        idle_product.see(document)


def test_conversation_loses_all_its_documents_and_pictures(idle_product: Product) -> None:
    key = idle_product.key()
    first, _ = (idle_product.upload(key, f"{TEXT}{n}", f"{n}.txt") for n in "一二")
    idle_product.images.store(key, io.BytesIO(make.text_image(["图"])), "图.png")
    other = idle_product.upload(idle_product.key(), TEXT, "别的.txt")
    assert len(idle_product.documents.delete_all(first.conversation_id)) == 2
    assert idle_product.documents.list(key) == []
    assert not idle_product.folder(first).parent.exists()
    assert idle_product.documents.work.jobs.live() == {other.id}


def test_upload_is_accepted_while_redis_is_away_and_queued_later(idle_product: Product) -> None:
    key = idle_product.key()
    document = service(idle_product, REDIS_URL="redis://127.0.0.1:1/0").accept(key, io.BytesIO(TEXT.encode()), "预算.txt")
    housekeeper = Housekeeper(idle_product.settings)
    housekeeper.requeue()
    assert idle_product.documents.work.jobs.live() == set(), "it may be on its way into the queue"
    with idle_product.database.write() as connection:
        connection.execute(update(document_rows).values(updated_at=now().replace(year=2020)))
    housekeeper.requeue()
    assert idle_product.documents.work.jobs.live() == {document.id}


def test_watching_shows_each_step_until_the_end(product: Product) -> None:
    product.upstream.on(lambda request: (hang("headers"), "概要") if "值得一看" in request.question else None)
    document = product.upload(product.key(), "值得一看的文件。", "看.txt")
    seen: list[Document | None] = []
    for step in product.documents.watch("local", document.id):
        seen.append(step)
        if step and step.stage == "summarising":
            hanging(product)
            product.upstream.release()
    steps = [step for step in seen if step]
    assert steps[-1].status == "ready"
    assert "summarising" in [step.stage for step in steps]
    assert [step.progress for step in steps] == sorted(step.progress for step in steps)


def test_waiting_tells_of_progress_and_ends_with_the_document(product: Product) -> None:
    document = product.upload(product.key(), TEXT, "预算.txt")
    seen: list[Document] = []
    done = asyncio.run(product.documents.wait(document.id, seen.append))
    assert done.status == "ready"
    assert seen[-1] == done


def test_waiting_for_a_document_that_is_deleted_ends(product: Product) -> None:
    product.upstream.on(lambda request: (hang("headers"), "概要"))
    document = product.upload(product.key(), TEXT, "预算.txt")

    def delete(step: Document) -> None:
        if step.stage == "summarising":
            product.documents.delete("local", document.id)

    with pytest.raises(NotFound):
        asyncio.run(product.documents.wait(document.id, delete))
