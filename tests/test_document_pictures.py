"""The pictures of a document: read, described by the scripted upstream, each once, within limits, over several runs."""

import resource
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fakes.documents import picture
from fakes.illustrated import photo
from fakes.replies import hang, status, text
from fakes.upstream import Upstream
from fixtures.ingestion import eventually
from services.document_pictures import CALLS, FAILURES, DocumentPictures
from utils.errors import DocumentUnreadable, ProviderNotConfigured
from utils.loaders import Page
from utils.settings import Settings


@pytest.fixture(autouse=True)
def _same_limit() -> Iterator[None]:
    """What a job allows itself is not for the tests that follow."""
    before = resource.getrlimit(resource.RLIMIT_CPU)
    yield
    resource.setrlimit(resource.RLIMIT_CPU, before)


class Document:
    """A document in work, whose pictures can be looked at run by run."""

    def __init__(self, folder: Path, upstream: Upstream | None, **options: Any) -> None:
        vision = {"VISION_MODEL": "seeing", "LLM_API_URL": upstream.url, "LLM_API_KEY": "sk-test"} if upstream else {}
        self.settings = Settings(**{"VISION_MODEL": "", "DASHSCOPE_API_KEY": "", **vision, **options})
        self.folder = folder
        self.shares: list[float] = []
        self.read: list[tuple[int, int]] = []
        self.words = ""

    def marks(self, *images: Image.Image | None) -> list[str]:
        kept = self.run().kept
        return [kept.mark(f"{number:016x}", lambda image=image: image) for number, image in enumerate(images)]

    def run(self) -> DocumentPictures:
        return DocumentPictures(self.settings, self.folder, "报告.pdf")

    def look(self, pages: Sequence[Page], go_on: Callable[[], bool] = lambda: True) -> list[Page] | None:
        def step(share: float) -> bool:
            self.shares.append(share)
            return go_on()

        return self.run().looked_at(pages, self.ocr, step)

    def ocr(self, image: Image.Image) -> str:
        self.read.append(image.size)
        return self.words


def photos(count: int) -> list[Image.Image]:
    return [photo(number) for number in range(count)]


def test_text_and_description_stand_in_the_page_in_its_language(tmp_path: Path, upstream: Upstream) -> None:
    document = Document(tmp_path, upstream)
    document.words = "一月 12"
    upstream.reply("柱状图。")
    (mark,) = document.marks(photo())
    assert document.look([Page(1, f"第一章{mark}\n结束")]) == [
        Page(1, "第一章\n\n[图片：柱状图。\n图中文字：\n一月 12]\n\n结束")
    ]
    (request,) = upstream.requests
    assert request.body["model"] == "seeing"
    assert "中文" in request.question
    assert len(request.images) == 1
    upstream.reply("A bar chart.")
    english = Document(tmp_path / "en", upstream)
    (mark,) = english.marks(photo())
    pages = english.look([Page(1, f"A report about sales{mark}")])
    assert pages == [Page(1, "A report about sales\n\n[Picture: A bar chart.]")]
    assert "English" in upstream.requests[1].question


def test_without_a_vision_model_a_picture_without_text_leaves_no_trace(tmp_path: Path) -> None:
    document = Document(tmp_path, None)
    first, second = document.marks(photo(1), photo(2))
    texts = iter(["..1", "出口在左侧"])
    pages = document.run().looked_at([Page(1, f"甲方{first}\n乙方{second}\n丙方")], lambda _: next(texts), lambda _: True)
    assert pages == [Page(1, "甲方\n乙方\n\n[图片文字：\n出口在左侧]\n\n丙方")]


def test_a_photo_without_any_text_is_described_in_the_language_of_the_name(tmp_path: Path, upstream: Upstream) -> None:
    document = Document(tmp_path, upstream)
    upstream.reply("一只猫。")
    (mark,) = document.marks(photo())
    assert document.look([Page(1, mark, "ocr", "no_text")]) == [Page(1, "[图片：一只猫。]", "ocr")]
    assert document.read == [], "the page was read already"


def test_a_picture_on_many_pages_costs_one_call(tmp_path: Path, upstream: Upstream) -> None:
    document = Document(tmp_path, upstream)
    (mark,) = document.marks(photo())
    pages = document.look([Page(number, f"第{number}页{mark}") for number in range(1, 11)])
    assert pages is not None
    assert [upstream.image_text in page.text for page in pages] == [True] + [False] * 9
    assert (len(upstream.requests), len(document.read)) == (1, 1)


