"""Claude, by Anthropic's own API."""

from langchain_core.language_models import BaseChatModel

from models.providers import ModelOptions
from utils.settings import Settings

NAME = "anthropic"
NEEDS = "ANTHROPIC_API_KEY"
URL = "https://api.anthropic.com"
MODEL = "claude-haiku-5-5"
MAX_TOKENS = 16_384  # the API insists on a limit; thoughts count towards it


def configured(settings: Settings) -> bool:
    return bool(settings.ANTHROPIC_API_KEY.get_secret_value())


def rank(settings: Settings) -> int:
    return 1


def default_model(settings: Settings) -> str:
    return MODEL


def build(settings: Settings, options: ModelOptions) -> BaseChatModel:
    from models.claude_chat import Claude  # the SDK is large: only who uses it loads it

    url, key = options.endpoint(settings.ANTHROPIC_API_URL or URL, settings.ANTHROPIC_API_KEY)
    model = Claude(
        model_name=options.model or MODEL,
        base_url=url.rstrip("/").removesuffix("/v1"),
        api_key=key,
        temperature=None if options.temperature is None else min(options.temperature, 1),  # where the API's range ends
        max_tokens_to_sample=options.max_tokens or MAX_TOKENS,
        max_retries=0,
        timeout=options.read_timeout,
        stop=None,
        connect_timeout=options.connect_timeout,
    )
    if (model.profile or {}).get("temperature") is False:
        model.temperature = None  # newer models refuse it
    return model
