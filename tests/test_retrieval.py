"""Search through a real Chroma with the bundled encoder: what is found, and that nothing else ever is."""

import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fakes.proxy import Proxy
from fakes.replies import status
from fakes.rerank import RerankServer
from fakes.upstream import Upstream
from fixtures.stores import chroma_server
from models.conversations import ReadyDocument
from models.passages import Passage
from services.retrieval_service import RetrievalService
from services.search.document_index import FILE_ROWS, IndexCache
from services.text.chunking import chunk, extracted_text
from utils.loaders import Page
from utils.settings import Settings

HANDBOOK = [
    "# 员工手册\n\n## 年假\n\n员工入职满一年后，每年享有十天带薪年假。工作满十年的，每年享有十五天。"
    "年假应当提前两周申请，由部门经理批准。",
    "## 报销\n\n差旅费用应当在出差结束后三十天内报销。住宿标准为每晚五百元，超出部分由个人承担。发票抬头必须是公司全称。",
    "## 考勤\n\n工作时间为上午九点到下午六点，中午休息一小时。迟到三次记为一次旷工。喝茶和抽烟请到休息区。",
]
ROCKETS = [
    "The Apollo program landed the first humans on the Moon. The Saturn V rocket produced 7.5 million pounds of thrust. "
    "An electrical fire broke out in the cabin of Apollo 1 during a test on January 27, 1967.",
    "Packet switching groups data into packets that are sent over a digital network. Paul Baran developed the concept in "
    "the early 1960s. Routers forward each packet on its own.",
]
TRADITIONAL = [
    "東京證券交易所與大阪證券交易所並列為日本的主要證券市場，其總市值在全球名列第四位。",
    "華氏溫標仍然在美國使用。",
]


@pytest.fixture
def settings(chroma_url: str, tmp_path: Path) -> Settings:
    return Settings(CHROMA_URL=chroma_url, DATA_DIR=tmp_path, EMBEDDING_MODEL="", SEARCH_CACHE_BYTES=50_000_000)


@pytest.fixture
def service(settings: Settings) -> RetrievalService:
    return RetrievalService(settings)


def upload(
    service: RetrievalService, texts: Sequence[str], filename: str = "文件.pdf", summary: str = "摘要。"
) -> ReadyDocument:
    document = ReadyDocument(uuid.uuid4().hex, filename)
    service.index(document.id, filename, "1", chunk([Page(number, text) for number, text in enumerate(texts, 1)]), summary)
    return document


@pytest.mark.parametrize(
    ("query", "page", "words"),
    [
        ("年假有几天？", 1, "每年享有十天带薪年假"),
        ("出差住宿标准是多少", 2, "每晚五百元"),
        ("茶", 3, "喝茶"),
        ("迟到", 3, "迟到三次"),
        ("發票抬頭", 2, "发票抬头"),
        ("how many days of paid leave do employees get", 1, "十天带薪年假"),
    ],
)
def test_questions_about_a_chinese_document_find_the_passage_and_its_page(
    service: RetrievalService, query: str, page: int, words: str
) -> None:
    document = upload(service, HANDBOOK)
    best = service.search(query, [document])[0]
    assert (best.document_id, best.filename, best.page) == (document.id, "文件.pdf", page)
    assert words in best.quote in best.text


@pytest.mark.parametrize(
    ("query", "texts", "words"),
    [
        ("What happened in the cabin?", ROCKETS, "electrical fire"),
        ("土星五号火箭的推力", ROCKETS, "Saturn V"),
        ("packets switched by routers", ROCKETS, "Routers forward each packet"),
        ("东京证券交易所的市值排名", TRADITIONAL, "第四位"),
        ("東京證券交易所的市值排名", TRADITIONAL, "第四位"),
        ("Apollo 1 火灾 1967", ROCKETS, "January 27, 1967"),
    ],
)
def test_languages_and_scripts_may_differ(service: RetrievalService, query: str, texts: Sequence[str], words: str) -> None:
    assert words in service.search(query, [upload(service, texts)])[0].text


