"""Conversations, which some clients call sessions: lists, histories, titles, deletion, exports."""

import uuid
from typing import Any

from flask import Response

from models.conversation_queries import Listed
from models.schemas import SessionPath
from models.schemas_conversations import (
    CREATED,
    BranchBody,
    CreateBody,
    ExportQuery,
    HistoryQuery,
    ListQuery,
    RenameBody,
)
from services.exports import Export
from views.common import attachment, language, owner, services, session, streamed


def _create(body: CreateBody) -> Listed:
    return services().conversations.create(session(body.session_id or str(uuid.uuid4())), body.title)


def _page(query: ListQuery, name: str) -> dict[str, Any]:
    found, cursor = services().conversations.page(owner(), query.limit, query.cursor, query.q)
    return {name: [listed.as_dict(language()) for listed in found], "next_cursor": cursor}


def _history(session_id: str, query: HistoryQuery) -> dict[str, Any]:
    found = services().conversations.history(session(session_id), query.branches, query.limit, query.before)
    return {"messages": found.messages, "has_more": found.has_more}


def create_conversation(body: CreateBody) -> tuple[dict[str, Any], int]:
    """Makes a conversation. 409 when there is one of that session id."""
    return {"session_id": _create(body).session_id, "message": CREATED}, 201


def create_session(body: CreateBody) -> tuple[dict[str, Any], int]:
    """Makes a conversation. 409 when there is one of that session id."""
    return {**_create(body).as_dict(language()), "message": CREATED}, 201


def list_conversations(query: ListQuery) -> dict[str, Any]:
    """The conversations, the one used last first. Temporary ones are not listed."""
    return _page(query, "conversations")


def list_sessions(query: ListQuery) -> dict[str, Any]:
    """The conversations, the one used last first. Temporary ones are not listed."""
    return _page(query, "sessions")


def show_conversation(path: SessionPath) -> dict[str, Any]:
    """The row of a conversation."""
    return services().conversations.find(session(path.session_id)).as_dict(language())


def show_session(path: SessionPath, query: HistoryQuery) -> dict[str, Any]:
    """The row of a conversation, its knowledge bases and its messages."""
    bases = [base.id for base in services().knowledge_bases.attached(session(path.session_id))]
    return {**show_conversation(path), "knowledge_bases": bases, **_history(path.session_id, query)}


def rename(path: SessionPath, body: RenameBody) -> dict[str, Any]:
    """Gives a conversation another title."""
    return services().conversations.rename(session(path.session_id), body.title).as_dict(language())


def history(path: SessionPath, query: HistoryQuery) -> dict[str, Any]:
    """What was said, oldest first. An answer that is being written is `running` and empty."""
    return {"session_id": path.session_id, **_history(path.session_id, query)}


def switch_branch(path: SessionPath, body: BranchBody) -> dict[str, Any]:
    """Shows the branch that holds a message; the conversation goes on from there. Answers with its history."""
    services().chat.switch_branch(session(path.session_id), body.message_id)
    return history(path, HistoryQuery.model_validate({}))


def clear_context(path: SessionPath) -> dict[str, Any]:
    """Stops a running turn, empties the memory and hides the messages; they can be restored."""
    return services().chat.clear(session(path.session_id))


def delete(path: SessionPath) -> dict[str, Any]:
    """Deletes a conversation with its messages, documents, pictures and vectors; a running turn is stopped first."""
    return services().conversations.delete(session(path.session_id))


def delete_user_data() -> dict[str, Any]:
    """Deletes all conversations with all that belongs to them, the knowledge bases, and the configurations of models."""
    return {"deleted": services().conversations.delete_all(owner())}


def export(path: SessionPath, query: ExportQuery) -> Response:
    """A conversation as a file: JSON with all branches and the documents' texts, or Markdown for people."""
    return _download(services().exports.conversation(session(path.session_id), query.format, language()))


def export_user_data(query: ExportQuery) -> Response:
    """All conversations and knowledge bases as one file; in JSON the configurations of models too, without keys."""
    return _download(services().exports.everything(owner(), query.format, language()))


def _download(made: Export) -> Response:
    headers = {"Content-Disposition": attachment(made.filename, "conversation"), "Cache-Control": "no-store"}
    return streamed(made.parts, made.media_type, headers)
