"""What a turn needs: who asks what, in which session, with which options."""

from dataclasses import dataclass, field
from typing import Any, Literal

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
class Turn:
    """One question.

    `language` is that of messages for people; `context` is told to the model for this turn only, such as the summary of a
    file that came with it; `extra` is added to the answer: `image`, `document`.
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


MessageStatus = Literal["complete", "running", "failed", "stopped", "interrupted"]
