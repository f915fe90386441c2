"""The turn engine: a LangChain tool-calling agent whose every step becomes a typed event.

`AgentPolicy` wraps both the model's and the tools' calls of the agent, so limits, errors and events have one place, and the
order of events is the order of what happened. One compiled agent serves all turns with the same model and tools.
"""

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import orjson
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse, ToolCallRequest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.graph.state import CompiledStateGraph
from langsmith import set_runtime_overrides

from models.chat_stream import REASONING
from models.events import FinishReason, Reasoning, ToolCall, ToolCalled, ToolReturned, Usage
from models.prompts import NO_TOOLS
from models.tools import Tool
from services.citation_markers import Checked, MarkerFilter
from services.history import NUMBERS
from services.tool_runner import BROKEN, Ground, ToolRunner
from services.turn_state import TurnState, said
from utils.errors import UpstreamError, UpstreamTimeout
from utils.metrics import TOOL_CALLS
from utils.session_storage import SessionStorage

NESTING = 50  # levels of arguments; JSON can be read much deeper than it can be written
FINISH_REASONS: dict[str, FinishReason] = {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}
NO_ANSWER = {
    "en": "I could not finish this within the allowed number of steps.",
    "zh": "我未能在允许的步骤数内完成此任务。",
}


class AgentPolicy(AgentMiddleware[Any, TurnState, Any]):
    """Calls the model and the tools of one agent, within the limits of a turn."""

    def __init__(self, model: BaseChatModel, tools: Sequence[Tool], storage: SessionStorage, ground: Ground) -> None:
        super().__init__()
        self.tools = [_schema(tool) for tool in tools]  # the agent takes the tools of its middleware
        self.model = model.bind_tools(self.tools) if tools else model
        self.runner = ToolRunner(tools, storage, ground)

    async def awrap_model_call(
        self, request: ModelRequest[TurnState], handler: Callable[[ModelRequest[TurnState]], Awaitable[ModelResponse[Any]]]
    ) -> AIMessage:
        state = request.runtime.context
        settings = state.context.settings
        state.model_calls += 1
        last = state.model_calls >= settings.MAX_STEPS or state.started_calls >= settings.MAX_TOOL_CALLS
        message = await self._stream(_told_to_end(request.messages) if last else request.messages, state)
        calls = _calls_of(message)
        if calls and last:
            calls, state.finish_reason = [], "tool_limit"
            if not message.text:
                state.say(NO_ANSWER[state.context.language])
        for call in calls:
            state.emit(ToolCalled(call["id"], call["name"], call["args"]))
        text = "".join(state.partial)
        state.partial.clear()
        state.steps.append(said(text, calls))
        # DeepSeek wants its thoughts back when the results of its calls come
        thoughts = {name: value for name, value in message.additional_kwargs.items() if name == REASONING}
        return AIMessage(text, tool_calls=calls, additional_kwargs=thoughts)

    async def _stream(self, messages: Sequence[BaseMessage], state: TurnState) -> AIMessageChunk:
        chunks: list[AIMessageChunk] = []
        checking = MarkerFilter(state.passages) if state.may_cite else None
        async for chunk in self.model.astream(messages):
            if reasoning := chunk.additional_kwargs.get(REASONING):
                state.reasoning.append(reasoning)
                state.emit(Reasoning(reasoning))
            if text := chunk.text:
                state.say(*(checking.feed(text) if checking else Checked(text)))
            chunks.append(cast(AIMessageChunk, chunk))
        if checking:
            state.say(*checking.end())
        if not chunks:
            raise UpstreamError(upstream=state.model or "model")
        whole = chunks[0] + chunks[1:]
        if usage := whole.usage_metadata:
            state.usage = Usage(
                state.usage.input_tokens + usage["input_tokens"], state.usage.output_tokens + usage["output_tokens"]
            )
        state.model = whole.response_metadata.get("model_name", "") or state.model
        state.finish_reason = FINISH_REASONS.get(whole.response_metadata.get("finish_reason", ""), "stop")
        return whole

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Any]]
    ) -> ToolMessage:
        state = cast(TurnState, request.runtime.context)
        call = request.tool_call
        started = time.perf_counter()
        state.started_calls += 1
        status, text, numbers = await self.runner.run(call["name"], call["args"], state)
        ms = round((time.perf_counter() - started) * 1000)
        TOOL_CALLS.labels(call["name"] if call["name"] in self.runner.tools else "unknown", status).inc()
        call_id = call["id"] or ""
        state.tool_calls.append(ToolCall(call_id, call["name"], call["args"], status, text, ms))
        step = {"role": "tool", "tool_call_id": call_id, "name": call["name"], "content": text, "status": status}
        state.steps.append({**step, NUMBERS: numbers} if numbers else step)
        state.emit(ToolReturned(call_id, call["name"], status, text))
        return ToolMessage(text, tool_call_id=call_id, name=call["name"], status="success" if status == "ok" else "error")


