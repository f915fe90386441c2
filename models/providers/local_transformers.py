"""A model in a folder of this machine, run by Hugging Face Transformers in each web worker. Nothing is ever downloaded."""

from langchain_core.language_models import BaseChatModel

from models.local_chat import LocalChat
from models.local_model import shared_model
from models.providers import ModelOptions
from utils.settings import Settings

NAME = "transformers"
NEEDS = "LOCAL_MODEL_PATH"


def configured(settings: Settings) -> bool:
    return bool(settings.LOCAL_MODEL_PATH.parts)


def rank(settings: Settings) -> int:
    return 4


def default_model(settings: Settings) -> str:
    return settings.LOCAL_MODEL_PATH.name


def build(settings: Settings, options: ModelOptions) -> BaseChatModel:
    """There is one model: it answers under whichever name it is asked for."""
    return LocalChat(
        local=shared_model(settings.LOCAL_MODEL_PATH, settings.LOCAL_MODEL_THREADS),
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        read_timeout=options.read_timeout,
    )
