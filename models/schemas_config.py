"""Bodies of the LLM Chat System: the models of its users, and its chat."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr, WithJsonSchema

from models.schemas import ChatBody, Text

UserId = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,128}$", description="Names a configuration.")]
URL_CHARS = 2_000
MASK = "…"  # stands in every key that is shown, and in no real one


def _sendable(key: SecretStr) -> SecretStr:
    """A key goes into a header: no spaces, no line ends, ASCII; or it is one that was shown masked."""
    text = key.get_secret_value().strip()
    if MASK not in text and not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("must be printable ASCII without spaces")
    return SecretStr(text)


Key = Annotated[
    SecretStr,
    Field(max_length=500),
    AfterValidator(_sendable),
    WithJsonSchema({"type": "string", "maxLength": 500}),
]


class ConfigQuery(BaseModel):
    user_id: UserId | None = None


class ConfigBody(BaseModel):
    """What is absent stays as it is, null too but for `max_tokens`; an empty text clears."""

    user_id: UserId
    model_type: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="The type of a preset, `default` for the server's own model, or `custom`."
    )
    max_tokens: int | None = Field(None, ge=1, le=1_000_000, description="null: as long as the server allows.")
    custom_api_url: Annotated[Text, Field(max_length=URL_CHARS)] | None = Field(
        None, description="OpenAI-compatible base URL, with or without /chat/completions. A new one needs its key again."
    )
    custom_model: Annotated[Text, Field(max_length=200)] | None = None
    custom_api_key: Key | None = Field(None, description="Sent to custom_api_url only. A masked one changes nothing.")


class PresetView(BaseModel):
    type: str
    title: str
    model: str


class ConfigView(BaseModel):
    """The first three say which model answers; keys are masked."""

    llm_api_url: str
    llm_model: str
    llm_api_key: str
    preset_models: list[PresetView]
    current_model_type: str
    max_tokens: int | None
    custom_api_url: str
    custom_model: str
    custom_api_key: str


class SimpleChatBody(ChatBody):
    user_id: UserId | None = None


class SimpleAnswerView(BaseModel):
    session_id: str
    user_message: str
    assistant_reply: str
