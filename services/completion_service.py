"""Completions of a model itself: stateless, without our tools and prompts. They run on the worker's event loop."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_core.messages.ai import UsageMetadata, add_usage

from models.chat_stream import REASONING, REFUSAL
from models.completions import (
    COMMON_OPTIONS,
    UPSTREAM_OPTIONS,
    Completed,
    Completion,
    Delta,
    Piece,
    TokenCount,
    ToolDelta,
    check_options,
)
from models.events import Failed
from models.llm_factory import default_model_name
from models.openai_chat import OpenAIChat
from services.arrivals import Arrivals
from services.model_catalog import ModelCatalog
from utils.background import Background
from utils.errors import (
    ChatError,
    InvalidField,
    ModelNotFound,
    RequestRefused,
    StoreUnavailable,
    UpstreamBadRequest,
    UpstreamRejected,
    UpstreamTimeout,
)
from utils.metrics import TOKENS
from utils.settings import Settings

log = logging.getLogger(__name__)

Chunk = tuple[int, AIMessage, Mapping[str, Any]]  # index of the choice, what came, what is known of it


class CompletionLog(Arrivals[Piece]):
    """What comes of a completion; ends with Completed or Failed."""

    def __init__(self) -> None:
        super().__init__(lambda piece: isinstance(piece, Completed | Failed))

    def wait_for_model(self, seconds: float) -> None:
        """Waits for the first piece, at most so long. Raises the error of a completion that failed before it."""

        def first(piece: Piece) -> bool:
            if isinstance(piece, Failed):
                raise piece.error
            return True

        self.peek_until(first, seconds)

    def pieces(self) -> Iterator[Piece]:
        """All pieces as they come. Raises the error of a completion that fails."""
        for batch in self.batches():
            for piece in batch:
                if isinstance(piece, Failed):
                    raise piece.error
                yield piece


class CompletionService:
    """The completions of one web worker. `start` and `close` are called from views' threads."""

    def __init__(self, settings: Settings, catalog: ModelCatalog, background: Background) -> None:
        self.settings, self.catalog, self.background = settings, catalog, background
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, request: Completion) -> CompletionLog:
        """Starts a completion; it ends when its reader leaves. Raises ModelNotFound and OptionNotSupported."""
        model = self.catalog.chat_model(request.model)
        check_options(request.options, _taken(model), request.model)
        arriving = CompletionLog()
        arriving.leave = self.background.submit(self._run(model, request, arriving)).cancel
        return arriving

    def close(self) -> None:
        """Ends what runs; its readers are told."""
        self.background.run(self._shut_down(), timeout=5)

    async def _run(self, model: BaseChatModel, request: Completion, arriving: CompletionLog) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout(self.settings.TURN_TIMEOUT_SECONDS):
                async for piece in _pieces(model, request):
                    arriving.add(piece)
                    if isinstance(piece, Completed) and piece.usage:
                        self._count(request.model, piece.usage)
        except TimeoutError:
            arriving.add(Failed(UpstreamTimeout(upstream=request.model)))
        except ChatError as error:
            arriving.add(Failed(self._told(error, request.model)))
        except asyncio.CancelledError:  # the reader has left, or the worker shuts down
            arriving.add(Failed(StoreUnavailable(store="worker")))
        except Exception:  # the model's edge
            log.exception("A completion broke")
            arriving.add(Failed(ChatError()))

    def _count(self, name: str, usage: TokenCount) -> None:
        model, _ = self.catalog.endpoint(name)
        own = model or default_model_name(self.settings)
        label = own if name in self.catalog.chat_models else "other"  # a client may name anything
        TOKENS.labels(label, "input").inc(usage.prompt)
        TOKENS.labels(label, "output").inc(usage.completion)

    def _told(self, error: ChatError, name: str) -> ChatError:
        """The error as the client is told: what it asked for itself is its own fault."""
        match error:
            case UpstreamBadRequest():
                return RequestRefused(model=name, param=error.param, reason=error.reason)
            case UpstreamRejected() if error.params["status"] == 404 and name != default_model_name(self.settings):
                return ModelNotFound(model=name)
        return error

    async def _shut_down(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _taken(model: BaseChatModel) -> frozenset[str]:
    """The options that a model takes."""
    if isinstance(model, OpenAIChat):
        return UPSTREAM_OPTIONS
    taken: frozenset[str] = COMMON_OPTIONS | getattr(model, "more_options", frozenset())
    return taken - {"temperature"} if (model.profile or {}).get("temperature") is False else taken


async def _pieces(model: BaseChatModel, request: Completion) -> AsyncIterator[Piece]:
    chunks = _asked(model, request) if isinstance(model, OpenAIChat) else _asked_by_langchain(model, request)
    assembly = Assembly()
    async for chunk in chunks:
        if delta := assembly.delta(*chunk):
            yield delta
    if not assembly.ended:
        yield Delta(finish_reason="stop")
    yield assembly.completed


async def _asked(model: OpenAIChat, request: Completion) -> AsyncIterator[Chunk]:
    async for index, chunk in model.choices(request.messages, request.options):
        yield index, cast(AIMessage, chunk.message), chunk.generation_info or {}


async def _asked_by_langchain(model: BaseChatModel, request: Completion) -> AsyncIterator[Chunk]:
    """For models that do not speak OpenAI's API. They have one choice."""
    options = {name: value for name, value in request.options.items() if name in ("temperature", "top_p")}
    if limit := request.options.get("max_completion_tokens") or request.options.get("max_tokens"):
        options["max_tokens"] = limit
    if stop := request.options.get("stop"):
        options["stop"] = [stop] if isinstance(stop, str) else stop
    try:
        messages = _converted(request.messages)
        async for message in _with_tools(model, request.options).astream(messages, **options):
            yield 0, message, message.response_metadata
    except (ValueError, NotImplementedError) as error:
        log.warning("%s cannot be asked: %s", request.model, error)
        raise InvalidField.at("messages", "are not such as this model can be asked", "不是该模型能处理的内容") from None


def _converted(messages: Sequence[dict[str, Any]]) -> list[BaseMessage]:
    """Raises ValueError."""
    try:
        return convert_to_messages(list(messages))
    except (LookupError, TypeError) as error:
        raise ValueError(f"no message: {error!r}") from error


def _with_tools(model: BaseChatModel, options: Mapping[str, Any]) -> Any:
    """The model with the tools of the request, if it may use them."""
    tools, choice = options.get("tools"), options.get("tool_choice")
    if not tools:
        return model
    if "tool_choice" not in _taken(model):
        return model if choice == "none" else model.bind_tools(tools)
    match choice:
        case None | "auto":
            chosen: Any = None
        case "required":
            chosen = "any"
        case {"type": "function", "function": {"name": str(name)}}:
            chosen = name
        case "none":
            chosen = {"type": "none"}
        case _:
            raise ValueError(f"tool_choice {choice!r}")
    return model.bind_tools(tools, tool_choice=chosen, parallel_tool_calls=options.get("parallel_tool_calls"))


@dataclass(slots=True)
class Assembly:
    """Makes deltas of LangChain's messages, and counts what they cost."""

    usage: UsageMetadata | None = None
    fingerprint: str = ""
    ended: bool = False
    calls: dict[tuple[int, Any], int] = field(default_factory=dict)  # places of calls, by choice and the model's own index

    def delta(self, choice: int, message: AIMessage, info: Mapping[str, Any]) -> Delta | None:
        """None when nothing came that a reader would see."""
        if message.usage_metadata:
            self.usage = add_usage(self.usage, message.usage_metadata)
        self.fingerprint = info.get("system_fingerprint") or self.fingerprint
        refusal = message.additional_kwargs.get(REFUSAL, "")
        delta = Delta(
            choice=choice,
            content=message.text.removesuffix(refusal),
            reasoning=message.additional_kwargs.get(REASONING, ""),
            refusal=refusal,
            tool_calls=tuple(self._call(choice, chunk) for chunk in getattr(message, "tool_call_chunks", ())),
            logprobs=tuple((info.get("logprobs") or {}).get("content") or ()),
            finish_reason=info.get("finish_reason"),
        )
        self.ended = self.ended or delta.finish_reason is not None
        return delta if delta != Delta(choice) else None

    def _call(self, choice: int, chunk: Mapping[str, Any]) -> ToolDelta:
        place = self.calls.get((choice, chunk["index"]))
        if place is None:
            place = sum(1 for own, _ in self.calls if own == choice)
            self.calls[choice, chunk["index"]] = place
        return ToolDelta(place, chunk["args"] or "", chunk["id"] or "", chunk["name"] or "")

    @property
    def completed(self) -> Completed:
        if self.usage is None:
            return Completed(None, self.fingerprint)
        count = TokenCount(
            prompt=self.usage["input_tokens"],
            completion=self.usage["output_tokens"],
            cached=self.usage.get("input_token_details", {}).get("cache_read") or 0,
            reasoning=self.usage.get("output_token_details", {}).get("reasoning") or 0,
        )
        return Completed(count, self.fingerprint)
