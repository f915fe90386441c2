"""Completes a turn before it runs: its picture is looked at, its document is read."""

from collections.abc import Callable
from dataclasses import replace

from models.documents import Document
from models.events import DocumentProgress, Event
from models.prompts import document_block, language_of
from models.turns import Attachment, Turn
from services.chat_service import Prepare
from services.document_service import DocumentService
from services.image_service import ImageService
from utils.errors import Language

DESCRIBE: dict[Language, str] = {"en": "Describe this picture.", "zh": "请描述这张图片。"}
SUMMARISE: dict[Language, str] = {"en": "Summarise this document.", "zh": "请总结这份文档。"}


def with_picture(images: ImageService, picture: Attachment) -> Prepare:
    """The picture's text and description go into the conversation."""

    async def prepare(turn: Turn, _emit: Callable[[Event], None]) -> Turn:
        message = turn.message.strip() or DESCRIBE[turn.language]
        seen = await images.examine(picture, language_of(message))
        shown = {"ocr_text": seen.ocr_text, "description": seen.description}
        return replace(turn, message=message, attachments=(seen,), extra={"image": shown})

    return prepare


def with_document(documents: DocumentService, document_id: str) -> Prepare:
    """The document is searchable when the turn runs; until then its progress is told."""

    async def prepare(turn: Turn, emit: Callable[[Event], None]) -> Turn:
        def tell(seen: Document) -> None:
            if seen.failure is None:
                emit(DocumentProgress(seen.id, seen.stage, seen.progress))

        document = await documents.wait(document_id, tell)
        if document.failure is not None:
            raise document.failure
        message = turn.message.strip() or SUMMARISE[turn.language]
        context = document_block(document.filename, document.summary, language_of(message))
        return replace(turn, message=message, context=context, extra={"document": document.as_dict(turn.language)})

    return prepare
