"""What the model is told of a conversation: turns as the memory keeps them, and as LangChain's messages.

A turn in the memory is `{"seq": int, "messages": [...]}`; a message has `role` (user, assistant, tool) and `content`, a
user's may have `images` (paths below the upload folder, or URLs where there is no session), an assistant's `tool_calls`, a
tool's `tool_call_id`, `name`, `status` and, where its content holds passages, `numbers`: those of the first and the last.

Passages are numbered anew in each turn. So that a number never means two of them, the model is shown former turns without
these numbers, and without the markers that name them.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from models.prompts import attachment_block, language_of
from models.turn_records import StoredTurn
from models.turns import Attachment
from services.citation_markers import without_markers

NUMBERS = "numbers"
IMAGES_SHOWN = 3  # newest pictures that a model which sees pictures is shown again


def estimate_tokens(text: str) -> int:
    """A cautious guess that needs no tokenizer: a token for each three bytes, so one for a Chinese character."""
    return len(text.encode()) // 3 + 1


def user_message(text: str, attachments: Sequence[Attachment]) -> dict[str, Any]:
    """A question as the memory keeps it: what is known of its pictures stands above it."""
    blocks = [attachment_block(picture, language_of(text)) for picture in attachments if not _is_url(picture.path)]
    message: dict[str, Any] = {"role": "user", "content": "\n\n".join([*blocks, text])}
    if attachments:
        message["images"] = [attachment.path for attachment in attachments]
    return message


def from_stored(turns: Iterable[StoredTurn], seq: int) -> list[dict[str, Any]]:
    """The memory as SQL has it, current to the message at `seq`."""
    return [
        {
            "seq": seq,
            "messages": [
                user_message(turn.question, [Attachment(**attachment) for attachment in turn.attachments]),
                *(turn.steps or ([{"role": "assistant", "content": turn.answer}] if turn.answer else [])),
            ],
        }
        for turn in turns
    ]


def grouped(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages as turns, each of which begins with a question."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "user" or not turns:
            turns.append({"messages": []})
        turns[-1]["messages"].append(message)
    return turns


def fit(turns: Sequence[dict[str, Any]], tokens: int) -> list[dict[str, Any]]:
    """The newest turns that fit into so many tokens, whole ones only."""
    kept: list[dict[str, Any]] = []
    for turn in reversed(turns):
        tokens -= sum(estimate_tokens(message["content"]) for message in turn["messages"])
        if tokens < 0:
            break
        kept.append(turn)
    return kept[::-1]


def to_messages(turns: Sequence[dict[str, Any]], folder: Path | None) -> list[BaseMessage]:
    """LangChain's messages; with `folder`, the upload folder, the newest pictures are shown to a model that sees them."""
    messages = [message for turn in turns for message in _without_numbers(turn["messages"])]
    paths = [path for message in messages for path in message.get("images", ()) if not _is_url(path)]
    shown = set(paths[-IMAGES_SHOWN:]) if folder else set()
    # ids of our own, since the agent would make a UUID for each message of the history
    return [_to_message(message, str(place), folder, shown) for place, message in enumerate(messages)]


def _without_numbers(messages: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The messages of a turn without the numbers of passages, where there are any."""
    if not any(NUMBERS in message for message in messages):
        return messages
    return [{**message, "content": _unnumbered(message)} for message in messages]


def _unnumbered(message: dict[str, Any]) -> str:
    content: str = message["content"]
    if message["role"] == "assistant":
        return without_markers(content)
    first, last = message.get(NUMBERS, (1, 0))
    for number in range(first, last + 1):
        content = re.sub(rf"(\A|\n\n)\[{number}\] ", r"\1", content, count=1)
    return content


def _to_message(message: dict[str, Any], id: str, folder: Path | None, shown: set[str]) -> BaseMessage:
    match message["role"]:
        case "assistant":
            return AIMessage(message["content"], id=id, tool_calls=message.get("tool_calls", []))
        case "tool":
            status = "success" if message["status"] == "ok" else "error"
            return ToolMessage(message["content"], tool_call_id=message["tool_call_id"], name=message["name"], status=status)
    images = [url for path in message.get("images", ()) if folder and (url := _url_of(path, folder, shown))]
    if not images:
        return HumanMessage(message["content"], id=id)
    parts: list[str | dict[str, Any]] = [{"type": "text", "text": message["content"]}]
    return HumanMessage(parts + [{"type": "image_url", "image_url": {"url": url}} for url in images], id=id)


def _is_url(path: str) -> bool:
    return path.startswith(("data:", "http://", "https://"))


def _url_of(path: str, folder: Path, shown: set[str]) -> str | None:
    """The URL by which a model is shown a picture; None for one that it is not shown."""
    if _is_url(path):
        return path
    if path not in shown or not (folder / path).is_file():
        return None
    kind = "png" if path.endswith(".png") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode((folder / path).read_bytes()).decode()}"
