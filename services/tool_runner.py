"""Runs the tools of a turn, and writes what they found as the model reads it."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from models.events import ToolStatus
from models.passages import Passage
from models.prompts import passages_block
from models.tools import Tool, ToolContext, ToolOutput
from services.history import estimate_tokens
from services.turn_state import TurnState
from utils.errors import ChatError, Language, UpstreamTimeout
from utils.session_storage import SessionStorage

log = logging.getLogger(__name__)

Ground = Callable[[Sequence[Passage]], Awaitable[list[Passage | None]]]  # see services.grounding

BROKEN = "invalid_json"  # the one argument of a call whose arguments could not be read
GONE: dict[Language, str] = {
    "en": "The documents in which something was found are no longer there.",
    "zh": "找到内容的文档已不存在。",
}


@dataclass(frozen=True, slots=True)
class _Found:
    """What a tool gave: each of the `passages` as it is shown, and what of its document may be cited."""

    text: str
    passages: Sequence[tuple[Passage, Passage]] = ()


class ToolRunner:
    """The tools of one agent. `ground` tells where passages stand in their documents."""

    def __init__(self, tools: Sequence[Tool], storage: SessionStorage, ground: Ground) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.storage, self.ground = storage, ground

    async def run(self, name: str, args: dict[str, Any], state: TurnState) -> tuple[ToolStatus, str, list[int]]:
        """How it went, the text for the model, cut to what there is room for, and the first and last number in it.

        Passages are numbered through the turn; those for which there is no room have no number.
        """
        status, found = await self._run(name, args, state)
        limit, first = state.context.room(), len(state.passages) + 1
        passages = list(found.passages)
        text = _written(found.text, passages, state.context.language, first)
        while len(text) > limit and len(passages) > 1:
            passages.pop()
            text = _written(found.text, passages, state.context.language, first)
        text = text if len(text) <= limit else text[:limit] + "…"
        state.room -= estimate_tokens(text)
        state.passages += [ground for shown, ground in passages if not shown.summary]
        return status, text, [first, len(state.passages)] if len(state.passages) >= first else []

    async def _run(self, name: str, args: dict[str, Any], state: TurnState) -> tuple[ToolStatus, _Found]:
        settings, language = state.context.settings, state.context.language
        tool = self.tools.get(name)
        if tool is None:
            return "error", _Found(f"There is no tool {name}.")
        if BROKEN in args:
            return "error", _Found("The arguments are not a JSON object.")
        if state.started_calls > settings.MAX_TOOL_CALLS:
            return "error", _Found("No more tool calls are allowed in this turn.")
        try:
            parsed = tool.args.model_validate(args)
            async with asyncio.timeout(settings.TOOL_TIMEOUT_SECONDS):
                return "ok", await self._grounded(await self._cached(tool, parsed, state.context), language)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
            return "error", _Found(f"Invalid arguments: {faults}")
        except ChatError as error:
            return "error", _Found(error.message(language))
        except TimeoutError:
            return "error", _Found(UpstreamTimeout(upstream=name).message(language))
        except Exception:  # the engine's edge: whatever breaks in a tool must not end the turn
            log.exception("Tool %s failed", name)
            return "error", _Found(ChatError().message(language))

    async def _cached(self, tool: Tool, args: BaseModel, context: ToolContext) -> ToolOutput:
        seconds = context.settings.TOOL_CACHE_SECONDS
        if not tool.cacheable or not seconds:
            return await tool.run(args, context)
        name = f"{tool.name}:{hashlib.sha256(args.model_dump_json().encode()).hexdigest()}"
        if (found := await self.storage.cached(name)) is not None:
            return ToolOutput(found.decode())
        output = await tool.run(args, context)
        await self.storage.cache(name, output.text.encode(), seconds)
        return output

    async def _grounded(self, output: ToolOutput, language: Language) -> _Found:
        """Leaves out what no longer stands in its document."""
        grounds = await self.ground(output.passages) if output.passages else []
        passages = [(shown, ground) for shown, ground in zip(output.passages, grounds, strict=True) if ground]
        return _Found(output.text or ("" if passages or not output.passages else GONE[language]), passages)


def _written(text: str, passages: Sequence[tuple[Passage, Passage]], language: Language, first: int) -> str:
    block = passages_block([shown for shown, _ in passages], language, first)
    return "\n\n".join(part for part in (text, block) if part)
