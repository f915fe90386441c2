"""Whether the parts are there. Cheap: no model is called."""

from collections.abc import Callable
from typing import Any

from models.database import Database
from models.llm_factory import default_model_name, provider_name
from services.retrieval_service import RetrievalService
from utils.background import Background
from utils.errors import ChatError
from utils.session_storage import SessionStorage
from utils.settings import VERSION, Settings


class HealthService:
    """The checks of one web worker."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        storage: SessionStorage,
        retrieval: RetrievalService,
        background: Background,
    ) -> None:
        self.settings, self.database, self.storage = settings, database, storage
        self.retrieval, self.background = retrieval, background

    def report(self) -> dict[str, Any]:
        """`status` is ok, degraded (no document search) or down (no turn could be served)."""
        checks = {
            "redis": _check(lambda: self.background.run(self.storage.ping())),
            "database": _check(self.database.ping),
            "vector_store": _check(self.retrieval.heartbeat),
            "llm": self._model(),
        }
        if any(checks[name]["status"] != "ok" for name in ("redis", "database")):
            status = "down"
        else:
            status = "ok" if checks["vector_store"]["status"] == "ok" else "degraded"
        return {"status": status, "checks": checks, "version": VERSION}

    def _model(self) -> dict[str, str]:
        provider = provider_name(self.settings)
        if provider == "offline":
            return {"status": "offline", "detail": "No model is configured: set LLM_API_KEY, LLM_API_URL, LLM_MODEL."}
        return {"status": "ok", "detail": default_model_name(self.settings)}


def _check(attempt: Callable[[], None]) -> dict[str, str]:
    try:
        attempt()
    except ChatError as error:
        return {"status": "down", "detail": error.message("en")}
    return {"status": "ok"}
