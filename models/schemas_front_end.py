"""Bodies of `/api/chat`: what the AI SDK 4 to 7 send, and plain `{role, content}` messages.

Their names are the SDK's, so not all of them are in snake_case. Fields that no turn needs are passed over.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from models.schemas import FinishReason, Named, SessionId, SourceView, Text, ToolCallView, UsageView, example

ClientId = Annotated[Text, Field(max_length=128)]
Protocol = Literal["seed", "data", "ui"]


class FrontEndPart(BaseModel):
    """A part of a message; of most kinds only the client makes use."""

    model_config = ConfigDict(
        alias_generator=to_camel, json_schema_extra={"examples": [{"type": "text", "text": "年假有几天？"}]}
    )

    type: str
    text: Text | None = None
    media_type: str | None = None
    filename: str | None = None
    url: str | None = None


class FrontEndFile(BaseModel):
    """A file in the AI SDK 4."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        json_schema_extra={
            "examples": [{"url": "data:text/plain;base64,5LiJ5Y2B5LiH5YWD", "name": "预算.txt", "contentType": "text/plain"}]
        },
    )

    url: str
    name: str | None = None
    content_type: str | None = None


class FrontEndMessage(BaseModel):
    model_config = example(role="user", content="你好")

    id: ClientId = ""
    role: Literal["system", "user", "assistant", "tool", "data"]
    content: Annotated[Text, Field(max_length=1_000_000)] | list[FrontEndPart] = ""
    parts: list[FrontEndPart] = []
    experimental_attachments: list[FrontEndFile] = []

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content or _joined(self.parts)
        return _joined(self.content)


def _joined(parts: list[FrontEndPart]) -> str:
    return "\n\n".join(part.text for part in parts if part.type == "text" and part.text)


class FrontEndBody(BaseModel):
    """A chat of the front end. With `id` the server keeps it, and takes only what is new of `messages`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"messages": [{"role": "user", "content": "你好"}], "model": "chat-model", "stream": True},
                {
                    "id": "chat-1",
                    "trigger": "submit-message",
                    "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "你好"}]}],
                },
                {
                    "id": "chat-1",
                    "messages": [{"role": "user", "content": "你好", "parts": [{"type": "text", "text": "你好"}]}],
                },
            ]
        }
    )

    id: SessionId | None = Field(None, description="Names the session. Without it nothing is kept.")
    messages: list[FrontEndMessage] = Field([], max_length=10_000)
    message: FrontEndMessage | None = Field(None, description="From clients that send the newest message only.")
    model: Annotated[str, Field(max_length=200)] | None = Field(None, description="A name of MODEL_MAPPING or of a model.")
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    stream: bool = True
    temporary: bool = Field(False, description="On the first turn: the session is never stored and ends with its TTL.")
    trigger: Literal["submit-message", "regenerate-message"] | None = Field(None, description="From the AI SDK 5 to 7.")
    messageId: ClientId | None = Field(None, description="The message that is edited or generated anew.")

    def all_messages(self) -> list[FrontEndMessage]:
        return [*self.messages, *([self.message] if self.message else [])]


class FrontEndQuery(BaseModel):
    protocol: Protocol | None = Field(None, description="Overrides what the body looks like.")


class ChatPath(BaseModel):
    id: SessionId


class ResumeQuery(FrontEndQuery):
    chatId: SessionId


class FrontEndAnswer(BaseModel):
    """An answer with `stream: false`."""

    id: Named
    role: Literal["assistant"]
    content: str = Field(examples=["工作满五年，年假为十五天 [1]。"])
    tool_calls: list[ToolCallView]
    sources: list[SourceView]
    usage: UsageView
    finish_reason: FinishReason
