"""Files that nobody owns any more are found and deleted; all others stay."""

import io
import os
import time
from pathlib import Path

import pytest
from sqlalchemy import insert

from fakes import documents as make
from fixtures.ingestion import Product
from models import conversations, knowledge_bases
from models.database import conversations as conversation_rows
from models.database import documents as document_rows
from models.database import knowledge_bases as base_rows
from models.database import messages, now
from models.documents import Document
from models.turns import Attachment
from services.housekeeping import ABANDONED_SECONDS, Housekeeper

TEXT = "预算为三十万元。"


@pytest.fixture
def housekeeper(idle_product: Product) -> Housekeeper:
    return Housekeeper(idle_product.settings)


def age(folder: Path) -> None:
    """Makes a folder look as if nobody had touched it for long."""
    past = time.time() - ABANDONED_SECONDS - 1
    os.utime(folder, (past, past))


def picture(product: Product, **options: bool) -> tuple[Attachment, Path]:
    stored = product.images.store(product.key(), io.BytesIO(make.text_image(["图"])), "图.png", **options)
    return stored, (product.settings.UPLOAD_DIR / stored.path).parent


def test_folder_without_its_row_goes_when_it_is_old(idle_product: Product, housekeeper: Housekeeper) -> None:
    key = idle_product.key()
    lost, kept = (idle_product.upload(key, f"{TEXT}{n}", f"{n}.txt") for n in "一二")
    with idle_product.database.write() as connection:
        connection.execute(document_rows.delete().where(document_rows.c.id == lost.id))
    housekeeper.sweep_folders()
    assert idle_product.folder(lost).exists(), "its row may be about to be written"
    age(idle_product.folder(lost))
    age(idle_product.folder(kept))
    housekeeper.sweep_folders()
    assert not idle_product.folder(lost).exists()
    assert idle_product.folder(kept).exists()


def test_folder_without_its_conversation_goes_whole(idle_product: Product, housekeeper: Housekeeper) -> None:
    lost = idle_product.upload(idle_product.key(), TEXT, "一.txt")
    with idle_product.database.write() as connection:
        connection.execute(conversation_rows.delete())
    age(idle_product.folder(lost).parent)
    housekeeper.sweep_folders()
    assert not idle_product.folder(lost).parent.exists()


def in_base(product: Product, base: str) -> Document:
    knowledge_bases.create(product.database, "local", base, "人事制度")
    (document,) = product.documents.accept_for_base(base, [(io.BytesIO(TEXT.encode()), "一.txt")])
    return document


def test_what_is_left_of_a_knowledge_base_goes(idle_product: Product, housekeeper: Housekeeper) -> None:
    lost, orphan, kept = (in_base(idle_product, f"kb_{n}") for n in range(3))
    with idle_product.database.write() as connection:
        connection.execute(base_rows.delete().where(base_rows.c.id == lost.holder))
        connection.execute(document_rows.delete().where(document_rows.c.id == orphan.id))
    for document in (lost, orphan, kept):
        age(idle_product.folder(document))
        age(idle_product.folder(document).parent)
    strange = idle_product.settings.UPLOAD_DIR / "somebody's own"
    strange.mkdir()
    age(strange)
    housekeeper.sweep_folders()
    assert not idle_product.folder(lost).parent.exists()
    assert not idle_product.folder(orphan).exists() and idle_product.folder(orphan).parent.exists()
    assert idle_product.folder(kept).exists() and strange.exists()


def test_a_document_of_a_base_whose_job_is_lost_is_queued_again(idle_product: Product, housekeeper: Housekeeper) -> None:
    document = in_base(idle_product, "kb_1")
    idle_product.documents.work.jobs.stop(document.id)
    with idle_product.database.write() as connection:
        connection.execute(document_rows.update().values(updated_at=now().replace(year=2020)))
    housekeeper.requeue()
    assert idle_product.documents.work.jobs.live() == {document.id}


def test_vectors_of_a_document_without_its_row_go_with_its_folder(product: Product) -> None:
    lost = product.finished(product.upload(product.key(), TEXT, "一.txt"))
    assert product.stored(lost)
    with product.database.write() as connection:
        connection.execute(document_rows.delete().where(document_rows.c.id == lost.id))
    age(product.folder(lost))
    Housekeeper(product.settings).sweep_folders()
    assert not product.stored(lost)


def test_broken_off_upload_goes(idle_product: Product, housekeeper: Housekeeper) -> None:
    folder = idle_product.settings.UPLOAD_DIR / "incoming" / "doc_1"
    folder.mkdir(parents=True)
    (folder / "original").write_text("半个文件")
    housekeeper.sweep_folders()
    assert folder.exists()
    age(folder)
    housekeeper.sweep_folders()
    assert not folder.exists()


def test_picture_goes_when_no_message_shows_it(idle_product: Product, housekeeper: Housekeeper) -> None:
    shown, shown_folder = picture(idle_product)
    _, unseen_folder = picture(idle_product)
    _, temporary_folder = picture(idle_product, temporary=True)
    row = {"id": "m1", "conversation_id": int(shown.path.split("/")[0]), "seq": 1, "role": "user", "created_at": now()}
    with idle_product.database.write() as connection:
        connection.execute(insert(messages).values(**row, attachments=[shown.as_dict()]))
    for folder in (shown_folder, unseen_folder, temporary_folder):
        age(folder)
    housekeeper.sweep_folders()
    assert shown_folder.exists()
    assert not unseen_folder.exists()
    assert temporary_folder.exists(), "messages of a temporary session are not in SQL"


def test_messages_cleared_long_ago_are_deleted(idle_product: Product, housekeeper: Housekeeper) -> None:
    conversation = conversations.find_or_create(idle_product.database, idle_product.key())
    row = {"conversation_id": conversation.id, "role": "user", "created_at": now()}
    with idle_product.database.write() as connection:
        connection.execute(insert(messages).values(**row, id="old", seq=1, cleared_at=now().replace(year=2020)))
        connection.execute(insert(messages).values(**row, id="new", seq=2, cleared_at=now()))
        connection.execute(insert(messages).values(**row, id="shown", seq=3))
    housekeeper.expire()
    with idle_product.database.read() as connection:
        assert set(connection.scalars(messages.select().with_only_columns(messages.c.id))) == {"new", "shown"}
