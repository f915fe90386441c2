"""Bodies of requests and answers, as clients see them. They validate, and they make the OpenAPI description."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

SESSION_ID = r"^[A-Za-z0-9_.:\-]{1,128}$"

SessionId = Annotated[str, Field(pattern=SESSION_ID, description="1 to 128 of A-Z a-z 0-9 _ . : -")]
MessageId = Annotated[str, Field(min_length=1, max_length=128)]
Text = Annotated[str, AfterValidator(lambda text: text.replace("\0", ""))]  # SQL databases refuse NUL


def _file(value: Any) -> Any:
    if not hasattr(value, "stream"):
        raise ValueError("must be a file")
    return value


Upload = Annotated[Any, AfterValidator(_file), WithJsonSchema({"type": "string", "format": "binary"})]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


class ModelOptions(BaseModel):
    """How a turn is answered."""

    model: Annotated[str, Field(max_length=200)] | None = Field(None, description="Name of the chat model.")
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    stream: bool = Field(False, description="Server-sent events instead of one JSON object.")


class TurnOptions(ModelOptions):
    """What every kind of turn takes."""

    system_prompt: Annotated[Text, Field(max_length=100_000)] | None = Field(
        None, description="Stays with the session until another is given."
    )
    temporary: bool = Field(False, description="On the first turn: the session is never stored and ends with its TTL.")


class Options(TurnOptions):
    """What a turn takes that names its session in the body."""

    session_id: SessionId | None = Field(None, description="Made if missing.")


class Question(BaseModel):
    message: Annotated[Text, Field(min_length=1, max_length=1_000_000), AfterValidator(_not_blank)] = Field(
        examples=["你好"]
    )
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

    message: Annotated[Text, Field(max_length=1_000_000)] = Field("", description="Empty: describe or summarise it.")


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
        None, description="For clients that cannot send the header Last-Event-ID."
    )


class DocumentPath(BaseModel):
    document_id: Annotated[str, Field(max_length=64)]


class SearchBody(BaseModel):
    query: Annotated[Text, Field(min_length=1, max_length=10_000), AfterValidator(_not_blank)]
    session_id: SessionId
    k: int = Field(8, ge=1, le=50, description="Most results.")
    document_ids: list[str] | None = Field(None, max_length=1_000, description="Only in these documents.")


class SpeechBody(BaseModel):
    text: Annotated[Text, Field(min_length=1, max_length=1_000_000), AfterValidator(_not_blank)]
    voice: Annotated[str, Field(max_length=100)] | None = None
    format: Literal["wav", "pcm"] | None = None


class SourceView(BaseModel):
    document_id: str
    filename: str
    page: int | None = Field(description="1-based; null where a format has no pages.")
    quote: str = Field(description="Text that stands in the document.")
    score: float
    cited: bool


class ToolCallView(BaseModel):
    id: str
    name: str
    args: dict[str, Any]
    status: Literal["ok", "error"]
    result: str
    ms: int


class UsageView(BaseModel):
    input_tokens: int
    output_tokens: int
    total_tokens: int


class TurnView(BaseModel):
    session_id: str
    message_id: str = Field(description="Names the assistant's message.")
    response: str
    sources: list[SourceView]
    tool_calls: list[ToolCallView]
    usage: UsageView
    model: str
    finish_reason: Literal["stop", "length", "content_filter", "stopped", "tool_limit"]


class ImageView(BaseModel):
    ocr_text: str
    description: str | None


class TurnWithImageView(TurnView):
    image: ImageView


class PageView(BaseModel):
    page: int | None
    method: Literal["text", "ocr", "empty"]
    chars: int
    detail: str | None = None


class DocumentErrorView(BaseModel):
    code: str
    message: str
    reason: str | None = Field(None, description="Why a document is unreadable: damaged, encrypted, empty, …")


class DocumentItemView(BaseModel):
    id: str
    filename: str
    media_type: str
    bytes: int
    sha256: str
    status: Literal["queued", "processing", "ready", "partial", "failed"]
    progress: float = Field(ge=0, le=1)
    stage: str
    page_count: int | None
    chunk_count: int
    summary: str
    error: DocumentErrorView | None = None


class DocumentView(DocumentItemView):
    pages: list[PageView]


class DocumentsView(BaseModel):
    documents: list[DocumentItemView]


class TurnWithDocumentView(TurnView):
    document: DocumentView


class WaitingDocumentView(BaseModel):
    """The file is still being read; the message was not run."""

    session_id: str
    document: DocumentView


class PassageView(BaseModel):
    text: str
    document_id: str
    filename: str
    page: int | None
    start: int = Field(description="Offset in characters into the extracted text.")
    end: int
    score: float


class SearchView(BaseModel):
    results: list[PassageView]


class ClearedView(BaseModel):
    session_id: str
    cleared_messages: int
    restorable_until: str | None


class RestoredView(BaseModel):
    session_id: str
    restored_messages: int


class StartedView(BaseModel):
    """The turn runs; its events come at GET /chat/{session_id}/stream."""

    session_id: str
    message_id: str


class StoppedView(BaseModel):
    stopped: bool


class DeletedDocumentView(BaseModel):
    id: str
    deleted: bool


class ToolView(BaseModel):
    name: str
    description: str
    parameters: dict[str, Any] = Field(description="JSON Schema.")
    available: bool
    reason: str | None = None


class ToolsView(BaseModel):
    tools: list[ToolView]


class CheckView(BaseModel):
    status: str
    detail: str | None = None


class HealthView(BaseModel):
    status: Literal["ok", "degraded", "down"]
    checks: dict[str, CheckView]
    version: str


class FieldErrorView(BaseModel):
    field: str
    message: str


class ProblemView(BaseModel):
    """RFC 9457, `application/problem+json`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldErrorView] | None = None
