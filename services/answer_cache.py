"""Answers to stateless questions at temperature 0, kept for a while: the same question needs no second call of the model."""

import hashlib
from dataclasses import replace

import orjson

from models.event_json import decode, encode
from models.events import Answer, Ended
from models.llm_factory import default_model_name
from models.turns import Turn
from utils.session_storage import SessionStorage
from utils.settings import Settings


class AnswerCache:
    """The place of the answer to one stateless turn. Where nothing may be kept, nothing is found."""

    def __init__(self, settings: Settings, storage: SessionStorage, turn: Turn) -> None:
        self.storage, self.seconds = storage, settings.ANSWER_CACHE_SECONDS
        self.message_id = turn.message_ids[1]
        temperature = settings.LLM_TEMPERATURE if turn.temperature is None else turn.temperature
        usable = self.seconds and temperature == 0 and not turn.attachments and not turn.context
        self.name = _name(settings, turn) if usable else ""

    async def find(self) -> Answer | None:
        """What was answered before, as the answer to this turn."""
        found = await self.storage.cached(self.name) if self.name else None
        if found is None:
            return None
        [event] = decode(found)
        return replace(event.answer, message_id=self.message_id) if isinstance(event, Ended) else None

    async def keep(self, answer: Answer) -> None:
        """Keeps a whole answer; not one for which tools were called, since their results change."""
        if self.name and answer.finish_reason == "stop" and not answer.tool_calls:
            await self.storage.cache(self.name, b"[%s]" % encode(Ended(answer)), self.seconds)


def _name(settings: Settings, turn: Turn) -> str:
    """Of all on which the answer depends, and of who may see it; hashed, so that it tells nothing."""
    endpoint = turn.endpoint
    asked = [
        turn.key.owner,
        turn.model or default_model_name(settings, endpoint),
        settings.LLM_MAX_TOKENS if turn.max_tokens is None else turn.max_tokens,
        endpoint and [endpoint.provider, endpoint.base_url, endpoint.api_key.get_secret_value()],
        turn.system_prompt,
        turn.history,
        turn.message,
    ]
    return f"answer:{hashlib.sha256(orjson.dumps(asked)).hexdigest()}"
