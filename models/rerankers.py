"""Rerankers: models that read a question and a passage together, and say how well the one answers the other.

There are two wire formats: DashScope's, and `POST …/rerank`, which Jina, Cohere, SiliconFlow, vLLM, Xinference and llama.cpp
have in common: `{model, query, documents, top_n}` is answered by `{results: [{index, relevance_score}]}`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr

from models.embeddings import encodable
from utils import http_client
from utils.errors import ProviderNotConfigured, UpstreamBusy, UpstreamError, UpstreamTimeout
from utils.http_client import error_of, for_log
from utils.settings import Settings

log = logging.getLogger(__name__)

UPSTREAM = "reranker"
REST_SECONDS = 30.0  # after a timeout it is not asked: nobody shall wait in each search for a server that is away
PATHS = ("/rerank", "/reranks")  # the second is that of DashScope's compatible address

Ask = Callable[[str, list[str]], Awaitable[Any]]


class Judgement(NamedTuple):
    """How well the text at `place`, from 0, answers the question. The scale is the model's own; more is better."""

    place: int
    relevance: float


class Reranker:
    """Safe to use from several threads; blocks, and may not be used on an event loop.

    `ask` sends a question and texts and gives the results of the answer; `timeout` is that of the whole call, in seconds.
    """

    def __init__(self, name: str, ask: Ask, timeout: float, key: SecretStr) -> None:
        self.name = name
        self._ask, self._timeout, self._key = ask, timeout, key
        self._rests_until = 0.0

    def judge(self, question: str, texts: Sequence[str]) -> list[Judgement]:
        """What the model says, as it says it: texts may be missing or come twice, and numbers may make no sense.

        It is asked once. Raises a ChatError when there is no usable answer in time.
        """
        if time.monotonic() < self._rests_until:
            raise UpstreamTimeout(upstream=UPSTREAM)
        try:
            results = http_client.run(self._answer(encodable(question), [encodable(text) for text in texts]))
            return [Judgement(int(result["index"]), float(result["relevance_score"])) for result in results]
        except TimeoutError as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            raise UpstreamTimeout(upstream=UPSTREAM) from error
        except (aiohttp.ClientError, OSError, LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            # no connection, or an answer that is none
            log.warning("%s gave no usable answer: %s", self.name, for_log(repr(error), self._key.get_secret_value()))
            raise UpstreamError(upstream=UPSTREAM) from error

    async def _answer(self, question: str, texts: list[str]) -> Any:
        async with asyncio.timeout(self._timeout):
            return await self._ask(question, texts)


def reranker(settings: Settings) -> Reranker | None:
    """The reranker of these settings, None where none is set. Nobody is called before its first use.

    Raises ProviderNotConfigured when RERANK_MODEL is set, but neither an address nor DashScope's key.
    """
    model, url = settings.RERANK_MODEL, settings.RERANK_API_URL
    if not model:
        return None
    key = _key(settings)
    if url:
        ask = partial(_ask_common, model, url if url.endswith(PATHS) else url + PATHS[0], key)
    elif key.get_secret_value():
        ask = partial(_ask_dashscope, model, settings.DASHSCOPE_API_URL, key)
    else:
        raise ProviderNotConfigured(setting="RERANK_API_URL")
    return Reranker(model, ask, settings.RERANK_TIMEOUT_SECONDS, key)


def _key(settings: Settings) -> SecretStr:
    """Its own, or that of another model at the same address: no key goes to a host that it was not set for."""
    if settings.RERANK_API_KEY.get_secret_value():
        return settings.RERANK_API_KEY
    others = (
        (settings.DASHSCOPE_API_URL, settings.DASHSCOPE_API_KEY),
        (settings.LLM_API_URL, settings.LLM_API_KEY),
        (settings.EMBEDDING_API_URL, settings.EMBEDDING_API_KEY),
    )
    here = _origin(settings.RERANK_API_URL or settings.DASHSCOPE_API_URL)
    return next((key for url, key in others if _origin(url) == here and key.get_secret_value()), SecretStr(""))


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


async def _ask_common(model: str, url: str, key: SecretStr, question: str, texts: list[str]) -> Any:
    body = {"model": model, "query": question, "documents": texts, "top_n": len(texts)}
    secret = key.get_secret_value()
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    # a redirection is not followed: it could lead the passages to another host
    async with http_client.session().post(url, json=body, headers=headers, allow_redirects=False) as answer:
        if answer.status != HTTPStatus.OK:
            said = for_log(await answer.text(errors="replace"), secret)
            log.warning("%s answered %s: %s", model, answer.status, said)
            raise error_of(answer.status, upstream=UPSTREAM, headers=answer.headers)
        return (await answer.json(content_type=None))["results"]


async def _ask_dashscope(model: str, url: str, key: SecretStr, question: str, texts: list[str]) -> Any:
    from dashscope import AioTextReRank  # 0.4 s and 63 MB, for workers that rerank with it

    secret = key.get_secret_value()
    answer = await AioTextReRank.call(
        model=model,
        query=question,
        documents=texts,
        top_n=len(texts),
        return_documents=False,
        api_key=secret,
        base_address=f"{url}/api/v1",
        session=http_client.session(),
    )
    if answer.status_code != HTTPStatus.OK:
        log.warning("DashScope answered %s %s: %s", answer.status_code, answer.code, for_log(str(answer.message), secret))
        if str(answer.code).startswith("Throttling"):
            raise UpstreamBusy(upstream=UPSTREAM)
        raise error_of(answer.status_code, upstream=UPSTREAM, headers=answer.headers or {})
    return answer.output.results
