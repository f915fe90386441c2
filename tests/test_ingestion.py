"""From upload to search, through real workers over real stores."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from pypdf import PdfWriter
from sqlalchemy import update

from fakes import documents as make
from fakes.replies import hang, status
from fixtures.ingestion import Product, eventually, hanging
from models import conversations
from models.database import conversations as conversation_rows
from models.database import documents as document_rows
from models.database import now
from models.documents import Document
from services.document_files import locked
from services.housekeeping import Housekeeper
from services.ingestion import ingest
from services.page_journal import PageJournal
from utils.errors import NotFound
from utils.settings import ROOT

REPORT = "# 春季报告\n\n销售额在三月份增长了百分之十二。\n\n王芳负责华东地区的项目，预算为三十万元。"


def hang_on(product: Product, word: str) -> None:
    """Lets the upstream hang on the summary of documents that hold `word`."""
    product.upstream.on(lambda request: (hang("headers"), "概要") if word in request.question else None)


def test_chinese_document_becomes_searchable(product: Product) -> None:
    product.upstream.reply("王芳的春季报告。")
    key = product.key()
    accepted = product.upload(key, REPORT.encode("gb18030"), "报告.md")
    assert (accepted.status, accepted.stage, accepted.filename) == ("queued", "queued", "报告.md")
    done = product.finished(accepted)
    assert (done.status, done.stage, done.progress, done.summary) == ("ready", "done", 1.0, "王芳的春季报告。")
    assert done.pages == [{"page": None, "method": "text", "chars": len(REPORT)}]
    best = product.documents.search(key, "谁负责华东地区？", 3)[0]
    assert best.document_id == done.id
    assert "王芳" in best.quote
    text = (product.folder(done) / "text").read_text(encoding="utf-8")
    assert text[best.start : best.end] == best.text


def test_pages_of_a_pdf_are_told_apart(product: Product) -> None:
    key = product.key()
    pages = ["第一章 总则", "第二章 年假：员工每年有十五天年假。", "第三章 附则"]
    done = product.finished(product.upload(key, make.chinese_pdf(pages), "员工手册.pdf"))
    assert (done.status, done.page_count) == ("ready", 3)
    assert [(page["page"], page["method"]) for page in done.pages] == [(1, "text"), (2, "text"), (3, "text")]
    assert product.documents.search(key, "年假有几天", 1)[0].page == 2


def test_scan_is_read_in_batches(product: Product) -> None:
    pages = [make.picture([f"第{number}页：项目编号 {number}{number}{number}"]) for number in "一二三四五六"]
    scan = io.BytesIO()
    pages[0].save(scan, "TIFF", save_all=True, append_images=pages[1:])
    key = product.key()
    accepted = product.upload(key, scan.getvalue(), "扫描件.tiff")
    seen: list[float] = []
    queues: set[str] = set()
    started = {name: queue.started_job_registry for name, queue in product.documents.work.jobs.queues.items()}
    while not (present := product.see(accepted)).finished:
        seen.append(present.progress)
        queues |= {name for name, registry in started.items() if accepted.id in registry.get_job_ids(cleanup=False)}
        time.sleep(0.02)  # a processor is all that the job needs
    assert (present.status, present.page_count) == ("ready", 6)
    assert [page["method"] for page in present.pages] == ["ocr"] * 6
    assert product.documents.search(key, "项目编号 五五五", 1)[0].page == 5
    assert queues == {"interactive", "long"}, "a scan leaves the interactive queue to others"
    assert seen == sorted(seen)
    assert len(set(seen)) > 5


def test_failing_model_costs_only_its_summary(product: Product) -> None:
    product.upstream.on(lambda request: status(500))
    key = product.key()
    done = product.finished(product.upload(key, REPORT, "报告.md"))
    assert done.status == "ready"
    assert "销售额" in done.summary
    assert product.documents.search(key, "预算", 1)


@pytest.mark.parametrize(
    ("content", "filename", "reason"),
    [
        (make.chinese_pdf(["机密"], password="秘密"), "机密.pdf", "encrypted"),
        (make.chinese_pdf(["正文"] * 3)[:900], "坏.pdf", "damaged"),
        (make.text_image([" "]), "白.png", "empty"),
    ],
)
def test_unreadable_document_says_why(product: Product, content: bytes, filename: str, reason: str) -> None:
    done = product.finished(product.upload(product.key(), content, filename))
    assert (done.status, done.error, done.chunk_count) == ("failed", reason, 0)
    assert done.as_dict("zh")["error"]["reason"] == reason
    assert not product.stored(done)


def test_document_is_not_searchable_before_it_is_ready(product: Product) -> None:
    hang_on(product, "尚未完成")
    key = product.key()
    ready = product.finished(product.upload(key, REPORT, "旧.md"))
    waiting = product.upload(key, "这份文件尚未完成：预算改为五十万元。", "新.md")
    hanging(product)
    assert product.see(waiting).stage == "summarising"
    assert {hit.document_id for hit in product.documents.search(key, "预算", 5)} == {ready.id}
    product.upstream.release()
    product.finished(waiting)
    assert {hit.document_id for hit in product.documents.search(key, "预算", 5)} == {ready.id, waiting.id}
    with product.database.write() as connection:  # all its passages are stored, but its row does not say so yet
        connection.execute(update(document_rows).where(document_rows.c.id == waiting.id).values(status="processing"))
    assert {hit.document_id for hit in product.documents.search(key, "预算", 5)} == {ready.id}


def test_document_deleted_while_it_is_read_leaves_nothing(product: Product) -> None:
    hang_on(product, "即将删除")
    document = product.upload(product.key(), "这份文件即将删除。", "删除.md")
    request = hanging(product)
    product.documents.delete("local", document.id)
    assert not product.folder(document).exists()
    assert request.disconnected.wait(5), "the job goes on"
    with pytest.raises(NotFound):
        product.see(document)
    assert not product.stored(document)
    eventually(lambda: document.id not in product.documents.work.jobs.live())
    assert product.documents.work.jobs.reported([document.id]) == {}


def test_what_redis_forgot_is_queued_again(product: Product) -> None:
    hang_on(product, "占住")
    blocking = [product.upload(product.key(), f"占住第{n}个工人。", "慢.md") for n in "一二"]
    eventually(lambda: sum(request.hanging.is_set() for request in product.upstream.requests) == 2)
    waiting = product.upload(product.key(), REPORT, "报告.md")
    with redis.Redis.from_url(product.settings.REDIS_URL) as client:
        client.flushdb()
    product.upstream.release()
    assert product.finished(waiting).status == "ready"
    assert [product.finished(document).status for document in blocking] == ["ready", "ready"]


def test_expired_temporary_session_vanishes_wholly(product: Product) -> None:
    hang_on(product, "拖延")
    key = product.key()
    kept = product.finished(product.upload(product.key(), REPORT, "留下.md"))
    ready = product.finished(product.upload(key, REPORT, "临时.md", temporary=True))
    unfinished = product.upload(key, "拖延时间的文件。", "临时二.md")
    hanging(product)
    conversation = conversations.find(product.database, key)
    with product.database.write() as connection:
        own = conversation_rows.c.id == conversation.id
        connection.execute(update(conversation_rows).where(own).values(expires_at=now()))
    Housekeeper(product.settings).expire()
    assert not product.folder(ready).parent.exists()
    assert not product.stored(ready)
    eventually(lambda: not product.stored(unfinished) and unfinished.id not in product.documents.work.jobs.live())
    with product.database.read() as connection:
        assert connection.execute(conversation_rows.select().where(own)).first() is None
    assert product.stored(kept)


def test_page_that_takes_too_much_costs_only_itself(idle_product: Product) -> None:
    key = idle_product.key()
    crashed = idle_product.upload(key, make.chinese_pdf(["第一页", "第二页"]), "崩溃.pdf")
    as_if_killed_at_first_page(idle_product, crashed, 2)
    with idle_product.worker(DOCUMENT_MEMORY_BYTES="900000000"):  # too little for OCR
        scan = idle_product.upload(key, make.scanned_pdf([["太大的图片"]]), "扫描.pdf")
        mixed = idle_product.upload(key, joined(make.scanned_pdf([["太大的图片"]]), make.chinese_pdf([REPORT])), "混合.pdf")
        text = idle_product.upload(key, REPORT, "报告.md")
        assert idle_product.finished(text).status == "ready"
        failed, partial = idle_product.finished(scan), idle_product.finished(mixed)
        crashed = idle_product.finished(crashed)
    assert (failed.status, failed.error) == ("failed", "too_complex")
    assert [(page["method"], page.get("detail")) for page in crashed.pages] == [("empty", "too_complex"), ("text", None)]
    assert (partial.status, partial.page_count) == ("partial", 2)
    assert [(page["method"], page.get("detail")) for page in partial.pages] == [("empty", "too_complex"), ("text", None)]
    assert {hit.document_id for hit in idle_product.documents.search(key, "王芳的预算", 5)} == {
        crashed.id,
        mixed.id,
        text.id,
    }


def as_if_killed_at_first_page(product: Product, document: Document, pages: int) -> None:
    """Leaves what a run leaves that did not survive the first page."""
    PageJournal(product.folder(document) / "pages.jsonl").begin(pages)
    job = product.documents.work.jobs.queues["interactive"].fetch_job(document.id)
    assert job is not None
    job.meta["died"] = True
    job.save_meta()


def joined(*parts: bytes) -> bytes:
    """The pages of several PDFs as one."""
    writer, out = PdfWriter(), io.BytesIO()
    for part in parts:
        writer.append(io.BytesIO(part))
    writer.write(out)
    return out.getvalue()


def test_two_runs_never_work_on_the_same_document(idle_product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in idle_product.environment.items():
        monkeypatch.setenv(name, value)
    document = idle_product.upload(idle_product.key(), REPORT, "报告.md")
    with locked(idle_product.folder(document)) as mine:
        assert mine
        ingest(document.id)
        assert idle_product.see(document).status == "queued"
    ingest(document.id)
    assert idle_product.see(document).status == "ready"


def test_document_of_a_killed_worker_is_read_by_the_next(idle_product: Product) -> None:
    hang_on(idle_product, "报告")
    document = idle_product.upload(idle_product.key(), REPORT, "报告.md")
    with idle_product.worker() as worker:
        request = hanging(idle_product)
        worker.kill()
        assert request.disconnected.wait(5), "the job outlives its worker"
    idle_product.upstream.on(lambda request: None)
    with idle_product.worker() as worker:
        assert idle_product.finished(document).status == "ready"
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(6) == 0


def test_a_signal_while_its_processes_start_ends_the_worker(idle_product: Product) -> None:
    command = [sys.executable, "-m", "services.ingestion_worker"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **idle_product.environment}) as worker:
        try:
            children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
            while not children.read_text():  # until the first of them is there
                assert worker.poll() is None
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(10) == 0
        finally:
            worker.kill()


def test_signals_that_go_on_leave_no_process_of_the_worker_behind(idle_product: Product) -> None:
    with idle_product.worker() as worker:
        started = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
        assert len(started) == 3
        deadline = time.monotonic() + 20
        while worker.poll() is None and time.monotonic() < deadline:
            worker.send_signal(signal.SIGTERM)
        assert worker.returncode == 0
        assert not [child for child in started if Path(f"/proc/{child}").exists()]
