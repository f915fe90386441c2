"""Bodies of the LLM Chat System: the models of its users, and its chat."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr, WithJsonSchema

from models.schemas import Asked, Options, SessionId, SourceView, Text, example
from utils.field_faults import own

UserId = Annotated[
    str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,128}$", description="Names a configuration.", examples=["user_1"])
]
URL_CHARS = 2_000
MASK = "…"  # stands in every key that is shown, and in no real one


def _sendable(key: SecretStr) -> SecretStr:
    """A key goes into a header: no spaces, no line ends, ASCII; or it is one that was shown masked."""
    text = key.get_secret_value().strip()
    if MASK not in text and not (text.isascii() and text.isprintable() and " " not in text):
        raise own("unsendable_key")
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
        None, description="The type of a preset, `default` for the server's own model, or `custom`.", examples=["default"]
    )
    max_tokens: int | None = Field(
        None, ge=1, le=1_000_000, description="null: as long as the server allows.", examples=[2_000]
    )
    custom_api_url: Annotated[Text, Field(max_length=URL_CHARS)] | None = Field(
        None, description="OpenAI-compatible base URL, with or without /chat/completions. A new one needs its key again."
    )
    custom_model: Annotated[Text, Field(max_length=200)] | None = None
    custom_api_key: Key | None = Field(None, description="Sent to custom_api_url only. A masked one changes nothing.")


class PresetView(BaseModel):
    model_config = example(type="glm4", title="GLM-4 智谱", model="glm4_32B_chat")

    type: str
    title: str
    model: str


class ConfigView(BaseModel):
    """The first three say which model answers; keys are masked."""

    llm_api_url: str = Field(examples=["https://llm.example.com/v1"])
    llm_model: str = Field(examples=["my-model"])
    llm_api_key: str = Field(description="`…` where there is one of the operator.", examples=["sk-…abcd"])
    preset_models: list[PresetView]
    current_model_type: str = Field(examples=["custom"])
    max_tokens: int | None = Field(examples=[2_000])
    custom_api_url: str = Field(examples=["https://llm.example.com/v1"])
    custom_model: str = Field(examples=["my-model"])
    custom_api_key: str = Field(examples=["sk-…abcd"])


class SimpleChatBody(Options, Asked):
    user_id: UserId | None = None


class SimpleAnswerView(BaseModel):
    session_id: SessionId
    user_message: str = Field(examples=["你好"])
    assistant_reply: str = Field(examples=["你好！有什么可以帮助你的吗？"])
    sources: list[SourceView] | None = Field(None, description="Where there are any, as in the native API.")
