"""What a tool is. Each file of `services/tools` holds one `TOOL`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, BeforeValidator

from models.conversations import ReadyDocument
from models.knowledge_bases import ReadyBase
from models.passages import Passage
from models.turns import SessionKey
from utils.errors import Language
from utils.settings import Settings

NO_DOCUMENTS = {"en": "no document of this session can be searched yet", "zh": "本会话还没有可以搜索的文档"}


@dataclass(frozen=True, slots=True)
class Part:
    """A page of a document, `number` 1-based, and where its text begins in that of the document.

    Where a format has no pages, a part of a few thousand characters. `body` is its text without header and footer.
    """

    number: int
    text: str
    start: int
    body: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """Some of the `total` pages of a document, or of its parts when it is not `paged`."""

    parts: Sequence[Part]
    total: int
    paged: bool


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a document as a whole. `pages` is None where the format has none; `headings` are the first ones."""

    document: ReadyDocument
    pages: int | None
    summary: str
    headings: Sequence[str] = ()


class Search(Protocol):
    """The `k` passages that fit `query` best, best first.

    Without `documents` all that the turn may search is looked at, and the best summary may come with the passages.
    """

    async def __call__(
        self, query: str, documents: Sequence[ReadyDocument] | None = None, k: int = ..., /
    ) -> list[Passage]: ...


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of its turn, and what it may ask of the documents that the turn may search.

    `catalog` names them all, those of the `bases` behind the session's own `documents`; `read` gives pages from the first
    to the last, 1-based and inclusive; `condense` gives the most central sentences of each text, of which there are at most
    so many characters. `room` is the number of characters that a result may have now.
    """

    settings: Settings
    key: SessionKey
    documents: Sequence[ReadyDocument]
    bases: Sequence[ReadyBase]
    language: Language
    search: Search
    catalog: Callable[[], Awaitable[Sequence[ReadyDocument]]]
    read: Callable[[ReadyDocument, int, int], Awaitable[Reading]]
    describe: Callable[[Sequence[ReadyDocument]], Awaitable[Sequence[Description]]]
    condense: Callable[[Sequence[str], int], Awaitable[Sequence[str]]]
    room: Callable[[], int]


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


def without_documents(context: ToolContext) -> str | None:
    """Why tools for documents cannot be offered; None when they can."""
    return None if context.documents or context.bases else NO_DOCUMENTS[context.language]


def _listed(value: Any) -> Any:
    return [] if value is None else [value] if isinstance(value, str) else value


Strings = Annotated[list[str], BeforeValidator(_listed)]  # models leave a list out, or give its only member instead
