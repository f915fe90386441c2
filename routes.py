"""The URL table: each view parses, calls one service, and renders. Errors pass through to the application's handler."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from flask import Response, current_app, jsonify, request, send_file
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field, model_validator

from models import schemas
from models.schemas import Upload
from models.turns import SessionKey, Turn
from services.attachments import with_document, with_picture
from services.chat_service import Prepare
from services.protocols import native as native_format
from services.wiring import Services
from utils.errors import Language

LOCAL_OWNER = "local"
FIRST_EVENT_SECONDS = 10
Responses = dict[str | int | HTTPStatus, type[BaseModel] | dict[Any, Any] | None]
PROBLEMS: Responses = dict.fromkeys((400, 404, 405, 413, 415, 422, 503), schemas.ProblemView)
TURN_PROBLEMS: Responses = dict.fromkeys((409, 502, 504), schemas.ProblemView)
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

native = APIBlueprint("native", __name__, url_prefix="/api/v1", abp_responses=PROBLEMS)
CHAT, DOCUMENTS, OTHER = Tag(name="chat"), Tag(name="documents"), Tag(name="other")


class RawForm(BaseModel):
    """A form whose fields stay the text that was sent: "123" is a message, not a number."""

    @model_validator(mode="before")
    @classmethod
    def _as_sent(cls, data: dict[str, Any]) -> dict[str, Any]:
        return {**data, **request.form.to_dict()}


class ImageForm(RawForm, schemas.AttachedBody):
    image: Upload = Field(description="A picture.")


class FileForm(RawForm, schemas.AttachedBody):
    file: Upload = Field(description="A document.")


class DocumentsForm(RawForm, schemas.SessionBody):
    file: list[Upload] = Field(description="One or more documents.", min_length=1)
    temporary: bool = False


def services() -> Services:
    found: Services = current_app.extensions["services"]
    return found


def owner() -> str:
    return LOCAL_OWNER


def language() -> Language:
    return "zh" if request.accept_languages.best_match(["en", "zh"]) == "zh" else "en"


def answer(turn: Turn, stream: bool, prepare: Prepare | None = None) -> Response:
    """Starts a turn and shows it: as events, or whole."""
    events = services().chat.start(turn, prepare)
    if not stream:
        return jsonify(native_format.whole(events.answer()))
    events.wait_for_model(FIRST_EVENT_SECONDS)
    return streamed(native_format.stream(events.batches(), turn.language))


def streamed(parts: Iterator[bytes]) -> Response:
    return Response(parts, mimetype="text/event-stream", headers=STREAM_HEADERS)


@native.post("/chat", tags=[CHAT], responses={200: schemas.TurnView, **TURN_PROBLEMS})
def chat(body: schemas.ChatBody) -> Response:
    """Asks the agent. With `stream: true` the answer comes as server-sent events."""
    return answer(native_format.parse(body, body.message, owner(), language()), body.stream)


@native.post("/chat_with_image", tags=[CHAT], responses={200: schemas.TurnWithImageView, **TURN_PROBLEMS})
def chat_with_image(form: ImageForm) -> Response:
    """Asks about a picture: its text and a description of it become part of the conversation."""
    turn = native_format.parse(form, form.message, owner(), language())
    images = services().images
    picture = images.store(turn.key, form.image.stream, form.image.filename or "", temporary=form.temporary)
    return answer(turn, form.stream, with_picture(images, picture))


@native.post(
    "/chat_with_file",
    tags=[CHAT],
    responses={200: schemas.TurnWithDocumentView, 202: schemas.WaitingDocumentView, **TURN_PROBLEMS},
)
def chat_with_file(form: FileForm) -> Response | tuple[Response, int]:
    """Asks about a file, which is searchable in this very turn. 202 when reading it takes too long to wait for."""
    turn = native_format.parse(form, form.message, owner(), language())
    documents = services().documents
    document = documents.accept(turn.key, form.file.stream, form.file.filename or "", temporary=form.temporary)
    if not form.stream and not documents.finishes(document.id, services().settings.FILE_WAIT_SECONDS):
        waiting = documents.get(owner(), document.id).as_dict(language())
        return jsonify({"session_id": turn.key.session_id, "document": waiting}), 202
    return answer(turn, form.stream, with_document(documents, document.id))


@native.post("/clear_current_chat_history", tags=[CHAT], responses={200: schemas.ClearedView})
def clear_current_chat_history(body: schemas.SessionBody) -> dict[str, Any]:
    """Stops a running turn, empties the memory, hides the messages. System prompt and documents stay."""
    return services().chat.clear(SessionKey(owner(), body.session_id))


@native.post("/restore_chat_history", tags=[CHAT], responses={200: schemas.RestoredView})
def restore_chat_history(body: schemas.SessionBody) -> dict[str, Any]:
    """Undoes the last clear."""
    return services().chat.restore(SessionKey(owner(), body.session_id))


@native.post("/chat/<session_id>/stop", tags=[CHAT], responses={200: schemas.StoppedView})
def stop(path: schemas.SessionPath) -> dict[str, Any]:
    """Ends the generation of an answer, upstream included, whichever worker runs it."""
    return {"stopped": services().chat.stop(SessionKey(owner(), path.session_id))}


@native.post("/documents", tags=[DOCUMENTS], responses={202: schemas.DocumentsView})
def upload_documents(form: DocumentsForm) -> tuple[Response, int]:
    """Takes files in; they are read in the background."""
    uploads = [(file.stream, file.filename or "") for file in form.file]
    accepted = services().documents.accept_all(SessionKey(owner(), form.session_id), uploads, temporary=form.temporary)
    return jsonify({"documents": [document.as_item(language()) for document in accepted]}), 202


@native.get("/documents", tags=[DOCUMENTS], responses={200: schemas.DocumentsView})
def list_documents(query: schemas.SessionQuery) -> dict[str, Any]:
    """The documents of a session, oldest first."""
    found = services().documents.list(SessionKey(owner(), query.session_id))
    return {"documents": [document.as_item(language()) for document in found]}


@native.get("/documents/<document_id>", tags=[DOCUMENTS], responses={200: schemas.DocumentView})
def get_document(path: schemas.DocumentPath) -> dict[str, Any]:
    """A document with a report of how each page was read."""
    return services().documents.get(owner(), path.document_id).as_dict(language())


@native.get("/documents/<document_id>/events", tags=[DOCUMENTS])
def document_events(path: schemas.DocumentPath) -> Response:
    """The same, as server-sent events, until the document is done."""
    speech = language()
    watched = services().documents.watch(owner(), path.document_id)
    return streamed(native_format.documents(None if document is None else document.as_dict(speech) for document in watched))


@native.get("/documents/<document_id>/content", tags=[DOCUMENTS])
def document_content(path: schemas.DocumentPath) -> Response:
    """The file itself, as an attachment."""
    file, filename, media_type = services().documents.content(owner(), path.document_id)
    response = send_file(file, media_type, as_attachment=True, download_name=filename)
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


@native.delete("/documents/<document_id>", tags=[DOCUMENTS], responses={200: schemas.DeletedDocumentView})
def delete_document(path: schemas.DocumentPath) -> dict[str, Any]:
    """Deletes a document with its file and its vectors."""
    services().documents.delete(owner(), path.document_id)
    return {"id": path.document_id, "deleted": True}


@native.post("/documents/search", tags=[DOCUMENTS], responses={200: schemas.SearchView})
def search_documents(body: schemas.SearchBody) -> dict[str, Any]:
    """Finds passages in the documents of a session, and in no others."""
    key = SessionKey(owner(), body.session_id)
    return {"results": native_format.passages(services().documents.search(key, body.query, body.k, body.document_ids))}


@native.post("/tts", tags=[OTHER])
def tts(body: schemas.SpeechBody) -> Response:
    """Speaks a text; answers with the audio itself."""
    speech = services().audio.speak(body.text, body.voice, body.format)
    return Response(speech.audio, content_type=speech.media_type)


@native.get("/tools", tags=[OTHER], responses={200: schemas.ToolsView})
def tools(query: schemas.ToolsQuery) -> dict[str, Any]:
    """The agent's tools, and which of them it is offered in a session, or in a new one."""
    return {"tools": native_format.tools(services().chat.tools(owner(), query.session_id, language()))}


def health_report() -> tuple[dict[str, Any], int]:
    report = services().health.report()
    return report, 503 if report["status"] == "down" else 200


@native.get("/health", tags=[OTHER], responses={200: schemas.HealthView})
def health() -> tuple[dict[str, Any], int]:
    """The state of the parts; 503 when no turn could be served."""
    return health_report()


@native.get("/health/live", tags=[OTHER])
def live() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@native.get("/health/ready", tags=[OTHER], responses={200: schemas.HealthView})
def ready() -> tuple[dict[str, Any], int]:
    """Whether turns can be served."""
    return health_report()


blueprints = (native,)
