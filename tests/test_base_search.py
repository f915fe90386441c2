"""Search in knowledge bases: through a real Chroma, real SQL and the bundled encoder, before and after files are merged."""

import hashlib
import io
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from fakes.upstream import Upstream
from fixtures.ingestion import Product, eventually
from fixtures.stores import chroma_server
from models import documents, knowledge_bases
from models.conversations import ReadyDocument
from models.database import Database, now
from models.documents import Document
from models.knowledge_bases import ReadyBase
from models.migrations import upgrade
from models.passages import Passage
from services.retrieval_service import RetrievalService
from services.search.base_index import MOST_UNMERGED
from services.search.compaction import FACTOR
from services.search.ranking import RESCORED
from services.search.segments import Segment
from services.text.chunking import chunk
from utils.errors import StoreUnavailable
from utils.loaders import Page
from utils.settings import Settings

TOPICS = {
    "年假": "员工入职满一年后，每年享有{n}天带薪年假，年假应当提前{n}周申请。",
    "报销": "差旅费用应当在出差结束后{n}天内报销，住宿标准为每晚{n}00元。",
    "考勤": "工作时间为上午九点到下午六点，迟到{n}次记为一次旷工。",
    "rocket": "The Saturn V rocket number {n} produced {n} million pounds of thrust at launch.",
    "network": "Router {n} forwards each packet on its own over {n} digital links.",
    "garden": "In the botanical garden there are {n} kinds of roses and {n} old oak trees.",
}
QUESTIONS = [
    "年假有几天？",
    "出差住宿标准是多少",
    "迟到三次会怎样",
    "Saturn V rocket thrust 7",
    "how many days of paid leave do employees get",
    "玫瑰和橡树",
    "which router forwards packets",
    "7",
    "编号",
]