def _told_to_end(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages with a system message that asks for an answer without further tools."""
    system, *rest = messages
    return [SystemMessage(f"{system.text}\n\n{NO_TOOLS}"), *rest] if isinstance(system, SystemMessage) else [*messages]


def _calls_of(message: AIMessageChunk) -> list[dict[str, Any]]:
    """The tool calls of a message. Arguments that are not a whole JSON object are marked, for the call to be refused.

    `message.tool_calls` would complete arguments that were cut off, and a tool would run with half of them.
    """
    calls = []
    for number, call in enumerate(message.tool_call_chunks):
        try:
            args = orjson.loads(call["args"] or "{}")
        except orjson.JSONDecodeError:
            args = None
        if not isinstance(args, dict) or not _is_flat(args, NESTING):
            args = {BROKEN: (call["args"] or "")[:200]}
        calls.append({"id": call["id"] or f"call_{number}", "name": call["name"] or "", "args": args})
    return calls


async def _at_once(
    _default: Callable[..., Any], context: contextvars.Context, function: Callable[..., Any], *args: Any, **options: Any
) -> Any:
    return context.run(function, *args, **options)


# An agent reports each call of a middleware to a tracer, by way of another thread, also where there is no tracer: two
# switches of threads for each call of the model. What it does there takes microseconds.
set_runtime_overrides(aio_to_thread=_at_once)


def _is_flat(value: Any, levels: int) -> bool:
    """Whether a JSON value is nested no deeper than so many levels."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_is_flat(one, levels - 1) for one in inner)


class TurnEngine:
    """Runs turns. Agents are compiled once for each model and set of tools."""

    def __init__(self, storage: SessionStorage, ground: Ground) -> None:
        self.storage, self.ground = storage, ground
        self._agents: dict[tuple[int, tuple[str, ...]], tuple[BaseChatModel, CompiledStateGraph[Any, Any, Any, Any]]] = {}

    def _agent(self, model: BaseChatModel, tools: Sequence[Tool]) -> CompiledStateGraph[Any, Any, Any, Any]:
        key = (id(model), tuple(tool.name for tool in tools))
        if key not in self._agents:
            if len(self._agents) >= 200:
                self._agents.clear()
            policy = AgentPolicy(model, tools, self.storage, self.ground)
            # the model is kept beside its agent: its id must not be given to another one while the agent lives
            self._agents[key] = model, create_agent(model, middleware=[policy], context_schema=TurnState)
        return self._agents[key][1]

    async def run(
        self, model: BaseChatModel, tools: Sequence[Tool], messages: Sequence[BaseMessage], state: TurnState
    ) -> None:
        """Answers the last of `messages`; `state` fills while events are emitted. Raises ChatError when the model fails."""
        settings = state.context.settings
        try:
            async with asyncio.timeout(settings.TURN_TIMEOUT_SECONDS):
                await self._agent(model, tools).ainvoke(
                    {"messages": list(messages)}, context=state, config={"recursion_limit": 2 * settings.MAX_STEPS + 2}
                )
        except TimeoutError as error:
            raise UpstreamTimeout(upstream=state.model or "model") from error


def _schema(tool: Tool) -> BaseTool:
    async def unreachable(**_: Any) -> str:
        raise AssertionError("AgentPolicy runs the tools")

    return StructuredTool.from_function(
        coroutine=unreachable, name=tool.name, description=tool.description, args_schema=tool.args, infer_schema=False
    )
