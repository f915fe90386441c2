"""What a tool is. Each file of `services/tools` holds one `TOOL`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from models.passages import Passage
from models.turns import SessionKey
from utils.errors import Language
from utils.settings import Settings

Search = Callable[[str], Awaitable[list[Passage]]]


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of its turn. `search` looks in the session's documents, of which there are `documents`."""

    settings: Settings
    key: SessionKey
    documents: int
    search: Search
    language: Language = "en"


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """`text` goes to the model; below it the turn writes the `passages`, numbered, each of which may be cited."""

    text: str
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the agent may call.

    `run` gets an instance of `args`; a ChatError that it raises becomes the tool's result. `missing` says why the tool
    cannot be offered in a context, None when it can. Results of a `cacheable` tool are text, and depend on its
    arguments alone.
    """

    name: str
    description: str
    args: type[BaseModel]
    run: Callable[[Any, ToolContext], Awaitable[ToolOutput]]
    missing: Callable[[ToolContext], str | None] = lambda context: None
    cacheable: bool = False
