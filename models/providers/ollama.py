"""A local server such as Ollama or vLLM, by its OpenAI-compatible address. It gets no key."""

from typing import Any

from aiohttp import ClientError, ClientResponse, ClientTimeout
from langchain_core.language_models import BaseChatModel

from models.openai_chat import OpenAIChat
from models.providers import ModelOptions
from utils import http_client
from utils.errors import UpstreamError, UpstreamTimeout
from utils.settings import NO_KEY, Settings

NAME = "ollama"
NEEDS = "LOCAL_LLM_URL"
FIRST_LISTED = "local"  # as a model's name: whichever the server lists first


def configured(settings: Settings) -> bool:
    return bool(settings.LOCAL_LLM_URL)


def rank(settings: Settings) -> int:
    return 2


def default_model(settings: Settings) -> str:
    return FIRST_LISTED


class LocalChat(OpenAIChat):
    """Asks the server for the name of its model where none is set, at the first use."""

    async def _open(self, body: dict[str, Any]) -> ClientResponse:
        if self.model_name == FIRST_LISTED:
            self.model_name = await self._first_listed()
        return await super()._open({**body, "model": self.model_name})

    async def _first_listed(self) -> str:
        timeout = ClientTimeout(connect=self.connect_timeout, total=self.read_timeout)
        try:
            async with http_client.session().get(f"{self.openai_api_base}/models", timeout=timeout) as response:
                models = await response.json(content_type=None)
            return str(models["data"][0]["id"])
        except TimeoutError:
            raise UpstreamTimeout(upstream=NAME) from None
        except (ClientError, OSError, ValueError, LookupError, TypeError):
            raise UpstreamError(upstream=NAME) from None


def build(settings: Settings, options: ModelOptions) -> BaseChatModel:
    url, key = options.endpoint(settings.LOCAL_LLM_URL, NO_KEY)
    return LocalChat.of(options.model or default_model(settings), url.removesuffix("/v1") + "/v1", key, options)
