"""Bodies of conversations and sessions: lists, histories, exports."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from models.conversations import TITLE_CHARS
from models.schemas import (
    SOMETHING,
    FinishReason,
    Named,
    SessionBody,
    SessionId,
    SourceView,
    Text,
    Time,
    ToolCallView,
    UsageView,
    example,
)
from models.schemas_documents import BaseId, DocumentItemView
from models.turns import MessageStatus
from utils.field_faults import own

CREATED = "对话会话创建成功"
CURSOR = "AAZAKgxViAAAAAAAAAAAKiRT-UE"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _not_empty(text: str) -> str:
    if not text:
        raise own("blank")
    return text


Line = Annotated[Text, Field(max_length=200), AfterValidator(_one_line)]
FilledLine = Annotated[Line, AfterValidator(_not_empty), Field(json_schema_extra={"pattern": SOMETHING})]


class CreateBody(BaseModel):
    session_id: SessionId | None = Field(None, description="Made if missing.")
    title: Line = Field("", description=f"Empty: the first message, cut at {TITLE_CHARS} characters.")


class RenameBody(BaseModel):
    title: FilledLine = Field(examples=["年假规定"])


class BranchBody(BaseModel):
    message_id: Annotated[str, Field(max_length=128)] = Field(
        description="A message of the branch to show.", examples=["msg_3f0c1b9d7a5e4c2f8b6d0a13"]
    )


class ListQuery(BaseModel):
    limit: int = Field(50, ge=1, le=200, description="Most conversations of a page.")
    cursor: Annotated[str, Field(max_length=100)] | None = Field(
        None, description="The `next_cursor` of the page before.", examples=[CURSOR]
    )
    q: Line = Field(
        "", description="Only conversations with this text in their title or messages, in whatever case.", examples=["年假"]
    )


class HistoryQuery(BaseModel):
    branches: Literal["active", "all"] = Field("active", description="The branch that is shown, or all.")
    limit: int | None = Field(None, ge=1, le=1_000, description="At most so many, the newest.", examples=[50])
    before: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="Only messages before this one.", examples=["msg_3f0c1b9d7a5e4c2f8b6d0a13"]
    )


class ExportQuery(BaseModel):
    format: Literal["json", "markdown"] = Field("json", description="For programs, or for people.")


class ConversationView(BaseModel):
    session_id: SessionId
    title: str = Field(examples=["年假规定"])
    created_at: Time
    updated_at: Time = Field(description="Of the last turn; a new title leaves it.")
    message_count: int = Field(description="Of the branch that is shown.", examples=[2])


class ConversationsView(BaseModel):
    conversations: list[ConversationView]
    next_cursor: str | None = Field(description="For the page after this one; null at the end.", examples=[CURSOR])


class SessionsView(BaseModel):
    sessions: list[ConversationView]
    next_cursor: str | None = Field(description="For the page after this one; null at the end.", examples=[CURSOR])


class CreatedView(BaseModel):
    session_id: SessionId
    message: str = Field(examples=[CREATED])


class CreatedSessionView(ConversationView):
    message: str = Field(examples=[CREATED])


class PictureView(BaseModel):
    model_config = example(filename="出口.png", media_type="image/jpeg", ocr_text="出口 EXIT", description=None)

    filename: str
    media_type: str
    ocr_text: str
    description: str | None


class KeptToolCallView(ToolCallView):
    ms: int | None = Field(description="null in a temporary session.")  # type: ignore[assignment]


class KeptMessageView(BaseModel):
    """Of a temporary session, only what its memory holds is known."""

    role: Literal["user", "assistant"] = Field(examples=["assistant"])
    content: str = Field(examples=["工作满五年，年假为十五天 [1]。"])
    id: Named
    parent_id: str | None = Field(description="The message that it follows.", examples=["msg_7d20c4e1a9b84f6c8e5d3b02"])
    status: MessageStatus
    created_at: Time | None
    reasoning: str = Field(description="What the model thought, where it told.", examples=[""])
    sources: list[SourceView]
    tool_calls: list[KeptToolCallView]
    model: str = Field(description="Empty of a question.", examples=["qwen-plus"])
    finish_reason: FinishReason | Literal[""] = Field(description="Empty of a question, and while an answer is written.")
    usage: UsageView | None
    active: bool = Field(description="On the branch that is shown.", examples=[True])
    attachments: list[PictureView]


class MessageView(KeptMessageView):
    siblings: list[Named] = Field(description="All versions of this message, oldest first, it among them.")


class HistoryView(SessionBody):
    messages: list[MessageView]
    has_more: bool = Field(description="There are older messages than `limit` let through.")


class SessionView(ConversationView):
    knowledge_bases: list[BaseId] = Field(description="Those that are attached.")
    messages: list[MessageView]
    has_more: bool


class DeletedCounts(BaseModel):
    """How many there were."""

    messages: int = Field(examples=[4])
    documents: int = Field(examples=[1])
    pictures: int = Field(examples=[0])
    passages: int = Field(description="Searchable passages of the documents.", examples=[96])


class DeletedView(BaseModel):
    session_id: SessionId
    deleted: DeletedCounts


class DeletedDataCounts(DeletedCounts):
    conversations: int = Field(examples=[1])
    knowledge_bases: int = Field(examples=[1])
    configs: int = Field(description="Choices of models.", examples=[1])


class DeletedDataView(BaseModel):
    deleted: DeletedDataCounts


class ExportedDocumentView(DocumentItemView):
    text: str = Field(description="The extracted text.", examples=["第三章 休假。工作满五年的员工，年假为十五天。"])


class ExportedConversationView(ConversationView):
    system_prompt: str = Field(examples=["你是公司的人事助手。"])
    knowledge_bases: list[BaseId] = Field(description="Those that are attached.")
    documents: list[ExportedDocumentView]
    messages: list[KeptMessageView] = Field(description="Of all branches, oldest first.")


class ExportView(BaseModel):
    exported_at: Time
    conversations: list[ExportedConversationView]


class ExportedConfigView(BaseModel):
    model_config = example(
        user_id="user_1",
        current_model_type="custom",
        max_tokens=2_000,
        custom_api_url="https://llm.example.com/v1",
        custom_model="my-model",
    )

    user_id: str
    current_model_type: str
    max_tokens: int | None
    custom_api_url: str
    custom_model: str


class ExportedBaseView(BaseModel):
    id: BaseId
    name: str = Field(examples=["人事制度"])
    description: str = Field(examples=["员工手册与各项规定"])
    document_count: int = Field(examples=[1])
    created_at: Time
    updated_at: Time
    documents: list[ExportedDocumentView]


class ExportedDataView(ExportView):
    knowledge_bases: list[ExportedBaseView]
    configs: list[ExportedConfigView] = Field(description="Choices of models, without keys.")
