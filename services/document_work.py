"""The work on documents as others see it who do not do it: it is queued, asked about, ended, begun again, and cleaned up."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from models import documents
from models.database import Database
from models.documents import Document
from services import document_files as files
from services.retrieval_service import RetrievalService
from utils.errors import DocumentUnreadable, StoreUnavailable
from utils.jobs import Jobs
from utils.settings import Settings

log = logging.getLogger(__name__)

INGEST = "services.ingestion.ingest"
KILL_SECONDS = 2.0  # what it may take until a job that is to die has died


class DocumentWork:
    """What cannot be done because a store is away is left to the housekeeper. Its methods block."""

    def __init__(self, settings: Settings, database: Database, retrieval: RetrievalService) -> None:
        self.settings, self.database, self.retrieval = settings, database, retrieval
        self.jobs = Jobs(settings.redis_url)

    def enqueue(self, document_id: str) -> None:
        """Queues the job that reads a document."""
        timeout = self.settings.DOCUMENT_TIMEOUT_SECONDS
        try:
            self.jobs.enqueue(INGEST, document_id, job_id=document_id, timeout=timeout, resumable=True)
        except StoreUnavailable as error:
            log.warning("%s is queued later: %s", document_id, error)

    def reported(self, document_ids: Sequence[str]) -> dict[str, float]:
        """How far documents are, from 0 to 1, where that is known; otherwise their stage has to do."""
        try:
            return self.jobs.reported(document_ids) if document_ids else {}
        except StoreUnavailable:
            return {}

    def read_again(self, document: Document) -> None:
        """Queues a document that has failed: it is read on from where its journal ends, or anew if the file was at fault."""
        if isinstance(document.failure, DocumentUnreadable):
            with files.locked(self._folder(document), KILL_SECONDS) as mine:
                if mine:
                    files.forget_reading(self._folder(document))
        if not documents.requeue(self.database, document.id):
            return
        try:
            if document.id in self.jobs.live():
                return  # a job that was cancelled is still dying; the housekeeper queues the next one
            self.jobs.forget(document.id)
        except StoreUnavailable as error:
            log.warning("%s is queued later: %s", document.id, error)
        else:
            self.enqueue(document.id)

    def end(self, document: Document) -> None:
        """Ends the work on a document that was just cancelled; `document` is as it was before."""
        if document.finished:
            return
        with self._ended(document, kill=True) as mine:
            if mine:
                self.retrieval.forget([document.id])
                self.jobs.forget_progress([document.id])

    def discard_all(self, gone: Sequence[Document]) -> None:
        """Removes what is left of documents whose rows are gone."""
        finished = [document for document in gone if document.finished]
        for document in gone:
            if not document.finished:
                self._discard(document)
        try:
            self.retrieval.forget([document.id for document in finished])
        except StoreUnavailable as error:
            log.warning("%d documents are removed later: %s", len(finished), error)
            return
        for document in finished:
            files.remove(self._folder(document))

    def _discard(self, document: Document) -> None:
        # a job that is indexing finds out for itself and cleans up behind itself; any other one is killed
        with self._ended(document, kill=document.stage != "indexing") as mine:
            if mine:
                self.retrieval.forget([document.id])
                files.remove(self._folder(document))
                self.jobs.forget_progress([document.id])

    @contextlib.contextmanager
    def _ended(self, document: Document, *, kill: bool) -> Iterator[bool]:
        """Whether no job works on a document, for as long as this lasts; with `kill` one that does is killed."""
        try:
            if kill:
                self.jobs.stop(document.id)
        except StoreUnavailable as error:
            log.warning("the job of %s is not stopped: %s", document.id, error)
        with files.locked(self._folder(document), KILL_SECONDS if kill else 0.0) as mine:
            try:
                yield mine
            except StoreUnavailable as error:
                log.warning("what there is of %s is removed later: %s", document.id, error)

    def _folder(self, document: Document) -> Path:
        return files.folder_of(self.settings.UPLOAD_DIR, document)
