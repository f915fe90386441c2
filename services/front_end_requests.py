"""What front ends ask at `/api/chat`: the turn, the files that come with it, and the wire format that they read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from models import histories
from models.database import Database
from models.llm_factory import default_model_name, local_provider
from models.providers import Endpoint
from models.schemas_front_end import FrontEndBody, FrontEndMessage, Protocol
from models.turns import Branch, ClientMessage, SessionKey, Turn, since_last_answer
from services.attachments import AttachedFile
from utils.errors import InvalidField, Language, NotFound, ProviderNotConfigured
from utils.settings import Settings


def protocol_of(body: FrontEndBody) -> Protocol:
    """The AI SDK from 5 on sends a trigger, and messages of parts alone; the AI SDK 4 sends parts beside the content."""
    messages = body.all_messages()
    if body.trigger or any(message.parts and "content" not in message.model_fields_set for message in messages):
        return "ui"
    return "data" if any(message.parts for message in messages) else "seed"


def parse(
    body: FrontEndBody,
    owner: str,
    language: Language,
    models: Mapping[str, str],
    endpoint: Endpoint | None = None,
) -> tuple[Turn, tuple[AttachedFile, ...]]:
    """The turn and its files; `models` are names of models by the names that front ends use. Raises InvalidField.

    A chat that has an id is a session: of its messages only those since the last answer count. Without one the messages
    are all there is. An answer that is generated anew has its files already.
    """
    messages = [message for message in body.all_messages() if message.role in ("user", "assistant")]
    if not messages or messages[-1].role != "user":
        raise _fault("the last one must be the user's", "最后一条须为用户的消息")
    question = messages.pop()
    files = () if body.trigger == "regenerate-message" else _files(question)
    if not question.text.strip() and not files and body.trigger != "regenerate-message":
        raise _fault("the last one must not be blank", "最后一条不能为空白")
    if files and not body.id:
        raise _fault("files need a chat with an id", "带文件时须有 id")
    earlier = since_last_answer(messages) if body.id else []
    turn = Turn(
        key=SessionKey(owner, body.id or ""),
        message=question.text,
        system_prompt="\n\n".join(m.text for m in body.all_messages() if m.role == "system") or None,
        model=models.get(body.model or "", body.model) or None,
        temperature=body.temperature,
        max_tokens=body.max_tokens,
        temporary=body.temporary,
        language=language,
        client_id=question.id,
        history=None if body.id else tuple(_memory(message) for message in messages if message.text),
        before=tuple(ClientMessage(message.id, message.text) for message in earlier),
        branch=_branch(body),
        endpoint=endpoint,
    )
    return turn, files


def recognised(database: Database, turn: Turn, messages: Sequence[FrontEndMessage]) -> Turn:
    """Finds out whether a client that gives its messages no ids, as the AI SDK 4, wants its last answer anew.

    It does when it asks what was asked last, after the answer after which that was asked.
    """
    if turn.client_id or turn.branch or turn.history is not None:
        return turn
    try:
        stored = histories.history(database, turn.key, limit=3).messages
    except NotFound:
        return turn
    if stored and stored[-1]["role"] == "assistant":
        del stored[-1]
    before = [message["content"] for message in stored[:-1]]
    answers = [message.text for message in messages if message.role == "assistant"]
    same = stored and stored[-1]["content"] == turn.message and before == answers[-1:]
    return replace(turn, branch=Branch("again", None)) if same else turn


def claude(settings: Settings) -> Endpoint:
    """Raises ProviderNotConfigured."""
    endpoint = Endpoint(provider="anthropic")
    default_model_name(settings, endpoint)
    return endpoint


def local(settings: Settings) -> Endpoint:
    """Raises ProviderNotConfigured."""
    provider = local_provider(settings)
    if provider is None:
        raise ProviderNotConfigured(setting="LOCAL_LLM_URL / LOCAL_MODEL_PATH")
    return Endpoint(provider=provider)


def _branch(body: FrontEndBody) -> Branch | None:
    if body.id is None:
        return None
    if body.trigger == "regenerate-message":
        return Branch("again", body.messageId or None)
    return Branch("edit", body.messageId) if body.messageId else None


def _memory(message: FrontEndMessage) -> dict[str, Any]:
    return {"role": message.role, "content": message.text}


def _files(message: FrontEndMessage) -> tuple[AttachedFile, ...]:
    parts = [part for part in message.parts if part.type == "file"]
    return (
        *(AttachedFile(part.url or "", part.filename or "", part.media_type or "") for part in parts),
        *(AttachedFile(file.url, file.name or "", file.content_type or "") for file in message.experimental_attachments),
    )


def _fault(en: str, zh: str) -> InvalidField:
    return InvalidField.at("messages", en, zh)
