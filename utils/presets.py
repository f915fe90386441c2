"""Models that the operator offers to choose from, beside the server's own: the setting MODEL_PRESETS."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

DEFAULT, CUSTOM = "default", "custom"  # the server's own model, and one of the user's


class ModelPreset(BaseModel):
    """An OpenAI-compatible model. `url` is its base URL, with or without /chat/completions; empty: it is not offered."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: str = Field(pattern=r"^[A-Za-z0-9_.:\-]{1,64}$")
    title: str
    url: str
    model: str = Field(min_length=1, max_length=200)
    key: SecretStr = SecretStr("")

    @field_validator("type")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in (DEFAULT, CUSTOM):
            raise ValueError(f"must be neither {DEFAULT} nor {CUSTOM}")
        return name

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url


EXAMPLES = (
    ModelPreset(type="codegeex", title="CodeGeeX 4", url="", model="codegeex4-all-9b"),
    ModelPreset(type="glm4", title="GLM-4 32B", url="", model="glm4_32B_chat"),
)


def decoded(value: Any) -> Any:
    """What a setting holds: in the environment JSON, in Python a list. Raises ValueError, which never shows the value."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        raise ValueError("must be a JSON list") from None


def checked(presets: tuple[ModelPreset, ...]) -> tuple[ModelPreset, ...]:
    """Raises ValueError when two have the same type."""
    names = [preset.type for preset in presets]
    if len(set(names)) < len(names):
        raise ValueError("each type may stand there once")
    return presets


def literal(presets: tuple[ModelPreset, ...]) -> str:
    """The list as Python writes it, each line but the first commented out."""
    rows = [{**preset.model_dump(), "key": preset.key.get_secret_value()} for preset in presets]
    return "\n# ".join(["[", *(f"    {json.dumps(row)}," for row in rows), "]"])
