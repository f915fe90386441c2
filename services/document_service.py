"""Documents as the web sees them: taken in, listed, watched, searched and deleted. Reading them is the business of jobs."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from models import conversations, documents
from models.conversations import ReadyDocument
from models.database import Database, now
from models.documents import STAGES, Document
from models.passages import Passage
from models.turns import SessionKey
from services import document_files as files
from services.retrieval_service import RetrievalService
from utils.errors import ChatError, NotFound, StoreUnavailable
from utils.file_util import clean_filename, detect
from utils.jobs import Jobs
from utils.settings import Settings

log = logging.getLogger(__name__)

INGEST = "services.ingestion.ingest"
WATCH_SECONDS = 0.2
QUIET_SECONDS = 10.0
WAIT_SECONDS = (0.02, 0.25)  # shortest and longest pause between two looks
KILL_SECONDS = 2.0  # what it may take until a job that is to die has died


class DocumentService:
    """Its methods block; they are for threads, but for `wait`, which is for an event loop."""

    def __init__(self, settings: Settings, database: Database, retrieval: RetrievalService) -> None:
        self.settings, self.database, self.retrieval = settings, database, retrieval
        self.jobs = Jobs(settings.redis_url)

    def accept(self, key: SessionKey, stream: BinaryIO, filename: str, *, temporary: bool = False) -> Document:
        """Stores a file and queues it; the session is made if it is missing.

        Raises TooLarge, UnsupportedType, DocumentUnreadable for an empty file, or NotFound when the session is deleted
        meanwhile; nothing is kept then.
        """
        document_id = f"doc_{secrets.token_hex(12)}"
        with files.received(self.settings, stream, document_id) as incoming:
            media_type = detect(incoming.path, filename, self.settings.ALLOWED_FILE_TYPES)
            ttl = self.settings.MEMORY_TTL_SECONDS if temporary else None
            document = Document(
                id=document_id,
                conversation_id=conversations.find_or_create(self.database, key, temporary_for=ttl).id,
                filename=clean_filename(filename),
                media_type=media_type,
                bytes=incoming.bytes,
                sha256=incoming.sha256,
                updated_at=now(),
            )
            incoming.accept(files.folder_of(self.settings.UPLOAD_DIR, document))
        try:
            documents.add(self.database, document)
        except NotFound:  # its session was deleted during the upload
            files.remove(files.folder_of(self.settings.UPLOAD_DIR, document))
            raise
        self.enqueue(document_id)
        return document

    def accept_all(
        self, key: SessionKey, uploads: Iterable[tuple[BinaryIO, str]], *, temporary: bool = False
    ) -> Sequence[Document]:
        """Accepts several files, or none of them when one is refused."""
        accepted: Sequence[Document] = ()
        try:
            for stream, filename in uploads:
                accepted = (*accepted, self.accept(key, stream, filename, temporary=temporary))
        except ChatError:
            for document in accepted:
                self.delete(key.owner, document.id)
            raise
        return accepted

    def list(self, key: SessionKey) -> Sequence[Document]:
        """The documents of a session, oldest first, without their pages. Raises NotFound."""
        return self._completed(documents.of_session(self.database, key))

    def get(self, owner: str, document_id: str) -> Document:
        """Raises NotFound, for another owner's document too."""
        return self._completed([documents.find(self.database, owner, document_id)])[0]

    def content(self, owner: str, document_id: str) -> tuple[Path, str, str]:
        """The file as it was uploaded: where it lies, its name and its media type. Raises NotFound."""
        document = documents.find(self.database, owner, document_id)
        path = files.folder_of(self.settings.UPLOAD_DIR, document) / files.ORIGINAL
        return path, document.filename, document.media_type

    def search(self, key: SessionKey, query: str, k: int, document_ids: Sequence[str] | None = None) -> Sequence[Passage]:
        """The best passages in the session's documents, or in some of them; such as are not ready are left out.

        Raises NotFound for a session or a document that is not there.
        """
        found = documents.of_session(self.database, key)
        if document_ids is not None:
            if not {document.id for document in found}.issuperset(document_ids):
                raise NotFound(what="document")
            found = [document for document in found if document.id in document_ids]
        ready = [ReadyDocument(document.id, document.filename) for document in found if document.searchable]
        return self.retrieval.search(query, ready, k) if ready else []

    def delete(self, owner: str, document_id: str) -> Document:
        """Deletes a document with all that was made of it, also while it is being read. Raises NotFound."""
        document = documents.delete(self.database, owner, document_id)
        self._discard(document)
        return document

    def delete_all(self, conversation_id: int) -> Sequence[Document]:
        """Deletes the documents and pictures of a conversation."""
        deleted = documents.delete_all(self.database, conversation_id)
        for document in deleted:
            self._discard(document)
        folder = self.settings.UPLOAD_DIR / str(conversation_id)
        files.remove(folder / files.IMAGES)
        with contextlib.suppress(OSError):  # there is none, or a document is still in it
            folder.rmdir()
        return deleted

    def _discard(self, document: Document) -> None:
        """Removes what is left of a document whose row is gone; what cannot be removed now, the housekeeper finds."""
        # a job that is indexing finds out for itself and cleans up behind itself; any other one is killed
        indexing = document.stage == "indexing"
        try:
            if not document.finished and not indexing:
                self.jobs.stop(document.id)
            folder = files.folder_of(self.settings.UPLOAD_DIR, document)
            with files.locked(folder, 0.0 if indexing else KILL_SECONDS) as mine:
                if mine:
                    self.retrieval.forget([document.id])
                    files.remove(folder)
                    self.jobs.forget_progress([document.id])
        except StoreUnavailable as error:
            log.warning("%s is deleted later: %s", document.id, error)

    def enqueue(self, document_id: str) -> None:
        """Queues the job that reads a document. Where Redis is away the housekeeper does so later."""
        timeout = self.settings.DOCUMENT_TIMEOUT_SECONDS
        try:
            self.jobs.enqueue(INGEST, document_id, job_id=document_id, timeout=timeout, resumable=True)
        except StoreUnavailable as error:
            log.warning("%s is queued later: %s", document_id, error)

    def watch(self, owner: str, document_id: str) -> Iterator[Document | None]:
        """The document now, then whenever it has changed, until it is finished; None after 10 s without a change.

        Raises NotFound at once, or when the document is deleted meanwhile.
        """
        first = self.get(owner, document_id)
        return self._changes(owner, first)

    def _changes(self, owner: str, seen: Document) -> Iterator[Document | None]:
        yield seen
        quiet_since = time.monotonic()
        while not seen.finished:
            time.sleep(WATCH_SECONDS)
            present = self.get(owner, seen.id)
            if present != seen:
                yield present
                seen, quiet_since = present, time.monotonic()
            elif time.monotonic() - quiet_since > QUIET_SECONDS:
                yield None
                quiet_since = time.monotonic()

    async def wait(self, document_id: str, on_progress: Callable[[Document], None]) -> Document:
        """The document once it is finished; `on_progress` is told of changes until then. Raises NotFound once deleted."""
        seen: Document | None = None
        pause, longest = WAIT_SECONDS
        while True:
            present = await asyncio.to_thread(self._load, document_id)
            if present != seen:
                on_progress(present)
            if present.finished:
                return present
            seen, pause = present, min(pause * 1.5, longest)
            await asyncio.sleep(pause)

    def finishes(self, document_id: str, seconds: float) -> bool:
        """Waits for a document, at most so long; whether it is finished then. For threads."""

        async def wait() -> bool:
            try:
                async with asyncio.timeout(seconds):
                    await self.wait(document_id, lambda _: None)
            except TimeoutError:
                return False
            return True

        return asyncio.run(wait())

    def _load(self, document_id: str) -> Document:
        document = documents.load(self.database, document_id)
        if document is None:
            raise NotFound(what="document")
        return self._completed([document])[0]

    def _completed(self, found: Sequence[Document]) -> Sequence[Document]:
        """With progress and summary, which are not in SQL."""
        reported = self._reported([document.id for document in found if not document.finished])
        return [self._complete(document, reported.get(document.id)) for document in found]

    def _complete(self, document: Document, reported: float | None) -> Document:
        progress = 1.0 if document.finished else max(reported or 0.0, STAGES[document.stage][0])
        return replace(
            document, progress=progress, summary=files.summary_of(files.folder_of(self.settings.UPLOAD_DIR, document))
        )

    def _reported(self, document_ids: Sequence[str]) -> dict[str, float]:
        if not document_ids:
            return {}
        try:
            return self.jobs.reported(document_ids)
        except StoreUnavailable:
            return {}  # then the stage has to do
