"""Pictures that come with a message: stored, put upright and read by a job, described by the vision model if any."""

import asyncio
import base64
import io
import logging
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from models import conversations
from models.database import Database
from models.llm_factory import vision_model
from models.prompts import DESCRIBE_PICTURE
from models.turns import Attachment, SessionKey
from services import document_files as files
from utils.errors import ChatError, DocumentUnreadable, Language, Unavailable, UnsupportedType
from utils.file_util import clean_filename, detect
from utils.jobs import Jobs
from utils.settings import Settings

log = logging.getLogger(__name__)

READ_IMAGE = "services.ingestion.read_image"
DESCRIBE_SECONDS = 60
WAIT_SECONDS = (0.02, 0.25)  # shortest and longest pause between two looks at the job


class ImageService:
    """`store` blocks and is for threads; `examine` is for the event loop."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings, self.database = settings, database
        self.jobs = Jobs(settings.redis_url)

    def store(self, key: SessionKey, stream: BinaryIO, filename: str, *, temporary: bool = False) -> Attachment:
        """Keeps a picture with its session, which is made if it is missing.

        Raises TooLarge, UnsupportedType, or DocumentUnreadable for an empty file; nothing is kept then.
        """
        name = f"img_{secrets.token_hex(12)}"
        with files.received(self.settings, stream, name) as incoming:
            media_type = detect(incoming.path, filename)
            if not media_type.startswith("image/"):
                raise UnsupportedType(type=media_type)
            ttl = self.settings.MEMORY_TTL_SECONDS if temporary else None
            conversation = conversations.find_or_create(self.database, key, temporary_for=ttl)
            folder = Path(str(conversation.id), files.IMAGES, name)
            incoming.accept(self.settings.UPLOAD_DIR / folder)
        return Attachment(clean_filename(filename), str(folder / files.ORIGINAL), media_type)

    async def read(self, content: bytes, language: Language) -> Attachment:
        """A picture without a session, with text and description as `examine` finds them; nothing of it is kept.

        Raises as `store` and `examine` do.
        """
        name = f"img_{secrets.token_hex(12)}"
        with files.received(self.settings, io.BytesIO(content), name) as incoming:
            media_type = detect(incoming.path, name)
            if not media_type.startswith("image/"):
                raise UnsupportedType(type=media_type)
            path = str(incoming.path.relative_to(self.settings.UPLOAD_DIR))
            seen = await self.examine(Attachment(name, path, media_type), language)
            return replace(seen, path="")

    async def examine(self, picture: Attachment, language: Language) -> Attachment:
        """A stored picture with its text and, where a vision model is configured, its description in `language`.

        Its path is then that of a JPEG which a model can be shown. Raises DocumentUnreadable (the picture is deleted), or
        Unavailable when it is not read in time. A vision model that fails only costs the description.
        """
        try:
            read = await self._read(picture.path)
        except DocumentUnreadable:
            await asyncio.to_thread(files.remove, (self.settings.UPLOAD_DIR / picture.path).parent)
            raise
        examined = replace(picture, path=read["path"], media_type="image/jpeg", ocr_text=read["ocr_text"])
        return replace(examined, description=await self._describe(examined, language))

    async def _read(self, path: str) -> dict[str, Any]:
        job_id = Path(path).parent.name
        timeout = self.settings.PAGE_TIMEOUT_SECONDS
        await asyncio.to_thread(self.jobs.enqueue, READ_IMAGE, path, job_id=job_id, timeout=timeout)
        try:
            async with asyncio.timeout(self.settings.FILE_WAIT_SECONDS):
                result = await self._outcome(job_id)
        except TimeoutError:
            raise Unavailable(retry_after=30) from None
        finally:
            await asyncio.shield(asyncio.to_thread(self.jobs.stop, job_id))
        if "reason" in result:
            raise DocumentUnreadable(result["reason"])
        return result

    async def _outcome(self, job_id: str) -> dict[str, Any]:
        pause, longest = WAIT_SECONDS
        while True:
            outcome = await asyncio.to_thread(self.jobs.outcome, job_id)
            if outcome.failed:
                raise DocumentUnreadable("too_complex")
            if outcome.result is not None:
                return dict(outcome.result)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, longest)

    async def _describe(self, picture: Attachment, language: Language) -> str | None:
        model = vision_model(self.settings)
        if model is None:
            return None
        jpeg = await asyncio.to_thread((self.settings.UPLOAD_DIR / picture.path).read_bytes)
        return await describe(model, jpeg, language, picture.path)


async def describe(model: BaseChatModel, jpeg: bytes, language: Language, name: str) -> str | None:
    """What a vision model says of a picture. None where it fails or takes too long; then the log has the picture's name."""
    parts: list[str | dict[str, Any]] = [
        {"type": "text", "text": DESCRIBE_PICTURE[language]},
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"}},
    ]
    try:
        async with asyncio.timeout(DESCRIBE_SECONDS):
            answer = await model.ainvoke([HumanMessage(parts)])
    except (ChatError, TimeoutError) as error:
        log.warning("%s is not described: %s", name, error or "the vision model took too long")
        return None
    return answer.text.strip() or None
