"""The events of the native streams and of the WebSocket, and the pieces of the simplest stream. For the documentation."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel

from models.documents import Stage
from models.schemas import ImageView, Named, SessionChatBody, SessionId, SourceView, TurnView, example
from models.schemas_documents import DOCUMENT, DocumentView

SEEN = "msg_3f0c1b9d7a5e4c2f8b6d0a13:7"


class StartData(BaseModel):
    session_id: SessionId
    message_id: Named


class StartEvent(BaseModel):
    """The turn has begun."""

    type: Literal["start"]
    data: StartData


class DocumentData(BaseModel):
    model_config = example(id=DOCUMENT, stage="extracting", progress=0.4)

    id: str
    stage: Stage
    progress: float = Field(ge=0, le=1)


class DocumentEvent(BaseModel):
    """How far a file that came with the question has been read."""

    type: Literal["document"]
    data: DocumentData


class ContentData(BaseModel):
    content: str = Field(examples=["年假为十五天"])


class ChunkEvent(BaseModel):
    """A piece of the answer; all of them together are the answer."""

    type: Literal["chunk"]
    data: ContentData


class ReasoningEvent(BaseModel):
    """A piece of what a model thinks before it answers, from models that tell."""

    type: Literal["reasoning"]
    data: ContentData


class ToolCallData(BaseModel):
    model_config = example(id="call_1", name="search_documents", args={"query": "年假 五年"})

    id: str
    name: str
    args: dict[str, Any]


class ToolCallEvent(BaseModel):
    """The agent calls a tool."""

    type: Literal["tool_call"]
    data: ToolCallData


class ToolResultData(BaseModel):
    model_config = example(id="call_1", name="search_documents", status="ok", result="[1] 员工手册.pdf，第 13 页：…")

    id: str
    name: str
    status: Literal["ok", "error"]
    result: str


class ToolResultEvent(BaseModel):
    """What the tool gave to the call of that `id`."""

    type: Literal["tool_result"]
    data: ToolResultData


class SourcesData(BaseModel):
    sources: list[SourceView]


class SourcesEvent(BaseModel):
    """The passages on which the answer rests."""

    type: Literal["sources"]
    data: SourcesData


class EndData(TurnView):
    full_text: str = Field(description="The same as `response`.", examples=["工作满五年，年假为十五天 [1]。"])
    image: ImageView | None = Field(None, description="Where a picture came with the question.")
    document: DocumentView | None = Field(None, description="Where a file came with the question.")
    user_message: str | None = Field(None, description="Where the question came to `POST /chat`.")


class EndEvent(BaseModel):
    """The last event of a turn: the whole of it."""

    type: Literal["end"]
    data: EndData


class ErrorData(BaseModel):
    model_config = example(message="The upstream service did not answer in time: qwen-plus.", code="upstream_timeout")

    message: str = Field(description="A sentence for people, in the language of Accept-Language.")
    code: str = Field(description="Stable; for programs. The codes are those of error answers.")


class ErrorEvent(BaseModel):
    """The last event of a turn that failed."""

    type: Literal["error"]
    data: ErrorData


NativeEvents = Annotated[
    StartEvent
    | DocumentEvent
    | ChunkEvent
    | ReasoningEvent
    | ToolCallEvent
    | ToolResultEvent
    | SourcesEvent
    | EndEvent
    | ErrorEvent,
    Field(discriminator="type"),
]


class NativeEvent(RootModel[NativeEvents]):
    """An event of a turn: `start`, then any of the others, last exactly one of `end` or `error`."""


class WebSocketQuestion(SessionChatBody):
    """Asks; the answer's events follow. Up to ten questions wait for the one before them."""

    type: Literal["message"] = "message"


class WebSocketStop(BaseModel):
    """Ends the answer that is being generated."""

    type: Literal["stop"]


class WebSocketResume(BaseModel):
    """After a connection was lost: what came after that event, or the running turn from its start."""

    type: Literal["resume"]
    last_event_id: str | None = Field(None, examples=[SEEN])


class WebSocketRequest(RootModel[WebSocketQuestion | WebSocketStop | WebSocketResume]):
    """A frame from the client; without a `type` it is a question."""


class ChunkPiece(BaseModel):
    """A piece of the answer."""

    chunk: str = Field(examples=["你好"])


class DonePiece(BaseModel):
    """The end, also after a failure."""

    done: Literal[True]
    sources: list[SourceView] | None = Field(None, description="Where there are any, as in the native API.")


class ErrorPiece(BaseModel):
    """Why the answer ends here; `done` follows."""

    model_config = example(error="The upstream service did not answer in time: qwen-plus.", code="upstream_timeout")

    error: str
    code: str


class SimplePiece(RootModel[ChunkPiece | DonePiece | ErrorPiece]):
    """An event of `POST /chat`."""