def test_results_are_the_original_text_at_the_given_place(service: RetrievalService) -> None:
    pages = [Page(number, text) for number, text in enumerate([*TRADITIONAL, *HANDBOOK, *ROCKETS], 1)]
    document = upload(service, [page.text for page in pages])
    found = service.search("證券交易所 Saturn V ＡＢＣ", [document], k=50)
    assert len(found) == len(chunk(pages))
    for passage in found:
        assert extracted_text(pages)[passage.start : passage.end] == passage.text
        assert passage.quote and passage.quote in passage.text
        assert passage.page is not None and passage.text in pages[passage.page - 1].text


def test_only_the_given_documents_are_searched(service: RetrievalService) -> None:
    mine, others = upload(service, HANDBOOK), upload(service, HANDBOOK)
    third = upload(service, ROCKETS, "rockets.txt")
    assert {p.document_id for p in service.search("年假有几天", [mine], k=50)} == {mine.id}
    assert {p.document_id for p in service.search("年假有几天", [mine, third], k=50)} == {mine.id, third.id}
    assert {p.document_id for p in service.search("年假有几天", [others, others], k=50)} == {others.id}
    assert service.search("年假有几天", []) == []
    assert service.search("年假有几天", [ReadyDocument("unknown", "x")]) == []


def test_the_best_of_several_documents_comes_first(service: RetrievalService) -> None:
    documents = [upload(service, texts) for texts in (TRADITIONAL, ROCKETS, HANDBOOK)]
    assert service.search("Saturn V rocket thrust", documents)[0].document_id == documents[1].id
    assert service.search("报销期限", documents)[0].document_id == documents[2].id


def test_a_document_can_be_asked_for_by_its_name(service: RetrievalService) -> None:
    same = ["第一条 本合同自签字之日起生效。付款期限为三十天。"]
    documents = [upload(service, same, name) for name in ("采购合同.docx", "租赁合同.docx", "notes.txt")]
    assert service.search("租赁合同的付款期限", documents)[0].filename == "租赁合同.docx"


def test_headings_and_heads_of_tables_help_to_find_and_to_read(service: RetrievalService) -> None:
    rows = "\n".join(f"| 零件{n} | {n * 7} | 仓库{n % 3} |" for n in range(150))
    document = upload(service, [f"# 二〇二四年盘点\n\n| 名称 | 库存数量 | 位置 |\n{rows}", "# 附录\n\n无关的内容。" * 30])
    found = service.search("零件140 库存数量", [document])[0]
    assert "| 零件140 | 980 |" in found.text
    assert "库存数量" not in found.text and "| 名称 | 库存数量 | 位置 |" in found.context
    assert "二〇二四年盘点" in found.context
    assert "| 零件140 | 980 |" in found.quote


def test_as_many_as_wanted_best_first_with_scores_from_one_to_nought(service: RetrievalService) -> None:
    document = upload(service, HANDBOOK + ROCKETS)
    scores = [passage.score for passage in service.search("年假应当提前多久申请", [document], k=50)]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores) and scores[0] > 0.4 > scores[-1]
    assert len(service.search("年假", [document], k=2)) == 2


def test_the_score_of_a_question_that_nothing_answers_is_low(service: RetrievalService) -> None:
    document = upload(service, HANDBOOK)
    answered = service.search("差旅费用多少天内报销？", [document])[0].score
    for unanswered in ("量子计算机的工作原理", "Who wrote Hamlet?"):
        assert service.search(unanswered, [document])[0].score < 0.35 < answered


@pytest.mark.parametrize("query", ["", "  \n", "？？？", "的", "a\ud800b", "年假" * 20_000])
def test_odd_queries_are_no_error(service: RetrievalService, query: str) -> None:
    found = service.search(query, [upload(service, HANDBOOK)])
    assert bool(found) == bool(query.strip())


def test_one_chunk_alone_is_found(service: RetrievalService) -> None:
    (found,) = service.search("公司几点上班", [upload(service, HANDBOOK[2:])])
    assert found.page == 1 and 0 < found.score <= 1


