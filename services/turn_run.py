"""One turn from question to answer: the session's lock and memory, the stored question, the engine, the stored answer."""

import asyncio
import contextvars
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from langchain_core.messages import BaseMessage, SystemMessage

from models import conversations
from models.conversations import OpenedTurn, ReadyDocument
from models.database import Database, Writer
from models.events import Answer, Ended, Event, Failed, SourcesFound, Started
from models.llm_factory import chat_model, default_model_name
from models.passages import Passage
from models.prompts import language_of, system_prompt
from models.tools import ToolContext
from models.turns import MessageStatus, SessionKey, Turn
from services.citations import sources_of
from services.history import estimate_tokens, fit, from_stored, to_messages, user_message
from services.tools import all_tools
from services.turn_engine import TurnEngine, TurnState
from utils.errors import ChatError, InvalidField, Language, StoreUnavailable
from utils.metrics import FIRST_TOKEN, TURNS
from utils.session_storage import MEMORY_TURNS, Lease, SessionStorage
from utils.settings import Settings

log = logging.getLogger(__name__)

HISTORY_SHARE = 0.6  # of the model's window; the rest is for the results of tools and for the answer
ANSWER_SHARE = 0.2
Result = TypeVar("Result")


class Searcher(Protocol):
    """What a turn needs of the retrieval; it blocks."""

    def search(
        self, query: str, documents: Sequence[ReadyDocument], k: int = ..., *, summaries: bool = ...
    ) -> list[Passage]: ...


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the turns of one worker share."""

    settings: Settings
    database: Database
    writer: Writer
    storage: SessionStorage
    retrieval: Searcher
    engine: TurnEngine
    threads: ThreadPoolExecutor
    running: dict[str, asyncio.Task[Any] | None] = field(default_factory=dict)  # by token; a task while the engine works
    stopping: set[str] = field(default_factory=set)  # tokens of turns that are to stop

    async def in_thread(self, function: Callable[..., Result], *args: Any) -> Result:
        """Runs what blocks, off the event loop."""
        context = contextvars.copy_context()  # the id of the request stands in the log of the thread too
        return await asyncio.get_running_loop().run_in_executor(self.threads, partial(context.run, function, *args))

    async def write(self, function: Callable[..., Result], *args: Any) -> Result:
        """Runs `function(connection, *args)` in a transaction, with other writes of this moment."""
        return await asyncio.wrap_future(self.writer.submit(lambda connection: function(connection, *args)))

    def stop(self, token: str) -> None:
        """Stops the turn that holds its lock by this token."""
        if token not in self.running:  # it has ended meanwhile
            return
        self.stopping.add(token)
        if task := self.running[token]:
            task.cancel()

    def tool_context(self, key: SessionKey, documents: Sequence[ReadyDocument], language: Language) -> ToolContext:
        """What tools may know in a session with these documents."""

        async def search(query: str) -> list[Passage]:
            return await self.in_thread(partial(self.retrieval.search, query, documents, summaries=True))

        return ToolContext(self.settings, key, len(documents), search, language)


class TurnRun:
    """One turn. `emit` is called with each event, on the event loop."""

    def __init__(self, workshop: Workshop, turn: Turn, emit: Callable[[Event], None]) -> None:
        self.shop, self.turn, self.emit = workshop, turn, emit
        self.settings = workshop.settings
        self.started = time.perf_counter()
        self.question = user_message(turn.message, turn.attachments)
        self.silent = True  # until the model's first event

    async def run(self) -> None:
        """Raises ChatError when the turn cannot begin, or its answer cannot be stored."""
        if estimate_tokens(self.turn.message) > self.settings.LLM_CONTEXT_TOKENS:
            raise InvalidField(errors=[{"field": "message", "message": "longer than the model's window"}])
        lease = await self.shop.storage.begin(str(self.turn.key))
        self.shop.running[lease.token] = None
        committed = False
        try:
            opened = await self._open()
            memory = await self._memory(lease, opened)
            state, messages = self._prepare(lease, opened, lease.turns if memory is None else memory)
            status, error = await self._answer(messages, state, lease.token)
            answer = self._result(opened, state)
            said = state.transcript()
            if not opened.conversation.temporary:
                await self._store(opened, status, said, answer)
            committed = await self._commit(lease, opened, memory, said)
        finally:
            del self.shop.running[lease.token]
            self.shop.stopping.discard(lease.token)
            if not committed:
                await self.shop.storage.release(lease)
        TURNS.labels(status).inc()
        self._finish(answer, error)

    async def _open(self) -> OpenedTurn:
        ids = (f"msg_{secrets.token_hex(12)}", f"msg_{secrets.token_hex(12)}")
        ttl = self.settings.MEMORY_TTL_SECONDS
        opened = await self.shop.write(conversations.open_turn, self.turn, ids, ttl)
        self.emit(Started(self.turn.key.session_id, opened.answer_id))
        return opened

    async def _memory(self, lease: Lease, opened: OpenedTurn) -> list[dict[str, Any]] | None:
        """The memory as SQL has it, where the one in Redis is lost or out of date; None where it is current."""
        if lease.seq == opened.previous_seq:
            return None
        stored = await self.shop.in_thread(
            conversations.history, self.shop.database, opened.conversation.id, opened.previous_seq, MEMORY_TURNS
        )
        return from_stored(stored, opened.previous_seq)

    def _own_prompt(self, lease: Lease, opened: OpenedTurn) -> str:
        if self.turn.system_prompt is not None:
            return self.turn.system_prompt
        return lease.system_prompt if opened.conversation.temporary else opened.conversation.system_prompt

    def _prepare(
        self, lease: Lease, opened: OpenedTurn, turns: Sequence[dict[str, Any]]
    ) -> tuple[TurnState, list[BaseMessage]]:
        """The messages for the model, as many as fit into its window, and the state in which the turn starts."""
        names = [document.filename for document in opened.documents]
        system = system_prompt(self._own_prompt(lease, opened), names, self.turn.context)
        fixed = estimate_tokens(system + self.question["content"])
        shown = fit(turns, int(self.settings.LLM_CONTEXT_TOKENS * HISTORY_SHARE) - fixed)
        used = fixed + sum(estimate_tokens(message["content"]) for turn in shown for message in turn["messages"])
        room = int(self.settings.LLM_CONTEXT_TOKENS * (1 - ANSWER_SHARE)) - used
        context = self.shop.tool_context(self.turn.key, opened.documents, language_of(self.turn.message))
        folder = self.settings.UPLOAD_DIR if self.settings.LLM_VISION else None
        messages = [SystemMessage(system, id="system"), *to_messages([*shown, {"messages": [self.question]}], folder)]
        return TurnState(context, self._emit_answer, room), messages

    def _emit_answer(self, event: Event) -> None:
        if self.silent:
            self.silent = False
            FIRST_TOKEN.observe(time.perf_counter() - self.started)
        self.emit(event)

    async def _answer(
        self, messages: Sequence[BaseMessage], state: TurnState, token: str
    ) -> tuple[MessageStatus, ChatError | None]:
        """Runs the engine; says how it ended."""
        task = asyncio.current_task()
        if task is None or token in self.shop.stopping:
            state.finish_reason = "stopped"
            return "stopped", None
        self.shop.running[token] = task
        try:
            await self._run_engine(messages, state)
        except asyncio.CancelledError:
            task.uncancel()
            if token not in self.shop.stopping:
                return "interrupted", StoreUnavailable(store="worker")
            state.finish_reason = "stopped"
            return "stopped", None
        except ChatError as error:
            return "failed", error
        except Exception:  # the engine's edge: the question is kept and the session goes on
            log.exception("The agent broke")
            return "failed", ChatError()
        finally:
            self.shop.running[token] = None
        return "complete", None

    async def _run_engine(self, messages: Sequence[BaseMessage], state: TurnState) -> None:
        turn = self.turn
        model = chat_model(self.settings, model=turn.model, temperature=turn.temperature, max_tokens=turn.max_tokens)
        state.model = turn.model or default_model_name(self.settings)
        tools = [tool for tool in all_tools() if tool.missing(state.context) is None]
        await self.shop.engine.run(model, tools, messages, state)

    def _result(self, opened: OpenedTurn, state: TurnState) -> Answer:
        return Answer(
            session_id=self.turn.key.session_id,
            message_id=opened.answer_id,
            response=state.response,
            model=state.model,
            finish_reason=state.finish_reason,
            reasoning="".join(state.reasoning),
            sources=sources_of(state.response, state.passages),
            tool_calls=tuple(state.tool_calls),
            usage=state.usage,
            extra=self.turn.extra,
        )

    async def _store(self, opened: OpenedTurn, status: MessageStatus, said: list[dict[str, Any]], answer: Answer) -> None:
        values = {
            "content": answer.response,
            "steps": said if len(said) > 1 else [],
            "reasoning": answer.reasoning,
            "sources": [asdict(source) for source in answer.sources],
            "tool_calls": [asdict(call) for call in answer.tool_calls],
            "model": answer.model,
            "finish_reason": answer.finish_reason,
            "input_tokens": answer.usage.input_tokens,
            "output_tokens": answer.usage.output_tokens,
        }
        await self.shop.write(conversations.close_turn, opened.answer_id, status, values)

    async def _commit(
        self, lease: Lease, opened: OpenedTurn, rebuilt: list[dict[str, Any]] | None, said: list[dict[str, Any]]
    ) -> bool:
        """Writes the memory and frees the lock; False when the lock may still be held."""
        turn = {"seq": opened.previous_seq + 2, "messages": [self.question, *said]}
        prompt = self._own_prompt(lease, opened) if opened.conversation.temporary else ""
        try:
            kept = await self.shop.storage.commit(lease, turn, rebuilt=rebuilt, system_prompt=prompt)
        except StoreUnavailable:  # SQL has the turn: the next one rebuilds the memory from there
            log.warning("The memory of %s could not be written", lease.key)
            return False
        if not kept:
            log.warning("The lock of %s was lost during its turn", lease.key)
        return True

    def _finish(self, answer: Answer, error: ChatError | None) -> None:
        if error is not None:
            self.emit(Failed(error))
            return
        if answer.sources:
            self.emit(SourcesFound(answer.sources))
        self.emit(Ended(answer))
