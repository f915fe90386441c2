"""A conversation as a Markdown text that people read: who said what and when, with sources, and tool calls folded away.

What was said is Markdown too. It stands in block quotes, which end whatever it leaves open, such as a code fence; and it may
hold no HTML, which knows no such end.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from markdown_it import MarkdownIt

from models.prompts import place
from utils.errors import Language

WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "user": "User",
        "assistant": "Assistant",
        "documents": "Documents",
        "bases": "Knowledge bases:",
        "base": "Knowledge base",
        "sources": "Sources:",
        "uncited": "Related passages, not cited:",
        "picture": "Picture:",
        "reasoning": "Reasoning",
        "prompt": "System prompt",
        "running": "still being written",
        "failed": "failed",
        "stopped": "stopped",
        "interrupted": "interrupted",
    },
    "zh": {
        "user": "用户",
        "assistant": "助手",
        "documents": "文档",
        "bases": "知识库：",
        "base": "知识库",
        "sources": "来源：",
        "uncited": "相关段落（未引用）：",
        "picture": "图片：",
        "reasoning": "思考过程",
        "prompt": "系统提示词",
        "running": "仍在生成",
        "failed": "生成失败",
        "stopped": "已停止",
        "interrupted": "已中断",
    },
}
QUOTE_CHARS = 300  # of a source
NESTING = 50
PARSED_CHARS = 200_000  # of a longer text every tag is shown as text, in code too

_PARSER = MarkdownIt("commonmark", {"maxNesting": NESTING})
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_SPECIAL = re.compile(r"([\\`*_\[\]<>&~|$#])")
_BLOCK = re.compile(r"^(\d*)([-+.)=])")
_LINE = re.compile("^(?=.)", re.MULTILINE)
_LINE_END = re.compile(r"\r\n|\r|\n")


def conversation(
    row: dict[str, Any],
    prompt: str,
    bases: Iterable[str],
    documents: Iterable[dict[str, Any]],
    messages: Iterable[dict[str, Any]],
    language: Language,
) -> Iterator[str]:
    """The parts of one conversation's text. `row`, `documents` and `messages` are as the HTTP API gives them.

    `bases` are the names of the knowledge bases that it searches.
    """
    words = WORDS[language]
    yield f"# {plain(row['title'])}\n\n`{row['session_id']}` · {_time(row['created_at'])} – {_time(row['updated_at'])}\n\n"
    if prompt:
        yield _folded(words["prompt"], quoted(prompt))
    if names := ", ".join(map(plain, bases)):
        yield f"{words['bases']} {names}\n\n"
    listed = [_document(document, language) for document in documents]
    if listed:
        yield f"## {words['documents']}\n\n" + "".join(listed) + "\n"
    for message in messages:
        yield _message(message, language)


def knowledge_base(row: dict[str, Any], documents: Iterable[dict[str, Any]], language: Language) -> Iterator[str]:
    """The parts of a knowledge base's text: what it is, and its documents with their summaries."""
    yield f"# {WORDS[language]['base']} · {plain(row['name'])}\n\n`{row['id']}` · {_time(row['created_at'])}\n\n"
    if row["description"]:
        yield quoted(row["description"]) + "\n"
    for document in documents:
        yield _document(document, language)
    yield "\n"


def _document(document: dict[str, Any], language: Language) -> str:
    count = document["page_count"]
    pages = "" if count is None else f"（{count} 页）" if language == "zh" else f" ({count} pages)"
    summary = f"\n\n{_indented(quoted(document['summary']), 2)}" if document["summary"] else "\n"
    return f"- {plain(document['filename'])}{pages}{summary}"


def _message(message: dict[str, Any], language: Language) -> str:
    words = WORDS[language]
    head = [words[message["role"]], _time(message["created_at"]), plain(message["model"])]
    if message["status"] != "complete":
        head.append(words[message["status"]])
    parts = [f"## {' · '.join(filter(None, head))}\n\n"]
    if message["reasoning"]:
        parts.append(_folded(words["reasoning"], quoted(message["reasoning"])))
    parts += [_call(call) for call in message["tool_calls"]]
    if message["content"]:
        parts.append(quoted(message["content"]) + "\n")
    parts += [_picture(picture, language) for picture in message["attachments"]]
    if sources := message["sources"]:
        parts.append(f"{words['sources' if sources[0]['cited'] else 'uncited']}\n\n")
        parts += [_source(number, source, language) for number, source in enumerate(sources, 1)]
        parts.append("\n")
    return "".join(parts)


def _call(call: dict[str, Any]) -> str:
    took = "" if call["ms"] is None else f" · {call['ms']} ms"
    args = fenced(json.dumps(call["args"], ensure_ascii=False, indent=2), "json")
    return _folded(f"{call['name']} · {call['status']}{took}", f"{args}\n{fenced(call['result'], 'text')}")


def _picture(picture: dict[str, Any], language: Language) -> str:
    seen = [text for text in (picture["description"], picture["ocr_text"]) if text]
    shown = "".join(f"\n{_indented(quoted(text), 2)}" for text in seen)
    return f"- {WORDS[language]['picture']} {plain(picture['filename'])}\n{shown}\n"


def _source(number: int, source: dict[str, Any], language: Language) -> str:
    quote = source["quote"] if len(source["quote"]) <= QUOTE_CHARS else source["quote"][: QUOTE_CHARS - 1] + "…"
    mark = f"- \\[{source['number']}\\]" if source.get("number") else f"{number}."
    return f"{mark} {plain(place(source['filename'], source['page'], language))}: “{plain(quote)}”\n"


def _folded(summary: str, content: str) -> str:
    return f"<details>\n<summary>{html.escape(summary)}</summary>\n\n{content}\n</details>\n\n"


def _time(moment: str | None) -> str:
    return "" if moment is None else f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"


def _indented(text: str, spaces: int) -> str:
    return _LINE.sub(" " * spaces, text)


def plain(text: str) -> str:
    """Text of one line that means itself, wherever in a line it stands."""
    return _BLOCK.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", " ".join(text.split())))


def fenced(text: str, language: str) -> str:
    """Text as it is, in a code block whose fence is longer than any that it holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def quoted(markdown: str) -> str:
    """Markdown as a block quote in which HTML is text."""
    lines = _LINE_END.split(markdown.strip("\r\n"))
    return _without_html("".join(f"> {line}\n" if line else ">\n" for line in lines))


def _without_html(quote: str) -> str:
    for _ in range(5):  # what was a tag may have hidden another one
        if not _TAG.search(quote):
            return quote
        found = _lines_with_html(quote) if len(quote) <= PARSED_CHARS else None
        if found is None:
            break
        if not found:
            return quote  # it is all in code
        lines = quote.split("\n")
        quote = "\n".join(_TAG.sub("&lt;", line) if place in found else line for place, line in enumerate(lines))
    return _TAG.sub("&lt;", quote)


def _lines_with_html(markdown: str) -> set[int] | None:
    """The numbers of the lines of paragraphs and blocks that hold HTML; None when they cannot be told."""
    tokens = _PARSER.parse(markdown)
    if max((token.level for token in tokens), default=0) >= NESTING - 1:
        return None
    found: set[int] = set()
    for token in tokens:
        inline = any(child.type == "html_inline" for child in token.children or ())
        if (inline or token.type == "html_block") and token.map:
            found.update(range(*token.map))
    return found