def test_the_summary_comes_only_when_it_is_wanted_and_is_marked(service: RetrievalService) -> None:
    document = upload(service, HANDBOOK, summary="本手册规定了年假、报销和考勤三项制度。")
    plain = service.search("总结一下这个文件的主要内容", [document], k=50)
    assert len(plain) == 3 and not any(passage.summary for passage in plain)
    first, *others = service.search("总结一下这个文件的主要内容", [document], k=50, summaries=True)
    assert first.summary and first.text == "本手册规定了年假、报销和考勤三项制度。" and first.page is None
    assert [passage.text for passage in others] == [passage.text for passage in plain]
    assert not any(p.summary for p in service.search("差旅费用多少天内报销", [document], k=1, summaries=True))


def test_a_document_without_chunks_has_its_summary(service: RetrievalService) -> None:
    document = upload(service, [], "空.txt", "一张没有文字的图片。")
    assert service.search("图片", [document]) == []
    assert [passage.text for passage in service.search("图片", [document], summaries=True)] == ["一张没有文字的图片。"]


def test_indexing_tells_how_far_it_is_and_how_many_chunks_there_are(service: RetrievalService) -> None:
    progress: list[float] = []
    chunks = chunk([Page(None, "每一条规定都有其理由。" * 5_000)])
    assert service.index(uuid.uuid4().hex, "a.txt", "1", chunks, "摘要", progress.append) == len(chunks)
    assert progress == sorted(progress) and len(progress) > 1 and progress[-1] == 1


def test_indexing_again_changes_nothing(service: RetrievalService, settings: Settings) -> None:
    document = upload(service, HANDBOOK)
    before = service.search("年假", [document])
    service.index(document.id, document.filename, "1", chunk([Page(n, t) for n, t in enumerate(HANDBOOK, 1)]), "摘要。")
    assert RetrievalService(settings).search("年假", [document]) == before


def test_forgotten_documents_are_not_found(service: RetrievalService, settings: Settings) -> None:
    gone, kept = upload(service, HANDBOOK), upload(service, ROCKETS)
    service.search("年假", [gone, kept])
    service.forget([gone.id])
    for searcher in (service, RetrievalService(settings)):
        assert searcher.search("年假", [gone]) == []
        assert searcher.search("rocket", [kept])


def with_proxy(settings: Settings, proxy: Proxy, **changes: object) -> Settings:
    return settings.model_copy(update={"CHROMA_URL": proxy.url, **changes})


def test_what_was_searched_once_needs_the_store_no_more(settings: Settings, chroma_url: str) -> None:
    with Proxy(chroma_url) as proxy:
        service = RetrievalService(with_proxy(settings, proxy))
        document = upload(service, HANDBOOK)
        first = service.search("年假有几天", [document])
        proxy.silent.set()
        assert service.search("年假有几天", [document]) == first


