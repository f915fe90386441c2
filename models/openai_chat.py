"""A chat model for every server that speaks OpenAI's chat completions.

LangChain's ChatOpenAI makes the request; the answer is read here, straight from the socket: all that has arrived becomes one
chunk, so that under load chunks grow larger instead of later.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
from aiohttp import ClientConnectionError, ClientError, ClientPayloadError, ClientResponse, ClientTimeout
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import PrivateAttr, SecretStr

from models.chat_stream import REASONING, AnswerReader
from models.completions import LIMITS
from models.openai_messages import named_faults, plain_message
from models.providers import ModelOptions
from utils import http_client
from utils.errors import ChatError, UpstreamBadRequest, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from utils.settings import Settings

log = logging.getLogger(__name__)

NO_KEY = SecretStr("none")  # langchain-openai insists on one, and would take another from the environment
DRAIN_SECONDS = 0.1  # what a server may take to end its answer after [DONE], so that the connection can be used again
SAFE_NAME = re.compile(r"[\w.:-]{1,60}(/[\w.:-]{1,60})?")

MAX_ANSWER_BYTES = 64_000_000  # of one stream: a server that a user chose must not fill our memory
NO_CLIENT = object()  # in the place of the SDK's, which would take 35 ms and 1.6 MB for each URL and never be used
MAX_KNOWN_URLS = 1_000

_sends_usage: dict[str, bool] = {}  # of URLs that have answered: whether they take `stream_options`


class OpenAIChat(ChatOpenAI):
    """ChatOpenAI with its own transport. Thoughts are in `additional_kwargs["reasoning_content"]`.

    Raises UpstreamError, UpstreamBusy or UpstreamTimeout. A cancelled task closes the connection to the server at once.
    `connect_timeout` and `read_timeout` (for the first and for each next token) are in seconds.
    """

    connect_timeout: float = 10
    read_timeout: float = 60
    _guard: Settings | None = PrivateAttr(None)

    @classmethod
    def of(cls, model: str, url: str, key: SecretStr, options: ModelOptions) -> Self:
        """A model at the base URL `url`, which gets `key` unless that is empty."""
        made = cls(
            model=model,
            base_url=url,
            api_key=key if key.get_secret_value() else NO_KEY,
            temperature=options.temperature,
            max_completion_tokens=options.max_tokens,
            connect_timeout=options.connect_timeout,
            read_timeout=options.read_timeout,
            use_responses_api=False,
            max_retries=0,
            client=NO_CLIENT,
            async_client=NO_CLIENT,
        )
        made._guard = options.guard
        return made

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for index, chunk in self._answers(self._stream_body(messages, stop, **kwargs)):
            if index == 0:  # LangChain's streams know one choice only
                yield chunk

    async def choices(
        self, messages: Sequence[dict[str, Any]], options: Mapping[str, Any]
    ) -> AsyncIterator[tuple[int, ChatGenerationChunk]]:
        """All choices of an answer, in pieces, each with the index of its choice; the last one of each has a finish reason.

        Messages and options are sent as they are, by the names of OpenAI's API. An answer may be empty.
        """
        body = self._stream_body([], None)
        if options.keys() & LIMITS:
            for name in LIMITS:
                body.pop(name, None)
        async for piece in self._answers({**body, **options, "messages": messages}, may_be_empty=True):
            yield piece

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        choices: dict[int, list[ChatGenerationChunk]] = {}
        async for index, chunk in self._answers(self._stream_body(messages, stop, **kwargs)):
            choices.setdefault(index, []).append(chunk)
        whole = [generate_from_stream(iter(chunks)) for _, chunks in sorted(choices.items())]
        return ChatResult(generations=[result.generations[0] for result in whole])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return http_client.run(self._agenerate(messages, stop, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        async def collected() -> list[ChatGenerationChunk]:
            return [chunk async for chunk in self._astream(messages, stop, **kwargs)]

        yield from http_client.run(collected())

    @contextmanager
    def _closing(self, response: ClientResponse) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise UpstreamTimeout(upstream=self._name) from None
        except (ClientError, OSError) as error:
            log.warning("%s broke off: %r", self._name, error)
            raise UpstreamError(upstream=self._name) from None
        finally:
            response.release()  # closes the connection when the answer has not been read to its end

    async def _answers(
        self, body: dict[str, Any], *, may_be_empty: bool = False
    ) -> AsyncIterator[tuple[int, ChatGenerationChunk]]:
        response = await self._open(body)
        with self._closing(response):
            async for piece in self._read(response, may_be_empty):
                yield piece

    async def _read(self, response: ClientResponse, may_be_empty: bool) -> AsyncIterator[tuple[int, ChatGenerationChunk]]:
        reader = AnswerReader(self._name, self._key)
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.read_timeout
        while data := await response.content.readany():
            reader.feed(data)
            if response.content.total_bytes > MAX_ANSWER_BYTES:
                raise ClientPayloadError("an answer without an end")
            if reader.done:
                break
            pieces = reader.take()
            for piece in pieces:
                yield piece
            if pieces:
                deadline = clock() + self.read_timeout
            elif clock() > deadline:  # heartbeats alone are no answer
                raise TimeoutError
        for piece in reader.last(may_be_empty=may_be_empty):
            yield piece
        with suppress(TimeoutError, ClientError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while not response.content.at_eof():
                    await response.content.readany()

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """LangChain's request, with what servers want otherwise."""
        messages = self._convert_input(input_).to_messages()
        plain = [plain_message(message) for message in messages]
        rest = [message for message, sent in zip(messages, plain, strict=True) if sent is None]
        payload: dict[str, Any] = super()._get_request_payload(rest, stop=stop, **kwargs)
        payload |= payload.pop("extra_body", None) or {}
        converted = iter(payload["messages"])
        payload["messages"] = [next(converted) if sent is None else sent for sent in plain]
        for message, sent in zip(messages, payload["messages"], strict=True):
            if isinstance(message, AIMessage) and (thoughts := message.additional_kwargs.get(REASONING)):
                sent[REASONING] = thoughts  # DeepSeek refuses the results of tools without the thoughts that led to the call
        if not self._is_openai:
            if "max_completion_tokens" in payload:  # a name that only OpenAI itself insists on
                payload["max_tokens"] = payload.pop("max_completion_tokens")
            return payload
        profile = self.profile or {}
        if profile.get("temperature") is False:
            payload.pop("temperature", None)
        if payload.get("tools") and "none" in (profile.get("reasoning_effort_levels") or ()):
            payload.setdefault("reasoning_effort", "none")  # these refuse tools here while they think
        return payload

    def _stream_body(self, messages: list[BaseMessage], stop: list[str] | None, **kwargs: Any) -> dict[str, Any]:
        kwargs |= {"stream": True}
        if _sends_usage.get(self._url, True):
            kwargs.setdefault("stream_options", {"include_usage": True})
        return self._get_request_payload(messages, stop=stop, **kwargs)

    async def _open(self, body: dict[str, Any]) -> ClientResponse:
        """Sends the request; again, at most twice, where nothing of an answer has come and it may help."""
        retry = 0
        while isinstance(answer := await self._attempt(body, retry), Refusal):
            if answer.pause is None:
                raise answer.error
            await asyncio.sleep(answer.pause)
            retry += 1
        return answer

    async def _attempt(self, body: dict[str, Any], retry: int) -> "ClientResponse | Refusal":
        try:
            response = await self._post(body)
        except TimeoutError:
            return Refusal(UpstreamTimeout(upstream=self._name), None)
        except (ClientError, OSError) as error:
            log.warning("%s cannot be reached: %r", self._name, error)
            status = 0 if isinstance(error, ClientConnectionError) else 500
            return Refusal(UpstreamUnreachable(upstream=self._name), http_client.retry_pause(retry, status, {}))
        if response.status < 300:
            if body.get("stream"):
                if len(_sends_usage) > MAX_KNOWN_URLS:
                    _sends_usage.clear()
                _sends_usage.setdefault(self._url, "stream_options" in body)
            return response
        status, headers = response.status, response.headers
        beginning = await self._beginning(response)
        log.warning("%s answered %s: %s", self._name, status, http_client.for_log(beginning, self._key))
        if status in (400, 422) and "stream_options" in body and self._url not in _sends_usage:
            del body["stream_options"]  # a server that may not know this field
            return await self._attempt(body, retry)
        if status in (400, 413, 422):
            return Refusal(UpstreamBadRequest(upstream=self._name, status=status, **named_faults(beginning)), None)
        return Refusal(http_client.error_of(status, self._name, headers), http_client.retry_pause(retry, status, headers))

    async def _post(self, body: dict[str, Any]) -> ClientResponse:
        try:
            data = orjson.dumps(body)
        except TypeError:  # half a surrogate pair in a text: Python can hold it, UTF-8 cannot
            data = json.dumps(body, ensure_ascii=False).encode(errors="replace")
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        timeout = ClientTimeout(connect=self.connect_timeout, sock_read=self.read_timeout)
        post = http_client.session(self._guard).post
        return await post(self._url, data=data, headers=headers, timeout=timeout, allow_redirects=False)

    async def _beginning(self, response: ClientResponse) -> str:
        """The start of an error's body; the connection is given up."""
        body = b""
        with suppress(TimeoutError, ClientError, OSError):
            async with asyncio.timeout(1):
                body = await response.content.read(4 * http_client.LOGGED_CHARS)
        response.close()
        return body.decode(errors="replace")

    @property
    def _url(self) -> str:
        return f"{self.openai_api_base}/chat/completions"

    @property
    def _key(self) -> str:
        key = self.openai_api_key
        return key.get_secret_value() if isinstance(key, SecretStr) and key != NO_KEY else ""

    @property
    def _name(self) -> str:
        """How an error names the model to a client: by its name, unless that may be a path."""
        return self.model_name if SAFE_NAME.fullmatch(self.model_name) else "LLM"

    @property
    def _is_openai(self) -> bool:
        host = urlsplit(self.openai_api_base or "").hostname or ""
        return host == "api.openai.com" or host.endswith(".openai.azure.com")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no answer, and after how many seconds it may be asked for again; None: never."""

    error: ChatError
    pause: float | None