def test_few_calls_run_at_once_and_progress_rises_to_the_end(tmp_path: Path, upstream: Upstream) -> None:
    document = Document(tmp_path, upstream)
    upstream.on(lambda request: (hang("headers"), text("图")))
    pages = [Page(None, "正文" + "".join(document.marks(*photos(12))))]
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(document.look, pages)
        eventually(lambda: sum(request.hanging.is_set() for request in upstream.requests) == CALLS)
        upstream.on(lambda request: "图")
        assert len(upstream.requests) == CALLS
        upstream.release()
        assert looking.result(20)
    assert len(upstream.requests) == 12
    assert document.shares == sorted(document.shares)
    assert document.shares[-1] == 1


def test_a_model_that_fails_costs_its_descriptions_and_the_page_says_so(tmp_path: Path, upstream: Upstream) -> None:
    document = Document(tmp_path, upstream)
    document.words = "一月 12"
    upstream.on(lambda request: status(401))
    marks = document.marks(*photos(9))
    pages = document.look([Page(number, f"第{number}页{mark}") for number, mark in enumerate(marks)])
    assert pages is not None
    assert [(page.text.endswith("[图片文字：\n一月 12]"), page.detail) for page in pages] == [
        (True, "picture_not_described")
    ] * 9
    assert FAILURES <= len(upstream.requests) < FAILURES + CALLS, "it goes on asking a model that is away"


def test_a_slow_model_has_a_deadline(tmp_path: Path, upstream: Upstream) -> None:
    document = Document(tmp_path, upstream, PICTURES_TIMEOUT_SECONDS=0.5)
    upstream.on(lambda request: "图" if len(upstream.requests) == 1 else (hang("headers"), text("图")))
    marks = document.marks(*photos(6))
    pages = document.look([Page(number, f"第{number}页{mark}") for number, mark in enumerate(marks)])
    assert pages is not None
    assert sorted(page.detail or "" for page in pages) == [""] + ["picture_not_described"] * 5
    assert all(request.disconnected.wait(5) for request in upstream.requests if request.hanging.is_set())


def test_the_next_run_goes_on_where_the_last_one_ended(tmp_path: Path, upstream: Upstream) -> None:
    document = Document(tmp_path, upstream)
    document.words = "图中的文字"
    pages = [Page(1, "正文" + "".join(document.marks(*photos(7))))]
    runs = 0
    while (found := document.look(pages, go_on=lambda: False)) is None:
        runs += 1
        assert len(document.read) == min(runs, 7)
    assert len(upstream.requests) == 7
    assert found[0].text.count(upstream.image_text) == 7
    assert found[0].text.count("图中的文字") == 7
    assert runs > 7, "a run does more than it may"


def test_time_that_the_model_took_in_earlier_runs_counts(tmp_path: Path, upstream: Upstream) -> None:
    document = Document(tmp_path, upstream, PICTURES_TIMEOUT_SECONDS=5)
    pages = [Page(1, "正文" + "".join(document.marks(*photos(6))))]
    while len(upstream.requests) < CALLS:
        assert document.look(pages, go_on=lambda: False) is None
    assert 0 < float((tmp_path / "seconds").read_text()) < 5
    (tmp_path / "seconds").write_text("5")
    found = document.look(pages)
    assert found is not None
    assert found[0].detail == "picture_not_described"
    assert len(upstream.requests) == CALLS


@pytest.mark.parametrize("error", [DocumentUnreadable("damaged"), ProviderNotConfigured(setting="OCR_ENGINE")])
def test_a_picture_that_ocr_cannot_read_costs_only_its_text(tmp_path: Path, upstream: Upstream, error: Exception) -> None:
    def defeated(image: Image.Image) -> str:
        raise error

    document = Document(tmp_path, upstream)
    (mark,) = document.marks(picture(["文字"], 60))
    pages = document.run().looked_at([Page(1, f"正文{mark}")], defeated, lambda _: True)
    assert pages == [Page(1, f"正文\n\n[图片：{upstream.image_text}]")]


def test_a_damaged_picture_is_noted_and_nobody_is_asked_about_it(tmp_path: Path, upstream: Upstream) -> None:
    document = Document(tmp_path, upstream)
    (mark,) = document.marks(None)
    assert document.look([Page(1, f"正文{mark}")]) == [Page(1, "正文", detail="picture_unreadable")]
    assert upstream.requests == []


def test_a_mark_that_the_file_brought_along_is_no_picture(tmp_path: Path, upstream: Upstream) -> None:
    document = Document(tmp_path, upstream)
    assert document.look([Page(1, "正文\ufdd00123456789abcdef\ufdd1继续")]) == [Page(1, "正文继续")]
    assert upstream.requests == []
