"""Any server that speaks OpenAI's chat completions: OpenAI itself, DashScope, DeepSeek, GLM, vLLM, gateways."""

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from models.openai_chat import OpenAIChat
from models.providers import ModelOptions
from utils.settings import Settings

NAME = "openai_compatible"
NEEDS = "LLM_API_KEY, LLM_API_URL / DASHSCOPE_API_KEY"
OPENAI_URL = "https://api.openai.com/v1"
OPENAI_MODEL = "gpt-5.4-mini"
DASHSCOPE_MODEL = "qwen-plus"


def configured(settings: Settings) -> bool:
    return _own(settings) or bool(settings.DASHSCOPE_API_KEY.get_secret_value())


def rank(settings: Settings) -> int:
    return 0 if _own(settings) else 3  # DashScope's key may be there for speech only


def default_model(settings: Settings) -> str:
    if _own(settings) or not configured(settings):
        return OPENAI_MODEL
    return DASHSCOPE_MODEL


def endpoint(settings: Settings) -> tuple[str, SecretStr]:
    """The base URL of the settings, and the key that belongs to it."""
    if _own(settings) or not configured(settings):
        return settings.LLM_API_URL or OPENAI_URL, settings.LLM_API_KEY
    return settings.dashscope_compatible_url, settings.DASHSCOPE_API_KEY


def build(settings: Settings, options: ModelOptions) -> BaseChatModel:
    url, key = options.endpoint(*endpoint(settings))
    return OpenAIChat.of(options.model or default_model(settings), url, key, options)


def _own(settings: Settings) -> bool:
    return bool(settings.LLM_API_KEY.get_secret_value() or settings.LLM_API_URL)
