"""Bodies of OpenAI's API. Fields that are not named here are let through, as its clients send many; wrong types are not."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.schemas import SessionId, example

INPUTS = 2_048  # texts in one request for embeddings
CHOICES = 128

Name = Annotated[str, Field(min_length=1, max_length=200, examples=["agent"])]
SomeText = Annotated[str, Field(min_length=1, max_length=1_000_000)]


class Tolerant(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class FunctionCall(Tolerant):
    model_config = example(name="get_weather", arguments='{"city": "北京"}')

    name: str
    arguments: str = ""


class MessageToolCall(Tolerant):
    id: str = Field(examples=["call_1"])
    type: Literal["function"] = "function"
    function: FunctionCall


class Part(Tolerant):
    """A part of a content: text, image_url, file, input_audio, …"""

    model_config = example(type="image_url", image_url={"url": "https://example.com/cat.png"})

    type: str


class Message(Tolerant):
    model_config = example(role="user", content="你好")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    tool_calls: list[MessageToolCall] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text of all parts."""
        if not isinstance(self.content, list):
            return self.content or ""
        texts = [part.model_dump().get("text") for part in self.content if part.type == "text"]
        return "\n".join(text for text in texts if isinstance(text, str))


class StreamOptions(Tolerant):
    include_usage: bool | None = Field(False, description="A last chunk tells what it has cost.")


class Function(Tolerant):
    model_config = example(name="get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})

    name: str


class ToolDefinition(Tolerant):
    type: str = Field(description="The agent takes none; a model itself only `function`.", examples=["function"])
    function: Function | None = None


class ChatCompletionBody(Tolerant):
    model_config = example(model="agent", messages=[{"role": "user", "content": "你好"}])

    model: Name = Field(description="A model's name: the model itself. `agent` or `agent:<name>`: the agent with its tools.")
    messages: list[Message] = Field(min_length=1)
    session_id: SessionId | None = Field(None, description="Ours: a session of the agent, whose transcript wins.")
    temporary: bool = Field(False, description="Ours: as in the native API.")
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1, le=CHOICES, description="Answers to choose from; not by the agent.")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1, description="The newer name of max_tokens.")
    stop: str | list[str] | None = Field(None, description="Where the answer is to end.")
    seed: int | None = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: dict[str, Any] | None = None
    tools: list[ToolDefinition] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None

    @property
    def for_agent(self) -> bool:
        return self.session_id is not None or self.model == "agent" or self.model.startswith("agent:")

    @property
    def options(self) -> dict[str, Any]:
        """What was set beside messages and model, unknown fields too, without what is not meant for a model."""
        ours = {"model", "messages", "session_id", "temporary", "stream", "stream_options"}
        given = self.model_dump(exclude=ours, exclude_unset=True)
        return {name: value for name, value in given.items() if value is not None}

    @property
    def sent_messages(self) -> list[dict[str, Any]]:
        """The messages as they came."""
        return [message.model_dump(exclude_unset=True) for message in self.messages]

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class EmbeddingsBody(Tolerant):
    model_config = example(model="universal-sentence-encoder-multilingual-3", input=["年假有几天？", "How many days off?"])

    model: Name
    input: SomeText | Annotated[list[SomeText], Field(min_length=1, max_length=INPUTS)] = Field(
        description="Text; numbers of tokens are not taken."
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, description="No other than the model has.")

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class AudioSpeechBody(Tolerant):
    """`wav` where no format is named: there is no encoder for others."""

    model_config = example(model="qwen3-tts-flash", input="你好，世界。", voice="Cherry")

    model: Name
    input: SomeText
    voice: Annotated[str, Field(max_length=100)] | None = None
    response_format: Literal["wav", "pcm"] = "wav"
    speed: Annotated[float, Field(ge=1, le=1)] = Field(1.0, description="No other than 1.")
    instructions: Annotated[str, Field(max_length=0)] = Field("", description="Not supported.")
    stream_format: Literal["audio"] = "audio"
