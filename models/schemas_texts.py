"""Bodies of the texts of documents: pages and chunks."""

from typing import Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from models.schemas import example
from utils.field_faults import own

MOST_PAGES = 50
MOST_CHUNKS = 200


class PagesQuery(BaseModel):
    first: int = Field(1, ge=1, description="The first page, counted from 1.")
    last: int | None = Field(
        None,
        ge=1,
        description=f"The last page, not before `first`; never more than {MOST_PAGES} pages are answered.",
        examples=[5],
    )

    @field_validator("last")
    @classmethod
    def _in_order(cls, last: int | None, info: ValidationInfo) -> int | None:
        if last is not None and last < info.data.get("first", last):
            raise own("before_first")
        return last

    @property
    def end(self) -> int:
        """The last page that is answered."""
        most = self.first + MOST_PAGES - 1
        return most if self.last is None else min(self.last, most)


class PageTextView(BaseModel):
    model_config = example(page=13, text="第三章 休假\n工作满五年的员工，年假为十五天。", start=10_476, method="text")

    page: int | None = Field(description="1-based; null where a format has no pages: a sheet, a chapter, the whole.")
    text: str
    start: int = Field(description="Offset of the page in the extracted text, in characters.")
    method: Literal["text", "ocr", "empty"] = Field(
        description="Read from the file itself, or most of it, by OCR, from the page's picture or the pictures on it."
    )
    detail: str | None = Field(None, description="Why it is empty, or what could not be read.")


class PagesView(BaseModel):
    pages: list[PageTextView]
    total: int = Field(description="Pages of the document.", examples=[48])


class ChunksQuery(BaseModel):
    first: int = Field(0, ge=0, description="Number of the first chunk, counted from 0.")
    count: int = Field(20, ge=1, le=MOST_CHUNKS, description="Most chunks.")


class ChunkView(BaseModel):
    model_config = example(
        index=27,
        text="| 五年以上 | 十五天 |",
        page=13,
        start=10_505,
        end=10_519,
        heading=["员工手册", "第三章 休假"],
        context="| 工龄 | 年假 |",
    )

    index: int = Field(description="Number in the document, from 0.")
    text: str
    page: int | None = Field(description="1-based; null where a format has no pages.")
    start: int = Field(description="Offset in characters into the extracted text.")
    end: int
    heading: list[str] = Field(description="The headings above, outermost first.")
    context: str = Field(description="The head of the table whose rows these are; else empty.")


class ChunksView(BaseModel):
    chunks: list[ChunkView]
    total: int = Field(description="Chunks of the document.", examples=[96])
