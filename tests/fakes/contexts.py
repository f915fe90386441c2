"""What a tool is given by a turn."""

import asyncio
from collections.abc import Sequence
from typing import Any

from models.passages import Passage
from models.tools import Tool, ToolContext, ToolOutput
from models.turns import SessionKey
from utils.errors import Language
from utils.settings import Settings


def tool_context(
    settings: Settings, passages: Sequence[Passage] = (), documents: int = 0, language: Language = "en"
) -> ToolContext:
    """A context in which every search finds `passages`."""

    async def search(query: str) -> list[Passage]:
        return list(passages)

    return ToolContext(settings, SessionKey("local", "s1"), documents, search, language)


def call(tool: Tool, context: ToolContext, **args: Any) -> ToolOutput:
    """Runs a tool as a turn does: arguments validated, on an event loop."""
    return asyncio.run(tool.run(tool.args.model_validate(args), context))  # type: ignore[arg-type]