class Office:
    """A base with documents, in SQL and in the vector store."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings, self.database = settings, database
        self.id = knowledge_bases.create(database, "local", f"kb_{uuid.uuid4().hex}", "人事").id
        self.service = self.another()

    def another(self) -> RetrievalService:
        """What another process would have."""
        return RetrievalService(self.settings, self.database)

    def add(self, pages: Sequence[str], filename: str = "文件.pdf", summary: str = "摘要。") -> ReadyDocument:
        document = ReadyDocument(f"doc_{uuid.uuid4().hex}", filename)
        sha256 = hashlib.sha256(document.id.encode()).hexdigest()
        row = Document(document.id, None, filename, "application/pdf", 3, sha256, now(), knowledge_base_id=self.id)
        documents.add(self.database, row)
        documents.start(self.database, document.id)
        chunks = chunk([Page(number, text) for number, text in enumerate(pages, 1)])
        self.service.index(document.id, filename, self.id, chunks, summary)
        documents.finish(self.database, document.id, "ready")
        return document

    def fill(self, count: int, pages: int) -> list[ReadyDocument]:
        numbers = range(1, pages + 1)
        chosen = [list(TOPICS.values())[n % len(TOPICS)] for n in range(count)]
        return [self.add([text.format(n=n * 10 + i) for i in numbers], f"{n}.pdf") for n, text in enumerate(chosen)]

    @property
    def base(self) -> ReadyBase:
        found = knowledge_bases.find(self.database, "local", self.id)
        return ReadyBase(found.id, found.name, found.version)

    def search(self, question: str, k: int = 8, service: RetrievalService | None = None, **more: bool) -> list[Passage]:
        return (service or self.service).search(question, [], k, bases=[self.base], **more)

    def segments(self) -> list[Path]:
        return sorted(self.settings.DATA_DIR.rglob(f"{self.id}/*.segment"))


@pytest.fixture
def settings(chroma_url: str, tmp_path: Path) -> Settings:
    return Settings(CHROMA_URL=chroma_url, DATA_DIR=tmp_path, EMBEDDING_MODEL="")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'chat.db'}"
    upgrade(url)
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def office(settings: Settings, database: Database) -> Office:
    return Office(settings, database)


def assert_same(found: Sequence[Passage], expected: Sequence[Passage]) -> None:
    def place(passage: Passage) -> tuple[str, int, str, str]:
        return passage.document_id, passage.chunk, passage.quote, passage.text

    assert [place(passage) for passage in found] == [place(passage) for passage in expected]
    assert [p.score for p in found] == pytest.approx([p.score for p in expected], abs=0.01)


def test_merged_documents_rank_as_in_an_exact_search_over_each(office: Office) -> None:
    separate = office.fill(24, 12)
    exact = [office.service.search(question, separate, 10) for question in QUESTIONS]
    assert_same([p for q in QUESTIONS for p in office.search(q, 10)], [p for found in exact for p in found])
    office.service.compact()
    assert len(office.segments()) == 1
    for question, expected in zip(QUESTIONS, exact, strict=True):
        assert_same(office.search(question, 10, office.another()), expected)


def test_what_is_estimated_first_is_found_as_well_as_in_an_exact_search(office: Office) -> None:
    separate = office.fill(8, 150)  # more texts than are looked at exactly
    office.service.compact()
    (segment,) = map(Segment.read, office.segments())
    assert len(segment.starts) > RESCORED
    for question in QUESTIONS:
        found = {(p.document_id, p.chunk): p.score for p in office.search(question)}
        for best in office.service.search(question, separate)[:3]:
            assert found[best.document_id, best.chunk] == pytest.approx(best.score, abs=0.02)


def test_a_document_is_found_before_and_after_it_is_merged(office: Office) -> None:
    office.fill(3, 2)
    office.service.compact()
    office.search("年假")
    document = office.add(["喝茶和抽烟请到休息区。"])
    for _ in range(2):
        for service in (office.service, office.another()):
            assert office.search("在哪里喝茶", 1, service)[0].document_id == document.id
        office.service.compact()
    assert len(office.segments()) == 2


def test_a_deleted_document_is_never_found_and_its_text_leaves_the_disk(office: Office) -> None:
    gone, kept = office.add(["机密：密码是芝麻开门。"]), office.add(["The rocket starts at noon."])
    office.service.compact()
    assert office.search("密码", 1)[0].document_id == gone.id
    another = office.another()
    office.search("密码", service=another)
    documents.delete(office.database, "local", gone.id)
    for service in (office.service, another, office.another()):
        assert {p.document_id for p in office.search("密码", 50, service, summaries=True)} == {kept.id}
    secret = "芝麻开门".encode()
    assert any(secret in path.read_bytes() for path in office.segments())
    office.service.compact()
    assert not any(secret in path.read_bytes() for path in office.segments())
    assert office.search("noon", 1)[0].document_id == kept.id


def test_deleted_documents_do_not_weigh_on_the_scores_of_others(office: Office) -> None:
    separate = office.fill(12, 4)
    office.service.compact()
    for document in separate[::2]:
        documents.delete(office.database, "local", document.id)
    rest = separate[1::2]
    for question in QUESTIONS:
        assert_same(office.search(question), office.service.search(question, rest))


def test_files_of_a_session_and_bases_are_ranked_as_one_collection(settings: Settings, database: Database) -> None:
    first, second = Office(settings, database), Office(settings, database)
    session = Office(settings, database).fill(6, 3)
    separate = [*session, *first.fill(6, 3), *second.fill(7, 2)]
    first.service.compact()
    for question in QUESTIONS:
        found = first.service.search(question, session, 20, bases=[first.base, second.base])
        assert {(p.document_id, p.chunk) for p in found[:5]} <= {
            (p.document_id, p.chunk) for p in first.service.search(question, separate, 20)
        }
        assert found[0].score == pytest.approx(first.service.search(question, separate, 1)[0].score, abs=0.01)


def test_a_document_of_a_base_can_be_searched_alone(office: Office) -> None:
    one, *_ = office.fill(6, 3)
    office.service.compact()
    assert {p.document_id for p in office.service.search("年假", [one], 50)} == {one.id}


def test_one_summary_of_a_base_may_come_and_is_marked(office: Office) -> None:
    office.fill(6, 3)
    document = office.add(["第一条 茶水间每天开放。"], "手册.pdf", "本手册规定了年假、报销和考勤三项制度。")
    question = "总结一下手册的主要内容"
    for _ in range(2):
        assert not any(p.summary for p in office.search(question, 50))
        first, *others = office.search(question, 50, summaries=True)
        assert first.summary is True and first.document_id == document.id and (first.chunk, first.page) == (-1, None)
        assert others and not any(p.summary for p in others)
        office.service.compact()


def test_a_base_without_documents_has_no_files_and_finds_nothing(office: Office) -> None:
    assert office.search("年假") == []
    (document,) = office.fill(1, 1)
    office.service.compact()
    folder = office.segments()[0].parent
    documents.delete(office.database, "local", document.id)
    assert office.search("年假") == []
    office.service.compact()
    assert not folder.exists()


def test_the_files_of_a_base_that_is_gone_are_deleted(office: Office) -> None:
    (document,) = office.fill(1, 1)
    office.service.compact()
    folder = office.segments()[0].parent
    documents.delete(office.database, "local", document.id)
    knowledge_bases.remove(office.database, office.id)
    office.another().compact()
    assert not folder.exists()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no folder": lambda folder: [path.unlink() for path in folder.iterdir()] and folder.rmdir(),
    "no manifest": lambda folder: (folder / "manifest").unlink(),
    "broken manifest": lambda folder: (folder / "manifest").write_bytes(b'["a'),
    "strange manifest": lambda folder: (folder / "manifest").write_bytes(b'["../../x", "none"]'),
    "no segment": lambda folder: next(folder.glob("*.segment")).unlink(),
    "broken segment": lambda folder: next(folder.glob("*.segment")).write_bytes(b"PK"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_lost_and_broken_files_are_made_again(office: Office, damage: Callable[[Path], object]) -> None:
    office.fill(6, 2)
    office.service.compact()
    before = [office.search(question) for question in QUESTIONS[:3]]
    damage(office.segments()[0].parent)
    for repaired in (False, True):
        another = office.another()
        for question, expected in zip(QUESTIONS, before, strict=False):
            assert_same(office.search(question, service=another), expected)
        if not repaired:
            another.compact()
            (segment,) = office.segments()
            assert len(Segment.read(segment).ids) == 6


def test_a_file_that_is_damaged_while_it_is_in_use_is_made_again(office: Office) -> None:
    added = office.fill(10, 3)
    office.service.compact()
    office.search("年假有几天？")
    (segment,) = office.segments()
    size = segment.stat().st_size
    with segment.open("r+b") as file:  # where it is not looked at when it is opened
        file.seek(size // 4)
        file.write(b"\xff" * (size // 2))
    for document in added[5:]:  # so many that the segment is written anew
        documents.delete(office.database, "local", document.id)
    office.service.compact()
    assert not office.segments()
    office.service.compact()
    assert len(office.segments()) == 1
    assert_same(office.search("年假有几天？"), office.another().search("年假有几天？", added[:5]))


def test_many_new_documents_are_merged_by_the_first_search(office: Office) -> None:
    added = office.fill(MOST_UNMERGED + 1, 1)
    assert {p.document_id for p in office.search("年假", 500)} == {document.id for document in added}
    assert sum(len(Segment.read(path).ids) for path in office.segments()) == len(added)


def test_documents_that_the_store_has_lost_are_left_out(office: Office) -> None:
    lost = office.fill(MOST_UNMERGED + 1, 1)
    office.service.store.delete([document.id for document in lost])
    kept = office.add(["喝茶请到休息区。"])
    for _ in range(2):
        assert {p.document_id for p in office.search("年假", 50)} == {kept.id}
        office.service.compact()


def test_documents_that_come_one_by_one_end_in_few_segments(office: Office) -> None:
    added = []
    for _ in range(FACTOR + 1):
        added += office.fill(1, 1)
        office.service.compact()
    assert len(office.segments()) == 2
    assert {p.document_id for p in office.search("年假", 50)} == {document.id for document in added}


def test_several_may_merge_and_search_at_once(office: Office) -> None:
    added = {document.id for document in office.fill(10, 1)}
    wrong: list[object] = []

    def work(compacting: bool) -> None:
        service = office.another()
        for _ in range(5):
            if compacting:
                service.compact()
            found = {p.document_id for p in office.search("年假", 500, service)}
            if not added <= found:
                wrong.append(added - found)

    threads = [threading.Thread(target=work, args=(n % 2 == 0,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        office.fill(2, 1)
        office.service.compact()
    for thread in threads:
        thread.join()
    assert not wrong
    office.service.compact()
    ids = [id for path in office.segments() for id in Segment.read(path).ids]
    assert len(ids) == len(set(ids)) == 16


def test_a_disk_that_cannot_be_written_to_is_an_error_that_says_so(office: Office) -> None:
    office.fill(2, 1)
    (office.settings.DATA_DIR / "search").write_text("in the way")
    with pytest.raises(StoreUnavailable) as caught:
        office.service.compact()
    assert "search_index" in caught.value.message("en")


def test_after_a_change_of_the_model_a_base_goes_by_words_until_it_is_embedded_anew(
    settings: Settings, database: Database, upstream: Upstream, tmp_path: Path
) -> None:
    with chroma_server(tmp_path) as url:  # everything in it is embedded anew
        settings = settings.model_copy(update={"CHROMA_URL": url, "DATA_DIR": tmp_path / "data"})
        other = {"EMBEDDING_MODEL": "text-embedding-v4", "EMBEDDING_API_URL": upstream.url}
        old = Office(settings.model_copy(update=other), database)
        documents_before = old.fill(6, 2)
        old.service.compact()
        new = RetrievalService(settings, database)
        question = "how many days of paid leave do employees get"
        for _ in range(2):
            assert old.search("年假应当提前申请", 1, new)[0].document_id == documents_before[0].id  # by words
            assert old.search(question, 1, new)[0].score < 0.2
            new.compact()
        assert new.reindex() == 6
        new.compact()
        assert old.search(question, 1, new)[0].document_id == documents_before[0].id  # by meaning
        (segment,) = map(Segment.read, old.segments())
        assert segment.dimensions == 512 and len(segment.ids) == 6


def test_the_housekeeper_merges_what_the_worker_has_read(product: Product) -> None:
    base_id = knowledge_bases.create(product.database, "local", f"kb_{uuid.uuid4().hex}", "人事").id
    (document,) = product.documents.accept_for_base(base_id, [(io.BytesIO("喝茶请到休息区。".encode()), "规定.txt")])
    product.finished(document)
    eventually(lambda: list(product.settings.DATA_DIR.rglob(f"{base_id}/*.segment")))
    found = knowledge_bases.find(product.database, "local", base_id)
    base = ReadyBase(base_id, found.name, found.version)
    assert product.documents.retrieval.search("在哪里喝茶", [], bases=[base])[0].document_id == document.id
