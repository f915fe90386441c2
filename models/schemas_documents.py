"""Bodies of documents: taken in, listed, searched, deleted."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from models.documents import Stage, Status
from models.schemas import NotBlank, SessionId, TurnView, example
from models.schemas_texts import ChunkView

DOCUMENT = "doc_9b1f0c7e5d3a4b2c8e6f1a07"
BaseId = Annotated[str, Field(examples=["kb_5c2e8f1a9d7b4036e1c4a7f2"])]  # a knowledge base, in answers


class DocumentPath(BaseModel):
    document_id: Annotated[str, Field(max_length=64, examples=[DOCUMENT])]


class QueryBody(BaseModel):
    query: Annotated[NotBlank, Field(min_length=1, max_length=10_000)] = Field(examples=["工作满五年的年假"])
    k: int = Field(8, ge=1, le=50, description="Most results.")
    neighbours: int = Field(0, ge=0, le=3, description="Chunks before and behind each result that come with it.")


class SearchBody(QueryBody):
    session_id: SessionId
    document_ids: list[str] | None = Field(
        None, max_length=1_000, description="Only in these documents, of the session or of attached knowledge bases."
    )


class PageView(BaseModel):
    model_config = example(page=13, method="text", chars=1_204)

    page: int | None = Field(description="1-based; null where a format has no pages.")
    method: Literal["text", "ocr", "empty"] = Field(
        description="Read from the file itself, or most of it, by OCR, from the page's picture or the pictures on it."
    )
    chars: int
    detail: str | None = Field(
        None,
        description="Why a page is empty, or what of it could not be had: blank, no_text, unreadable, ocr_failed, damaged, "
        "picture_unreadable (a picture in it is damaged), picture_not_described (the vision model was away or too slow).",
    )


class DocumentErrorView(BaseModel):
    model_config = example(code="document_unreadable", message="The document cannot be read: the file is damaged.")

    code: str = Field(description="`document_unreadable`, `cancelled`, or `unavailable` where the file is not at fault.")
    message: str
    reason: str | None = Field(None, description="Why a document is unreadable: damaged, encrypted, empty, …")


class DocumentItemView(BaseModel):
    id: str = Field(examples=[DOCUMENT])
    filename: str = Field(examples=["员工手册.pdf"])
    media_type: str = Field(examples=["application/pdf"])
    bytes: int = Field(examples=[482_133])
    sha256: str = Field(examples=["60b6d1b10d8709a04311591d78c8881f752f9c33a83651cc9fc4d2a79fbbfe1e"])
    status: Status = Field(examples=["ready"])
    progress: float = Field(ge=0, le=1, examples=[1])
    stage: Stage = Field(examples=["done"])
    page_count: int | None = Field(description="null where a format has no pages, and until it is known.", examples=[48])
    chunk_count: int = Field(description="Searchable passages.", examples=[96])
    summary: str = Field(description="Never empty of a document that is ready.", examples=["公司的休假、报销与考勤规定。"])
    knowledge_base_id: BaseId | None = Field(None, description="Of a document that a knowledge base holds.")
    error: DocumentErrorView | None = Field(None, description="Of a document that failed.")


class DocumentView(DocumentItemView):
    pages: list[PageView] = Field(description="How each page was read.")


class DocumentsView(BaseModel):
    documents: list[DocumentItemView]


class AcceptedDocumentView(DocumentItemView):
    duplicate: bool = Field(False, description="true: the same content was there already, and this document has it.")


class AcceptedDocumentsView(BaseModel):
    documents: list[AcceptedDocumentView]


class TurnWithDocumentView(TurnView):
    document: DocumentView


class WaitingDocumentView(BaseModel):
    """The file is still being read; the message was not run."""

    session_id: SessionId
    document: DocumentView


class PassageView(ChunkView):
    """A chunk that a search has found."""

    model_config = example(
        text="| 五年以上 | 十五天 |",
        document_id=DOCUMENT,
        filename="员工手册.pdf",
        page=13,
        start=10_505,
        end=10_519,
        score=0.92,
        index=27,
        heading=["员工手册", "第三章 休假"],
        context="| 工龄 | 年假 |",
    )

    document_id: str
    filename: str
    score: float = Field(description="0 to 1.")
    before: list[ChunkView] = Field([], description="The chunks before it, in their order, if `neighbours` asks for them.")
    after: list[ChunkView] = Field([], description="The chunks behind it.")


class SearchView(BaseModel):
    results: list[PassageView]


class DeletedDocumentView(BaseModel):
    id: str = Field(examples=[DOCUMENT])
    deleted: Literal[True]
