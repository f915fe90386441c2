"""What views may do with turns. The turns themselves run on the worker's event loop, whether or not anybody reads them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from models import conversations
from models.database import Database, Writer, now
from models.events import Event, Failed
from models.tools import Tool
from models.turns import SessionKey, Turn
from services.tools import all_tools
from services.turn_engine import TurnEngine
from services.turn_log import TurnLog
from services.turn_run import Searcher, TurnRun, Workshop
from utils.background import Background
from utils.errors import ChatError, Language, StoreUnavailable
from utils.metrics import TURNS
from utils.session_storage import SessionStorage
from utils.settings import Settings

log = logging.getLogger(__name__)

Prepare = Callable[[Turn, Callable[[Event], None]], Awaitable[Turn]]


class ChatService:
    """The turns of one web worker. Its methods block and are called from views' threads."""

    def __init__(
        self, settings: Settings, database: Database, storage: SessionStorage, background: Background, retrieval: Searcher
    ) -> None:
        self.settings, self.background = settings, background
        threads = ThreadPoolExecutor(16, thread_name_prefix="blocking")
        self.shop = Workshop(settings, database, Writer(database), storage, retrieval, TurnEngine(storage), threads)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._serving = background.submit(storage.serve(self.shop.stop))

    def start(self, turn: Turn, prepare: Prepare | None = None) -> TurnLog:
        """Starts a turn; `prepare` completes it first: reads its picture, waits for its document."""
        events = TurnLog()
        self.background.submit(self._run(turn, prepare, events))
        return events

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
        documents = conversations.ready_documents(self.shop.database, key) if session_id else ()
        context = self.shop.tool_context(key, documents, language)
        return [(tool, tool.missing(context)) for tool in all_tools()]

    def close(self) -> None:
        """Ends what runs: each answer is marked interrupted and its readers are told."""
        self.background.run(self._shut_down(), timeout=20)
        self.shop.writer.close()
        self.shop.threads.shutdown(wait=False)

    async def _run(self, turn: Turn, prepare: Prepare | None, events: TurnLog) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            if prepare is not None:
                turn = await prepare(turn, events.append)
            await TurnRun(self.shop, turn, events.append).run()
        except ChatError as error:
            TURNS.labels(error.code).inc()
            events.append(Failed(error))
        except asyncio.CancelledError:  # the worker shuts down before the turn could begin
            events.append(Failed(StoreUnavailable(store="worker")))
        except Exception:  # the engine's edge
            log.exception("A turn broke")
            events.append(Failed(ChatError()))

    async def _clear(self, key: SessionKey) -> dict[str, Any]:
        shop = self.shop
        await shop.in_thread(conversations.find, shop.database, key)
        await shop.storage.request_stop(str(key))
        lease = await shop.storage.begin(str(key))
        try:
            conversation, cleared, at = await shop.in_thread(conversations.clear, shop.database, key)
            if conversation.temporary:
                cleared = sum(m["role"] in ("user", "assistant") for turn in lease.turns for m in turn["messages"])
            await shop.storage.forget(str(key), keep_prompt=conversation.temporary)
        finally:
            await shop.storage.release(lease)
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
        lease = await shop.storage.begin(str(key))
        try:
            restored = await shop.in_thread(conversations.restore, shop.database, key, oldest)
            if restored:
                await shop.storage.forget(str(key))
        finally:
            await shop.storage.release(lease)
        return {"session_id": key.session_id, "restored_messages": restored}

    async def _shut_down(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._serving.cancel()
        await self.shop.storage.close()
