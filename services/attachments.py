"""Completes a turn before it runs: its pictures are looked at, its documents are read."""

import asyncio
import base64
import binascii
import io
import mimetypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote_to_bytes, urlsplit

from models.documents import Document
from models.events import DocumentProgress, Event
from models.prompts import document_block, language_of
from models.turns import Attachment, Turn
from services.chat_service import Prepare
from services.document_service import DocumentService
from services.history import user_message
from services.image_service import ImageService
from utils.errors import InvalidField, Language, TooLarge, UpstreamError
from utils.settings import Settings
from utils.web_utils import fetch

MOST_PICTURES = 10  # that are read for one turn
DESCRIBE: dict[Language, str] = {"en": "Describe this picture.", "zh": "请描述这张图片。"}
SUMMARISE: dict[Language, str] = {"en": "Summarise this document.", "zh": "请总结这份文档。"}


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file that a message names by its URL: `data:`, which holds it, or http(s). Name and media type may be empty."""

    url: str
    filename: str = ""
    media_type: str = ""

    @property
    def is_picture(self) -> bool:
        return self.media_type.lower().startswith("image/")

    @property
    def name(self) -> str:
        return self.filename or f"file{mimetypes.guess_extension(self.media_type) or ''}"


def with_picture(images: ImageService, picture: Attachment) -> Prepare:
    """The picture's text and description go into the conversation."""

    async def prepare(turn: Turn, _emit: Callable[[Event], None]) -> Turn:
        message = turn.message.strip() or DESCRIBE[turn.language]
        seen = await images.examine(picture, language_of(message))
        shown = {"ocr_text": seen.ocr_text, "description": seen.description}
        return replace(turn, message=message, attachments=(*turn.attachments, seen), extra={**turn.extra, "image": shown})

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
        block = document_block(document.filename, document.summary, language_of(message))
        context = f"{turn.context}\n\n{block}" if turn.context else block
        extra = {**turn.extra, "document": document.as_dict(turn.language)}
        return replace(turn, message=message, context=context, extra=extra)

    return prepare


def with_files(images: ImageService, documents: DocumentService, files: Sequence[AttachedFile]) -> Prepare:
    """All these files; a document that the session has already is not read again."""

    async def prepare(turn: Turn, emit: Callable[[Event], None]) -> Turn:
        contents = [await _content(file.url, images.settings) for file in files]
        kept = await asyncio.to_thread(_keep, images, documents, turn, list(zip(files, contents, strict=True)))
        for one in kept:
            turn = await one(turn, emit)
        return turn

    return prepare


def with_pictures_read(images: ImageService) -> Prepare:
    """For a turn without a session, whose pictures are named by their URLs: their text and description take their place."""

    async def prepare(turn: Turn, _emit: Callable[[Event], None]) -> Turn:
        language = language_of(turn.message)
        asked = [url for message in turn.history or () for url in message.get("images", ())]
        urls = list(dict.fromkeys([*asked, *(picture.path for picture in turn.attachments)]))
        if len(urls) > MOST_PICTURES:
            raise InvalidField.at("messages", f"at most {MOST_PICTURES} pictures", f"最多 {MOST_PICTURES} 张图片")

        async def read(url: str) -> Attachment:
            return await images.read(await _content(url, images.settings), language)

        seen = dict(zip(urls, await asyncio.gather(*map(read, urls)), strict=True))
        history = [
            user_message(message["content"], [seen[url] for url in message["images"]]) if "images" in message else message
            for message in turn.history or ()
        ]
        attachments = tuple(replace(seen[picture.path], filename=picture.filename) for picture in turn.attachments)
        message = turn.message.strip() or DESCRIBE[turn.language]
        return replace(turn, message=message, history=tuple(history), attachments=attachments)

    return prepare


def _keep(
    images: ImageService, documents: DocumentService, turn: Turn, received: Sequence[tuple[AttachedFile, bytes]]
) -> list[Prepare]:
    key, temporary = turn.key, turn.temporary
    others = [(io.BytesIO(content), file.name) for file, content in received if not file.is_picture]
    pictures = [
        images.store(key, io.BytesIO(content), file.name, temporary=temporary)
        for file, content in received
        if file.is_picture
    ]
    accepted = documents.accept_all(key, others, temporary=temporary) if others else ()
    ids = dict.fromkeys(document.id for document in accepted)  # the same file may be there twice
    return [
        *(with_picture(images, picture) for picture in pictures),
        *(with_document(documents, document_id) for document_id in ids),
    ]


async def _content(url: str, settings: Settings) -> bytes:
    limit = settings.UPLOAD_MAX_BYTES
    if url.startswith("data:"):
        return await asyncio.to_thread(_data, url)
    if not url.startswith(("http://", "https://")):
        raise InvalidField.at(
            "messages", "the URL of a file must begin with data: or http", "文件的 URL 须以 data: 或 http 开头"
        )
    fetched = await fetch(url, settings, max_bytes=limit)
    if fetched.truncated:
        raise TooLarge(limit=limit)
    if fetched.status != 200:
        raise UpstreamError(upstream=urlsplit(fetched.url).hostname or "url")
    return fetched.body


def _data(url: str) -> bytes:
    head, comma, data = url.partition(",")
    try:
        if not comma:
            raise ValueError("no data")
        return base64.b64decode(data, validate=True) if head.endswith(";base64") else unquote_to_bytes(data)
    except (ValueError, binascii.Error):
        raise InvalidField.at("messages", "the data of a file is broken", "文件数据已损坏") from None
