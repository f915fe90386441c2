"""A chat model for LangChain that runs in this process."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from models.chat_stream import REASONING
from models.local_model import LocalModel, Message, Prompt
from utils.errors import ChatError, ProviderNotConfigured, UpstreamBusy, UpstreamTimeout


class LocalChat(BaseChatModel):
    """Thoughts are in `additional_kwargs["reasoning_content"]`. A cancelled task ends the generation.

    Raises UpstreamBusy when the model is not free, or not loaded, within `read_timeout` seconds, UpstreamTimeout when a
    token takes as long, InvalidField when the messages are longer than its window, UpstreamError when it fails.
    """

    local: LocalModel
    temperature: float | None = None
    max_tokens: int | None = None
    read_timeout: float = 60

    @property
    def _llm_type(self) -> str:
        return "transformers"

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[list[AIMessageChunk] | None] = asyncio.Queue()
        leave = threading.Event()

        def send(chunks: list[AIMessageChunk] | None) -> None:
            with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                loop.call_soon_threadsafe(arrived.put_nowait, chunks)

        late: ChatError = UpstreamBusy(upstream=self.local.name)
        answer = self.local.start(self._prompt(messages, stop, kwargs), send, leave)
        answer.add_done_callback(lambda _: send(None))
        try:
            while True:
                async with asyncio.timeout(self.read_timeout):
                    chunks = await arrived.get()
                if chunks is None:
                    break
                late = UpstreamTimeout(upstream=self.local.name)
                for chunk in chunks:
                    yield ChatGenerationChunk(message=chunk)
            answer.result()
        except TimeoutError:
            raise late from None
        finally:
            leave.set()
            answer.cancel()

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(iter([chunk async for chunk in self._astream(messages, stop, **kwargs)]))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return asyncio.run(self._agenerate(messages, stop, **kwargs))

    def _prompt(self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]) -> Prompt:
        return Prompt(
            [_as_dict(message) for message in messages],
            tools=options.get("tools"),
            temperature=options.get("temperature", self.temperature),
            top_p=options.get("top_p"),
            max_tokens=options.get("max_tokens", self.max_tokens),
            stop=stop or (),
        )


def _as_dict(message: BaseMessage) -> Message:
    """A message as chat templates know it."""
    if isinstance(message.content, list) and any(_is_picture(part) for part in message.content):
        raise ProviderNotConfigured(setting="VISION_MODEL_API_URL")
    if isinstance(message, ToolMessage):
        return {"role": "tool", "content": message.text, "name": message.name, "tool_call_id": message.tool_call_id}
    if not isinstance(message, AIMessage):
        return {"role": "system" if isinstance(message, SystemMessage) else "user", "content": message.text}
    calls = [
        {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["args"]}}
        for call in message.tool_calls
    ]
    thoughts = message.additional_kwargs.get(REASONING)
    return {"role": "assistant", "content": message.text, "tool_calls": calls or None, REASONING: thoughts}


def _is_picture(part: str | dict[str, Any]) -> bool:
    return isinstance(part, dict) and part.get("type") in ("image_url", "image")