def test_the_memory_for_indexes_is_bounded(service: RetrievalService, tmp_path: Path) -> None:
    ids = [upload(service, texts).id for texts in (HANDBOOK, ROCKETS, TRADITIONAL) * 3]
    whole = IndexCache(service.store, tmp_path, 10_000_000)
    assert len(whole.get(ids)) == len(ids)
    bounded = IndexCache(service.store, tmp_path, whole.nbytes // 2)
    for _ in range(2):
        assert bounded.get(ids).keys() == set(ids)
        assert 0 < bounded.nbytes <= whole.nbytes / 2
    bounded.forget(ids)
    assert bounded.nbytes == 0


def test_many_first_searches_at_once_agree(service: RetrievalService) -> None:
    documents = [upload(service, texts) for texts in (HANDBOOK, ROCKETS)]
    found: list[list[Passage]] = []
    threads = [threading.Thread(target=lambda: found.append(service.search("年假有几天", documents))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and all(passages == found[0] for passages in found)


@pytest.fixture
def large() -> list[str]:
    """Pages of more passages than it takes to get a file."""
    return [f"第 {n} 条规定的编号是 {n * 37}。" + "其余内容与此无关，仅供参考。" * 14 for n in range(FILE_ROWS)]


def test_a_large_document_is_read_from_its_file(settings: Settings, chroma_url: str, large: list[str]) -> None:
    document = upload(RetrievalService(settings), large)
    with Proxy(chroma_url) as proxy:
        proxy.silent.set()
        service = RetrievalService(with_proxy(settings, proxy))
        assert service.search("编号 3737", [document])[0].page == 102


@pytest.mark.parametrize(
    "damage", [lambda path: path.write_bytes(b"PK"), lambda path: path.unlink()], ids=["broken", "gone"]
)
def test_a_lost_or_broken_file_is_made_again_from_the_store(
    service: RetrievalService, settings: Settings, large: list[str], damage: Callable[[Path], None]
) -> None:
    document = upload(service, large)
    before = service.search("编号 3737", [document])
    (path,) = settings.DATA_DIR.rglob(f"{document.id}.segment")
    size = path.stat().st_size
    damage(path)
    again = RetrievalService(settings).search("编号 3737", [document])
    assert [passage.text for passage in again] == [passage.text for passage in before]
    assert path.stat().st_size == size
    service.forget([document.id])
    assert not path.exists()


def test_a_document_that_is_indexed_again_has_nothing_of_before(
    service: RetrievalService, settings: Settings, large: list[str]
) -> None:
    document = upload(service, large)
    service.index(document.id, document.filename, "1", chunk([Page(1, "编号 1。")]), "摘要。")
    assert [p.text for p in RetrievalService(settings).search("编号 3737", [document])] == ["编号 1。"]


def api_settings(settings: Settings, upstream: Upstream) -> Settings:
    return settings.model_copy(update={"EMBEDDING_MODEL": "text-embedding-v4", "EMBEDDING_API_URL": upstream.url})


def test_when_the_question_cannot_be_embedded_search_goes_by_words(settings: Settings, upstream: Upstream) -> None:
    service = RetrievalService(api_settings(settings, upstream))
    document = upload(service, HANDBOOK)
    upstream.reply(status(500), to="embeddings")
    assert service.search("年假", [document])[0].page == 1


def test_another_embedding_model_loses_no_document(settings: Settings, upstream: Upstream, tmp_path: Path) -> None:
    with chroma_server(tmp_path) as url:  # everything in it is embedded anew
        change_model(settings.model_copy(update={"CHROMA_URL": url}), upstream)


def change_model(settings: Settings, upstream: Upstream) -> None:
    old = RetrievalService(settings)
    document, gone = upload(old, HANDBOOK), upload(old, ROCKETS)
    new = RetrievalService(api_settings(settings, upstream))
    assert new.search("年假有几天", [document])[0].page == 1  # by words
    assert new.search("rocket", [gone])
    new.forget([gone.id])
    assert new.reindex() == 1
    assert new.reindex() == 0
    assert old.store.foreign() == [document.id]
    asked = len(upstream.requests)
    assert new.search("年假有几天", [document])[0].page == 1
    assert len(upstream.requests) == asked + 1
    assert new.search("rocket", [gone]) == []


def test_a_stray_word_does_not_outweigh_the_meaning(service: RetrievalService) -> None:
    texts = [HANDBOOK[0], "文件夹 vacation 里有照片，按年份排列。"]
    assert service.search("vacation days of workers per year", [upload(service, texts)])[0].page == 1


def test_a_shade_of_meaning_does_not_outweigh_the_word_that_was_asked_for(service: RetrievalService) -> None:
    texts = ["E1033: restart.", "E1040: the error means that the disk is full."]
    assert service.search("error E1033", [upload(service, texts)])[0].page == 1


def test_a_reranker_that_is_set_brings_the_answer_to_the_top_from_behind(settings: Settings) -> None:
    sections = [f"## 第 {n} 条\n\n" + f"年假规定第 {n} 条：年假的申请与审批。" * 20 for n in range(1, 31)]
    with RerankServer() as server:
        server.relevance = lambda question, text: 0.97 if "第 23 条" in text else 0.02
        url = f"{server.url}/v1"
        service = RetrievalService(settings.model_copy(update={"RERANK_MODEL": "scripted", "RERANK_API_URL": url}))
        document = upload(service, sections)
        found = service.search("年假怎么申请", [document], 3)
        plain = RetrievalService(settings).search("年假怎么申请", [document], 3)
        assert len(server.asked) == 1 and len(server.asked[0]["documents"]) == 30
    assert found[0].page == 23 and [p.page for p in found[1:]] == [p.page for p in plain if p.page != 23][:2]
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert service.search("年假怎么申请", [document], 3) == plain  # it is away now
