"""The native API at /api/v1."""

from itertools import chain
from typing import Any

from flask import Response, jsonify, request, send_file
from pydantic import Field

from models import schemas
from models import schemas_documents as documents_schemas
from models.schemas import Upload
from services.attachments import with_document, with_picture
from services.protocols import native as native_format
from views.common import (
    EVENT_STREAM,
    RawForm,
    answer,
    attachment,
    language,
    named_or_new,
    owner,
    services,
    session,
    streamed,
)
from views.document_texts import results

TEXT_FILE = "第三章 休假。工作满五年的员工，年假为十五天。"


class ImageForm(RawForm, schemas.AttachedBody):
    image: Upload = Field(description="A picture.", examples=["(the bytes of a picture)"])


class FileForm(RawForm, schemas.AttachedBody):
    file: Upload = Field(description="A document.", examples=[TEXT_FILE])


class DocumentsForm(RawForm, schemas.SessionBody):
    file: list[Upload] = Field(description="One or more documents.", min_length=1, examples=[[TEXT_FILE]])
    temporary: bool = Field(False, description="Where the session is made: it is never stored and ends with its TTL.")


def chat(body: schemas.ChatBody) -> Response:
    """Asks the agent. With `stream: true` the answer comes as server-sent events."""
    return answer(native_format.parse(body, body.message, named_or_new(body.session_id), language()), body.stream)


def chat_in_session(path: schemas.SessionPath, body: schemas.SessionChatBody) -> Response:
    """Asks the agent in a session."""
    return answer(native_format.parse(body, body.message, session(path.session_id), language()), body.stream)


def regenerate(path: schemas.SessionPath, body: schemas.RegenerateBody) -> Response:
    """Makes an answer anew; the one that was there stays on a branch of its own."""
    return answer(native_format.parse_again(body, session(path.session_id), language()), body.stream)


def chat_for_reader(path: schemas.SessionPath, body: schemas.SessionChatBody) -> Response | tuple[Response, int]:
    """Starts a turn whose events come at GET of this address; with `Accept: text/event-stream` they come here.

    For an `EventSource`, which is opened before or after.
    """
    turn = native_format.parse(body, body.message, session(path.session_id), language())
    if request.accept_mimetypes.best_match(["application/json", EVENT_STREAM]) == EVENT_STREAM:
        return answer(turn, stream=True)
    services().chat.start_for_reader(turn)
    return jsonify({"session_id": path.session_id, "message_id": turn.message_ids[1]}), 202


def follow(path: schemas.SessionPath, query: schemas.StreamQuery, header: schemas.StreamHeader) -> Response:
    """The events of the running turn from its start, else of the next one; after `Last-Event-ID`, what was missed.

    A reader for whom no turn begins within a minute is asked to come back.
    """
    last_event_id = header.last_event_id or query.last_event_id
    events = services().chat.watch.watch(session(path.session_id), last_event_id)
    parts = native_format.stream(events.batches(), language())
    return streamed(chain([native_format.HEARTBEAT], parts), on_close=events.leave)


def chat_with_image(form: ImageForm) -> Response:
    """Asks about a picture: its text and a description of it become part of the conversation."""
    turn = native_format.parse(form, form.message, named_or_new(form.session_id), language())
    images = services().images
    picture = images.store(turn.key, form.image.stream, form.image.filename or "", temporary=form.temporary)
    return answer(turn, form.stream, with_picture(images, picture))


def chat_with_file(form: FileForm) -> Response | tuple[Response, int]:
    """Asks about a file, which is searchable in this very turn. 202 when reading it takes too long to wait for."""
    turn = native_format.parse(form, form.message, named_or_new(form.session_id), language())
    documents = services().documents
    document = documents.accept(turn.key, form.file.stream, form.file.filename or "", temporary=form.temporary)
    if not form.stream and not documents.finishes(document.id, services().settings.FILE_WAIT_SECONDS):
        waiting = documents.get(owner(), document.id).as_dict(language())
        return jsonify({"session_id": turn.key.session_id, "document": waiting}), 202
    return answer(turn, form.stream, with_document(documents, document.id))


def clear_current_chat_history(body: schemas.SessionBody) -> dict[str, Any]:
    """Stops a running turn, empties the memory, hides the messages. System prompt and documents stay."""
    return services().chat.clear(session(body.session_id))


def restore_chat_history(body: schemas.SessionBody) -> dict[str, Any]:
    """Undoes the last clear."""
    return services().chat.restore(session(body.session_id))


def stop(path: schemas.SessionPath) -> dict[str, Any]:
    """Ends the answer that is being generated, upstream included, whichever worker runs it."""
    return {"stopped": services().chat.stop(session(path.session_id))}


def upload_documents(form: DocumentsForm) -> tuple[Response, int]:
    """Takes files in, all or none; they are read in the background. What the session has already is not read again."""
    uploads = [(file.stream, file.filename or "") for file in form.file]
    accepted = services().documents.accept_all(session(form.session_id), uploads, temporary=form.temporary)
    return jsonify({"documents": [document.as_item(language()) for document in accepted]}), 202


def list_documents(query: schemas.SessionQuery) -> dict[str, Any]:
    """The documents of a session, oldest first."""
    found = services().documents.list(session(query.session_id))
    return {"documents": [document.as_item(language()) for document in found]}


def get_document(path: documents_schemas.DocumentPath) -> dict[str, Any]:
    """A document with a report of how each page was read."""
    return services().documents.get(owner(), path.document_id).as_dict(language())


def document_events(path: documents_schemas.DocumentPath) -> Response:
    """A document as server-sent events: now, and whenever it has changed, until it is done."""
    speech = language()
    watched = services().documents.watch(owner(), path.document_id)
    return streamed(native_format.documents(None if document is None else document.as_dict(speech) for document in watched))


def document_content(path: documents_schemas.DocumentPath) -> Response:
    """The file of a document, as an attachment; `Range` asks for a part of it."""
    file, filename, media_type = services().documents.content(owner(), path.document_id)
    response = send_file(file, media_type)
    response.headers["Content-Disposition"] = attachment(filename, "document")
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def delete_document(path: documents_schemas.DocumentPath) -> dict[str, Any]:
    """Deletes a document with its file and its vectors."""
    services().documents.delete(owner(), path.document_id)
    return {"id": path.document_id, "deleted": True}


def cancel_document(path: documents_schemas.DocumentPath) -> dict[str, Any]:
    """Ends the reading of a document, which has failed then with `cancelled`; one that is finished stays as it is."""
    return services().documents.cancel(owner(), path.document_id).as_dict(language())


def retry_document(path: documents_schemas.DocumentPath) -> tuple[Response, int]:
    """Reads a document again that has failed, from where it was left; any other stays as it is."""
    return jsonify(services().documents.retry(owner(), path.document_id).as_dict(language())), 202


def search_documents(body: documents_schemas.SearchBody) -> dict[str, Any]:
    """Finds passages in the documents of a session and of the knowledge bases attached to it, and in no others."""
    key = session(body.session_id)
    return results(services().documents.search(key, body.query, body.k, body.document_ids), body.neighbours)


def tts(body: schemas.SpeechBody) -> Response:
    """Speaks a text; answers with the audio itself."""
    speech = services().audio.speak(body.text, body.voice, body.format)
    return Response(speech.audio, content_type=speech.media_type)


def tools(query: schemas.ToolsQuery) -> dict[str, Any]:
    """The agent's tools, and which of them it is offered in a session, or in a new one."""
    return {"tools": native_format.tools(services().chat.tools(owner(), query.session_id, language()))}
