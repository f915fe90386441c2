"""The URL table: which address is answered by which view, and how.

Each row names method, address, view, the group under which it is documented, and the answers beside the usual errors.
"""

import re
from http import HTTPStatus
from typing import Any

from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel

from models import schemas, schemas_config, schemas_conversations, schemas_front_end, schemas_openai
from views import conversations, front_end, native, openai, operations, user_configs
from views.rate_limit import limited

Answers = dict[str | int | HTTPStatus, type[BaseModel] | dict[Any, Any] | None]
PROBLEMS: Answers = dict.fromkeys((400, 404, 405, 413, 415, 422, 503), schemas.ProblemView)
TURN_PROBLEMS: Answers = dict.fromkeys((409, 429, 502, 504), schemas.ProblemView)
FRONT_END_ANSWERS: Answers = {200: schemas_front_end.FrontEndAnswer, **TURN_PROBLEMS}
CHAT, CONVERSATIONS = Tag(name="chat"), Tag(name="conversations")
DOCUMENTS, OTHER = Tag(name="documents"), Tag(name="other")


def row(blueprint: APIBlueprint, method: str, path: str, view: Any, tag: Tag, answers: Answers | None = None) -> None:
    """One address. Views with the answers of a turn start one, so they are limited."""
    if answers and TURN_PROBLEMS.keys() <= answers.keys():
        view = limited(view)
    endpoint = re.sub(r"\W+", "_", f"{method}{path}")
    getattr(blueprint, method.lower())(path, tags=[tag], responses=answers or {}, endpoint=endpoint)(view)


v1 = APIBlueprint("native", __name__, url_prefix="/api/v1", abp_responses=PROBLEMS)
row(v1, "POST", "/chat", native.chat, CHAT, {200: schemas.TurnView, **TURN_PROBLEMS})
row(v1, "POST", "/chat_with_image", native.chat_with_image, CHAT, {200: schemas.TurnWithImageView, **TURN_PROBLEMS})
row(
    v1,
    "POST",
    "/chat_with_file",
    native.chat_with_file,
    CHAT,
    {200: schemas.TurnWithDocumentView, 202: schemas.WaitingDocumentView, **TURN_PROBLEMS},
)
row(v1, "POST", "/clear_current_chat_history", native.clear_current_chat_history, CHAT, {200: schemas.ClearedView})
row(v1, "POST", "/restore_chat_history", native.restore_chat_history, CHAT, {200: schemas.RestoredView})
row(v1, "POST", "/chat/<session_id>", native.chat_in_session, CHAT, {200: schemas.TurnView, **TURN_PROBLEMS})
row(v1, "POST", "/chat/<session_id>/regenerate", native.regenerate, CHAT, {200: schemas.TurnView, **TURN_PROBLEMS})
row(v1, "POST", "/chat/<session_id>/stream", native.chat_for_reader, CHAT, {202: schemas.StartedView, **TURN_PROBLEMS})
row(v1, "GET", "/chat/<session_id>/stream", native.follow, CHAT)
row(v1, "POST", "/chat/<session_id>/stop", native.stop, CHAT, {200: schemas.StoppedView})
row(v1, "POST", "/documents", native.upload_documents, DOCUMENTS, {202: schemas.DocumentsView})
row(v1, "GET", "/documents", native.list_documents, DOCUMENTS, {200: schemas.DocumentsView})
row(v1, "GET", "/documents/<document_id>", native.get_document, DOCUMENTS, {200: schemas.DocumentView})
row(v1, "GET", "/documents/<document_id>/events", native.document_events, DOCUMENTS)
row(v1, "GET", "/documents/<document_id>/content", native.document_content, DOCUMENTS)
row(v1, "DELETE", "/documents/<document_id>", native.delete_document, DOCUMENTS, {200: schemas.DeletedDocumentView})
row(v1, "POST", "/documents/search", native.search_documents, DOCUMENTS, {200: schemas.SearchView})
row(v1, "POST", "/tts", native.tts, OTHER)
row(v1, "GET", "/tools", native.tools, OTHER, {200: schemas.ToolsView})
row(v1, "GET", "/health", operations.health, OTHER, {200: schemas.HealthView})
row(v1, "GET", "/health/live", operations.live, OTHER)
row(v1, "GET", "/health/ready", operations.ready, OTHER, {200: schemas.HealthView})

site = APIBlueprint("operations", __name__, abp_responses=PROBLEMS)
row(site, "GET", "/health", operations.health, OTHER, {200: schemas.HealthView})
row(site, "GET", "/api/health", operations.health, OTHER, {200: schemas.HealthView})
row(site, "GET", "/metrics", operations.metrics, OTHER)

