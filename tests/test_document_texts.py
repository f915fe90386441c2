"""What documents say can be read again: pages, chunks, and what stands around a hit."""

from pathlib import Path

import pytest

from fakes.documents import chinese_pdf
from fixtures.ingestion import Product
from models.passages import Passage, TextChunk
from services import document_files as files
from services.document_texts import DocumentTexts, chunks_of, keep_chunks, read_pages
from services.page_journal import PageJournal
from services.text.chunking import chunk, extracted_text
from utils.errors import DocumentNotReady, DocumentUnreadable, NotFound
from utils.loaders import Page

PAGES = [Page(n, f"第{n}页：员工每年有{n}天年假。\n\n第二段在第{n}页。") for n in range(1, 6)]


def written(folder: Path, pages: list[Page]) -> Path:
    """The files of a document that was read, as its job leaves them, but for its chunks."""
    journal = PageJournal(folder / files.JOURNAL)
    journal.begin(len(pages) if pages[0].number else None)
    for page in pages:
        journal.add(page)
    journal.end()
    files.write(folder / files.TEXT, extracted_text(pages))
    return folder


def hit(start: int, end: int, text: str = "") -> Passage:
    return Passage("doc_1", "手册.pdf", 1, text, text, start, end, 1.0)


@pytest.mark.parametrize(
    ("first", "last", "found"), [(2, 3, [2, 3]), (1, 1, [1]), (5, 9, [5]), (6, 9, []), (3, 2, []), (1, 5, [1, 2, 3, 4, 5])]
)
def test_pages_of_a_range_are_read(tmp_path: Path, first: int, last: int, found: list[int]) -> None:
    assert read_pages(written(tmp_path, PAGES), first, last) == [PAGES[number - 1] for number in found]


def test_pages_of_several_runs_are_counted_once(tmp_path: Path) -> None:
    journal = PageJournal(tmp_path / files.JOURNAL)
    for page in PAGES:
        journal.begin(5)
        journal.add(page)
    assert read_pages(tmp_path, 2, 3) == PAGES[1:3]


def test_parts_of_a_format_without_pages_count_as_pages(tmp_path: Path) -> None:
    sheets = [Page(None, "# 一月\n\n| 名称 | 数量 |"), Page(None, "# 二月\n\n| 名称 | 数量 |")]
    assert read_pages(written(tmp_path, sheets), 2, 2) == sheets[1:]


def test_pages_of_a_document_that_was_deleted_meanwhile_are_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_pages(tmp_path / "doc_gone", 1, 2)


def test_chunks_are_those_that_were_indexed(tmp_path: Path) -> None:
    folder = written(tmp_path, PAGES)
    assert chunks_of(folder) == chunk(PAGES), "what an earlier version has indexed"
    text = extracted_text(PAGES)
    indexed = [
        TextChunk(0, text[0:4], 0, 4, 1, ("员工手册", "年假"), "| 工龄 | 天数 |"),
        TextChunk(1, text[4:90], 4, 90, None),
    ]
    keep_chunks(folder, indexed)
    assert chunks_of(folder) == indexed


def test_what_is_read_anew_has_new_chunks(tmp_path: Path) -> None:
    folder = written(tmp_path, PAGES)
    keep_chunks(folder, chunk(PAGES))
    files.forget_reading(folder)
    assert chunks_of(folder) == []


