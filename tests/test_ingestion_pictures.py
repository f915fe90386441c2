"""Pictures inside documents, from upload to search, through real workers."""

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.documents import picture
from fakes.illustrated import docx, drawing, p, pdf, photo, png
from fakes.replies import hang, status
from fakes.replies import text as words
from fixtures.ingestion import Product, a_product, eventually
from models import documents
from models.documents import STAGES, Document
from services.document_files import PICTURES
from services.ingestion import READING, ingest
from services.page_journal import PageJournal
from utils.loaders import LoadOptions, load
from utils.pictures import MARK, SUSPECT, Pictures

CAT = "一只黑猫坐在红色的沙发上。"


def sees(product: Product, description: Any) -> None:
    """What the vision model says; summaries stay what they are."""
    product.upstream.on(lambda request: description(request) if request.images else None)


def of_pictures(product: Product) -> list[Any]:
    return [request for request in product.upstream.requests if request.images]


def test_the_description_of_a_picture_is_found_on_its_page_and_can_be_quoted(product: Product) -> None:
    sees(product, lambda request: CAT)
    key = product.key()
    pages = [["第一章 年假：员工每年有十五天年假。"], ["第二章 宠物", photo(1), "以上为公司的宠物政策。"], ["第三章 附则"]]
    done = product.finished(product.upload(key, pdf(pages), "员工手册.pdf"))
    assert (done.status, done.page_count) == ("ready", 3)
    best = product.documents.search(key, "沙发上的猫", 1)[0]
    assert best.page == 2
    text = (product.folder(done) / "text").read_text(encoding="utf-8")
    assert text[best.start : best.end] == best.text
    assert f"第二章 宠物\n\n[图片：{CAT}]\n\n以上为公司的宠物政策。" in text
    assert len(of_pictures(product)) == 1
    assert not (product.folder(done) / PICTURES).exists()
    assert not [page for page in done.pages if "detail" in page]


def test_pictures_of_word_are_found_in_english(product: Product) -> None:
    sees(product, lambda request: "A bar chart of sales in Bremen, 2024.")
    key = product.key()
    body = p("Annual report of the company, with one picture.") + p(drawing("chart.png")) + p("End of the report.")
    done = product.finished(
        product.upload(key, docx(body, {"chart.png": png(picture(["Revenue 5678"], 40))}), "report.docx")
    )
    assert done.status == "ready"
    best = product.documents.search(key, "chart of sales in Bremen", 1)[0]
    assert "[Picture: A bar chart of sales in Bremen, 2024.\nText in the picture:\nRevenue 5678]" in best.text


def test_a_logo_on_ten_pages_is_described_once(product: Product) -> None:
    sees(product, lambda request: "一个蓝色的徽标。")
    key = product.key()
    done = product.finished(product.upload(key, pdf([[f"第{n}章 内容各不相同", photo(5)] for n in range(10)]), "报告.pdf"))
    assert done.status == "ready"
    assert len(of_pictures(product)) == 1
    assert (product.folder(done) / "text").read_text(encoding="utf-8").count("蓝色的徽标") == 1


def test_a_model_that_is_away_makes_the_document_partial(product: Product) -> None:
    sees(product, lambda request: status(401))
    key = product.key()
    pages = [["第一页的文字"], ["第二页的文字", picture(["项目编号三零五"], 40)]]
    done = product.finished(product.upload(key, pdf(pages), "报告.pdf"))
    assert done.status == "partial"
    assert [page.get("detail") for page in done.pages] == [None, "picture_not_described"]
    assert product.documents.search(key, "项目编号三零五", 1)[0].page == 2


def test_progress_goes_on_while_pictures_are_described(product: Product) -> None:
    begin, end = STAGES["extracting"]
    sees(product, lambda request: "图" if len(of_pictures(product)) <= 3 else (hang("headers"), words("图")))
    accepted = product.upload(product.key(), pdf([["第一页", *[photo(n) for n in range(4)]]], width=150), "报告.pdf")
    eventually(lambda: any(request.hanging.is_set() for request in of_pictures(product)))
    eventually(lambda: product.see(accepted).progress > begin + (end - begin) * (READING + (1 - READING) * 0.3))
    seen = product.see(accepted)
    assert (seen.stage, seen.progress < end) == ("extracting", True)
    product.upstream.release()
    assert product.finished(accepted).status == "ready"


