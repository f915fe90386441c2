"""The models that the settings name, and which chat model a name stands for."""

from langchain_core.language_models import BaseChatModel

from models.embeddings import BUNDLED
from models.llm_factory import chat_model, default_model_name, provider_name
from models.openai_chat import OpenAIChat
from models.providers import Endpoint
from utils.errors import ModelNotFound
from utils.settings import Settings

AGENT = "agent"
HOUSE = "llm-chat-backend"


class ModelCatalog:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.presets = settings.offered_presets

    @property
    def chat_models(self) -> list[str]:
        """The server's own model, those that MODEL_MAPPING leads to, and the presets."""
        mapped = [name for _, name in self.settings.MODEL_MAPPING if name]
        return list(dict.fromkeys([default_model_name(self.settings), *mapped, *self.presets]))

    @property
    def embedding_model(self) -> str:
        return self.settings.EMBEDDING_MODEL or BUNDLED

    def listed(self) -> list[tuple[str, str]]:
        """All names that requests may use, each with who owns it; `agent:<name>` is the agent with that model."""
        settings, provider = self.settings, provider_name(self.settings)
        owners = {name: "preset" if name in self.presets else provider for name in self.chat_models}
        speech = [(settings.TTS_MODEL, "dashscope")] if settings.DASHSCOPE_API_KEY.get_secret_value() else []
        return [
            (AGENT, HOUSE),
            *((f"{AGENT}:{name}", HOUSE) for name in owners),
            *owners.items(),
            (self.embedding_model, provider if settings.EMBEDDING_MODEL else HOUSE),
            *speech,
        ]

    def endpoint(self, name: str | None) -> tuple[str | None, Endpoint | None]:
        """The model of that name and where it is; None: as the settings say."""
        if name is None or name == default_model_name(self.settings):
            return None, None
        preset = self.presets.get(name)
        if preset is None:
            return name, None
        return preset.model, Endpoint(base_url=preset.url, api_key=preset.key)

    def chat_model(self, name: str) -> BaseChatModel:
        """The model of that name. A server that speaks OpenAI's API is asked for any name; others raise ModelNotFound."""
        model, endpoint = self.endpoint(name)
        found = chat_model(self.settings, model=model, endpoint=endpoint)
        if name not in self.chat_models and not isinstance(found, OpenAIChat):
            raise ModelNotFound(model=name)
        return found

    def check_embedding_model(self, name: str) -> None:
        """Raises ModelNotFound."""
        if name != self.embedding_model:
            raise ModelNotFound(model=name)

    def check_speech_model(self, name: str) -> None:
        """Raises ModelNotFound."""
        if name != self.settings.TTS_MODEL:
            raise ModelNotFound(model=name)
