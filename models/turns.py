"""What a turn needs: who asks what, in which session, with which options."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Literal, Protocol, TypeVar

from models.providers import Endpoint
from utils.errors import Language


@dataclass(frozen=True, slots=True)
class SessionKey:
    """A session is named by its owner and its id, everywhere; another owner's session does not exist."""

    owner: str
    session_id: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.session_id}"  # neither part may hold a slash


@dataclass(frozen=True, slots=True)
class Attachment:
    """A picture that came with a message. `path` is relative to the upload folder."""

    filename: str
    path: str
    media_type: str
    ocr_text: str = ""
    description: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "filename": self.filename,
            "path": self.path,
            "media_type": self.media_type,
            "ocr_text": self.ocr_text,
            "description": self.description,
        }


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """A message of the user in a request that carries a history; `id` is the client's own, empty if it has none."""

    id: str
    content: str


class FromSomebody(Protocol):
    @property
    def role(self) -> str: ...


Message = TypeVar("Message", bound=FromSomebody)


def since_last_answer(messages: Sequence[Message]) -> list[Message]:
    """The messages of the user at the end, oldest first."""
    return list(takewhile(lambda message: message.role == "user", reversed(messages)))[::-1]


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a turn goes, if not after the newest message. `message_id` is ours, or the client's id of a question.

    `after`: the question follows that message, None being the beginning; `edit`: it takes the place of that question;
    `again`: that answer, or the answer to that question, is made anew, None being the newest one.
    What was there before stays, on a branch of its own.
    """

    kind: Literal["after", "edit", "again"]
    message_id: str | None


def new_message_ids() -> tuple[str, str]:
    """Names for a question and its answer."""
    return f"msg_{secrets.token_hex(12)}", f"msg_{secrets.token_hex(12)}"


@dataclass(frozen=True, slots=True)
class Turn:
    """One question.

    `language` is that of messages for people; `context` is told to the model for this turn only, such as the summary of a
    file that came with it; `extra` is added to the answer: `image`, `document`. `message_ids` name question and answer.

    With `history`, messages as the memory keeps them (see services.history), the turn is stateless: it has no session,
    nothing is stored, and it ends when its reader leaves. `before` are messages of the user that came before this one in the
    request; those that the session does not know yet become part of the question. `client_id` is the client's name for it.
    """

    key: SessionKey
    message: str
    system_prompt: str | None = None
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    temporary: bool = False
    language: Language = "en"
    attachments: tuple[Attachment, ...] = ()
    context: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    history: tuple[dict[str, Any], ...] | None = None
    before: tuple[ClientMessage, ...] = ()
    client_id: str = ""
    branch: Branch | None = None
    endpoint: Endpoint | None = None
    message_ids: tuple[str, str] = field(default_factory=new_message_ids)


MessageStatus = Literal["complete", "running", "failed", "stopped", "interrupted"]
