"""What answers while no language model is configured: it quotes the documents, and says what to set. It pretends nothing."""

import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence, Set
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from models.document_names import is_no_such, stem
from models.excerpts import Sought, best, excerpts, sought
from models.offline_turns import DESCRIBE, QUERY_CHARS, AskedTurn, is_list
from models.offline_words import (
    DESCRIBED,
    FAILED,
    FOUND,
    HELP,
    LISTED,
    NO_VISION,
    NOT_FOUND,
    NOTHING_HERE,
    PICTURE_NO_TEXT,
    PICTURE_SEEN,
    PICTURE_TEXT,
    SETUP,
    SHOWN,
    TALK,
    UNREADY,
    WAITING,
)
from models.prompts import (
    NOT_THERE,
    WEAK,
    WEAK_DOCUMENT,
    WEAK_QUERY,
)
from models.providers import ModelOptions
from models.question_parts import key_characters
from models.questions import Wish
from models.quoting import MOST, SENTENCE, Found, opening, passages_in
from models.turns import Attachment
from utils.errors import Language
from utils.settings import Settings

NAME = "offline"
NEEDS = ""
SEARCH, READ = "search_documents", "read_document"
PAGE_CHARS = 1_200  # of a page that is shown
EACH = 2  # passages of each document, or of each part of a question


def configured(settings: Settings) -> bool:
    return True


def rank(settings: Settings) -> int:
    return 99


def default_model(settings: Settings) -> str:
    return NAME


def build(settings: Settings, options: ModelOptions) -> BaseChatModel:
    return OfflineChat()


class OfflineChat(BaseChatModel):
    """Calls the tool that the question asks for, where it may, then quotes what fits; else says what to set."""

    @property
    def _llm_type(self) -> str:
        return NAME

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for message in _answer(messages, {tool["function"]["name"] for tool in kwargs.get("tools", ())}):
            yield ChatGenerationChunk(message=message)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, **kwargs):  # nothing here waits for anything
            yield chunk

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._generate(messages, **kwargs)


def _answer(messages: Sequence[BaseMessage], tools: Set[str]) -> Iterator[AIMessageChunk]:
    turn = AskedTurn.of(messages)
    if call := _call(turn, tools):
        name, args = call
        text = json.dumps(args, ensure_ascii=False)
        chunk = tool_call_chunk(name=name, args=text, id=f"call_{uuid.uuid4().hex[:24]}", index=0)
        yield _chunk("", "tool_calls", tool_call_chunks=[chunk])
        return
    text = "\n\n".join(_sections(turn, tools))
    sentences = [match[0] for match in SENTENCE.finditer(text) if match[0]]
    for sentence in sentences[:-1]:
        yield AIMessageChunk(content=sentence)
    yield _chunk(sentences[-1], "stop")


def _call(turn: AskedTurn, tools: Set[str]) -> tuple[str, dict[str, Any]] | None:
    """The tool that does what is wished, and its arguments; None when there is none, or nothing to do."""
    wish = turn.wish
    if turn.results and not (len(turn.results) == 1 and wish.kind != "list" and is_list(turn.results[0])):
        return None
    if DESCRIBE in tools and (wish.kind == "list" or (turn.unnamed and not turn.results)):
        return DESCRIBE, {"names_only": True}
    if wish.kind == "about" and DESCRIBE in tools:
        return DESCRIBE, {"documents": list(wish.documents)} if wish.documents else {}
    if wish.kind == "pages" and wish.pages and READ in tools:
        args = {"first_page": wish.pages[0], "last_page": wish.pages[1], "summary": wish.short}
        return READ, {"document": wish.documents[0], **args} if wish.documents else args
    query = wish.topic or turn.question.strip()[:QUERY_CHARS]
    if SEARCH not in tools or not query or wish.kind in TALK:
        return None
    more = {"queries": list(wish.parts), "documents": list(wish.documents)}
    return SEARCH, {"query": query, **{name: values for name, values in more.items() if values}}


def _sections(turn: AskedTurn, tools: Set[str]) -> list[str]:
    """The answer, in paragraphs; one at least."""
    language = turn.language
    sections = [section for picture in turn.pictures for section in _picture(picture, language)]
    if turn.pictures and not all(picture.description for picture in turn.pictures):
        sections.append(NO_VISION[language])
    if turn.results:
        return sections + _documents(turn, quiet=bool(turn.pictures))
    if turn.wish.kind in TALK and (SEARCH in tools or turn.unready):
        sections.append(f"{TALK[turn.wish.kind][language]}{'' if language == 'zh' else ' '}{HELP[language]}")
    elif turn.unready:
        sections += [*_waiting(turn), WAITING[language]]
    return sections or [SETUP[language]]


def _waiting(turn: AskedTurn) -> list[str]:
    """Why documents cannot be searched, if there are such."""
    return ["\n".join([UNREADY[turn.language], *(f"- {line}" for line in turn.unready)])] if turn.unready else []


def _chunk(content: str, finish_reason: str, **fields: Any) -> AIMessageChunk:
    metadata = {"finish_reason": finish_reason, "model_name": NAME}
    return AIMessageChunk(content=content, response_metadata=metadata, chunk_position="last", **fields)


