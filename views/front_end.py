"""The chat of Next.js front ends at /api/chat, for the AI SDK 4 to 7 and for plain messages."""

from typing import Any

from flask import Response

from models import schemas_front_end as schemas
from models.providers import Endpoint
from services import front_end_requests as requests
from services.attachments import with_files
from services.protocols import data, lines, ui
from views.common import WireFormat, answer, language, owner, services, session, shown

FORMATS: dict[schemas.Protocol, WireFormat] = {"seed": lines, "data": data, "ui": ui}


def chat(query: schemas.FrontEndQuery, body: schemas.FrontEndBody) -> Response:
    """Asks the agent; the answer comes in the format that fits the body. With `stream: false` it is one JSON object.

    A body with a `trigger`, or messages of `parts` alone: the AI SDK 5 to 7. Messages with `content` and `parts`: the AI SDK
    4. Plain `{role, content}` messages: lines of a code and a typed object. `protocol` overrides what the body looks like.
    """
    return _ask(query, body)


def chat_claude(query: schemas.FrontEndQuery, body: schemas.FrontEndBody) -> Response:
    """Asks the agent with a model of Anthropic; else as `POST /api/chat`."""
    return _ask(query, body, requests.claude(services().settings))


def chat_local(query: schemas.FrontEndQuery, body: schemas.FrontEndBody) -> Response:
    """Asks the agent with a model of the operator's own machines; else as `POST /api/chat`."""
    return _ask(query, body, requests.local(services().settings))


def resume(path: schemas.ChatPath, query: schemas.FrontEndQuery) -> Response:
    """The answer that is being generated, from its start. 204 when there is none."""
    return _resume(path.id, query.protocol or "ui")


def resume_chat(query: schemas.ResumeQuery) -> Response:
    """The answer that is being generated, from its start, as the AI SDK 4 asks for it. 204 when there is none."""
    return _resume(query.chatId, query.protocol or "data")


def stop(path: schemas.ChatPath) -> dict[str, Any]:
    """Ends the answer that is being generated, upstream included, whichever worker runs it."""
    return {"stopped": services().chat.stop(session(path.id))}


def _ask(query: schemas.FrontEndQuery, body: schemas.FrontEndBody, endpoint: Endpoint | None = None) -> Response:
    protocol = query.protocol or requests.protocol_of(body)
    models = dict(services().settings.MODEL_MAPPING)
    turn, files = requests.parse(body, owner(), language(), models, endpoint)
    if protocol == "data":
        turn = requests.recognised(services().database, turn, body.all_messages())
    prepare = with_files(services().images, services().documents, files) if files else None
    return answer(turn, body.stream, prepare, FORMATS[protocol])


def _resume(chat_id: str, protocol: schemas.Protocol) -> Response:
    events = services().chat.watch.running(session(chat_id))
    return shown(events, language(), FORMATS[protocol]) if events else Response(status=204)
