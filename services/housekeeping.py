"""What has to be seen to from time to time: lost jobs and answers, what has expired, what is too old, what nobody owns."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path

from models import conversations, document_lists, housekeeping, knowledge_bases
from models.database import Database, now
from models.documents import Document
from models.housekeeping import OldConversation
from services import document_files as files
from services.conversation_service import ConversationService
from services.document_service import DocumentService
from services.retrieval_service import RetrievalService
from utils.background import Background
from utils.errors import ChatError, NotFound, TurnInProgress
from utils.session_storage import SessionStorage
from utils.settings import Settings

log = logging.getLogger(__name__)

LOST_SECONDS = 2.0  # between two looks for lost jobs; and how long one may be nowhere before it counts as lost
COMPACT_SECONDS = 5.0  # until a new document of a knowledge base is merged with others
EXPIRY_SECONDS = 15.0
FOLDERS_SECONDS = 600.0
RETENTION_SECONDS = 60.0
RETENTION_SHARE = 0.25  # of that time at most, so that nothing else waits long
LATE_SECONDS = 120  # after the longest duration of a turn, until one that still runs counts as lost
ABANDONED_SECONDS = 600.0  # a folder without an owner is younger while its upload goes on
BATCH = 500


class Housekeeper:
    """Its methods may be called at any time, by several processes too."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database_url)
        self.retrieval = RetrievalService(settings, self.database)
        self.documents = DocumentService(settings, self.database, self.retrieval)

    def serve(self) -> None:
        """Does everything in its interval, for ever."""
        # both may take long: embedding after a change of EMBEDDING_MODEL, and merging what is large
        threading.Thread(target=self._attempt, args=(self.reindex,), name="reindex", daemon=True).start()
        threading.Thread(target=self._compact, name="compact", daemon=True).start()
        tasks = {
            self.requeue: LOST_SECONDS,
            self.expire: EXPIRY_SECONDS,
            self.interrupt: EXPIRY_SECONDS,
            self.retain: RETENTION_SECONDS,
            self.sweep_folders: FOLDERS_SECONDS,
        }
        due = dict.fromkeys(tasks, 0.0)
        while True:
            for task, seconds in tasks.items():
                if time.monotonic() >= due[task]:
                    due[task] = time.monotonic() + seconds
                    self._attempt(task)
            time.sleep(LOST_SECONDS)

    def reindex(self) -> None:
        """Embeds with the present model what only another one has embedded."""
        if count := self.retrieval.reindex():
            log.info("%d documents were embedded anew", count)

    def _compact(self) -> None:
        while True:
            self._attempt(self.retrieval.compact)
            time.sleep(COMPACT_SECONDS)

    def requeue(self) -> None:
        """Queues documents again whose job is nowhere, because Redis was emptied or a store was away."""
        waiting = document_lists.unfinished(self.database)
        live = self.documents.work.jobs.live() if waiting else set()
        for document in waiting:
            if document.id not in live and _due(document) and self._idle(document):
                log.info("%s is queued again", document.id)
                self.documents.work.jobs.forget(document.id)
                self.documents.work.enqueue(document.id)

    def expire(self) -> None:
        """Deletes temporary sessions whose time is over, and messages that were cleared too long ago to be restored."""
        for conversation_id in housekeeping.expired(self.database):
            self.documents.delete_all(conversation_id)
            housekeeping.delete_conversation(self.database, conversation_id)
        oldest = now() - timedelta(seconds=self.settings.CLEAR_RETENTION_SECONDS)
        conversations.purge_cleared(self.database, oldest)

    def interrupt(self) -> None:
        """Marks answers whose worker died, where Redis too has lost what would tell the other workers."""
        longest = timedelta(seconds=self.settings.TURN_TIMEOUT_SECONDS + LATE_SECONDS)
        if count := housekeeping.interrupt_lost(self.database, now() - longest):
            log.warning("%d answers were lost", count)

    def retain(self) -> None:
        """Deletes what is too much: of each owner, all but the newest conversations, unless something goes on in them."""
        until = time.monotonic() + RETENTION_SECONDS * RETENTION_SHARE
        keep = self.settings.CONVERSATIONS_KEEP
        for owner in housekeeping.crowded_owners(self.database, keep) if keep else ():
            if time.monotonic() > until:
                return
            if old := housekeeping.surplus(self.database, owner, keep, BATCH):
                with self.sessions() as sessions:
                    self._delete_idle(sessions, old, until)

    def _delete_idle(self, sessions: ConversationService, old: Iterable[OldConversation], until: float) -> None:
        for one in old:
            if time.monotonic() > until:
                return
            with contextlib.suppress(TurnInProgress, NotFound):
                sessions.delete_if(one.key, partial(housekeeping.is_idle, self.database, one))

    @contextlib.contextmanager
    def sessions(self) -> Iterator[ConversationService]:
        """What deletes conversations, with a thread that keeps its locks alive meanwhile."""
        settings, background = self.settings, Background()
        longest = int(settings.TURN_TIMEOUT_SECONDS)
        storage = SessionStorage(settings.redis_url, ttl=settings.MEMORY_TTL_SECONDS, lock_ttl=longest, wait=0)
        beating = background.run(_beating(storage))
        try:
            yield ConversationService(settings, self.database, self.documents, storage, background)
        finally:
            background.run(_leave(storage, beating))
            background.close()

    def sweep_folders(self) -> None:
        """Deletes files whose upload was broken off, whose owner is gone, or which no message shows any more."""
        uploads = self.settings.UPLOAD_DIR
        for folder in _abandoned(_folders(uploads / files.INCOMING)):
            files.remove(folder)
        own = (folder for folder in _folders(uploads) if folder.name.isdecimal() or folder.name.startswith("kb_"))
        while batch := list(islice(own, BATCH)):
            known = self._known(batch)
            for folder in _abandoned(folder for folder in batch if folder not in known):
                self._forget(_documents(folder))
                files.remove(folder)
            self._forget(self._orphans(known))
            for folder in known:
                if known[folder]:
                    self._sweep_images(folder)

    def _known(self, holder_folders: list[Path]) -> dict[Path, bool]:
        """Those of conversations and knowledge bases that there are, and whether messages in SQL show their pictures."""
        numbers = [int(folder.name) for folder in holder_folders if folder.name.isdecimal()]
        temporary = housekeeping.existing(self.database, numbers)
        bases = knowledge_bases.existing(self.database, [folder.name for folder in holder_folders])
        known = {str(number): not expires for number, expires in temporary.items()} | dict.fromkeys(bases, False)
        return {folder: known[folder.name] for folder in holder_folders if folder.name in known}

    def _orphans(self, holder_folders: Iterable[Path]) -> list[Path]:
        found = [folder for parent in holder_folders for folder in _documents(parent)]
        existing = document_lists.existing(self.database, [folder.name for folder in found])
        return list(_abandoned(folder for folder in found if folder.name not in existing))

    def _forget(self, document_folders: list[Path]) -> None:
        if document_folders:
            self.retrieval.forget([folder.name for folder in document_folders])
        for folder in document_folders:
            files.remove(folder)

    def _sweep_images(self, conversation_folder: Path) -> None:
        images = list(_abandoned(_folders(conversation_folder / files.IMAGES)))
        shown = housekeeping.attached(self.database, int(conversation_folder.name)) if images else set()
        kept = {(self.settings.UPLOAD_DIR / path).parent for path in shown}
        for folder in images:
            if folder not in kept:
                files.remove(folder)

    def _attempt(self, task: Callable[[], None]) -> None:
        try:
            task()
        except ChatError as error:  # a store is away; there is a next time
            log.warning("housekeeping waits: %s", error)

    def _idle(self, document: Document) -> bool:
        with files.locked(files.folder_of(self.settings.UPLOAD_DIR, document)) as mine:
            return mine


async def _beating(storage: SessionStorage) -> asyncio.Task[None]:
    return asyncio.create_task(storage.serve(lambda token: None))


async def _leave(storage: SessionStorage, beating: asyncio.Task[None]) -> None:
    while not beating.done():  # who is just connecting to Redis does not hear of it
        beating.cancel()
        await asyncio.wait({beating}, timeout=0.1)
    await storage.close()


def _due(document: Document) -> bool:
    """Each attempt without progress is waited for four times as long."""
    return now() - document.updated_at > timedelta(seconds=LOST_SECONDS * 4**document.attempts)


def _folders(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        yield from (path for path in parent.iterdir() if path.is_dir())


def _documents(holder_folder: Path) -> list[Path]:
    return [folder for folder in _folders(holder_folder) if folder.name.startswith("doc_")]


def _abandoned(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
                yield folder
