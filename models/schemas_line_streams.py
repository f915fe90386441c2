"""Lines of a code and JSON at `/api/chat`: the data stream of the AI SDK 4, and that of front ends with plain messages.

For the documentation; the names are the AI SDK's. A line `0:"text"` is written here as `{"code": "0", "value": "text"}`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel

from models.schemas import Named, SourceView, example
from models.schemas_documents import DOCUMENT
from models.schemas_ui_stream import Failure, PassageMetadata, Piece, ToolArguments, ToolCallId, ToolName, ToolResult

SdkFinishReason = Literal["stop", "length", "content-filter", "other", "error"]


class DataText(BaseModel):
    code: Literal["0"]
    value: Piece


class DataReasoning(BaseModel):
    code: Literal["g"]
    value: Piece


class DataItems(BaseModel):
    """How far files have been read; an empty list is a heartbeat."""

    code: Literal["2"]
    value: list[dict[str, Any]] = Field(
        examples=[[{"type": "document", "document_id": DOCUMENT, "stage": "extracting", "progress": 0.4}]]
    )


class DataError(BaseModel):
    """Code `d` follows."""

    code: Literal["3"]
    value: Failure


class DataToolCallValue(BaseModel):
    toolCallId: ToolCallId
    toolName: ToolName
    args: ToolArguments


class DataToolCall(BaseModel):
    code: Literal["9"]
    value: DataToolCallValue


class DataToolResultValue(BaseModel):
    toolCallId: ToolCallId
    result: ToolResult


class DataToolResult(BaseModel):
    code: Literal["a"]
    value: DataToolResultValue


class DataSourceValue(BaseModel):
    sourceType: Literal["url"]
    id: str = Field(examples=[f"{DOCUMENT}:1"])
    url: str = Field(description="On this server.", examples=[f"/api/v1/documents/{DOCUMENT}/content#page=13"])
    title: str = Field(examples=["员工手册.pdf，第 13 页"])
    providerMetadata: PassageMetadata


class DataSource(BaseModel):
    """A passage on which the answer rests."""

    code: Literal["h"]
    value: DataSourceValue


class DataStartStepValue(BaseModel):
    messageId: Named


class DataStartStep(BaseModel):
    """A call of the model begins, with the tools that it calls."""

    code: Literal["f"]
    value: DataStartStepValue


class DataFinishStepValue(BaseModel):
    finishReason: Literal["stop", "length", "content-filter", "other", "error", "tool-calls"]
    isContinued: Literal[False]


class DataFinishStep(BaseModel):
    code: Literal["e"]
    value: DataFinishStepValue


class DataUsage(BaseModel):
    model_config = example(promptTokens=812, completionTokens=9)

    promptTokens: int
    completionTokens: int


class DataFinishValue(BaseModel):
    finishReason: SdkFinishReason
    usage: DataUsage


class DataFinish(BaseModel):
    """The last line."""

    code: Literal["d"]
    value: DataFinishValue


DataLines = Annotated[
    DataText
    | DataReasoning
    | DataItems
    | DataError
    | DataToolCall
    | DataToolResult
    | DataSource
    | DataStartStep
    | DataFinishStep
    | DataFinish,
    Field(discriminator="code"),
]


class DataStreamLine(RootModel[DataLines]):
    """A line of the data stream: `0:"text"` is written here as `{"code": "0", "value": "text"}`."""


class SeedTextValue(BaseModel):
    type: Literal["text-delta"]
    textDelta: Piece


class SeedText(BaseModel):
    code: Literal["0"]
    value: SeedTextValue


class SeedErrorValue(BaseModel):
    type: Literal["error"]
    error: Failure


class SeedError(BaseModel):
    """Code `d` follows."""

    code: Literal["3"]
    value: SeedErrorValue


class SeedToolCallValue(DataToolCallValue):
    type: Literal["tool-call"]


class SeedToolCall(BaseModel):
    code: Literal["9"]
    value: SeedToolCallValue


class SeedToolResultValue(DataToolResultValue):
    type: Literal["tool-result"]
    toolName: ToolName


class SeedToolResult(BaseModel):
    code: Literal["a"]
    value: SeedToolResultValue


class SeedFinishValue(BaseModel):
    type: Literal["finish"]
    finishReason: SdkFinishReason
    sources: list[SourceView] | None = Field(None, description="Where there are any, as in the native API.")


class SeedFinish(BaseModel):
    """The last line."""

    code: Literal["d"]
    value: SeedFinishValue


SeedLines = Annotated[SeedText | SeedError | SeedToolCall | SeedToolResult | SeedFinish, Field(discriminator="code")]


class SeedLine(RootModel[SeedLines]):
    """A line for plain messages: `0:{"type": …}` is written here as `{"code": "0", "value": {"type": …}}`."""
