"""What views may do with turns. The turns themselves run on the worker's event loop, whether or not anybody reads them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

from models import conversations, knowledge_bases
from models.database import Database, Writer, now
from models.events import Event
from models.passages import Passage
from models.tools import Tool
from models.turns import SessionKey, Turn
from services import interrupted_turns
from services.generation import Searcher, Workshop
from services.grounding import grounded
from services.outlet import Outlet
from services.seizure import seize
from services.tools import all_tools
from services.turn_engine import TurnEngine
from services.turn_log import TurnLog
from services.turn_run import StatelessRun, TurnRun
from services.turn_watch import TurnWatch
from utils.background import Background
from utils.errors import ChatError, Language, StoreUnavailable
from utils.event_streams import EventStreams
from utils.metrics import TURNS
from utils.session_storage import Lease, SessionStorage, translated
from utils.settings import Settings

log = logging.getLogger(__name__)

Prepare = Callable[[Turn, Callable[[Event], None]], Awaitable[Turn]]


class ChatService:
    """The turns of one web worker. Its methods block and are called from views' threads.

    `watch` reads turns that run, or ran, in whichever worker.
    """

    def __init__(
        self, settings: Settings, database: Database, storage: SessionStorage, background: Background, retrieval: Searcher
    ) -> None:
        self.settings, self.background = settings, background
        threads = ThreadPoolExecutor(16, thread_name_prefix="blocking")
        streams = EventStreams(storage.redis, storage.worker_id, settings.MEMORY_TTL_SECONDS)
        engine = TurnEngine(storage, self._ground)
        self.shop = Workshop(settings, database, Writer(database), storage, streams, retrieval, engine, threads)
        self.watch = TurnWatch(storage, streams, background, settings.STREAMS_PER_USER)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._serving = [
            background.serve(storage.serve(self.shop.stop)),
            background.serve(streams.serve()),
            background.serve(interrupted_turns.serve(self.shop)),
        ]

    def start(self, turn: Turn, prepare: Prepare | None = None) -> TurnLog:
        """Starts a turn; `prepare` completes it first: reads its picture, waits for its document.

        A stateless turn ends when its reader leaves.
        """
        message_id = turn.message_ids[1]
        events = TurnLog(message_id)
        if turn.history is not None:  # its reader may leave at any moment from now on
            self.shop.running[message_id] = None
            events.leave = partial(self.background.loop.call_soon_threadsafe, self.shop.stop, message_id)
        self.background.submit(self._run(turn, prepare, Outlet(events, turn, self.shop.streams)))
        return events

    def start_for_reader(self, turn: Turn) -> None:
        """Starts a turn whose events another request will read: it is kept for a reader who comes within a minute."""
        with translated():
            self.background.run(self.shop.streams.expect_reader(str(turn.key), turn.message_ids[1]), timeout=10)
        self.start(turn)

    def switch_branch(self, key: SessionKey, message_id: str) -> None:
        """Shows the branch that holds a message; the next turn goes on from there. Raises NotFound."""
        self.background.run(self._switch_branch(key, message_id))

    def stop(self, key: SessionKey) -> bool:
        """Stops the turn that runs in a session, in whichever worker; False when none runs."""
        return self.background.run(self.shop.storage.request_stop(str(key)))

    def clear(self, key: SessionKey) -> dict[str, Any]:
        """Stops a running turn, empties the memory and hides the messages. Raises NotFound."""
        return self.background.run(self._clear(key))

    def restore(self, key: SessionKey) -> dict[str, Any]:
        """Undoes the last clear, while it can be undone. Raises NotFound."""
        return self.background.run(self._restore(key))

    def tools(self, owner: str, session_id: str | None, language: Language) -> list[tuple[Tool, str | None]]:
        """All tools, each with the reason why a session's agent is not offered it, None when it is. Raises NotFound.

        Without a session, as it is for one that begins.
        """
        key = SessionKey(owner, session_id or "")
        documents, bases = knowledge_bases.searched(self.shop.database, key) if session_id else ((), ())
        context = self.shop.tool_context(key, documents, bases, language)
        return [(tool, tool.missing(context)) for tool in all_tools()]

    def finish(self, seconds: float) -> None:
        """Lets turns that run come to their end, whoever reads them, for at most so long."""
        with contextlib.suppress(TimeoutError):
            self.background.run(self._finish(), timeout=seconds)

    async def _finish(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    def close(self) -> None:
        """Ends what runs: each answer is marked interrupted and its readers are told."""
        self.background.run(self._shut_down(), timeout=20)
        self.shop.writer.close()
        self.shop.threads.shutdown(wait=False)

    async def _ground(self, passages: Sequence[Passage]) -> list[Passage | None]:
        return await self.shop.in_thread(grounded, self.shop.database, self.settings.UPLOAD_DIR, passages)

    async def _run(self, turn: Turn, prepare: Prepare | None, outlet: Outlet) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            if prepare is not None:
                outlet.start()
                turn = await prepare(turn, outlet.emit)
            run = TurnRun if turn.history is None else StatelessRun
            await run(self.shop, turn, outlet).run()
        except ChatError as error:
            TURNS.labels(error.code).inc()
            outlet.fail(error)
        except asyncio.CancelledError:  # the worker shuts down before the turn could begin
            outlet.fail(StoreUnavailable(store="worker"))
        except Exception:  # the engine's edge
            log.exception("A turn broke")
            outlet.fail(ChatError())
        finally:
            self.shop.running.pop(turn.message_ids[1], None)
            self.shop.stopping.discard(turn.message_ids[1])

    async def _clear(self, key: SessionKey) -> dict[str, Any]:
        shop = self.shop
        await shop.in_thread(conversations.find, shop.database, key)
        async with self._held(seize(shop.storage, str(key))) as lease:
            conversation, cleared, at = await shop.in_thread(conversations.clear, shop.database, key)
            if conversation.temporary:
                cleared = sum(m["role"] in ("user", "assistant") for turn in lease.turns for m in turn["messages"])
            await shop.storage.forget(str(key), keep_prompt=conversation.temporary)
        until = at + timedelta(seconds=self.settings.CLEAR_RETENTION_SECONDS)
        return {
            "session_id": key.session_id,
            "cleared_messages": cleared,
            "restorable_until": None if conversation.temporary or not cleared else until.isoformat(),
        }

    async def _restore(self, key: SessionKey) -> dict[str, Any]:
        shop = self.shop
        await shop.in_thread(conversations.find, shop.database, key)
        oldest = now() - timedelta(seconds=self.settings.CLEAR_RETENTION_SECONDS)
        async with self._held(shop.storage.begin(str(key))):
            restored = await shop.in_thread(conversations.restore, shop.database, key, oldest)
            if restored:
                await shop.storage.forget(str(key))
        return {"session_id": key.session_id, "restored_messages": restored}

    async def _switch_branch(self, key: SessionKey, message_id: str) -> None:
        shop = self.shop
        await shop.in_thread(conversations.find, shop.database, key)
        async with self._held(shop.storage.begin(str(key))):
            await shop.in_thread(conversations.switch_branch, shop.database, key, message_id)

    @contextlib.asynccontextmanager
    async def _held(self, taking: Awaitable[Lease]) -> AsyncIterator[Lease]:
        """A session's lock, once it is taken."""
        lease = await taking
        try:
            yield lease
        finally:
            await self.shop.storage.release(lease)

    async def _shut_down(self) -> None:
        tasks = [*self._tasks, *self.shop.later]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.shop.streams.close()
        self.watch.end()
        for serving in self._serving:
            serving.cancel()
        await self.shop.storage.close()
