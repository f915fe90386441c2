"""Answers of OpenAI's API."""

from typing import Any, Literal

from pydantic import BaseModel, Field, RootModel

from models.schemas import Named, SessionId, SourceView, example
from models.schemas_openai import Name

MADE = 1_760_000_000


class ModelPath(BaseModel):
    model: Name


class ModelView(BaseModel):
    model_config = example(id="agent", object="model", created=0, owned_by="llm-chat-backend")

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsView(BaseModel):
    object: Literal["list"]
    data: list[ModelView]


class PromptDetailsView(BaseModel):
    cached_tokens: int = Field(examples=[512])


class CompletionDetailsView(BaseModel):
    reasoning_tokens: int = Field(examples=[64])


class CompletionUsageView(BaseModel):
    model_config = example(prompt_tokens=812, completion_tokens=9, total_tokens=821)

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetailsView | None = None
    completion_tokens_details: CompletionDetailsView | None = None


class CalledFunctionView(BaseModel):
    model_config = example(name="get_weather", arguments='{"city": "北京"}')

    name: str
    arguments: str = Field(description="JSON, as the model wrote it.")


class CompletionToolCallView(BaseModel):
    id: str = Field(examples=["call_1"])
    type: Literal["function"]
    function: CalledFunctionView


class LogprobsView(BaseModel):
    content: list[dict[str, Any]] = Field(examples=[[{"token": "你", "logprob": -0.1, "bytes": None, "top_logprobs": []}]])
    refusal: None


class CompletionMessageView(BaseModel):
    model_config = example(role="assistant", content="你好！", refusal=None)

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning_content: str | None = Field(None, description="What the model thought, where it told.")
    tool_calls: list[CompletionToolCallView] | None = Field(None, description="Calls of the client's own tools.")


class ChoiceView(BaseModel):
    model_config = example(
        index=0, message={"role": "assistant", "content": "你好！", "refusal": None}, logprobs=None, finish_reason="stop"
    )

    index: int
    message: CompletionMessageView
    logprobs: LogprobsView | None
    finish_reason: str = Field(description="stop, length, tool_calls, content_filter, or what the model's server says.")


class CompletionExtras(BaseModel):
    """What only the agent adds; the last two in a session."""

    sources: list[SourceView] | None = Field(None, description="Of the agent, as in the native API.", examples=[[]])
    session_id: SessionId | None = Field(None, description="Of the agent, in a session.")
    message_id: Named | None = Field(None, description="Of the agent, in a session.")


class ChatCompletionView(CompletionExtras):
    id: str = Field(examples=["chatcmpl-3f0c1b9d7a5e4c2f8b6d0a13"])
    object: Literal["chat.completion"]
    created: int = Field(description="In seconds since 1970.", examples=[MADE])
    model: str = Field(examples=["agent"])
    system_fingerprint: str | None = Field(examples=[None])
    choices: list[ChoiceView]
    usage: CompletionUsageView | None = Field(description="null where the model's server does not tell.")


class ToolCallPieceFunction(BaseModel):
    model_config = example(name="get_weather", arguments='{"city"')

    name: str | None = None
    arguments: str


class ToolCallPiece(BaseModel):
    """The first piece of a call names it; `arguments` of all pieces together are the JSON."""

    index: int = Field(examples=[0])
    id: str | None = Field(None, examples=["call_1"])
    type: Literal["function"] | None = Field(None, examples=["function"])
    function: ToolCallPieceFunction


class DeltaView(BaseModel):
    model_config = example(content="你好")

    role: Literal["assistant"] | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallPiece] | None = None


class ChunkChoiceView(BaseModel):
    index: int = Field(examples=[0])
    delta: DeltaView
    logprobs: LogprobsView | None = Field(examples=[None])
    finish_reason: str | None = Field(description="In the last chunk of a choice.", examples=[None])


class ChatCompletionChunkView(CompletionExtras):
    """A piece of a completion; after the last one comes `data: [DONE]`."""

    model_config = example(
        id="chatcmpl-3f0c1b9d7a5e4c2f8b6d0a13",
        object="chat.completion.chunk",
        created=MADE,
        model="agent",
        system_fingerprint=None,
        choices=[{"index": 0, "delta": {"content": "你好"}, "logprobs": None, "finish_reason": None}],
    )

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str | None
    choices: list[ChunkChoiceView] = Field(description="Empty in the chunk that tells the usage.")
    usage: CompletionUsageView | None = Field(None, description="With `stream_options.include_usage`, in the last chunk.")


class EmbeddingView(BaseModel):
    model_config = example(object="embedding", index=0, embedding=[0.013, -0.021, 0.034])

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str = Field(description="As text: little-endian 32-bit floats in base64.")


class EmbeddingsUsageView(BaseModel):
    model_config = example(prompt_tokens=12, total_tokens=12)

    prompt_tokens: int = Field(description="An estimate.")
    total_tokens: int


class EmbeddingsView(BaseModel):
    object: Literal["list"]
    data: list[EmbeddingView]
    model: str = Field(examples=["universal-sentence-encoder-multilingual-3"])
    usage: EmbeddingsUsageView


class ErrorDetailView(BaseModel):
    model_config = example(
        message="A field of the request is invalid. messages: Field required",
        type="invalid_request_error",
        param="messages",
        code="invalid_field",
    )

    message: str = Field(description="A sentence for people, in the language of Accept-Language.")
    type: str
    param: str | None = Field(description="The field that is at fault.")
    code: str | None = Field(description="Stable; for programs.")


class ErrorView(BaseModel):
    """OpenAI's error object."""

    error: ErrorDetailView


class CompletionEvent(RootModel[ChatCompletionChunkView | ErrorView]):
    """An event of a stream of chunks."""
