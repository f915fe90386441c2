"""Bodies of conversations and sessions: lists, histories, exports."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from models.conversations import TITLE_CHARS
from models.schemas import SessionBody, SessionId, SourceView, Text, ToolCallView, UsageView

CREATED = "对话会话创建成功"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("must not be blank")
    return text


Line = Annotated[Text, Field(max_length=200), AfterValidator(_one_line)]


class CreateBody(BaseModel):
    session_id: SessionId | None = Field(None, description="Made if missing.")
    title: Line = Field("", description=f"Empty: the first message, cut at {TITLE_CHARS} characters.")


class RenameBody(BaseModel):
    title: Annotated[Line, AfterValidator(_not_empty)] = Field(examples=["年假规定"])


class BranchBody(BaseModel):
    message_id: Annotated[str, Field(max_length=128)] = Field(description="A message of the branch to show.")


class ListQuery(BaseModel):
    limit: int = Field(50, ge=1, le=200)
    cursor: Annotated[str, Field(max_length=100)] | None = Field(None, description="The `next_cursor` of the page before.")
    q: Line = Field("", description="Only conversations with this text in their title or messages, in whatever case.")


class HistoryQuery(BaseModel):
    branches: Literal["active", "all"] = Field("active", description="The branch that is shown, or all.")
    limit: int | None = Field(None, ge=1, le=1_000, description="At most so many, the newest.")
    before: Annotated[str, Field(max_length=64)] | None = Field(None, description="Only messages before this one.")


class ExportQuery(BaseModel):
    format: Literal["json", "markdown"] = "json"


class ConversationView(BaseModel):
    session_id: str
    title: str
    created_at: str = Field(description="RFC 3339, UTC.", examples=["2025-10-02T10:00:00+00:00"])
    updated_at: str = Field(description="Of the last turn; a new title leaves it.")
    message_count: int = Field(description="Of the branch that is shown.")


class ConversationsView(BaseModel):
    conversations: list[ConversationView]
    next_cursor: str | None = Field(description="null at the end.")


class SessionsView(BaseModel):
    sessions: list[ConversationView]
    next_cursor: str | None = Field(description="null at the end.")


class CreatedView(BaseModel):
    session_id: str
    message: str = Field(examples=[CREATED])


class CreatedSessionView(ConversationView):
    message: str = Field(examples=[CREATED])


class PictureView(BaseModel):
    filename: str
    media_type: str
    ocr_text: str
    description: str | None


class KeptToolCallView(ToolCallView):
    ms: int | None = Field(description="null in a temporary session.")  # type: ignore[assignment]


class MessageView(BaseModel):
    """Of a temporary session, only what its memory holds is known."""

    role: Literal["user", "assistant"]
    content: str
    id: str
    parent_id: str | None = Field(description="The message that it follows.")
    status: Literal["complete", "running", "failed", "stopped", "interrupted"]
    created_at: str | None
    reasoning: str
    sources: list[SourceView]
    tool_calls: list[KeptToolCallView]
    model: str
    finish_reason: str
    usage: UsageView | None
    active: bool = Field(description="On the branch that is shown.")
    attachments: list[PictureView]
    siblings: list[str] = Field(description="All versions of this message, oldest first, it among them.")


class HistoryView(SessionBody):
    messages: list[MessageView]
    has_more: bool = Field(description="There are older messages than `limit` let through.")


class SessionView(ConversationView):
    messages: list[MessageView]
    has_more: bool


class DeletedView(BaseModel):
    session_id: str
    deleted: dict[str, int] = Field(
        description="How many `messages`, `documents`, `pictures` and searchable `passages` there were."
    )


class DeletedDataView(BaseModel):
    deleted: dict[str, int] = Field(description="The same of all conversations, `conversations` and `configs`.")


class ExportView(BaseModel):
    """With `format=markdown`, a text."""

    exported_at: str
    conversations: list[dict[str, Any]]
    configs: list[dict[str, Any]] | None = None
