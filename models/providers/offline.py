"""What answers while no language model is configured: it quotes the documents, and says what to set. It pretends nothing."""

import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence, Set
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from models.document_names import is_no_such
from models.excerpts import Sought, best, excerpts, sought
from models.prompts import (
    NOT_THERE,
    WEAK,
    WEAK_DOCUMENT,
    WEAK_QUERY,
    language_of,
    read_attachment_blocks,
    read_document_names,
)
from models.providers import ModelOptions
from models.questions import SUMMARISE, Wish, understood
from models.quoting import MOST, SENTENCE, Found, opening, passages_in
from models.turns import Attachment
from utils.errors import Language
from utils.settings import Settings

NAME = "offline"
NEEDS = ""
SEARCH, DESCRIBE, READ = "search_documents", "describe_documents", "read_document"
QUERY_CHARS = 500
PAGE_CHARS = 1_200  # of a page that is shown
EACH = 2  # passages of each document, or of each part of a question

SETUP = {
    "en": "No language model is configured, so I can only search the uploaded documents and quote them. To get real "
    "answers, set LLM_API_KEY (the key), LLM_API_URL (the address) and LLM_MODEL (the model). "
    "Without one, upload a document and ask about what it says.",
    "zh": "尚未配置语言模型，因此我只能检索已上传的文档并引用原文。要获得真正的回答，"
    "请设置 LLM_API_KEY（密钥）、LLM_API_URL（接口地址）和 LLM_MODEL（模型名称）。"
    "在此之前，您可以上传文档并就其内容提问。",
}
FOUND = {
    "en": "No language model is configured; these are the passages of the documents that fit the question best:",
    "zh": "尚未配置语言模型，以下是文档中与问题最相关的原文：",
}
DESCRIBED = {
    "en": "No language model is configured; this is what was noted of the documents when they were read:",
    "zh": "尚未配置语言模型，以下是读取文档时生成的概要：",
}
SHOWN = {
    "en": "No language model is configured; this is what stands on these pages:",
    "zh": "尚未配置语言模型，以下是这些页上的原文：",
}
NOT_FOUND = {
    "en": "The documents do not say. (No language model is configured; I can only search the documents and quote them.)",
    "zh": "文档中没有找到相关内容。（尚未配置语言模型，我只能检索文档并引用原文。）",
}
NOTHING_HERE = {"en": "The documents do not say.", "zh": "文档中没有找到相关内容。"}
FAILED = {"en": "The search in the documents failed: {}", "zh": "文档检索失败：{}"}
PICTURE_TEXT = {"en": "Text in the picture {}:", "zh": "图片 {} 中的文字："}
PICTURE_NO_TEXT = {"en": "No text could be read in the picture {}.", "zh": "图片 {} 中没有可识别的文字。"}
PICTURE_SEEN = {"en": "Description of the picture {}:", "zh": "图片 {} 的描述："}
NO_VISION = {
    "en": "No vision model is set (VISION_MODEL), so I cannot tell what else the picture shows.",
    "zh": "未设置视觉模型（VISION_MODEL），因此无法得知图片中的其他内容。",
}


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
    asked = max((n for n, message in enumerate(messages) if isinstance(message, HumanMessage)), default=None)
    content = "" if asked is None else messages[asked].text
    pictures, question = read_attachment_blocks(content)
    known = read_document_names(messages[0].text) if messages and isinstance(messages[0], SystemMessage) else []
    wish = understood((question.strip() or " ".join(picture.ocr_text for picture in pictures)).strip()[:QUERY_CHARS], known)
    results = [message for message in messages[asked or 0 :] if isinstance(message, ToolMessage)]
    if not results and (call := _call(wish, question, tools)):
        name, args = call
        text = json.dumps(args, ensure_ascii=False)
        chunk = tool_call_chunk(name=name, args=text, id=f"call_{uuid.uuid4().hex[:24]}", index=0)
        yield _chunk("", "tool_calls", tool_call_chunks=[chunk])
        return
    language = language_of(question or content)
    sections = [section for picture in pictures for section in _picture(picture, language)]
    if pictures and not all(picture.description for picture in pictures):
        sections.append(NO_VISION[language])
    if results:
        sections += _documents(results[-1], wish, question, language, quiet=bool(pictures))
    text = "\n\n".join(sections or [SETUP[language]])
    sentences = [match[0] for match in SENTENCE.finditer(text) if match[0]]
    for sentence in sentences[:-1]:
        yield AIMessageChunk(content=sentence)
    yield _chunk(sentences[-1], "stop")


def _call(wish: Wish, question: str, tools: Set[str]) -> tuple[str, dict[str, Any]] | None:
    """The tool that does what is wished, and its arguments; None when there is none, or nothing to do."""
    if wish.kind == "about" and DESCRIBE in tools:
        return DESCRIBE, {"documents": list(wish.documents)} if wish.documents else {}
    if wish.kind == "pages" and wish.pages and READ in tools:
        first, last = wish.pages
        short = not wish.topic and (first < last or bool(SUMMARISE.search(question)))
        args: dict[str, Any] = {"first_page": first, "last_page": last, "summary": short}
        return READ, {"document": wish.documents[0], **args} if wish.documents else args
    query = wish.topic or question.strip()[:QUERY_CHARS]
    if SEARCH not in tools or not query:
        return None
    more = {"queries": list(wish.parts), "documents": list(wish.documents)}
    return SEARCH, {"query": query, **{name: values for name, values in more.items() if values}}


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


def _documents(result: ToolMessage, wish: Wish, question: str, language: Language, *, quiet: bool) -> list[str]:
    """What the result of a tool says to the question; nothing at all instead of "not found" when `quiet`."""
    text = result.text
    if result.status == "error":
        return [FAILED[language].format(text[:200])]
    if result.name == DESCRIBE:
        return [DESCRIBED[language], text]
    passages = passages_in(text)
    if result.name == READ and not (wish.topic and passages):
        return _pages(text, passages, language)
    if wish.documents and not passages and not _says(NOT_THERE, text):
        return [text]  # no document has that name
    answers = _answers(passages, wish, question, text)
    if not any(chosen for _, _, chosen in answers):
        return [] if quiet else [NOT_FOUND[language]]
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
    chosen = best(passages, wanted)
    if not chosen and wish.kind != "pages":  # the search knows other words for the same
        chosen = list(passages[: MOST if wish.kind == "about" else 1])
    return [("", wanted, chosen)]


def _compared(passages: Sequence[Found], wish: Wish, text: str) -> list[tuple[str, Sought, list[Found]]]:
    wanted = sought(wish.topic, passages)
    names = dict.fromkeys(passage.filename for passage in passages)
    names |= dict.fromkeys(() if is_no_such(text) else wish.documents)
    sections = []
    for name in names:
        own = [] if _says(WEAK_DOCUMENT, text, name) else [passage for passage in passages if passage.filename == name]
        sections.append((name, wanted, best(own, wanted)[:EACH] or own[:1]))
    return sections


def _one_by_one(passages: Sequence[Found], parts: Sequence[str], text: str) -> list[tuple[str, Sought, list[Found]]]:
    sections: list[tuple[str, Sought, list[Found]]] = []
    for part in parts:
        wanted = sought(part, passages)
        chosen = [] if _says(WEAK_QUERY, text, part) else best(passages, wanted)[:EACH]
        if not chosen and not _says(WEAK_QUERY, text, part):  # found by other words: the best ones come first
            quoted = [passage for _, _, section in sections for passage in section]
            chosen = [passage for passage in passages if passage not in quoted][:1]
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
