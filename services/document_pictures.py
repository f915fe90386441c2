"""The pictures inside a document: read by OCR, described by the vision model where one is configured.

Loaders leave marks where pictures stand (`utils.pictures`). When all pages are read, each picture is looked at once. What is
found out lies beside it in `<picture>.json`, so that a later run goes on where an earlier one ended.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from PIL import Image

from models.llm_factory import vision_model
from models.prompts import language_of as language_of_name
from services import document_files as files
from services.image_service import describe
from services.picture_blocks import Sight, filled
from services.summaries import language_of
from services.text.cutting import width
from utils import http_client
from utils.errors import DocumentUnreadable, Language, ProviderNotConfigured
from utils.images import encode_for_model
from utils.jobs import limit_cpu
from utils.loaders import Page
from utils.pictures import MARK, Pictures, without_marks
from utils.settings import Settings

log = logging.getLogger(__name__)

UNREADABLE, NOT_DESCRIBED = "picture_unreadable", "picture_not_described"  # details of a page
CALLS = 4  # to the vision model at once
FAILURES = 4  # in a row, after which the model counts as away
LEAST_TEXT = 4  # width of the letters and digits in a picture; less is a mistake of OCR
SECONDS = "seconds"  # the file that holds how long the model has had

Ocr = Callable[[Image.Image], str]
Step = Callable[[float], bool]  # is told what part of the work is done; answers whether there is time for more


@dataclass(frozen=True, slots=True)
class Known:
    """`text` is None until the picture was read, `description` until it was described; `failed` where it could not be."""

    text: str | None = None
    description: str | None = None
    failed: bool = False


class DocumentPictures:
    """The pictures of one document, in one run of its job. The files in `folder` outlive the run."""

    def __init__(self, settings: Settings, folder: Path, filename: str) -> None:
        self._settings, self._folder, self._filename = settings, folder, filename
        self.kept = Pictures(folder, settings.DOCUMENT_MAX_PICTURES)
        self._known: dict[str, Known] = {}

    def looked_at(self, pages: Sequence[Page], ocr: Ocr, step: Step) -> list[Page] | None:
        """The pages with what their pictures say; None when `step` has ended the run before all were looked at.

        A model that fails costs its descriptions only, and the pages say so.
        """
        marked = dict.fromkeys(key for page in pages for key in MARK.findall(page.text))
        if not marked:
            return list(pages)
        keys = [key for key in marked if key in self.kept]
        self._known = {key: self._load(key) for key in keys}
        model = vision_model(self._settings)
        work = len(keys) * (2 if model else 1)
        read_with_page = {key for page in pages if page.method == "ocr" for key in MARK.findall(page.text)}
        for number, key in enumerate(keys, 1):
            if self._known[key].text is None:
                self._note(key, text="" if key in read_with_page else self._read(key, ocr))
                if not step(number / work):
                    return None
        language = self._language(pages)
        if model and not self._describe_all(model, language, step):
            return None
        return filled(pages, {key: self._sight(key) for key in keys}, language)

    def _language(self, pages: Iterable[Page]) -> Language:
        """That of the text; of a document that has none, that of its name."""
        texts = [*(without_marks(page.text) for page in pages), *(known.text or "" for known in self._known.values())]
        text = "\n".join(texts)
        return language_of(text) if text.strip() else language_of_name(self._filename)

    def _sight(self, key: str) -> Sight:
        known = self._known[key]
        detail = UNREADABLE if self.kept.is_damaged(key) else NOT_DESCRIBED if known.failed else None
        return Sight(known.text or "", known.description or "", detail)

    def _read(self, key: str, ocr: Ocr) -> str:
        """The text in a picture; empty where there is hardly any, or where it cannot be read."""
        if self.kept.worn_out:
            return ""
        limit_cpu(self._settings.PAGE_TIMEOUT_SECONDS)
        with self.kept.suspecting(key):
            image = self.kept.read(key)
            try:
                text = ocr(image) if image else ""
            except (DocumentUnreadable, ProviderNotConfigured) as error:
                log.warning("the text in a picture is not read: %s", error)
                text = ""
        return text if width("".join(filter(str.isalnum, text))) >= LEAST_TEXT else ""

    def _describe_all(self, model: BaseChatModel, language: Language, step: Step) -> bool:
        """Describes what is not described yet; False when the rest is for another run. What fails is not tried again."""
        limit_cpu(self._settings.DOCUMENT_TIMEOUT_SECONDS)
        todo = [key for key, known in self._known.items() if known.description is None and not known.failed]
        todo = [key for key in todo if not self.kept.is_damaged(key)]
        started, spent = time.monotonic(), self._seconds()
        if todo and not http_client.run(self._bounded(model, todo, language, step, spent)):
            files.write(self._folder / SECONDS, str(spent + time.monotonic() - started))
            return False
        for key in todo:
            if self._known[key].description is None:
                self._note(key, failed=True)
        return True

    async def _bounded(
        self, model: BaseChatModel, todo: Sequence[str], language: Language, step: Step, spent: float
    ) -> bool:
        try:
            async with asyncio.timeout(self._settings.PICTURES_TIMEOUT_SECONDS - spent):
                return await self._ask(model, todo, language, step)
        except TimeoutError:
            log.warning("the vision model took too long for the pictures of %s", self._filename)
            return True

    async def _ask(self, model: BaseChatModel, todo: Sequence[str], language: Language, step: Step) -> bool:
        """Has some pictures described at a time; False when `step` ends this before all were."""
        waiting, running = list(reversed(todo)), set[asyncio.Task[bool]]()
        failures, go_on = 0, True
        try:
            while running or (waiting and go_on and failures < FAILURES):
                while waiting and go_on and failures < FAILURES and len(running) < CALLS:
                    running.add(asyncio.create_task(self._describe(model, waiting.pop(), language)))
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    failures = 0 if task.result() else failures + 1
                go_on = step(1 - (len(waiting) + len(running)) / (2 * len(self._known)))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return go_on or not waiting or failures >= FAILURES

    async def _describe(self, model: BaseChatModel, key: str, language: Language) -> bool:
        image = await asyncio.to_thread(self.kept.read, key)
        jpeg = await asyncio.to_thread(encode_for_model, image) if image else b""
        description = await describe(model, jpeg, language, f"a picture of {self._filename}") if jpeg else None
        self._note(key, description=description, failed=description is None)
        return description is not None

    def _seconds(self) -> float:
        """How long the model has had in earlier runs."""
        path = self._folder / SECONDS
        return float(path.read_text()) if path.exists() else 0.0

    def _load(self, key: str) -> Known:
        path = self._folder / f"{key}.json"
        return Known(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else Known()

    def _note(self, key: str, **values: Any) -> None:
        self._known[key] = replace(self._known[key], **values)
        self._folder.mkdir(exist_ok=True)
        files.write(self._folder / f"{key}.json", json.dumps(asdict(self._known[key]), ensure_ascii=False))