class TestOfADocument:
    def test_pages_have_their_place_in_the_text(self, product: Product) -> None:
        document = product.finished(product.upload(product.key(), chinese_pdf([page.text for page in PAGES]), "年假.pdf"))
        texts = DocumentTexts(product.settings, product.database)
        same, found = texts.pages("local", document.id, 2, 3)
        assert same.page_count == 5 and [page.number for page, _ in found] == [2, 3]
        whole = files.text_of(product.folder(document))
        for page, start in found:
            assert "年假" in page.text and whole[start : start + len(page.text)] == page.text

    def test_chunks_lead_from_a_hit_to_its_neighbours(self, product: Product) -> None:
        key = product.key()
        document = product.finished(product.upload(key, chinese_pdf([page.text for page in PAGES]), "年假.pdf"))
        texts = DocumentTexts(product.settings, product.database)
        found, total = texts.chunks("local", document.id, 1, 2)
        assert (total, [one.index for one in found], [one.page for one in found]) == (5, [1, 2], [2, 3])
        assert (product.folder(document) / files.CHUNKS).exists()
        best = product.documents.search(key, "第3页 3天", 1)[0]
        (near,) = texts.around([best], 1)
        assert best.page == 3
        assert [[one.page for one in side] for side in near] == [[2], [4]]
        first, last = chunks_of(product.folder(document))[0], chunks_of(product.folder(document))[-1]
        ends = texts.around([hit_of(document.id, first), hit_of(document.id, last)], 3)
        assert [[len(near.before), len(near.after)] for near in ends] == [[0, 3], [3, 0]]

    def test_headings_and_the_head_of_a_table_are_told_apart(self, product: Product) -> None:
        key = product.key()
        rows = "\n".join(f"| 编号{n} | 仓库第{n}层 |" for n in range(200))
        document = product.finished(product.upload(key, f"# 库存\n\n| 物品 | 位置 |\n| --- | --- |\n{rows}\n", "库存.md"))
        texts = DocumentTexts(product.settings, product.database)
        (best,) = product.documents.search(key, "编号150 仓库", 1)
        ((heading, context),) = texts.above([best])
        own = chunks_of(product.folder(document))[best.chunk]
        assert (tuple(heading), context) == (own.heading, own.context) == (("库存",), "| 物品 | 位置 |\n| --- | --- |")
        (product.folder(document) / files.CHUNKS).unlink()
        assert texts.above([best]) == [([], best.context)], "what an earlier version has indexed"
        assert texts.above([hit(0, 4)]) == [([], "")]

    def test_a_hit_in_a_deleted_document_has_no_neighbours(self, product: Product) -> None:
        texts = DocumentTexts(product.settings, product.database)
        assert texts.around([hit(0, 4)], 2) == [([], [])]

    def test_it_must_be_there_be_read_and_be_the_askers_own(self, product: Product, idle_product: Product) -> None:
        ready = product.finished(product.upload(product.key(), "一段文字。", "文.md"))
        broken = product.finished(product.upload(product.key(), chinese_pdf(["机密"], password="秘密"), "机密.pdf"))
        texts = DocumentTexts(product.settings, product.database)
        assert texts.chunks("local", ready.id, 0, 9)[1] == 1
        for ask in (texts.pages, texts.chunks):
            with pytest.raises(NotFound):
                ask("another", ready.id, 1, 1)
            with pytest.raises(DocumentUnreadable, match="password"):
                ask("local", broken.id, 1, 1)
        waiting = idle_product.upload(idle_product.key(), "一段文字。", "文.md")
        with pytest.raises(DocumentNotReady):
            DocumentTexts(idle_product.settings, idle_product.database).chunks("local", waiting.id, 0, 1)


def hit_of(document_id: str, one: TextChunk) -> Passage:
    return Passage(document_id, "年假.pdf", one.page, one.text, one.text, one.start, one.end, 1.0, chunk=one.index)


def test_neighbours_are_found_by_place_where_numbers_differ(product: Product) -> None:
    key = product.key()
    document = product.finished(product.upload(key, chinese_pdf([page.text for page in PAGES]), "年假.pdf"))
    third = chunks_of(product.folder(document))[2]
    part = Passage(document.id, "年假.pdf", 3, "", "", third.start + 2, third.end - 2, 1.0, chunk=17)
    (near,) = DocumentTexts(product.settings, product.database).around([part], 1)
    assert [[one.page for one in side] for side in near] == [[2], [4]]
