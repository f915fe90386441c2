"""Mails, and web pages saved as one: who wrote to whom and when, the text, and the names of what is attached."""

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from pathlib import Path

from utils.charsets import decode
from utils.errors import DocumentUnreadable
from utils.loaders import Format, Loaded, LoadOptions, Page
from utils.markup import html_text

FIELD = (
    rb"(?:from|to|cc|subject|date|received|return-path|delivered-to|message-id|mime-version|x-[a-z-]+|reply-to|content-type)"
)
FORMATS = (
    Format(
        "message/rfc822",
        ("eml", "mht", "mhtml"),
        hint=re.compile(rb"(?i)" + FIELD + rb":[^\n]*\n(?:[ \t][^\n]*\n)*" + FIELD + b":"),
    ),
)
SHOWN = ("From", "To", "Cc", "Subject", "Date")
LONGEST_FIELD = 20_000  # characters; decoding takes the square of them
MAX_DEPTH = 20  # of parts in parts


def load(path: Path, media_type: str, options: LoadOptions) -> Loaded:
    try:
        mail = message_from_bytes(path.read_bytes())
        for part in mail.walk():
            for name in [name for name, value in part.raw_items() if len(str(value)) > LONGEST_FIELD]:
                del part[name]
        text = "\n".join(_mail(mail, 0))
    except MessageError as error:
        raise DocumentUnreadable("damaged") from error
    return Loaded(None, iter([Page(None, text)]))


def _mail(mail: "Message[str, str]", depth: int) -> Iterator[str]:
    fields = {name.lower(): str(value) for name, value in reversed(list(mail.raw_items()))}
    for name in SHOWN:
        if value := _words(fields.get(name.lower(), "")):
            yield f"{name}: {value}"
    yield ""
    yield from _body(mail, depth)


def _words(value: str) -> str:
    """A field of the head, decoded; bytes without a declared encoding are guessed."""
    words = []
    for word, encoding in decode_header(value):
        content = word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word
        words.append(decode(content, encoding or ""))
    return " ".join("".join(words).split())


def _body(part: "Message[str, str]", depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise DocumentUnreadable("too_complex")
    kind = part.get_content_type()
    children = [child for child in part.get_payload() if isinstance(child, Message)] if part.is_multipart() else []
    if kind == "message/rfc822":
        for child in children:
            yield from _mail(child, depth + 1)
    elif kind == "multipart/alternative":
        texts = ["\n".join(_body(child, depth + 1)) for child in children]
        yield next((text for text in texts if text.strip()), "")
    elif children:
        for child in children:
            yield from _body(child, depth + 1)
    elif (name := part.get_filename()) or part.get_content_disposition() == "attachment":
        yield f"[{_words(name or kind)}]"
    elif kind in ("text/plain", "text/html"):
        yield _text(part, kind)


def _text(part: "Message[str, str]", kind: str) -> str:
    payload = part.get_payload(decode=True)
    text = decode(payload if isinstance(payload, bytes) else b"", str(part.get_content_charset() or ""))
    if kind == "text/plain":
        return text + "\n"
    return html_text(text, title=False) + "\n"
