"""Everything that one web worker is made of, built once after the fork."""

import contextlib
import threading
from dataclasses import dataclass, field

from models.database import Database
from models.llm_factory import chat_model
from services.audio_service import AudioService
from services.chat_service import ChatService
from services.completion_service import CompletionService
from services.config_service import ConfigService
from services.conversation_service import ConversationService
from services.document_service import DocumentService
from services.document_texts import DocumentTexts
from services.embedding_service import EmbeddingService
from services.exports import ExportService
from services.health_service import HealthService
from services.image_service import ImageService
from services.knowledge_base_service import KnowledgeBaseService
from services.model_catalog import ModelCatalog
from services.retrieval_service import RetrievalService
from utils.background import Background
from utils.errors import ChatError
from utils.rate_limit import RateLimit
from utils.session_storage import SessionStorage
from utils.settings import Settings


@dataclass(frozen=True)
class Services:
    """What views reach: `app.extensions["services"]`."""

    settings: Settings
    database: Database
    background: Background
    chat: ChatService
    configs: ConfigService
    conversations: ConversationService
    exports: ExportService
    documents: DocumentService
    texts: DocumentTexts
    knowledge_bases: KnowledgeBaseService
    images: ImageService
    audio: AudioService
    catalog: ModelCatalog
    completions: CompletionService
    embeddings: EmbeddingService
    health: HealthService
    rate_limit: RateLimit | None
    draining: threading.Event = field(default_factory=threading.Event)  # set when the process is about to end
    _closed: threading.Event = field(default_factory=threading.Event)
    _closing: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def build(cls, settings: Settings) -> "Services":
        """Connects to the stores lazily: a store that is away now is an error of the request that needs it."""
        database = Database(settings.database_url)
        background = Background()
        storage = SessionStorage(
            settings.redis_url,
            ttl=settings.MEMORY_TTL_SECONDS,
            lock_ttl=int(settings.TURN_TIMEOUT_SECONDS) + 60,
            wait=settings.TURN_WAIT_SECONDS,
        )
        retrieval = RetrievalService(settings, database)
        catalog = ModelCatalog(settings)
        chat_model(settings)  # says at once what is wrong with its settings
        documents = DocumentService(settings, database, retrieval)
        conversations = ConversationService(settings, database, documents, storage, background)
        threading.Thread(target=_warm_up, args=(retrieval,), name="warm-up", daemon=True).start()
        return cls(
            settings=settings,
            database=database,
            background=background,
            chat=ChatService(settings, database, storage, background, retrieval),
            configs=ConfigService(settings, database, background),
            conversations=conversations,
            exports=ExportService(database, documents, conversations),
            documents=documents,
            texts=DocumentTexts(settings, database),
            knowledge_bases=KnowledgeBaseService(database, documents),
            images=ImageService(settings, database),
            audio=AudioService(settings),
            catalog=catalog,
            completions=CompletionService(settings, catalog, background),
            embeddings=EmbeddingService(retrieval),
            health=HealthService(settings, database, storage, retrieval, background),
            rate_limit=RateLimit(settings.RATE_LIMIT, settings.redis_url) if settings.RATE_LIMIT else None,
        )

    def drain(self) -> None:
        """Takes leave of those who only wait: the process is about to end. Answers in the making go on."""
        self.draining.set()
        self.chat.watch.send_away()

    def close(self) -> None:
        """Ends running turns as interrupted and leaves the stores; only the first call does, others wait for it."""
        with self._closing:
            if self._closed.is_set():
                return
            self._closed.set()
            self.completions.close()
            self.chat.close()
            self.background.close()
            self.database.close()


def _warm_up(retrieval: RetrievalService) -> None:
    """Loads what the first search would else wait for."""
    with contextlib.suppress(ChatError):
        retrieval.heartbeat()
        retrieval.embed(["warm-up"])
