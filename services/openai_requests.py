"""What clients of OpenAI's API ask the agent: the turn, and the files that come with it."""

import json
import mimetypes
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from models.completions import AGENT_OPTIONS, check_options
from models.schemas_openai import ChatCompletionBody, Message, Part
from models.turns import Attachment, ClientMessage, SessionKey, Turn, since_last_answer
from services.attachments import AttachedFile
from services.model_catalog import AGENT
from utils.errors import InvalidField, Language

NO_SESSION = "stateless"
ANY_PICTURE = "image/jpeg"  # what a URL without a known ending is taken for; the picture itself says what it is


def agent_turn(body: ChatCompletionBody, owner: str, language: Language) -> tuple[Turn, tuple[AttachedFile, ...]]:
    """The turn and its files. Raises InvalidField and OptionNotSupported.

    With a session only what the user said since the last answer counts, and the files are for the session. Without one the
    messages are all there is; their pictures are in the turn, by their URLs.
    """
    check_options(body.options, AGENT_OPTIONS, AGENT)
    system = [message.text for message in body.messages if message.role in ("system", "developer")]
    messages = [message for message in body.messages if message.role not in ("system", "developer")]
    if not messages or messages[-1].role != "user":
        raise _fault("the last one must be the user's", "最后一条须为用户的消息")
    question = messages.pop()
    files = tuple(_files(question))
    if not question.text.strip() and not files:
        raise _fault("the last one must not be blank", "最后一条不能为空白")
    if not body.session_id and not all(file.is_picture for file in files):
        raise _fault("files need a session_id", "带文件时须有 session_id")
    earlier = since_last_answer(messages) if body.session_id else []
    turn = Turn(
        key=SessionKey(owner, body.session_id or NO_SESSION),
        message=_clean(question.text),
        system_prompt=_clean("\n\n".join(system)) or None,
        model=None if body.model == AGENT else body.model.removeprefix(f"{AGENT}:"),
        temperature=body.temperature,
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temporary=body.temporary,
        language=language,
        history=None if body.session_id else tuple(_memory(messages)),
        before=tuple(ClientMessage("", _clean(message.text)) for message in earlier),
        attachments=() if body.session_id else tuple(Attachment(file.name, file.url, file.media_type) for file in files),
    )
    return turn, files if body.session_id else ()


def _memory(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """Messages as the memory keeps them; calls of tools and their results are left out unless both are there."""
    names = {call.id: call.function.name for message in messages for call in message.tool_calls or ()}
    returned = {message.tool_call_id for message in messages if message.role == "tool"}
    for message in messages:
        text = _clean(message.text)
        if message.role == "user":
            pictures = [file.url for file in _files(message) if file.is_picture]
            yield {"role": "user", "content": text, **({"images": pictures} if pictures else {})}
        elif message.role == "tool" and message.tool_call_id in names:
            call_id = message.tool_call_id
            yield {"role": "tool", "tool_call_id": call_id, "name": names[call_id], "content": text, "status": "ok"}
        elif message.role == "assistant":
            calls = [_call(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
            calls = [call for call in calls if call["id"] in returned]
            if text or calls:
                yield {"role": "assistant", "content": text, "tool_calls": calls}


def _call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    try:
        args = json.loads(arguments or "{}")
    except ValueError:
        args = None
    if not isinstance(args, dict):
        raise _fault("the arguments of a tool call are not a JSON object", "工具调用的参数须为 JSON 对象")
    return {"id": call_id, "name": name, "args": args}


def _files(message: Message) -> Iterator[AttachedFile]:
    for part in message.content if isinstance(message.content, list) else ():
        match part.type:
            case "text" | "refusal":
                continue
            case "image_url":
                yield _picture(_field(part, "image_url", "url"))
            case "file":
                url = _field(part, "file", "file_data")
                media_type = url.removeprefix("data:").partition(";")[0]
                yield AttachedFile(url, _field(part, "file", "filename", ""), media_type)
            case kind:
                raise _fault(f"the agent cannot read parts of the type {kind}", f"智能体不能读取 {kind} 类型的内容")


def _picture(url: str) -> AttachedFile:
    if not url.startswith(("data:", "http://", "https://")):
        raise _fault("an image_url must begin with data: or http", "image_url 须以 data: 或 http 开头")
    if not url.startswith("data:"):
        name = urlsplit(url).path.rpartition("/")[2]
        guessed = mimetypes.guess_type(name)[0] or ""
        return AttachedFile(url, name, guessed if guessed.startswith("image/") else ANY_PICTURE)
    file = AttachedFile(url, "", url.removeprefix("data:").partition(",")[0].partition(";")[0])
    if not file.is_picture:
        raise _fault("an image_url must lead to a picture", "image_url 须指向图片")
    return file


def _field(part: Part, holder: str, name: str, default: str | None = None) -> str:
    held = part.model_dump().get(holder)
    value = held.get(name, default) if isinstance(held, dict) else held
    if not isinstance(value, str):
        raise _fault(f"a part of the type {part.type} needs its {name}", f"{part.type} 类型的内容缺少 {name}")
    return value


def _clean(text: str) -> str:
    return text.replace("\0", "")  # SQL databases refuse NUL


def _fault(en: str, zh: str) -> InvalidField:
    return InvalidField.at("messages", en, zh)
