"""Speaks a text with a speech model of DashScope (Qwen-TTS)."""

import asyncio
import base64
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

from utils.audio_utils import MEDIA_TYPES, SAMPLE_BYTES, SAMPLE_RATE, speech_parts, wav
from utils.errors import ChatError, InvalidField, ProviderNotConfigured, UpstreamBusy, UpstreamError, UpstreamTimeout
from utils.http_client import error_of, for_log
from utils.settings import Settings

PART_UNITS = 600  # the most that qwen3-tts-flash takes in one request
PARALLEL = 4
MAX_PART_BYTES = 600 * SAMPLE_RATE * SAMPLE_BYTES  # ten minutes, many times what 600 units take
UPSTREAM = "DashScope"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Speech:
    """`audio` is a whole file, or bare samples where PCM was asked for."""

    audio: bytes
    media_type: str


class AudioService:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def speak(self, text: str, voice: str | None = None, format: str | None = None) -> Speech:
        """Speaks `text`, however long up to `TTS_MAX_CHARS`, in a `voice` of the model, as `wav` (default) or `pcm`.

        Blocks for seconds; not to be called on an event loop. Raises InvalidField, ProviderNotConfigured, UpstreamError,
        UpstreamBusy and UpstreamTimeout.
        """
        audio_format = format or "wav"
        if audio_format not in MEDIA_TYPES:
            raise InvalidField.at("format", f"must be one of {', '.join(MEDIA_TYPES)}", f"只能是 {'、'.join(MEDIA_TYPES)}")
        if len(text) > (most := self.settings.TTS_MAX_CHARS):
            raise InvalidField.at("text", f"at most {most} characters", f"最多 {most} 个字符")
        parts = speech_parts(text, PART_UNITS)
        if not parts:
            raise InvalidField.at("text", "holds nothing that can be spoken", "没有可以朗读的内容")
        if not self.settings.DASHSCOPE_API_KEY.get_secret_value():
            raise ProviderNotConfigured(setting="DASHSCOPE_API_KEY")
        samples = b"".join(asyncio.run(self._speak_all(parts, voice)))
        return Speech(wav(samples) if audio_format == "wav" else samples, MEDIA_TYPES[audio_format])

    async def _speak_all(self, parts: list[str], voice: str | None) -> list[bytes]:
        """The samples of each part."""
        from dashscope import AioMultiModalConversation  # 0.4 s and 63 MB, for workers that speak

        turns = asyncio.Semaphore(PARALLEL)

        async def speak(part: str) -> bytes:
            async with turns:
                return await self._speak_part(AioMultiModalConversation, session, part, voice)

        try:
            # an event holds seconds of audio in one line, more than the default buffer takes
            async with (
                asyncio.timeout(self.settings.TTS_TIMEOUT_SECONDS),
                aiohttp.ClientSession(read_bufsize=2**22) as session,
            ):
                return await asyncio.gather(*map(speak, parts))
        except TimeoutError as error:
            raise UpstreamTimeout(upstream=UPSTREAM) from error
        except (aiohttp.ClientError, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("%s: %s", UPSTREAM, type(error).__name__)  # no connection, or an answer that is none
            raise UpstreamError(upstream=UPSTREAM) from error

    async def _speak_part(self, model: Any, session: aiohttp.ClientSession, part: str, voice: str | None) -> bytes:
        replies = await model.call(
            model=self.settings.TTS_MODEL,
            text=part,
            voice=voice or self.settings.TTS_VOICE,
            stream=True,
            api_key=self.settings.DASHSCOPE_API_KEY.get_secret_value(),
            base_address=f"{self.settings.DASHSCOPE_API_URL}/api/v1",
            session=session,
            request_timeout=self.settings.LLM_READ_TIMEOUT,
        )
        samples = bytearray()
        finished = False
        async for reply in replies:
            if reply.status_code != HTTPStatus.OK:
                raise self._refused(reply, voice)
            if reply.output.audio and reply.output.audio.data:
                samples += base64.b64decode(reply.output.audio.data)
            finished = finished or reply.output.finish_reason == "stop"
            if len(samples) > MAX_PART_BYTES:
                break
        if not finished or not samples:  # a stream that was cut looks like one that has ended
            raise UpstreamError(upstream=UPSTREAM)
        return bytes(samples[: len(samples) // SAMPLE_BYTES * SAMPLE_BYTES])

    def _refused(self, reply: Any, voice: str | None) -> ChatError:
        code, message = reply.code or "", for_log(str(reply.message), self.settings.DASHSCOPE_API_KEY.get_secret_value())
        log.warning("%s refused to speak: %s %s %s", UPSTREAM, reply.status_code, code, message)
        if code.startswith("Throttling"):
            return UpstreamBusy(upstream=UPSTREAM)
        if code.startswith("InvalidParameter") and voice:
            return InvalidField.at("voice", "was refused by the speech model", "语音模型不接受这个取值")
        return error_of(reply.status_code, upstream=UPSTREAM, headers=reply.headers or {})
