"""Which model answers which user: the server's own, a preset of the operator, or one of the user's with its own key."""

import json
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import SecretStr

from models import user_configs
from models.database import Database
from models.llm_factory import default_model_name, provider_name
from models.providers import Endpoint, openai_compatible
from models.schemas_config import MASK, URL_CHARS, ConfigBody
from models.turns import Turn
from models.user_configs import UserConfig
from utils.background import Background
from utils.errors import InvalidField
from utils.presets import CUSTOM, DEFAULT
from utils.secrets_box import SecretsBox
from utils.settings import Settings
from utils.web_utils import check_url

SHOWN_LENGTH = 12  # of a shorter key not a character is shown


class Choice(NamedTuple):
    """What a turn needs to know; None leaves it to the settings."""

    endpoint: Endpoint | None = None
    model: str | None = None
    max_tokens: int | None = None

    def applied(self, turn: Turn) -> Turn:
        """The turn with this model, as far as the request named none of its own."""
        return replace(
            turn,
            endpoint=self.endpoint,
            model=turn.model or self.model,
            max_tokens=turn.max_tokens or self.max_tokens,
        )


class ConfigService:
    """The configurations of users, each named by its owner and by what that one calls the user. Its methods block."""

    def __init__(self, settings: Settings, database: Database, background: Background) -> None:
        self.settings, self.database, self.background = settings, database, background
        self.box = SecretsBox(settings.SECRET_KEY, settings.DATA_DIR / "secret.key")
        self.presets = settings.offered_presets

    def get(self, owner: str, user_id: str) -> dict[str, Any]:
        """A configuration as clients see it; keys are masked."""
        return self._shown(owner, user_id, user_configs.find(self.database, owner, user_id))

    def update(self, owner: str, user_id: str, body: ConfigBody) -> dict[str, Any]:
        """Changes what `body` names, all of it or nothing; answers as `get` does. Raises InvalidField, UrlNotAllowed."""
        changes = self._changes(body)
        key = MASK if body.custom_api_key is None else body.custom_api_key.get_secret_value()

        def edit(config: UserConfig) -> UserConfig:
            edited = replace(config, **changes)
            if edited.custom_api_url != config.custom_api_url:
                edited = replace(edited, custom_api_key="")  # which was meant for the other server
            if MASK not in key:
                sealed = self.box.seal(key, _purpose(owner, user_id, edited)) if key else ""
                edited = replace(edited, custom_api_key=sealed)
            if edited.current_model_type == CUSTOM and not edited.custom_api_url:
                raise InvalidField.at("custom_api_url", "the model type custom needs it", "model_type 为 custom 时必填")
            return edited

        return self._shown(owner, user_id, user_configs.change(self.database, owner, user_id, edit))

    def choice(self, owner: str, user_id: str) -> Choice:
        """The model of a user's turns."""
        config = user_configs.find(self.database, owner, user_id)
        endpoint, model = self._model(owner, user_id, config)
        return Choice(endpoint, model, config.max_tokens)

    def _changes(self, body: ConfigBody) -> dict[str, Any]:
        texts = {
            "current_model_type": body.model_type,
            "custom_api_url": body.custom_api_url,
            "custom_model": body.custom_model,
        }
        changes: dict[str, Any] = {name: text.strip() for name, text in texts.items() if text is not None}
        if body.model_type and body.model_type.strip() not in (types := (DEFAULT, *self.presets, CUSTOM)):
            raise InvalidField.at("model_type", f"must be one of {', '.join(types)}", f"只能是 {'、'.join(types)}")
        if url := changes.get("custom_api_url"):
            changes["custom_api_url"] = self._checked(url)
        if "max_tokens" in body.model_fields_set:
            changes["max_tokens"] = body.max_tokens
        return changes

    def _checked(self, url: str) -> str:
        checked = self.background.run(check_url(url, self.settings))
        if "?" in checked:
            raise InvalidField.at("custom_api_url", "must have no query", "不能带查询参数")
        if len(checked) > URL_CHARS:
            raise InvalidField.at("custom_api_url", f"must have at most {URL_CHARS} characters", f"最多 {URL_CHARS} 个字符")
        return checked

    def _type(self, config: UserConfig) -> str:
        """The type that is chosen, or the server's own model where the preset is no longer offered."""
        known = config.current_model_type == CUSTOM or config.current_model_type in self.presets
        return config.current_model_type if known else DEFAULT

    def _model(self, owner: str, user_id: str, config: UserConfig) -> tuple[Endpoint | None, str | None]:
        chosen = self._type(config)
        if chosen == DEFAULT:
            return None, None
        if chosen == CUSTOM:
            key = SecretStr(self._key(owner, user_id, config))
            return Endpoint(base_url=config.custom_api_url, api_key=key, public_only=True), config.custom_model or None
        preset = self.presets[chosen]
        return Endpoint(base_url=preset.url, api_key=preset.key), preset.model

    def _key(self, owner: str, user_id: str, config: UserConfig) -> str:
        """The user's key; empty where there is none, or where it was sealed with another secret or for another URL."""
        return self.box.open(config.custom_api_key, _purpose(owner, user_id, config)) or ""

    def _shown(self, owner: str, user_id: str, config: UserConfig) -> dict[str, Any]:
        endpoint, model = self._model(owner, user_id, config)
        own_url = self.settings.LLM_API_URL if provider_name(self.settings) == openai_compatible.NAME else ""
        server_key = endpoint.api_key if endpoint else self.settings.LLM_API_KEY
        users_key = masked(self._key(owner, user_id, config))
        own_model = default_model_name(self.settings)
        return {
            "llm_api_url": _without_password(endpoint.base_url if endpoint else own_url),
            "llm_model": model or default_model_name(self.settings, endpoint),
            "llm_api_key": users_key if endpoint and endpoint.public_only else _hidden(server_key),
            "preset_models": [
                {"type": DEFAULT, "title": "默认 · Default", "model": own_model},
                *({"type": name, "title": preset.title, "model": preset.model} for name, preset in self.presets.items()),
            ],
            "current_model_type": self._type(config),
            "max_tokens": config.max_tokens or self.settings.LLM_MAX_TOKENS,
            "custom_api_url": config.custom_api_url,
            "custom_model": config.custom_model,
            "custom_api_key": users_key,
        }


def masked(key: str) -> str:
    """A key as its owner may see it: three characters at the beginning, four at the end, of a short one none."""
    return f"{key[:3]}{MASK}{key[-4:]}" if len(key) >= SHOWN_LENGTH else _hidden(SecretStr(key))


def _hidden(key: SecretStr) -> str:
    """An operator's key: users see only whether there is one."""
    return MASK if key.get_secret_value() else ""


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _purpose(owner: str, user_id: str, config: UserConfig) -> str:
    """What a key is sealed for: no row, however it came about, can send it to another URL."""
    return json.dumps([owner, user_id, config.custom_api_url])