def _picture(picture: Attachment, language: Language) -> Iterator[str]:
    if picture.ocr_text:
        yield f"{PICTURE_TEXT[language].format(picture.filename)}\n\n{_quoted(picture.ocr_text)}"
    else:
        yield PICTURE_NO_TEXT[language].format(picture.filename)
    if picture.description:
        yield f"{PICTURE_SEEN[language].format(picture.filename)}\n\n{_quoted(picture.description)}"


def _documents(turn: AskedTurn, *, quiet: bool) -> list[str]:
    """What the last result of a tool says to the question; nothing at all instead of "not found" when `quiet`."""
    result, wish, language = turn.results[-1], turn.wish, turn.language
    text = result.text
    if result.status == "error":
        return [FAILED[language].format(text[:200])]
    if result.name == DESCRIBE:
        return [LISTED[language] if is_list(result) else DESCRIBED[language], text, *_waiting(turn)]
    passages = passages_in(text)
    if result.name == READ and not (wish.topic and passages):
        return _pages(text, passages, language)
    if wish.documents and not passages and not _says(NOT_THERE, text):
        return [text, *_waiting(turn)]  # no document has that name
    answers = _answers(passages, wish, turn.question, text)
    if not any(chosen for _, _, chosen in answers):
        return [] if quiet else [NOT_FOUND[language], *_waiting(turn)]
    sections = [text.partition("\n\n")[0]] if is_no_such(text) else []
    sections.append(FOUND[language])
    for title, wanted, chosen in answers:
        sections += [f"**{title}**"] if title else []
        sections += [_cited(*found) for found in excerpts(chosen, wanted)] or [NOTHING_HERE[language]]
    return sections


def _pages(text: str, passages: Sequence[Found], language: Language) -> list[str]:
    """The pages that were read, below what the tool said of them."""
    if not passages:
        return [text]
    head = text.partition("\n\n")[0]
    return [SHOWN[language], head, *(_cited(passage, opening(passage.text, PAGE_CHARS)) for passage in passages)]


def _answers(passages: Sequence[Found], wish: Wish, question: str, text: str) -> list[tuple[str, Sought, list[Found]]]:
    """What to quote, in sections: title, the words that are looked for, and passages. One without title for the whole."""
    if _says(WEAK, text):
        return []
    if wish.kind == "compare":
        return _compared(passages, wish, text)
    if wish.parts:
        return _one_by_one(passages, wish.parts, text)
    wanted = sought(wish.topic or question, passages)
    chosen = best(passages, wanted) or _by_signs(passages, wish.topic or question)
    if not chosen and wish.kind != "pages":  # the search knows other words for the same
        chosen = list(passages[: MOST if wish.kind == "about" else 1])
    return [("", wanted, chosen)]


def _by_signs(passages: Sequence[Found], question: str, quoted: Sequence[Found] = ()) -> list[Found]:
    """The passage with most of the single characters of a short question, rare ones first: 月租 is the monthly 租金.

    Of several one that was not `quoted` yet.
    """
    signs = key_characters(question)
    hits = [signs & {*passage.text} for passage in passages]
    spread = Counter(sign for found in hits for sign in found)
    scores = [sum(1 / spread[sign] for sign in found) for found in hits]
    top = max(range(len(passages)), key=lambda place: (scores[place], passages[place] not in quoted), default=None)
    return [passages[top]] if top is not None and 2 * len(hits[top]) > len(signs) else []


def _compared(passages: Sequence[Found], wish: Wish, text: str) -> list[tuple[str, Sought, list[Found]]]:
    wanted = sought(wish.topic, passages)
    names = dict.fromkeys(passage.filename for passage in passages)
    named = () if is_no_such(text) else wish.documents
    names |= dict.fromkeys(name for name in named if not any(stem(name).endswith(stem(found)) for found in names))
    sections = []
    for name in names:
        own = [] if _says(WEAK_DOCUMENT, text, name) else [passage for passage in passages if passage.filename == name]
        sections.append((name, wanted, best(own, wanted)[:EACH] or own[:1]))
    return sections


def _one_by_one(passages: Sequence[Found], parts: Sequence[str], text: str) -> list[tuple[str, Sought, list[Found]]]:
    sections: list[tuple[str, Sought, list[Found]]] = []
    for part in parts:
        wanted = sought(part, passages)
        quoted = [passage for _, _, section in sections for passage in section]
        chosen: list[Found] = []
        if not _says(WEAK_QUERY, text, part):  # what was found by other words only: the best ones come first
            chosen = best(passages, wanted)[:EACH] or _by_signs(passages, part, quoted)
            chosen = chosen or [passage for passage in passages if passage not in quoted][:1]
        sections.append((part, wanted, chosen))
    return sections


def _says(words: Mapping[Language, str], text: str, about: str = "") -> bool:
    """Whether the result of a tool says this above its passages, in whichever language."""
    head = f"\n\n{text}".partition("\n\n[1] ")[0]
    return any(phrase.format(about) in head for phrase in words.values())


def _cited(passage: Found, text: str) -> str:
    return f"{_quoted(text)}\n>\n> — {passage.place} [{passage.number}]"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines())
