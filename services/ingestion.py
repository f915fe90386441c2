"""A document's way from file to search, as a job: extract, summarise, cut into chunks, embed and store.

Each function here runs in a process of its own under limits of time and memory (`utils.jobs`). What a run has read is kept,
so that a job which takes long goes on in another run, and one that died does not begin anew.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any

from PIL.Image import Image

from models import documents
from models.database import Database
from models.documents import STAGES, Document, Stage
from models.embeddings import embedder
from services import document_files as files
from services.document_pictures import DocumentPictures
from services.document_texts import keep_chunks
from services.page_journal import PageJournal
from services.retrieval_service import RetrievalService
from services.summaries import body_text, document_summary
from services.text.chunking import chunk, extracted_text
from utils import jobs
from utils.errors import (
    DocumentUnreadable,
    ProviderNotConfigured,
    StoreUnavailable,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
)
from utils.images import encode_for_model, normalise_image
from utils.loaders import LoadOptions, Page, load
from utils.ocr import recogniser
from utils.settings import Settings, load_settings

log = logging.getLogger(__name__)

# How long, and how many pages by OCR, a run reads before it makes room for others
FIRST_SECONDS, FIRST_SCANS = 8.0, 5  # on the interactive queue
SECONDS, SCANS = 20.0, 15  # on the queue for long work
READING = 0.7  # of the stage that reads; its pictures take the rest
GIVEN_UP_PAGES = 10  # more pages that kill their job, and the document is given up
REPORT_SECONDS = 0.1


class Gone(Exception):
    """The document was deleted, or cancelled, while its job ran."""


def ingest(document_id: str) -> jobs.Again | None:
    """Brings a document as far as it gets in this run. Returns an Again when there is more to do."""
    settings = load_settings()
    queues, database = jobs.Jobs(settings.redis_url), Database(settings.database_url)
    try:
        document = documents.load(database, document_id)
        return Ingestion(settings, queues, database, document).run() if document else None
    except StoreUnavailable as error:  # the document stays queued; the housekeeper tries it again
        log.warning("%s waits: %s", document_id, error)
        return None
    finally:
        queues.close()
        database.close()


def read_image(path: str) -> dict[str, Any]:
    """Puts a picture upright, in a file beside it, and reads its text. `path` is below the upload folder.

    Returns `{"path": …, "ocr_text": …}`, or `{"reason": …}` of `DocumentUnreadable.REASONS`.
    """
    settings = load_settings()
    original = settings.UPLOAD_DIR / path
    try:
        image = normalise_image(original)
        upright = original.with_name(files.UPRIGHT)
        upright.write_bytes(encode_for_model(image))
        text = recogniser(settings.OCR_ENGINE, settings.OCR_LANGUAGES, settings.PAGE_TIMEOUT_SECONDS)(image)
    except DocumentUnreadable as error:
        return {"reason": error.reason}
    except ProviderNotConfigured as error:
        log.warning("pictures are not read: %s", error)
        text = ""
    return {"path": str(upright.relative_to(settings.UPLOAD_DIR)), "ocr_text": text}


class Ingestion:
    """One run of one document's job."""

    def __init__(self, settings: Settings, queues: jobs.Jobs, database: Database, document: Document) -> None:
        self.settings, self.queues, self.database, self.document = settings, queues, database, document
        self.folder = files.folder_of(settings.UPLOAD_DIR, document)
        self._pictures = DocumentPictures(settings, self.folder / files.PICTURES, document.filename)
        self._started, self._report_due = time.monotonic(), 0.0

    @cached_property
    def retrieval(self) -> RetrievalService:
        return RetrievalService(self.settings)

    def run(self) -> jobs.Again | None:
        with files.locked(self.folder) as mine:
            if not mine or documents.start(self.database, self.document.id) is None:
                return None  # a run that was taken for dead is still at work; or there is nothing to do
            try:
                return self._advance()
            except Gone:
                self.retrieval.forget([self.document.id])
                if documents.load(self.database, self.document.id) is None:  # else it may be retried
                    files.remove(self.folder)
                self.queues.forget_progress([self.document.id])
            except DocumentUnreadable as error:
                self._fail(error)
            except StoreUnavailable as error:
                # a job whose time is up may look like this: whatever the alarm interrupts can take it for a lost connection
                in_time = time.monotonic() - self._started < self.settings.DOCUMENT_TIMEOUT_SECONDS
                documents.wait(self.database, self.document.id, error.code, forgive=in_time)
                raise
            except (UpstreamError, UpstreamTimeout, Unavailable) as error:  # of an embedding model; no OCR program
                documents.wait(self.database, self.document.id, error.code, forgive=False)
            return None

    def _advance(self) -> jobs.Again | None:
        journal = PageJournal(self.folder / files.JOURNAL)
        if jobs.died_before():
            self._settle(journal)
        if not journal.complete:
            self._enter("extracting")
            if not self._read(journal):
                return jobs.again()
        if not self._look_at_pictures(journal):
            return jobs.again()
        jobs.limit_cpu(self.settings.DOCUMENT_TIMEOUT_SECONDS)
        text = extracted_text(journal.pages)
        if not text.strip():
            raise DocumentUnreadable(next(iter(journal.given_up), "empty"))
        files.write(self.folder / files.TEXT, text)
        self._enter("summarising")
        summary = self._summary(journal.pages)
        self._enter("indexing")
        self._index(journal, summary)
        return None

    def _fail(self, error: DocumentUnreadable) -> None:
        log.info("%s cannot be read: %s", self.document.id, error.reason)
        journal = PageJournal(self.folder / files.JOURNAL)
        report = {"page_count": journal.page_count, "pages": journal.report()}
        documents.finish(self.database, self.document.id, "failed", error=error.reason, **report)

    def _settle(self, journal: PageJournal) -> None:
        """After a run that died by its own fault: passes over what it died at, or gives the document up."""
        if self._pictures.kept.give_up_suspect():
            documents.progressed(self.database, self.document.id)
            return
        if journal.complete:
            return  # with all pages read, a fresh process may have what it takes; attempts are counted
        if journal.page_count is None:
            raise DocumentUnreadable("too_complex")
        if journal.stuck:  # else pages were read in that run: this one begins with the suspect
            self._give_up_page(journal, DocumentUnreadable("too_complex"))

    def _give_up_page(self, journal: PageJournal, error: DocumentUnreadable) -> None:
        if len(journal.given_up) >= GIVEN_UP_PAGES:
            raise error
        journal.give_up_page(error.reason)
        documents.progressed(self.database, self.document.id)

    def _enter(self, stage: Stage) -> None:
        """Goes on to a stage; one that an earlier run has come to already is not left again."""
        order = list(STAGES)
        latest = max(stage, self.document.stage, key=order.index)
        if not documents.enter(self.database, self.document.id, latest):
            raise Gone
        self._report(stage, 0.0)

    def _read(self, journal: PageJournal) -> bool:
        """Reads pages until all are read (True) or the rest is for another run."""
        loaded = load(self.folder / files.ORIGINAL, self.document.media_type, self._options(journal.next_number))
        journal.begin(loaded.page_count)
        if loaded.page_count is None:
            for page in loaded.pages:
                journal.add(page)
        elif not self._read_pages(journal, loaded.page_count, self._limited(loaded.pages)):
            return False
        journal.end()
        return True

    def _read_pages(self, journal: PageJournal, count: int, pages: Iterator[Page]) -> bool:
        seconds, scans = self._allowance
        try:
            for page in pages:
                first = journal.stuck
                journal.add(page)
                if first and not documents.progressed(self.database, self.document.id):
                    raise Gone
                self._report("extracting", READING * len(journal.pages) / count)
                scans -= page.method == "ocr"
                spent = scans <= 0 or time.monotonic() - self._started > seconds
                if spent and len(journal.pages) < count:
                    return False
        except DocumentUnreadable as error:  # of one page, such as too little memory; a fresh process may read the others
            if error.reason not in ("damaged", "too_complex"):
                raise
            self._give_up_page(journal, error)
            return False
        return True

    def _limited(self, pages: Iterator[Page]) -> Iterator[Page]:
        jobs.limit_cpu(self.settings.PAGE_TIMEOUT_SECONDS)
        for page in pages:
            yield page
            jobs.limit_cpu(self.settings.PAGE_TIMEOUT_SECONDS)

    def _options(self, first_page: int) -> LoadOptions:
        settings = self.settings
        return LoadOptions(
            ocr=self._ocr,
            pictures=self._pictures.kept,
            max_pages=settings.DOCUMENT_MAX_PAGES,
            ocr_dpi=settings.OCR_DPI,
            first_page=first_page,
        )

    @property
    def _allowance(self) -> tuple[float, int]:
        """How many seconds, and how many pages by OCR, this run may take for reading."""
        return (SECONDS, SCANS) if jobs.is_long() else (FIRST_SECONDS, FIRST_SCANS)

    @cached_property
    def _ocr(self) -> Callable[[Image], str]:
        settings = self.settings
        return recogniser(settings.OCR_ENGINE, settings.OCR_LANGUAGES, settings.PAGE_TIMEOUT_SECONDS)

    def _look_at_pictures(self, journal: PageJournal) -> bool:
        """Puts what its pictures say into the text of the pages; False when the rest is for another run."""
        seconds, _ = self._allowance
        first = True

        def step(share: float) -> bool:
            nonlocal first
            if first and not documents.progressed(self.database, self.document.id):
                raise Gone
            first = False
            self._report("extracting", READING + (1 - READING) * share)
            return time.monotonic() - self._started < seconds

        pages = self._pictures.looked_at(journal.pages, self._ocr, step)
        if pages is None:
            return False
        if pages != journal.pages:
            journal.replace(pages)
        files.remove(self.folder / files.PICTURES)
        return True

    def _summary(self, pages: Sequence[Page]) -> str:
        """The summary that an earlier run has made, else a new one. Never empty."""
        if not (summary := files.summary_of(self.folder)):
            text = body_text(pages).strip() or extracted_text(pages)
            summary = document_summary(text, self.settings, embedder(self.settings).embed)
            files.write(self.folder / files.SUMMARY, summary)
        return summary

    def _index(self, journal: PageJournal, summary: str) -> None:
        document, chunks = self.document, chunk(journal.pages)
        if not chunks:
            raise DocumentUnreadable("empty")
        keep_chunks(self.folder, chunks)
        self.retrieval.index(
            document.id, document.filename, document.holder, chunks, summary, partial(self._report, "indexing")
        )
        done = documents.finish(
            self.database,
            document.id,
            "partial" if journal.gaps else "ready",
            page_count=journal.page_count,
            chunk_count=len(chunks),
            pages=journal.report(),
        )
        if not done:
            raise Gone

    def _report(self, stage: Stage, share: float) -> None:
        """Tells how far the job is, when `share` of the stage is done."""
        if share == 0.0 or time.monotonic() >= self._report_due:
            begin, end = STAGES[stage]
            self.queues.report(self.document.id, begin + (end - begin) * share, self.settings.MEMORY_TTL_SECONDS)
            self._report_due = time.monotonic() + REPORT_SECONDS
