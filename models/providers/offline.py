"""What answers while no language model is configured: it quotes the documents, and says what to set. It pretends nothing."""

import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from models.prompts import language_of, read_attachment_blocks
from models.providers import ModelOptions
from models.quoting import MOST, SENTENCE, best, passages_in, quote, terms
from models.turns import Attachment
from utils.errors import Language
from utils.settings import Settings

NAME = "offline"
NEEDS = ""
SEARCH = "search_documents"
QUERY_CHARS = 500

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
NOT_FOUND = {
    "en": "The documents do not answer this: no passage shares a word with the question. (No language model is configured; "
    "I can only search for words and quote.)",
    "zh": "文档中没有找到答案：没有任何段落与问题有共同的词语。（尚未配置语言模型，我只能按词语检索并引用原文。）",
}
FAILED = {"en": "The search in the documents failed: {}", "zh": "文档检索失败：{}"}
PICTURE_TEXT = {"en": "Text in the picture {}:", "zh": "图片 {} 中的文字："}
PICTURE_NO_TEXT = {"en": "No text could be read in the picture {}.", "zh": "图片 {} 中没有可识别的文字。"}
PICTURE_SEEN = {"en": "Description of the picture {}:", "zh": "图片 {} 的描述："}
NO_VISION = {
    "en": "No vision model is set (VISION_MODEL), so I cannot tell what else the picture shows.",
    "zh": "未设置视觉模型（VISION_MODEL），因此无法得知图片中的其他内容。",
}
OVERVIEW = re.compile(
    r"总结|概括|概述|摘要|归纳|主要内容|讲了什么|说了什么|summar|overview|main points?|about\s*\?|gist|tl;?dr", re.IGNORECASE
)


def configured(settings: Settings) -> bool:
    return True


def rank(settings: Settings) -> int:
    return 99


def default_model(settings: Settings) -> str:
    return NAME


def build(settings: Settings, options: ModelOptions) -> BaseChatModel:
    return OfflineChat()


class OfflineChat(BaseChatModel):
    """Calls `search_documents` with the question where it may, then quotes what fits; else says what to set."""

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
        names = [tool["function"]["name"] for tool in kwargs.get("tools", ())]
        for message in _answer(messages, SEARCH in names):
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


def _answer(messages: Sequence[BaseMessage], may_search: bool) -> Iterator[AIMessageChunk]:
    asked = max((n for n, message in enumerate(messages) if isinstance(message, HumanMessage)), default=None)
    content = "" if asked is None else messages[asked].text
    pictures, question = read_attachment_blocks(content)
    query = (question.strip() or " ".join(picture.ocr_text for picture in pictures)).strip()[:QUERY_CHARS]
    results = [message for message in messages[asked or 0 :] if isinstance(message, ToolMessage)]
    if may_search and query and not results:
        call = tool_call_chunk(name=SEARCH, args=_json(query), id=f"call_{uuid.uuid4().hex[:24]}", index=0)
        yield _chunk("", "tool_calls", tool_call_chunks=[call])
        return
    language = language_of(question or content)
    sections = [section for picture in pictures for section in _picture(picture, language)]
    if pictures and not all(picture.description for picture in pictures):
        sections.append(NO_VISION[language])
    if results:
        sections += _documents(results, question, language, quiet=bool(pictures))
    text = "\n\n".join(sections or [SETUP[language]])
    sentences = [match[0] for match in SENTENCE.finditer(text) if match[0]]
    for sentence in sentences[:-1]:
        yield AIMessageChunk(content=sentence)
    yield _chunk(sentences[-1], "stop")


def _chunk(content: str, finish_reason: str, **fields: Any) -> AIMessageChunk:
    metadata = {"finish_reason": finish_reason, "model_name": NAME}
    return AIMessageChunk(content=content, response_metadata=metadata, chunk_position="last", **fields)


def _json(query: str) -> str:
    return json.dumps({"query": query}, ensure_ascii=False)


def _picture(picture: Attachment, language: Language) -> Iterator[str]:
    if picture.ocr_text:
        yield f"{PICTURE_TEXT[language].format(picture.filename)}\n\n{_quoted(picture.ocr_text)}"
    else:
        yield PICTURE_NO_TEXT[language].format(picture.filename)
    if picture.description:
        yield f"{PICTURE_SEEN[language].format(picture.filename)}\n\n{_quoted(picture.description)}"


def _documents(results: Sequence[ToolMessage], question: str, language: Language, *, quiet: bool) -> list[str]:
    """What the results of the search say to the question; nothing at all instead of "not found" when `quiet`."""
    failed = [message.text for message in results if message.status == "error"]
    passages = [passage for message in results if message.status != "error" for passage in passages_in(message.text)]
    if failed and not passages:
        return [FAILED[language].format(failed[0][:200])]
    wanted = terms(question)
    chosen = best(passages, wanted) or (passages[:MOST] if OVERVIEW.search(question) else [])
    if not chosen:
        return [] if quiet else [NOT_FOUND[language]]
    return [FOUND[language], *(f"{_quoted(quote(p.text, wanted))}\n>\n> — {p.place} [{p.number}]" for p in chosen)]


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines())
