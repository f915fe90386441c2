"""The URL table: which address is answered by which view, and how.

Each row names method, address, view and what may come of it: answers, and errors beside those that the view's parameters and
its body bring with them.
"""

import re
from dataclasses import dataclass
from typing import Any

from flask_openapi3 import APIBlueprint

from models import schemas, schemas_config, schemas_conversations, schemas_documents, schemas_events, schemas_texts
from models import schemas_knowledge_bases as schemas_bases
from models import schemas_openai_answers as schemas_openai
from models.schemas_front_end import FrontEndAnswer
from models.schemas_operations import HealthView, LiveView
from utils import errors
from utils.errors import ChatError
from views import (
    conversations,
    document_texts,
    front_end,
    knowledge_bases,
    native,
    openai,
    operations,
    user_configs,
    websocket,
)
from views.about import CHAT, CONFIGS, CONVERSATIONS, DOCUMENTS, FRONT_ENDS, INFO, KNOWLEDGE_BASES, OPENAI, OPERATIONS, TOOLS
from views.answers import (
    FILE,
    LOCKED,
    MESSAGE,
    MODEL,
    NO_BASE,
    NO_DOCUMENT,
    NO_SESSION,
    READERS,
    SPEECH,
    STORED,
    TURN,
    Answer,
    binary,
    counted,
    empty,
    json,
    text,
)
from views.description import Description, Tag
from views.rate_limit import limited
from views.streams import COMPLETION, DATA, DOCUMENT_STATES, LINES, NATIVE, PIECES, UI

