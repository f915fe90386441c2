"""Bodies of knowledge bases: made, changed, listed, filled, attached, deleted."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from models.schemas import SessionId, SessionPath, Text, Time
from models.schemas_conversations import FilledLine
from models.schemas_documents import BaseId, DocumentItemView

BASE = "kb_5c2e8f1a9d7b4036e1c4a7f2"
CURSOR = "AAZAKgxViABrYl81YzJlOGYxYTlkN2I0MDM2ZTFjNGE3ZjLI_I1o"

Description = Annotated[Text, Field(max_length=2_000, description="For people.", examples=["员工手册与各项规定"])]
Cursor = Annotated[str, Field(max_length=100)]


class BasePath(BaseModel):
    knowledge_base_id: Annotated[str, Field(max_length=64, examples=[BASE])]


class SessionBasePath(SessionPath, BasePath):
    pass


class CreateBaseBody(BaseModel):
    name: FilledLine = Field(examples=["人事制度"])
    description: Description = ""


class ChangeBaseBody(BaseModel):
    """What is absent stays as it is."""

    name: FilledLine | None = Field(None, examples=["人事制度"])
    description: Description | None = None


class BasesQuery(BaseModel):
    limit: int = Field(50, ge=1, le=200, description="Most of a page.")
    cursor: Cursor | None = Field(None, description="The `next_cursor` of the page before.", examples=[CURSOR])


class AttachQuery(BaseModel):
    temporary: bool = Field(False, description="Where the session is made: it is never stored and ends with its TTL.")


class BaseView(BaseModel):
    id: BaseId
    name: str = Field(examples=["人事制度"])
    description: str = Field(examples=["员工手册与各项规定"])
    document_count: int = Field(description="Whatever their status.", examples=[12])
    created_at: Time
    updated_at: Time = Field(description="Of its name and description.")


class AttachedBasesView(BaseModel):
    knowledge_bases: list[BaseView]


class BasesView(AttachedBasesView):
    next_cursor: str | None = Field(description="For the page after this one; null at the end.", examples=[CURSOR])


class BaseDocumentsView(BaseModel):
    documents: list[DocumentItemView]
    next_cursor: str | None = Field(description="For the page after this one; null at the end.", examples=[CURSOR])


class DeletedBaseCounts(BaseModel):
    """How many there were."""

    documents: int = Field(examples=[12])
    passages: int = Field(description="Searchable passages of the documents.", examples=[1_152])


class DeletedBaseView(BaseModel):
    id: BaseId
    deleted: DeletedBaseCounts


class DetachedView(BaseModel):
    session_id: SessionId
    id: BaseId
    detached: Literal[True]
