"""What every turn has in common, with a session or without: the model is chosen, told what there is room for, and run."""

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from langchain_core.messages import BaseMessage, SystemMessage

from models.conversations import ReadyDocument
from models.database import Database, Writer
from models.embeddings import Vectors
from models.events import Answer, Event
from models.knowledge_bases import ReadyBase, Searched
from models.llm_factory import chat_model, default_model_name
from models.passages import Passage
from models.prompts import language_of, library_block, system_prompt
from models.tools import ToolContext
from models.turns import MessageStatus, SessionKey, Turn
from services.citations import sources_of
from services.history import estimate_tokens, fit, to_messages
from services.library import Library
from services.summaries import central_sentences
from services.tools import all_tools
from services.turn_engine import TurnEngine
from services.turn_state import TurnState
from utils.errors import ChatError, InvalidField, Language, StoreUnavailable
from utils.event_streams import EventStreams
from utils.metrics import FIRST_TOKEN, TOKENS
from utils.session_storage import SessionStorage
from utils.settings import Settings

log = logging.getLogger(__name__)

HISTORY_SHARE = 0.6  # of the model's window; the rest is for the results of tools and for the answer
ANSWER_SHARE = 0.2
Result = TypeVar("Result")


class Searcher(Protocol):
    """What a turn needs of the retrieval; it blocks."""

    def search(
        self,
        query: str,
        documents: Sequence[ReadyDocument],
        k: int = ...,
        *,
        bases: Sequence[ReadyBase] = ...,
        summaries: bool = ...,
    ) -> list[Passage]: ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the turns of one worker share."""

    settings: Settings
    database: Database
    writer: Writer
    storage: SessionStorage
    streams: EventStreams
    retrieval: Searcher
    engine: TurnEngine
    threads: ThreadPoolExecutor
    running: dict[str, asyncio.Task[Any] | None] = field(default_factory=dict)  # by token; a task while the engine works
    stopping: set[str] = field(default_factory=set)  # tokens of turns that are to stop
    later: set[asyncio.Task[None]] = field(default_factory=set)  # for which nobody waits

    async def in_thread(self, function: Callable[..., Result], *args: Any) -> Result:
        """Runs what blocks, off the event loop."""
        context = contextvars.copy_context()  # the id of the request stands in the log of the thread too
        return await asyncio.get_running_loop().run_in_executor(self.threads, partial(context.run, function, *args))

    async def write(self, function: Callable[..., Result], *args: Any) -> Result:
        """Runs `function(connection, *args)` in a transaction, with other writes of this moment."""
        return await asyncio.wrap_future(self.writer.submit(lambda connection: function(connection, *args)))

    def do_later(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs what nobody waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self.later.add(task)
        task.add_done_callback(self.later.discard)

    def stop(self, token: str) -> None:
        """Stops the turn that runs under this token: that of its lock, or its message id if it has no session."""
        if token not in self.running:  # it has ended meanwhile
            return
        self.stopping.add(token)
        if task := self.running[token]:
            task.cancel()

    def tool_context(
        self,
        key: SessionKey,
        documents: Sequence[ReadyDocument],
        bases: Sequence[ReadyBase],
        language: Language,
        room: Callable[[], int] | None = None,
    ) -> ToolContext:
        """What tools may know and do in a session with these documents and bases; `room` is that for a result."""

        async def search(query: str, chosen: Sequence[ReadyDocument] | None = None, k: int = 8) -> list[Passage]:
            if chosen is not None:
                return await self.in_thread(self.retrieval.search, query, chosen, k)
            return await self.in_thread(partial(self.retrieval.search, query, documents, k, bases=bases, summaries=True))

        async def condense(texts: Sequence[str], chars: int) -> list[str]:
            def work() -> list[str]:
                return [central_sentences(text, self.retrieval.embed, chars) for text in texts]

            return await self.in_thread(work)

        library = Library(self.database, self.settings.UPLOAD_DIR)
        return ToolContext(
            settings=self.settings,
            key=key,
            documents=documents,
            bases=bases,
            language=language,
            search=search,
            catalog=partial(self.in_thread, library.catalog, documents, bases),
            read=partial(self.in_thread, library.read),
            describe=partial(self.in_thread, library.describe),
            condense=condense,
            room=room or (lambda: self.settings.TOOL_RESULT_CHARS),
        )


class Generation:
    """The answer to one question in the making. `emit` is called with each event of the model and the tools."""

    def __init__(self, shop: Workshop, turn: Turn, emit: Callable[[Event], None]) -> None:
        self.shop, self.turn, self.emit = shop, turn, emit
        self.started = time.perf_counter()
        self.silent = True  # until the model's first event
        if estimate_tokens(turn.message) > shop.settings.LLM_CONTEXT_TOKENS:
            raise InvalidField.at("message", "longer than the model's window", "超过模型的上下文窗口")

    def prepare(
        self,
        own_prompt: str,
        turns: Sequence[dict[str, Any]],
        question: dict[str, Any],
        searched: Searched = Searched(),  # noqa: B008 (it cannot be changed)
    ) -> None:
        """Gathers the messages for the model, as many as fit into its window."""
        settings, (documents, bases, unready) = self.shop.settings, searched
        names = [document.filename for document in documents]
        language = language_of(question["content"], names)
        library = library_block(names, bases, language, unready)
        system = system_prompt(own_prompt, library, self.turn.context)
        fixed = estimate_tokens(system + question["content"])
        shown = fit(turns, int(settings.LLM_CONTEXT_TOKENS * HISTORY_SHARE) - fixed)
        used = fixed + sum(estimate_tokens(message["content"]) for turn in shown for message in turn["messages"])
        room = int(settings.LLM_CONTEXT_TOKENS * (1 - ANSWER_SHARE)) - used
        context = self.shop.tool_context(self.turn.key, documents, bases, language, self._result_chars)
        folder = settings.UPLOAD_DIR if settings.LLM_VISION else None
        self.messages = [SystemMessage(system, id="system"), *to_messages([*shown, {"messages": [question]}], folder)]
        self.state = TurnState(context, self._emit, room)

    def _result_chars(self) -> int:
        """What a tool's result may have now, by its own limit and by what is left of the model's window."""
        return min(self.shop.settings.TOOL_RESULT_CHARS, max(self.state.room, 200))

    async def run(self, token: str) -> tuple[MessageStatus, ChatError | None]:
        """Runs the engine until it ends or `Workshop.stop(token)` is called; says how it ended."""
        task, state = asyncio.current_task(), self.state
        if task is None or token in self.shop.stopping:
            state.finish_reason = "stopped"
            return "stopped", None
        self.shop.running[token] = task
        try:
            await self._run_engine(self.messages, state)
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
            self._count_tokens()
        return "complete", None

    async def _run_engine(self, messages: Sequence[BaseMessage], state: TurnState) -> None:
        turn, settings = self.turn, self.shop.settings
        model = chat_model(
            settings, model=turn.model, temperature=turn.temperature, max_tokens=turn.max_tokens, endpoint=turn.endpoint
        )
        state.model = turn.model or default_model_name(settings, turn.endpoint)
        tools = [tool for tool in all_tools() if tool.missing(state.context) is None]
        await self.shop.engine.run(model, tools, messages, state)

    def _count_tokens(self) -> None:
        settings, model, usage = self.shop.settings, self.state.model, self.state.usage
        configured = {default_model_name(settings), *(preset.model for preset in settings.MODEL_PRESETS)}
        label = model if model in configured else "other"  # a request may name any
        TOKENS.labels(label, "input").inc(usage.input_tokens)
        TOKENS.labels(label, "output").inc(usage.output_tokens)

    def _emit(self, event: Event) -> None:
        if self.silent:
            self.silent = False
            FIRST_TOKEN.observe(time.perf_counter() - self.started)
        self.emit(event)

    async def answer(self) -> Answer:
        """What has come of it."""
        state = self.state
        # finding quotes takes milliseconds each, which the other turns of the loop would wait for
        cited = (state.response, state.citations, state.passages, self.turn.message)
        sources = await self.shop.in_thread(sources_of, *cited) if state.passages else ()
        return Answer(
            session_id=self.turn.key.session_id,
            message_id=self.turn.message_ids[1],
            response=state.response,
            model=state.model,
            finish_reason=state.finish_reason,
            reasoning="".join(state.reasoning),
            sources=sources,
            tool_calls=tuple(state.tool_calls),
            usage=state.usage,
            extra=self.turn.extra,
        )
