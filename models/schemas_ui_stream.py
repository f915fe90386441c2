"""The UI message stream of the AI SDK 5, 6 and 7, of which the names are. For the documentation."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel

from models.schemas import Named, example
from models.schemas_documents import DOCUMENT

ToolCallId = Annotated[str, Field(examples=["call_1"])]
ToolName = Annotated[str, Field(examples=["search_documents"])]
ToolArguments = Annotated[dict[str, Any], Field(examples=[{"query": "年假 五年"}])]
ToolResult = Annotated[str, Field(examples=["[1] 员工手册.pdf，第 13 页：年假为十五天。"])]
Failure = Annotated[str, Field(examples=["The upstream service did not answer in time: qwen-plus."])]
Piece = Annotated[str, Field(examples=["年假为十五天"])]
TextId = Annotated[str, Field(examples=["text-1"])]
ReasoningId = Annotated[str, Field(examples=["reasoning-1"])]


class PassageData(BaseModel):
    model_config = example(document_id=DOCUMENT, page=13, quote="工作满五年的员工，年假为十五天。", cited=True, number=1)

    document_id: str
    page: int | None
    quote: str
    cited: bool
    number: int | None = Field(description="n of its markers `[n]` in the text.")


class PassageMetadata(BaseModel):
    passage: PassageData


class UiStart(BaseModel):
    type: Literal["start"]
    messageId: Named


class UiStartStep(BaseModel):
    """A call of the model begins, with the tools that it calls."""

    type: Literal["start-step"]


class UiTextStart(BaseModel):
    type: Literal["text-start"]
    id: TextId


class UiTextDelta(BaseModel):
    type: Literal["text-delta"]
    id: TextId
    delta: Piece


class UiTextEnd(BaseModel):
    type: Literal["text-end"]
    id: TextId


class UiReasoningStart(BaseModel):
    type: Literal["reasoning-start"]
    id: ReasoningId


class UiReasoningDelta(BaseModel):
    type: Literal["reasoning-delta"]
    id: ReasoningId
    delta: Piece


class UiReasoningEnd(BaseModel):
    type: Literal["reasoning-end"]
    id: ReasoningId


class UiToolInput(BaseModel):
    """The agent calls a tool, which the server runs itself."""

    type: Literal["tool-input-available"]
    toolName: ToolName
    input: ToolArguments
    toolCallId: ToolCallId
    providerExecuted: Literal[True]


class UiToolOutput(BaseModel):
    type: Literal["tool-output-available"]
    output: ToolResult
    toolCallId: ToolCallId
    providerExecuted: Literal[True]


class UiToolError(BaseModel):
    type: Literal["tool-output-error"]
    errorText: Failure
    toolCallId: ToolCallId
    providerExecuted: Literal[True]


class UiSource(BaseModel):
    """A passage on which the answer rests."""

    type: Literal["source-document"]
    sourceId: str = Field(examples=[f"{DOCUMENT}:1"])
    mediaType: str = Field(examples=["application/pdf"])
    title: str = Field(examples=["员工手册.pdf，第 13 页"])
    filename: str = Field(examples=["员工手册.pdf"])
    providerMetadata: PassageMetadata


class UiDocumentData(BaseModel):
    model_config = example(document_id=DOCUMENT, stage="extracting", progress=0.4)

    document_id: str
    stage: str
    progress: float


class UiDocument(BaseModel):
    """How far a file has been read; no part of the message."""

    type: Literal["data-document"]
    data: UiDocumentData
    transient: Literal[True]


class UiFinishStep(BaseModel):
    type: Literal["finish-step"]


class UiFinish(BaseModel):
    type: Literal["finish"]


class UiAbort(BaseModel):
    """In the place of `finish`: the answer was stopped."""

    type: Literal["abort"]


class UiError(BaseModel):
    """`finish` follows."""

    type: Literal["error"]
    errorText: Failure


UiParts = Annotated[
    UiStart
    | UiStartStep
    | UiTextStart
    | UiTextDelta
    | UiTextEnd
    | UiReasoningStart
    | UiReasoningDelta
    | UiReasoningEnd
    | UiToolInput
    | UiToolOutput
    | UiToolError
    | UiSource
    | UiDocument
    | UiFinishStep
    | UiFinish
    | UiAbort
    | UiError,
    Field(discriminator="type"),
]


class UiMessageChunk(RootModel[UiParts]):
    """An event of the UI message stream; after the last one comes `data: [DONE]`."""
