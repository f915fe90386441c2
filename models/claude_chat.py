"""ChatAnthropic with this house's errors, timeouts and names."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from itertools import count
from json import JSONDecodeError
from typing import Any, ClassVar

import anthropic
import httpx2
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from utils import http_client
from utils.errors import ChatError, UpstreamBadRequest, UpstreamTimeout

log = logging.getLogger(__name__)

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

VENDOR_ERRORS = (
    anthropic.AnthropicError,
    httpx2.HTTPError,
    JSONDecodeError,
)  # the SDK lets the last two through in a stream


class Claude(ChatAnthropic):
    """`finish_reason` is in the metadata, and thoughts are where OpenAIChat puts them.

    `more_options` are what it takes of OpenAI's options beside what every chat model takes.
    """

    connect_timeout: float = 10
    more_options: ClassVar[frozenset[str]] = frozenset({"tool_choice", "parallel_tool_calls"})

    @cached_property
    def _client_params(self) -> dict[str, Any]:
        timeout = anthropic.Timeout(self.default_request_timeout, connect=self.connect_timeout)
        return {**super()._client_params, "timeout": timeout}

    @cached_property
    def _client(self) -> anthropic.Client:
        return anthropic.Client(**self._client_params, http_client=anthropic.DefaultHttpxClient(trust_env=False))

    @cached_property
    def _async_client(self) -> anthropic.AsyncClient:
        return anthropic.AsyncClient(**self._client_params, http_client=anthropic.DefaultAsyncHttpxClient(trust_env=False))

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for retry in count():
            begun = ended = False
            try:
                async for chunk in super()._astream(*args, **kwargs):
                    begun = True
                    ended = _harmonised(chunk) or ended
                    yield chunk
                if ended:
                    return
                error: Exception = EOFError("an answer without an end")
            except VENDOR_ERRORS as caught:
                error = caught
            pause = None if begun else http_client.retry_pause(retry, *_status(error))
            if pause is None:
                raise self._ours(error) from None
            await asyncio.sleep(pause)

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        return generate_from_stream(iter([chunk async for chunk in self._astream(*args, **kwargs)]))

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        try:
            return super()._generate(*args, **kwargs)
        except VENDOR_ERRORS as error:
            raise self._ours(error) from None

    def _ours(self, error: Exception) -> ChatError:
        log.warning("%s failed: %s", self.model, http_client.for_log(repr(error), self.anthropic_api_key.get_secret_value()))
        if isinstance(error, anthropic.APITimeoutError | httpx2.TimeoutException):
            return UpstreamTimeout(upstream=self.model)
        status, headers = _status(error)
        if status in (400, 413, 422):
            return UpstreamBadRequest(upstream=self.model, status=status)
        return http_client.error_of(status, self.model, headers)


def _status(error: Exception) -> tuple[int, Mapping[str, str]]:
    """The HTTP status that an error amounts to (0: the server was not reached), and the headers of the answer."""
    if isinstance(error, anthropic.APIStatusError):
        details = error.body.get("error") if isinstance(error.body, dict) else None
        kind = details.get("type") if isinstance(details, dict) else None  # errors inside a stream have status 200
        return {"overloaded_error": 529, "rate_limit_error": 429}.get(str(kind), error.status_code), error.response.headers
    reached = not isinstance(error, anthropic.APIConnectionError) or isinstance(error, anthropic.APITimeoutError)
    return 500 if reached else 0, {}


def _harmonised(chunk: ChatGenerationChunk) -> bool:
    """Gives a chunk our names; whether it is the last one."""
    message = chunk.message
    if isinstance(message.content, list):
        thoughts = "".join(block.get("thinking", "") for block in message.content if isinstance(block, dict))
        if thoughts:
            message.additional_kwargs["reasoning_content"] = thoughts
    reason = message.response_metadata.get("stop_reason")
    if reason:
        message.response_metadata["finish_reason"] = FINISH_REASONS.get(reason, "stop")
    return bool(reason)
