"""Documents as the web sees them: taken in, listed, watched, searched and deleted. Reading them is the business of jobs."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from models import conversations, document_lists, documents, knowledge_bases
from models.conversations import ReadyDocument
from models.database import Database, now
from models.documents import STAGES, Document
from models.passages import Passage
from models.turns import SessionKey
from services import document_files as files
from services.document_work import DocumentWork
from services.retrieval_service import RetrievalService
from utils.errors import DocumentUnreadable, NotFound, TooLarge, UnsupportedType
from utils.file_util import clean_filename, detect
from utils.settings import Settings

WATCH_SECONDS = 0.2
QUIET_SECONDS = 10.0
WAIT_SECONDS = (0.02, 0.25)  # shortest and longest pause between two looks


class DocumentService:
    """Its methods block; they are for threads, but for `wait`, which is for an event loop."""

    def __init__(self, settings: Settings, database: Database, retrieval: RetrievalService) -> None:
        self.settings, self.database, self.retrieval = settings, database, retrieval
        self.work = DocumentWork(settings, database, retrieval)

    def accept(self, key: SessionKey, stream: BinaryIO, filename: str, *, temporary: bool = False) -> Document:
        """Stores a file and queues it (see `accept_all`)."""
        return self.accept_all(key, [(stream, filename)], temporary=temporary)[0]

    def accept_all(
        self, key: SessionKey, uploads: Iterable[tuple[BinaryIO, str]], *, temporary: bool = False
    ) -> Sequence[Document]:
        """Stores files and queues them; the session is made if it is missing. When one is refused none is kept.

        What the session has already is answered as it is, a `duplicate`, and not read again unless that had failed. Raises
        TooLarge, UnsupportedType or DocumentUnreadable, which name the file, or NotFound when the session is just deleted.
        """
        ttl = self.settings.MEMORY_TTL_SECONDS if temporary else None

        def holder() -> dict[str, Any]:
            return {"conversation_id": conversations.find_or_create(self.database, key, temporary_for=ttl).id}

        return self._accept(uploads, holder)

    def accept_for_base(self, base_id: str, uploads: Iterable[tuple[BinaryIO, str]]) -> Sequence[Document]:
        """The same for a knowledge base, which has to exist."""
        return self._accept(uploads, lambda: {"conversation_id": None, "knowledge_base_id": base_id})

    def _accept(self, uploads: Iterable[tuple[BinaryIO, str]], holder: Callable[[], dict[str, Any]]) -> Sequence[Document]:
        with contextlib.ExitStack() as received:
            checked = [received.enter_context(self._checked(*upload)) for upload in uploads]
            held = holder()  # only now: a session is not made for a file that is refused
            accepted = [self._store(replace(document, **held), incoming) for document, incoming in checked]
        duplicates = self._completed([document for document in accepted if document.duplicate])
        completed = {document.id: document for document in duplicates}
        return [completed[document.id] if document.duplicate else document for document in accepted]

    @contextlib.contextmanager
    def _checked(self, stream: BinaryIO, filename: str) -> Iterator[tuple[Document, files.Incoming]]:
        """A file that may be accepted; the document lacks only its holder."""
        document_id, name = f"doc_{secrets.token_hex(12)}", clean_filename(filename)
        with contextlib.ExitStack() as kept:
            try:
                incoming = kept.enter_context(files.received(self.settings, stream, document_id))
                media_type = detect(incoming.path, filename, self.settings.ALLOWED_FILE_TYPES)
            except (TooLarge, UnsupportedType, DocumentUnreadable) as error:
                raise error.of_file(name) from None
            yield Document(document_id, None, name, media_type, incoming.bytes, incoming.sha256, now()), incoming

    def _store(self, document: Document, incoming: files.Incoming) -> Document:
        known = documents.known(self.database, document.content_key)
        if known is None:
            folder = files.folder_of(self.settings.UPLOAD_DIR, document)
            incoming.accept(folder)
            try:
                known = documents.add(self.database, document)
            except NotFound:  # its holder was deleted during the upload
                files.remove(folder)
                raise
            if known.id == document.id:
                self.work.enqueue(document.id)
                return document
            files.remove(folder)  # another upload of the same file was quicker
        if known.failure is not None:
            self.work.read_again(known)
            known = documents.load(self.database, known.id) or known
        return replace(known, duplicate=True)

    def cancel(self, owner: str, document_id: str) -> Document:
        """Ends the reading of a document, which has failed then; one that is finished stays as it is. Raises NotFound."""
        document = documents.cancel(self.database, owner, document_id)
        self.work.end(document)
        return self.get(owner, document_id)

    def retry(self, owner: str, document_id: str) -> Document:
        """Queues a document again that has failed; any other stays as it is. Raises NotFound."""
        document = documents.find(self.database, owner, document_id)
        if document.failure is not None:
            self.work.read_again(document)
        return self.get(owner, document_id)

    def list(self, key: SessionKey) -> Sequence[Document]:
        """The documents of a session, oldest first, without their pages. Raises NotFound."""
        return self._completed(document_lists.of_session(self.database, key))

    def get(self, owner: str, document_id: str) -> Document:
        """Raises NotFound, for another owner's document too."""
        return self._completed([documents.find(self.database, owner, document_id)])[0]

    def content(self, owner: str, document_id: str) -> tuple[Path, str, str]:
        """The file as it was uploaded: where it lies, its name and its media type. Raises NotFound."""
        document = documents.find(self.database, owner, document_id)
        path = files.folder_of(self.settings.UPLOAD_DIR, document) / files.ORIGINAL
        return path, document.filename, document.media_type

    def page_of_base(self, base_id: str, limit: int, cursor: str | None = None) -> tuple[Sequence[Document], str | None]:
        """Documents of a knowledge base, oldest first, without their pages, and the cursor of what follows them.

        Raises InvalidField for a wrong cursor.
        """
        found, following = document_lists.page_of_base(self.database, base_id, limit=limit, cursor=cursor)
        return self._completed(found), following

    def search(self, key: SessionKey, query: str, k: int, document_ids: Sequence[str] | None = None) -> Sequence[Passage]:
        """The best passages in the session's documents and attached knowledge bases, or in some documents of these.

        Such as are not ready are left out. Raises NotFound for a session or a document that is not there.
        """
        if document_ids is None:
            ready, bases = knowledge_bases.searched(self.database, key)
            return self.retrieval.search(query, ready, k, bases=bases)
        found = document_lists.named(self.database, key, document_ids)
        if not {document.id for document in found}.issuperset(document_ids):
            raise NotFound(what="document")
        named = [ReadyDocument(document.id, document.filename) for document in found if document.searchable]
        return self.retrieval.search(query, named, k)

    def delete(self, owner: str, document_id: str) -> Document:
        """Deletes a document with all that was made of it, also while it is being read. Raises NotFound."""
        document = documents.delete(self.database, owner, document_id)
        self.work.discard_all([document])
        return document

    def delete_all(self, holder: int | str) -> Sequence[Document]:
        """Deletes the documents and pictures of a conversation, or the documents of a knowledge base."""
        deleted: list[Document] = []
        while gone := documents.delete_held(self.database, holder):
            self.work.discard_all(gone)
            deleted += gone
        folder = self.settings.UPLOAD_DIR / str(holder)
        files.remove(folder / files.IMAGES)
        with contextlib.suppress(OSError):  # there is none, or a document is still in it
            folder.rmdir()
        return deleted

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
        reported = self.work.reported([document.id for document in found if not document.finished])
        return [self._complete(document, reported.get(document.id)) for document in found]

    def _complete(self, document: Document, reported: float | None) -> Document:
        progress = 1.0 if document.finished else max(reported or 0.0, STAGES[document.stage][0])
        return replace(
            document, progress=progress, summary=files.summary_of(files.folder_of(self.settings.UPLOAD_DIR, document))
        )