description = Description(INFO)
v1 = APIBlueprint("native", __name__, url_prefix="/api/v1", doc_ui=False)
site = APIBlueprint("site", __name__, doc_ui=False)
compatible = APIBlueprint("openai", __name__, url_prefix="/v1", doc_ui=False)
blueprints = (v1, site, compatible)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one blueprint that are documented together."""

    blueprint: APIBlueprint
    tag: Tag

    def row(self, method: str, path: str, view: Any, *answers: Answer | ChatError) -> None:
        """One address."""
        endpoint = re.sub(r"\W+", "_", f"{method}{path}")
        getattr(self.blueprint, method.lower())(path, endpoint=endpoint)(view)
        description.add(method, f"{self.blueprint.url_prefix or ''}{path}", view, self.tag, answers)

    def turn(self, path: str, view: Any, *answers: Answer | ChatError) -> None:
        """An address that starts a turn, so it is limited."""
        said = (counted(answer) if isinstance(answer, Answer) else answer for answer in answers)
        self.row("POST", path, limited(view), *said, *TURN)


ANSWER, STOPPED = json(schemas.TurnView, description="The whole turn."), json(schemas.StoppedView)
STARTED = json(schemas.StartedView, 202, "The turn runs; its events come at GET of this address.")
WITH_IMAGE = json(schemas.TurnWithImageView, description="The whole turn.")
WITH_FILE = json(schemas_documents.TurnWithDocumentView, description="The whole turn.")
WAITING = json(schemas_documents.WaitingDocumentView, 202, "The file is still being read; the message was not run.")
CANCELLED = errors.DocumentCancelled()
CLEARED, RESTORED = json(schemas.ClearedView), json(schemas.RestoredView)

chat = Rows(v1, CHAT)
chat.turn("/chat", native.chat, ANSWER, NATIVE, *MESSAGE)
chat.turn("/chat_with_image", native.chat_with_image, WITH_IMAGE, NATIVE, *FILE)
chat.turn("/chat_with_file", native.chat_with_file, WITH_FILE, NATIVE, WAITING, CANCELLED, *FILE, *NO_DOCUMENT)
chat.turn("/chat/<session_id>", native.chat_in_session, ANSWER, NATIVE, *MESSAGE)
chat.turn("/chat/<session_id>/regenerate", native.regenerate, ANSWER, NATIVE, *MESSAGE)
chat.turn("/chat/<session_id>/stream", native.chat_for_reader, STARTED, NATIVE, *MESSAGE)
chat.row("GET", "/chat/<session_id>/stream", native.follow, NATIVE, *READERS)
chat.row("POST", "/chat/<session_id>/stop", native.stop, STOPPED, *STORED)
chat.row("POST", "/clear_current_chat_history", native.clear_current_chat_history, CLEARED, *LOCKED)
chat.row("POST", "/restore_chat_history", native.restore_chat_history, RESTORED, *LOCKED)
description.add(
    "GET",
    "/ws/chat/<session_id>",
    websocket.chat,
    CHAT,
    (empty(101, "The WebSocket is open."), errors.BadRequest(), errors.Forbidden(), errors.UpgradeRequired()),
    takes={"path": schemas.SessionPath},
    frames={"client": schemas_events.WebSocketRequest, "server": schemas_events.NativeEvent},
)

LIST, DOCUMENT = json(schemas_documents.DocumentsView), json(schemas_documents.DocumentView)
ACCEPTED, FOUND = json(schemas_documents.AcceptedDocumentsView, 202), json(schemas_documents.SearchView)
QUEUED = json(schemas_documents.DocumentView, 202, "It is read again, if it had failed.")
DISCARDED = json(schemas_documents.DeletedDocumentView)
PAGES, CHUNKS = json(schemas_texts.PagesView), json(schemas_texts.ChunksView)
READ = (errors.DocumentNotReady(), errors.DocumentCancelled(), *FILE, *NO_DOCUMENT)
ORIGINAL = (
    binary("*/*", "The file as it was uploaded.", headers=("Content-Disposition",)),
    binary("*/*", "The part of it that `Range` asks for.", 206, ("Content-Disposition", "Content-Range")),
    empty(304, "It is what the client has already, as `If-None-Match` or `If-Modified-Since` say."),
    errors.RangeNotSatisfiable(size=482_133),
)

documents = Rows(v1, DOCUMENTS)
documents.row("POST", "/documents", native.upload_documents, ACCEPTED, *FILE, *NO_SESSION)
documents.row("GET", "/documents", native.list_documents, LIST, *NO_SESSION)
documents.row("GET", "/documents/<document_id>", native.get_document, DOCUMENT, *NO_DOCUMENT)
documents.row("GET", "/documents/<document_id>/events", native.document_events, DOCUMENT_STATES, *NO_DOCUMENT)
documents.row("GET", "/documents/<document_id>/content", native.document_content, *ORIGINAL, *NO_DOCUMENT)
documents.row("DELETE", "/documents/<document_id>", native.delete_document, DISCARDED, *NO_DOCUMENT)
documents.row("POST", "/documents/<document_id>/cancel", native.cancel_document, DOCUMENT, *NO_DOCUMENT)
documents.row("POST", "/documents/<document_id>/retry", native.retry_document, QUEUED, *NO_DOCUMENT)
documents.row("GET", "/documents/<document_id>/pages", document_texts.list_pages, PAGES, *READ)
documents.row("GET", "/documents/<document_id>/chunks", document_texts.list_chunks, CHUNKS, *READ)
documents.row("POST", "/documents/search", native.search_documents, FOUND, *NO_SESSION, *NO_DOCUMENT)

BASE, BASES = json(schemas_bases.BaseView), json(schemas_bases.BasesView)
MADE_BASE, DELETED_BASE = json(schemas_bases.BaseView, 201), json(schemas_bases.DeletedBaseView)
BASE_DOCUMENTS, ATTACHED = json(schemas_bases.BaseDocumentsView), json(schemas_bases.AttachedBasesView)
DETACHED = json(schemas_bases.DetachedView)
A_BASE, ITS_DOCUMENTS = "/knowledge_bases/<knowledge_base_id>", "/knowledge_bases/<knowledge_base_id>/documents"
OF_SESSION = "/sessions/<session_id>/knowledge_bases"

bases = Rows(v1, KNOWLEDGE_BASES)
bases.row("POST", "/knowledge_bases", knowledge_bases.create, MADE_BASE, *STORED)
bases.row("GET", "/knowledge_bases", knowledge_bases.list_all, BASES, *STORED)
bases.row("GET", A_BASE, knowledge_bases.show, BASE, *NO_BASE)
bases.row("PATCH", A_BASE, knowledge_bases.change, BASE, *NO_BASE)
bases.row("DELETE", A_BASE, knowledge_bases.delete, DELETED_BASE, *NO_BASE)
bases.row("POST", ITS_DOCUMENTS, knowledge_bases.upload, ACCEPTED, *FILE, *NO_BASE)
bases.row("GET", ITS_DOCUMENTS, knowledge_bases.list_documents, BASE_DOCUMENTS, *NO_BASE)
bases.row("POST", f"{A_BASE}/search", knowledge_bases.search, FOUND, *NO_BASE)
bases.row("GET", OF_SESSION, knowledge_bases.list_attached, ATTACHED, *NO_SESSION)
bases.row("PUT", f"{OF_SESSION}/<knowledge_base_id>", knowledge_bases.attach, BASE, *NO_BASE)
bases.row("DELETE", f"{OF_SESSION}/<knowledge_base_id>", knowledge_bases.detach, DETACHED, *NO_SESSION, *NO_BASE)

SPOKEN = (binary("audio/wav", "Speech, as a WAV file."), binary("audio/pcm", "Or bare samples: 24 kHz, mono, 16 bits."))

tools = Rows(v1, TOOLS)
tools.row("POST", "/tts", native.tts, *SPOKEN, *SPEECH)
tools.row("GET", "/tools", native.tools, json(schemas.ToolsView), *NO_SESSION)

HEALTH = (json(HealthView), json(HealthView, 503, "No turn could be served."))
METRICS = text("text/plain", 'chat_turns_total{status="complete"} 42.0\n', "Prometheus' text format.")

health, site_health = Rows(v1, OPERATIONS), Rows(site, OPERATIONS)
health.row("GET", "/health", operations.health, *HEALTH)
health.row("GET", "/health/live", operations.live, json(LiveView))
health.row("GET", "/health/ready", operations.ready, *HEALTH)
site_health.row("GET", "/health", operations.health, *HEALTH)
site_health.row("GET", "/api/health", operations.health, *HEALTH)
site_health.row("GET", "/metrics", operations.metrics, METRICS)

# each user's model, and the chat with it
CONFIG, REPLY, NO_URL = json(schemas_config.ConfigView), json(schemas_config.SimpleAnswerView), errors.UrlNotAllowed()

configs = Rows(site, CONFIGS)
configs.row("GET", "/api/config", user_configs.show, CONFIG, *STORED)
configs.row("POST", "/api/config", user_configs.update, CONFIG, NO_URL, *STORED)
configs.turn("/chat", user_configs.chat, REPLY, PIECES, NO_URL)

# front ends with the AI SDK
WHOLE, NOTHING = json(FrontEndAnswer, description="With `stream: false`: one object."), empty(204, "No answer is running.")
WRONG = (NO_URL, CANCELLED, *FILE, *MESSAGE)
NO_CLAUDE = errors.ProviderNotConfigured(setting="ANTHROPIC_API_KEY")
NO_LOCAL = errors.ProviderNotConfigured(setting="LOCAL_LLM_URL / LOCAL_MODEL_PATH")

front_ends = Rows(site, FRONT_ENDS)
front_ends.turn("/api/chat", front_end.chat, WHOLE, UI, LINES, DATA, *WRONG)
front_ends.turn("/api/chat/claude", front_end.chat_claude, WHOLE, UI, LINES, DATA, *WRONG, NO_CLAUDE)
front_ends.turn("/api/chat/local", front_end.chat_local, WHOLE, UI, LINES, DATA, *WRONG, NO_LOCAL)
front_ends.row("GET", "/api/chat", front_end.resume_chat, UI, LINES, DATA, NOTHING, *READERS)
front_ends.row("GET", "/api/chat/<id>/stream", front_end.resume, UI, LINES, DATA, NOTHING, *READERS)
front_ends.row("POST", "/api/chat/<id>/stop", front_end.stop, STOPPED, *STORED)

# conversations: at the root, as sessions, and as contexts
ROW, ROWS = json(schemas_conversations.ConversationView), json(schemas_conversations.ConversationsView)
SESSION, SESSIONS = json(schemas_conversations.SessionView), json(schemas_conversations.SessionsView)
MADE, MADE_SESSION = json(schemas_conversations.CreatedView, 201), json(schemas_conversations.CreatedSessionView, 201)
TAKEN = (errors.Conflict(errors=[{"field": "session_id", "message": "is taken by another conversation"}]), *STORED)
HISTORY, DELETED = json(schemas_conversations.HistoryView), json(schemas_conversations.DeletedView)
DELETED_ALL = json(schemas_conversations.DeletedDataView)
FILENAME = ("Content-Disposition",)
MARKDOWN = text("text/markdown", "# 年假规定\n", "Or a text for people.", FILENAME)
EXPORT = (json(schemas_conversations.ExportView, headers=FILENAME), MARKDOWN)
EXPORT_ALL = (json(schemas_conversations.ExportedDataView, headers=FILENAME), MARKDOWN)

talks = Rows(site, CONVERSATIONS)
talks.row("POST", "/conversations", conversations.create_conversation, MADE, *TAKEN)
talks.row("GET", "/conversations", conversations.list_conversations, ROWS, *STORED)
talks.row("PATCH", "/conversations/<session_id>", conversations.rename, ROW, *NO_SESSION)
talks.row("DELETE", "/conversations/<session_id>", conversations.delete, DELETED, *LOCKED)
talks.row("GET", "/conversations/<session_id>/history", conversations.history, HISTORY, *NO_SESSION)
talks.row("POST", "/conversations/<session_id>/branch", conversations.switch_branch, HISTORY, *MESSAGE, *LOCKED)
talks.row("GET", "/conversations/<session_id>/export", conversations.export, *EXPORT, *NO_SESSION)
talks.row("POST", "/sessions", conversations.create_session, MADE_SESSION, *TAKEN)
talks.row("GET", "/sessions", conversations.list_sessions, SESSIONS, *STORED)
talks.row("GET", "/sessions/<session_id>", conversations.show_session, SESSION, *NO_SESSION)
talks.row("DELETE", "/sessions/<session_id>", conversations.delete, DELETED, *LOCKED)

contexts = Rows(v1, CONVERSATIONS)
contexts.row("POST", "/context/conversations", conversations.create_session, MADE_SESSION, *TAKEN)
contexts.row("GET", "/context/conversations", conversations.list_conversations, ROWS, *STORED)
contexts.row("GET", "/context/conversations/<session_id>", conversations.show_conversation, ROW, *NO_SESSION)
contexts.row("DELETE", "/context/conversations/<session_id>/context", conversations.clear_context, CLEARED, *LOCKED)
contexts.row("GET", "/user_data", conversations.export_user_data, *EXPORT_ALL, *STORED)
contexts.row("DELETE", "/user_data", conversations.delete_user_data, DELETED_ALL, errors.TurnInProgress(), *STORED)

# OpenAI's API; its errors have their own shape, and invalid requests are 400
UNKNOWN, OPTION = errors.ModelNotFound(model="gpt-0"), errors.OptionNotSupported(option="n", model="agent")
REFUSED = (OPTION, errors.RequestRefused(model="qwen-plus"), NO_URL, CANCELLED, *FILE)
COMPLETED, VECTORS = json(schemas_openai.ChatCompletionView), json(schemas_openai.EmbeddingsView)

compat = Rows(compatible, OPENAI)
compat.turn("/chat/completions", openai.chat_completions, COMPLETED, COMPLETION, UNKNOWN, *REFUSED)
compat.row("GET", "/models", openai.models, json(schemas_openai.ModelsView))
compat.row("GET", "/models/<path:model>", openai.model, json(schemas_openai.ModelView), UNKNOWN)
compat.row("POST", "/embeddings", openai.embeddings, VECTORS, UNKNOWN, OPTION, *MODEL)
compat.row("POST", "/audio/speech", openai.speech, *SPOKEN, UNKNOWN, *SPEECH)
