"""Which model answers: chosen by the settings or by a request, made once for each set of options."""

from functools import lru_cache
from types import ModuleType

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from models.providers import Endpoint, ModelOptions, offline, openai_compatible
from utils.errors import ProviderNotConfigured
from utils.registry import modules_of
from utils.settings import NO_KEY, Settings

DASHSCOPE_VISION_MODEL = "qwen-vl-plus"
LOCAL = ("ollama", "transformers")  # providers that run on the operator's own machines
OWN = Endpoint()


def chat_model(
    settings: Settings,
    *,
    model: str | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    endpoint: Endpoint | None = None,
) -> BaseChatModel:
    """The chat model, with the options of a request where it names some, else those of the settings. May be shared.

    An `endpoint` takes the place of the server's own. Raises ProviderNotConfigured when it names a provider that is not.
    """
    chosen = endpoint or OWN
    options = _options(
        settings,
        model=model or (settings.LLM_MODEL if _is_own(settings, chosen) else "") or None,
        temperature=settings.LLM_TEMPERATURE if temperature is None else temperature,
        max_tokens=settings.LLM_MAX_TOKENS if max_tokens is None else max_tokens,
        base_url=chosen.base_url,
        api_key=chosen.api_key,
        guard=settings if chosen.public_only else None,
    )
    return _built(_provider_of(settings, chosen), settings, options)


def vision_model(settings: Settings) -> BaseChatModel | None:
    """The model that describes pictures; None when none is configured."""
    if not settings.VISION_MODEL:
        if not settings.DASHSCOPE_API_KEY.get_secret_value():
            return None
        options = _options(
            settings,
            model=DASHSCOPE_VISION_MODEL,
            base_url=settings.dashscope_compatible_url,
            api_key=settings.DASHSCOPE_API_KEY,
        )
        return _built(openai_compatible, settings, options)
    url, key = settings.VISION_MODEL_API_URL, settings.VISION_MODEL_API_KEY
    own_key = bool(key.get_secret_value())
    chat_url, chat_key = openai_compatible.endpoint(settings)
    if url == chat_url and not own_key:
        key = chat_key
    options = _options(settings, model=settings.VISION_MODEL, base_url=url, api_key=key)
    provider = openai_compatible if url or own_key else _provider(settings)
    return None if provider is offline else _built(provider, settings, options)


def default_model_name(settings: Settings, endpoint: Endpoint | None = None) -> str:
    """The name of the model that answers where a request names none. Raises as `chat_model` does."""
    chosen = endpoint or OWN
    own = settings.LLM_MODEL if _is_own(settings, chosen) else ""
    name: str = own or _provider_of(settings, chosen).default_model(settings)
    return name


def local_provider(settings: Settings) -> str | None:
    """The name of the local provider that is configured, the server's own one first; None when there is none."""
    providers, own = _providers(), provider_name(settings)
    names = sorted(LOCAL, key=lambda name: name != own)
    return next((name for name in names if name in providers and providers[name].configured(settings)), None)


def provider_name(settings: Settings) -> str:
    """The name of the provider in use. Ends the program when LLM_PROVIDER is wrong: call it once at the start."""
    name: str = _provider(settings).NAME
    return name


def _is_own(settings: Settings, endpoint: Endpoint) -> bool:
    """Whether LLM_MODEL is the name of a model there."""
    return not endpoint.base_url and endpoint.provider in ("", provider_name(settings))


def _provider_of(settings: Settings, endpoint: Endpoint) -> ModuleType:
    if endpoint.base_url:
        return openai_compatible
    if not endpoint.provider:
        return _provider(settings)
    provider = _providers()[endpoint.provider]
    if not provider.configured(settings):
        raise ProviderNotConfigured(setting=provider.NEEDS)
    return provider


def _providers() -> dict[str, ModuleType]:
    return {module.NAME: module for module in modules_of("models.providers")}


def _provider(settings: Settings) -> ModuleType:
    providers = _providers()
    if not settings.LLM_PROVIDER:
        ready = (module for module in providers.values() if module.configured(settings))
        return min(ready, key=lambda module: int(module.rank(settings)))
    provider = providers.get(settings.LLM_PROVIDER)
    if provider is None:
        raise SystemExit(
            f"The configuration is wrong:\n  LLM_PROVIDER: must be empty or one of {', '.join(sorted(providers))}"
        )
    if not provider.configured(settings):
        raise SystemExit(f"The configuration is wrong:\n  LLM_PROVIDER: {provider.NAME} needs {provider.NEEDS}")
    return provider


def _options(
    settings: Settings,
    *,
    model: str | None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    base_url: str = "",
    api_key: SecretStr = NO_KEY,
    guard: Settings | None = None,
) -> ModelOptions:
    return ModelOptions(
        model=model,
        temperature=temperature,
        max_tokens=max_tokens,
        base_url=base_url,
        api_key=api_key,
        connect_timeout=settings.LLM_CONNECT_TIMEOUT,
        read_timeout=settings.LLM_READ_TIMEOUT,
        guard=guard,
    )


@lru_cache(maxsize=256)
def _built(provider: ModuleType, settings: Settings, options: ModelOptions) -> BaseChatModel:
    model: BaseChatModel = provider.build(settings, options)
    return model
