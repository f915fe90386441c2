"""Bodies of requests and answers, as clients see them. They validate, and they make the OpenAPI description.

Examples stand beside the fields, or beside the whole object where its fields belong together; see `views.openapi`.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from utils.field_faults import own

SESSION_ID = r"^[A-Za-z0-9_.:\-]{1,128}$"
SOMETHING = r"[^\s\x00-\x1f\x85]"  # a character that is to be seen

SessionId = Annotated[
    str, Field(pattern=SESSION_ID, description="1 to 128 of A-Z a-z 0-9 _ . : -", examples=["handbook-questions"])
]
MessageId = Annotated[str, Field(min_length=1, max_length=128)]
Text = Annotated[str, AfterValidator(lambda text: text.replace("\0", ""))]  # SQL databases refuse NUL
Named = Annotated[str, Field(examples=["msg_3f0c1b9d7a5e4c2f8b6d0a13"])]  # a message, in answers
Time = Annotated[str, Field(description="RFC 3339, UTC.", examples=["2025-10-02T10:00:00+00:00"])]
FinishReason = Literal["stop", "length", "content_filter", "stopped", "tool_limit"]


def example(**values: Any) -> ConfigDict:
    """The configuration of a model with one example of it."""
    return ConfigDict(json_schema_extra={"examples": [values]})


def _file(value: Any) -> Any:
    if not hasattr(value, "stream"):
        raise own("no_file")
    return value


Upload = Annotated[Any, AfterValidator(_file), WithJsonSchema({"type": "string", "format": "binary"})]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise own("blank")
    return text


NotBlank = Annotated[Text, AfterValidator(_not_blank), Field(json_schema_extra={"pattern": SOMETHING})]


class ModelOptions(BaseModel):
    """How a turn is answered."""

    model: Annotated[str, Field(max_length=200)] | None = Field(None, description="Name of the chat model.")
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000, description="Longest answer, in tokens.")
    stream: bool = Field(False, description="Server-sent events instead of one JSON object.")


class TurnOptions(ModelOptions):
    """What every kind of turn takes."""

    system_prompt: Annotated[Text, Field(max_length=100_000)] | None = Field(
        None, description="Stays with the session until another is given."
    )
    temporary: bool = Field(False, description="On the first turn: the session is never stored and ends with its TTL.")


class Options(TurnOptions):
    """What a turn takes that names its session in the body."""

    session_id: SessionId | None = Field(None, description="Made if missing: 1 to 128 of A-Z a-z 0-9 _ . : -")


class Asked(BaseModel):
    message: Annotated[NotBlank, Field(min_length=1, max_length=1_000_000)] = Field(
        description="The question.", examples=["工作满五年有多少天年假？"]
    )


class Question(Asked):
    parent_id: MessageId | None = Field(
        None, description="The message that this one follows, on a branch of its own; null is the beginning."
    )


class ChatBody(Options, Question):
    pass


class SessionChatBody(TurnOptions, Question):
    pass


class RegenerateBody(ModelOptions):
    message_id: MessageId | None = Field(
        None, description="The answer that is made anew, or its question. Missing: the newest one."
    )


class AttachedBody(Options):
    """Form fields of a turn with a picture or a file."""

    message: Annotated[Text, Field(max_length=1_000_000)] = Field(
        "", description="Empty: describe or summarise it.", examples=["这里说了什么？"]
    )


class SessionBody(BaseModel):
    session_id: SessionId


class SessionQuery(SessionBody):
    pass


class ToolsQuery(BaseModel):
    session_id: SessionId | None = None


class SessionPath(SessionBody):
    pass


class StreamQuery(BaseModel):
    last_event_id: Annotated[str, Field(max_length=100)] | None = Field(
        None,
        description="For clients that cannot send the header Last-Event-ID, which comes before it.",
        examples=["msg_3f0c1b9d7a5e4c2f8b6d0a13:7"],
    )


class StreamHeader(BaseModel):
    last_event_id: Annotated[str, Field(max_length=100)] | None = Field(
        None,
        alias="Last-Event-ID",
        description="The `id` of the last event that was seen; sent by browsers when they come back.",
        examples=["msg_3f0c1b9d7a5e4c2f8b6d0a13:7"],
    )


class SpeechBody(BaseModel):
    text: Annotated[NotBlank, Field(min_length=1, max_length=1_000_000)] = Field(examples=["你好，世界。"])
    voice: Annotated[str, Field(max_length=100)] | None = Field(None, description="A voice of the speech model.")
    format: Literal["wav", "pcm"] | None = Field(None, description="wav where none is named.")


class SourceView(BaseModel):
    model_config = example(
        document_id="doc_9b1f0c7e5d3a4b2c8e6f1a07",
        filename="员工手册.pdf",
        page=13,
        quote="工作满五年的员工，年假为十五天。",
        score=0.92,
        cited=True,
        number=1,
        start=5204,
        end=5220,
    )

    document_id: str
    filename: str
    page: int | None = Field(description="1-based; null where a format has no pages.")
    quote: str = Field(description="Text that stands in the document: what supports the sentence that cites it.")
    score: float
    cited: bool = Field(description="false: given to the model, and not cited by its answer.")
    number: int | None = Field(None, description="n of its markers `[n]` in the answer; null when it is not cited.")
    start: int | None = Field(None, description="Offset of the quote in the document's text, in characters, where known.")
    end: int | None = None


class ToolCallView(BaseModel):
    model_config = example(
        id="call_1",
        name="search_documents",
        args={"query": "年假 五年"},
        status="ok",
        result="[1] 员工手册.pdf，第 13 页：工作满五年的员工，年假为十五天。",
        ms=12,
    )

    id: str
    name: str
    args: dict[str, Any]
    status: Literal["ok", "error"]
    result: str = Field(description="Text, cut at TOOL_RESULT_CHARS characters.")
    ms: int = Field(description="How long it took, in milliseconds.")


class UsageView(BaseModel):
    """Tokens of all model calls of a turn."""

    model_config = example(input_tokens=812, output_tokens=9, total_tokens=821)

    input_tokens: int
    output_tokens: int
    total_tokens: int


class TurnView(BaseModel):
    session_id: SessionId
    message_id: Named = Field(description="Names the assistant's message.")
    response: str = Field(examples=["工作满五年，年假为十五天 [1]。"])
    sources: list[SourceView] = Field(
        description="The passages that the answer cites; when it cites none, those that it was given, with `cited: false`."
    )
    tool_calls: list[ToolCallView]
    usage: UsageView
    model: str = Field(examples=["qwen-plus"])
    finish_reason: FinishReason


class ImageView(BaseModel):
    model_config = example(ocr_text="出口 EXIT", description="绿色的出口标志。")

    ocr_text: str
    description: str | None = Field(description="null without a vision model.")


class TurnWithImageView(TurnView):
    image: ImageView


class ClearedView(BaseModel):
    session_id: SessionId
    cleared_messages: int = Field(examples=[4])
    restorable_until: Time | None = Field(description="RFC 3339, UTC; null where nothing can be restored.")


class RestoredView(BaseModel):
    session_id: SessionId
    restored_messages: int = Field(examples=[4])


class StartedView(BaseModel):
    """The turn runs; its events come at GET /chat/{session_id}/stream."""

    session_id: SessionId
    message_id: Named


class StoppedView(BaseModel):
    stopped: bool = Field(description="false: nothing was running.", examples=[True])


class ToolView(BaseModel):
    model_config = example(
        name="search_documents",
        description="Searches the documents of this conversation.",
        parameters={"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
        available=False,
        reason="There are no documents in this conversation.",
    )

    name: str
    description: str
    parameters: dict[str, Any] = Field(description="JSON Schema.")
    available: bool
    reason: str | None = Field(None, description="Why it is not available.")


class ToolsView(BaseModel):
    tools: list[ToolView]