# each user's model, and the chat with it
row(site, "GET", "/api/config", user_configs.show, CHAT, {200: schemas_config.ConfigView})
row(site, "POST", "/api/config", user_configs.update, CHAT, {200: schemas_config.ConfigView})
row(site, "POST", "/chat", user_configs.chat, CHAT, {200: schemas_config.SimpleAnswerView, **TURN_PROBLEMS})

# front ends with the AI SDK
row(site, "POST", "/api/chat", front_end.chat, CHAT, FRONT_END_ANSWERS)
row(site, "POST", "/api/chat/claude", front_end.chat_claude, CHAT, FRONT_END_ANSWERS)
row(site, "POST", "/api/chat/local", front_end.chat_local, CHAT, FRONT_END_ANSWERS)
row(site, "GET", "/api/chat", front_end.resume_chat, CHAT)
row(site, "GET", "/api/chat/<id>/stream", front_end.resume, CHAT)
row(site, "POST", "/api/chat/<id>/stop", front_end.stop, CHAT, {200: schemas.StoppedView})

# conversations: at the root, as sessions, and as contexts
LISTED: Answers = {200: schemas_conversations.ConversationsView}
SESSION_LIST: Answers = {200: schemas_conversations.SessionsView}
ROW: Answers = {200: schemas_conversations.ConversationView}
MADE: Answers = {201: schemas_conversations.CreatedView, 409: schemas.ProblemView}
MADE_SESSION: Answers = {201: schemas_conversations.CreatedSessionView, 409: schemas.ProblemView}
HISTORY: Answers = {200: schemas_conversations.HistoryView}
DELETED: Answers = {200: schemas_conversations.DeletedView, 409: schemas.ProblemView}
EXPORTED: Answers = {200: schemas_conversations.ExportView}

row(site, "POST", "/conversations", conversations.create_conversation, CONVERSATIONS, MADE)
row(site, "GET", "/conversations", conversations.list_conversations, CONVERSATIONS, LISTED)
row(site, "PATCH", "/conversations/<session_id>", conversations.rename, CONVERSATIONS, ROW)
row(site, "DELETE", "/conversations/<session_id>", conversations.delete, CONVERSATIONS, DELETED)
row(site, "GET", "/conversations/<session_id>/history", conversations.history, CONVERSATIONS, HISTORY)
row(site, "POST", "/conversations/<session_id>/branch", conversations.switch_branch, CONVERSATIONS, HISTORY)
row(site, "GET", "/conversations/<session_id>/export", conversations.export, CONVERSATIONS, EXPORTED)
row(site, "POST", "/sessions", conversations.create_session, CONVERSATIONS, MADE_SESSION)
row(site, "GET", "/sessions", conversations.list_sessions, CONVERSATIONS, SESSION_LIST)
row(
    site,
    "GET",
    "/sessions/<session_id>",
    conversations.show_session,
    CONVERSATIONS,
    {200: schemas_conversations.SessionView},
)
row(site, "DELETE", "/sessions/<session_id>", conversations.delete, CONVERSATIONS, DELETED)
row(v1, "POST", "/context/conversations", conversations.create_session, CONVERSATIONS, MADE_SESSION)
row(v1, "GET", "/context/conversations", conversations.list_conversations, CONVERSATIONS, LISTED)
row(v1, "GET", "/context/conversations/<session_id>", conversations.show_conversation, CONVERSATIONS, ROW)
row(
    v1,
    "DELETE",
    "/context/conversations/<session_id>/context",
    conversations.clear_context,
    CONVERSATIONS,
    {200: schemas.ClearedView},
)
row(v1, "GET", "/user_data", conversations.export_user_data, CONVERSATIONS, EXPORTED)
row(v1, "DELETE", "/user_data", conversations.delete_user_data, CONVERSATIONS, {200: schemas_conversations.DeletedDataView})

# OpenAI's API; its errors have their own shape, and invalid requests are 400
OPENAI_ERRORS: Answers = dict.fromkeys((400, 404, 405, 413, 422, 503), schemas_openai.ErrorView)
OPENAI_TURN_ERRORS: Answers = dict.fromkeys(TURN_PROBLEMS, schemas_openai.ErrorView)
COMPLETIONS: Answers = {200: schemas_openai.ChatCompletionView, **OPENAI_TURN_ERRORS}

compatible = APIBlueprint("openai", __name__, url_prefix="/v1", abp_responses=OPENAI_ERRORS)
row(compatible, "POST", "/chat/completions", openai.chat_completions, CHAT, COMPLETIONS)
row(compatible, "GET", "/models", openai.models, OTHER, {200: schemas_openai.ModelsView})
row(compatible, "GET", "/models/<path:model>", openai.model, OTHER, {200: schemas_openai.ModelView})
row(compatible, "POST", "/embeddings", openai.embeddings, OTHER, {200: schemas_openai.EmbeddingsView})
row(compatible, "POST", "/audio/speech", openai.speech, OTHER)

blueprints = (v1, site, compatible)