@pytest.fixture
def blind_product(tmp_path: Path, redis_url: str, chroma_url: str) -> Iterator[Product]:
    """One without a vision model, whose jobs the test runs itself."""
    with a_product(tmp_path, redis_url, chroma_url, VISION_MODEL="", DASHSCOPE_API_KEY="") as product:
        yield product


@pytest.fixture
def own_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs jobs of a product here; what they allow themselves is not for the tests that follow."""

    def run(product: Product, document: Document) -> Document:
        for name, value in product.environment.items():
            monkeypatch.setenv(name, value)
        while ingest(document.id) is not None:
            pass
        return product.see(document)

    before = resource.getrlimit(resource.RLIMIT_CPU)
    yield run
    resource.setrlimit(resource.RLIMIT_CPU, before)


def test_without_a_vision_model_the_text_in_pictures_is_found(blind_product: Product, own_runs: Any) -> None:
    key = blind_product.key()
    lines = [["第一页的文字"], ["第二页的文字", picture(["项目编号三零五"], 40), photo(1), "第二页结束"]]
    done = own_runs(blind_product, blind_product.upload(key, pdf(lines), "报告.pdf"))
    assert done.status == "ready"
    assert blind_product.documents.search(key, "项目编号三零五", 1)[0].page == 2
    text = (blind_product.folder(done) / "text").read_text(encoding="utf-8")
    assert text == "第一页的文字\n\n第二页的文字\n\n[图片文字：\n项目编号三零五]\n\n第二页结束"
    assert not of_pictures(blind_product)


def test_no_pictures_are_looked_at_where_none_are_wanted(blind_product: Product, own_runs: Any) -> None:
    blind_product.environment["DOCUMENT_MAX_PICTURES"] = "0"
    done = own_runs(
        blind_product, blind_product.upload(blind_product.key(), pdf([["文字", picture(["图中"], 60)]]), "报告.pdf")
    )
    assert (blind_product.folder(done) / "text").read_text(encoding="utf-8") == "文字"


def test_a_later_run_does_not_describe_again_and_passes_over_what_killed_the_last(
    idle_product: Product, own_runs: Any
) -> None:
    sees(idle_product, lambda request: CAT)
    document = idle_product.upload(idle_product.key(), pdf([["文字", photo(1), photo(2), photo(3)]], width=150), "报告.pdf")
    folder = idle_product.folder(document) / PICTURES
    killed_at_a_picture(idle_product, document, folder)
    with idle_product.worker():
        done = idle_product.finished(document)
    assert [page["detail"] for page in done.pages] == ["picture_unreadable"]
    text = (idle_product.folder(done) / "text").read_text(encoding="utf-8")
    assert text.count(CAT) == 1
    assert text.count("早已描述") == 1
    assert len(of_pictures(idle_product)) == 1
    assert done.status == "ready"


def killed_at_a_picture(product: Product, document: Document, folder: Path) -> None:
    """Leaves what a run leaves that has read all pages, described the first picture, and died of the second."""
    original = product.folder(document) / "original"
    journal = PageJournal(product.folder(document) / "pages.jsonl")
    journal.begin(1)
    for page in load(original, "application/pdf", LoadOptions(ocr=lambda _: "", pictures=Pictures(folder, 50))).pages:
        journal.add(page)
    journal.end()
    first, second, _ = MARK.findall(journal.pages[0].text)
    (folder / f"{first}.json").write_text('{"text": "", "description": "早已描述", "failed": false}')
    (folder / SUSPECT).write_text(second)
    job = product.documents.work.jobs.queues["interactive"].fetch_job(document.id)
    assert job is not None
    job.meta["died"] = True
    job.save_meta()


def test_a_stage_that_was_come_to_is_not_left_again(idle_product: Product, own_runs: Any) -> None:
    document = idle_product.upload(idle_product.key(), "第一行\n\n正文", "报告.md")
    assert documents.start(idle_product.database, document.id)
    assert documents.enter(idle_product.database, document.id, "indexing")
    stages = []
    idle_product.upstream.on(lambda request: stages.append(idle_product.see(document).stage))
    assert own_runs(idle_product, document).status == "ready"
    assert stages
    assert set(stages) == {"indexing"}
