"""Reading that is broken off goes on: no page is read twice, and a document says of each page how it was read."""

import io
import json
from pathlib import Path

from PIL import Image

from fakes import documents as make
from fixtures.ingestion import Product, eventually
from services import document_files as files


def pages_in(journal: Path) -> list[int]:
    """The numbers of the pages as they were read, one run after the other."""
    if not journal.exists():
        return []
    whole = journal.read_text(encoding="utf-8").rpartition("\n")[0]
    return [entry["number"] for entry in map(json.loads, whole.splitlines()) if "number" in entry]


def tiff(pages: list[Image.Image]) -> bytes:
    out = io.BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    return out.getvalue()


def test_a_worker_that_is_killed_amid_a_scan_costs_no_page_that_was_read(idle_product: Product) -> None:
    pages = [make.picture([f"第{number}页：项目编号 {number}{number}{number}"]) for number in "一二三四"]
    document = idle_product.upload(idle_product.key(), tiff(pages), "扫描件.tiff")
    journal = idle_product.folder(document) / files.JOURNAL
    with idle_product.worker() as worker:
        eventually(lambda: pages_in(journal))
        worker.kill()
    read = pages_in(journal)
    with idle_product.worker():
        done = idle_product.finished(document, 60)
    assert len(read) < 4, "it was killed too late"
    assert (done.status, [page["page"] for page in done.pages]) == ("ready", [1, 2, 3, 4])
    assert pages_in(journal) == [1, 2, 3, 4], "a page was read twice"


def test_each_page_says_how_it_was_read_and_why_it_is_empty(product: Product) -> None:
    content = make.raw_pdf([b"BT /F 24 Tf 60 700 Td (Annual leave: fifteen days) Tj ET", b"", b"0 400 595 442 re f", b""])
    document = product.finished(product.upload(product.key(), content, "mixed.pdf"))
    assert document.status == "ready", "pages without text are no failure"
    assert [(page["method"], page.get("detail"), page["chars"] > 0) for page in document.pages] == [
        ("text", None, True),
        ("empty", "blank", False),
        ("empty", "no_text", False),
        ("empty", "blank", False),
    ]


def test_a_blank_page_of_a_scan_is_no_gap(product: Product) -> None:
    scan = tiff([make.picture(["项目编号 一一一"]), Image.new("RGB", (400, 300), "white")])
    done = product.finished(product.upload(product.key(), scan, "扫描件.tiff"))
    assert done.status == "ready"
    assert [(page["method"], page.get("detail")) for page in done.pages] == [("ocr", None), ("empty", "no_text")]
