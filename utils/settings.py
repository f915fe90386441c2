"""The settings: one frozen model, filled from the environment and `.env`, then `config.py`, then the defaults.

`config.py` is data: it is read, never imported. Every fault is reported at once when the program starts.
`python -m utils.settings` prints `config.py.example`, made from the descriptions below.
"""

import json
import re
import sys
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from utils import config_file, presets

ROOT = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"
DASHSCOPE_URL = "https://dashscope.aliyuncs.com"
NO_KEY = SecretStr("")
FRONT_END_MODELS = tuple((name, "") for name in ("chat-model", "chat-model-reasoning", "title-model", "artifact-model"))
ORIGIN = re.compile(r"\*|https?://[a-z0-9.-]+(:\d+)?")
Names = Annotated[tuple[str, ...], NoDecode]  # in the environment: names with commas between them

Section = Literal["Server", "Chat model", "Turns", "Other models", "Stores", "Documents", "Web tools"]


def _setting(default: Any, section: Section, description: str, **limits: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"section": section}, **limits)


class Settings(BaseSettings):
    """Times are in seconds and sizes in bytes unless a description says otherwise."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        case_sensitive=True,
        env_file=ROOT / ".env",
        env_ignore_empty=True,
    )

    HOST: str = _setting("127.0.0.1", "Server", "Address to listen on.")
    PORT: int = _setting(5000, "Server", "Port to listen on.", ge=0, le=65535)
    WORKERS: int = _setting(2, "Server", "Web worker processes.", ge=1)
    THREADS: int = _setting(400, "Server", "Requests that one worker serves at once; a stream holds one.", ge=1)
    SECRET_KEY: SecretStr = _setting(
        NO_KEY,
        "Server",
        "Any 16 characters or more; users' keys are stored encrypted with it. Empty: one is made in DATA_DIR/secret.key.",
    )
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _setting("INFO", "Server", "Least level that is logged.")
    LOG_FILE: Path = _setting(
        Path(),
        "Server",
        "Log file of all processes, beside the console. Empty: none, or logs/chat.log in DATA_DIR with `make run`.",
    )
    LOG_MAX_BYTES: int = _setting(10_000_000, "Server", "Size at which the log file is rotated.", ge=1_000)
    LOG_BACKUPS: int = _setting(5, "Server", "Rotated log files that are kept.", ge=1)
    CORS_ORIGINS: Names = _setting(
        (),
        "Server",
        "Web pages that may call from browsers, such as ('https://chat.example.com',); '*' for any. Empty: none.",
    )
    CORS_CREDENTIALS: bool = _setting(False, "Server", "These pages may send cookies; not with '*'.")
    RATE_LIMIT: str = _setting(
        "", "Server", "Most turns that one client may start: '10/minute', or '10/minute; 200/day'. Empty: any number."
    )
    TRUSTED_PROXIES: int = _setting(
        0, "Server", "Proxies in front that set X-Forwarded-For; a client's address is taken from them.", ge=0
    )
    DATA_DIR: Path = _setting(Path("data"), "Server", "Folder of the bundled stores and of SQLite.")
    UPLOAD_DIR: Path = _setting(Path("uploads"), "Server", "Folder of uploaded files.")

    LLM_PROVIDER: str = _setting(
        "",
        "Chat model",
        "openai_compatible, anthropic, ollama, transformers or offline. Empty: by what is set below, or offline.",
    )
    LLM_API_KEY: SecretStr = _setting(NO_KEY, "Chat model", "Key of the chat model.")
    LLM_API_URL: str = _setting(
        "", "Chat model", "Base URL, with or without /chat/completions. Empty: OpenAI's, or DashScope's with its key only."
    )
    LLM_MODEL: str = _setting("", "Chat model", "Name of the chat model. Empty: the provider's default.")
    LLM_VISION: bool = _setting(False, "Chat model", "The chat model sees pictures itself; they go to it too.")
    LLM_TEMPERATURE: float | None = _setting(
        None, "Chat model", "Used where a request names none. None: the model's own.", ge=0, le=2
    )
    LLM_MAX_TOKENS: int | None = _setting(
        None, "Chat model", "Longest answer in tokens, where a request names none. None: the model's own.", ge=1
    )
    LLM_CONTEXT_TOKENS: int = _setting(
        32_000, "Chat model", "Window of the chat model in tokens; older history is left out beyond it.", ge=1_000
    )
    LLM_CONNECT_TIMEOUT: float = _setting(10, "Chat model", "Longest wait for a connection.", gt=0)
    LLM_READ_TIMEOUT: float = _setting(60, "Chat model", "Longest wait for the first or the next token.", gt=0)
    ANTHROPIC_API_KEY: SecretStr = _setting(NO_KEY, "Chat model", "Key of Anthropic.")
    ANTHROPIC_API_URL: str = _setting("", "Chat model", "Base URL of Anthropic, where it is not the vendor's.")
    LOCAL_LLM_URL: str = _setting("", "Chat model", "A local Ollama, such as http://127.0.0.1:11434.")
    LOCAL_MODEL_PATH: Path = _setting(
        Path(),
        "Chat model",
        "Folder of a chat model that Transformers runs; needs requirements-local.txt. Each web worker loads it: set WORKERS "
        "to 1, and LLM_CONTEXT_TOKENS to its window or less.",
    )
    LOCAL_MODEL_THREADS: int = _setting(0, "Chat model", "Threads of that model. 0: one for each core but one.", ge=0)
    MODEL_PRESETS: Annotated[tuple[presets.ModelPreset, ...], NoDecode] = _setting(
        presets.EXAMPLES,
        "Chat model",
        "Models that users may choose beside the one above (in the environment: as JSON). Without a url one is not offered.",
    )

    MODEL_MAPPING: Annotated[tuple[tuple[str, str], ...], NoDecode] = _setting(
        FRONT_END_MODELS,
        "Chat model",
        "Models by the names that front ends use at /api/chat (in the environment: as JSON). An empty name: the one above.",
    )

    MEMORY_TTL_SECONDS: int = _setting(3600, "Turns", "Life of a session's working memory, renewed by each turn.", ge=1)
    TURN_WAIT_SECONDS: float = _setting(30, "Turns", "How long a turn waits for the one before it, then 409.", ge=0)
    TURN_TIMEOUT_SECONDS: float = _setting(300, "Turns", "Longest duration of a turn.", gt=0)
    MAX_STEPS: int = _setting(8, "Turns", "Model calls in one turn; the last one must answer.", ge=1)
    MAX_TOOL_CALLS: int = _setting(16, "Turns", "Tool calls in one turn.", ge=0)
    TOOL_TIMEOUT_SECONDS: float = _setting(30, "Turns", "Longest duration of one tool call.", gt=0)
    TOOL_RESULT_CHARS: int = _setting(12_000, "Turns", "A tool's result is cut at this many characters.", ge=200)
    TOOL_CACHE_SECONDS: int = _setting(300, "Turns", "How long results of web tools are reused; 0 never.", ge=0)
    ANSWER_CACHE_SECONDS: int = _setting(
        0,
        "Turns",
        "How long answers to stateless questions at temperature 0 are given again to the same question; 0 never.",
        ge=0,
    )
    STREAMS_PER_USER: int = _setting(
        200, "Turns", "Readers that one user may have open at once in one web worker, beside those that asked.", ge=1
    )
    CLEAR_RETENTION_SECONDS: int = _setting(604_800, "Turns", "How long a cleared history can be restored.", ge=0)
    CONVERSATIONS_KEEP: int = _setting(
        500, "Turns", "Newest conversations of a user that are kept; older ones are deleted. 0 keeps all.", ge=0
    )

    TITLE_MODEL: str = _setting(
        "",
        "Other models",
        "Model of the same server that gives conversations better titles. Empty: their first message does.",
    )
    VISION_MODEL: str = _setting("", "Other models", "Model that describes pictures.")
    VISION_MODEL_API_URL: str = _setting("", "Other models", "Its base URL. Empty: as the chat model's.")
    VISION_MODEL_API_KEY: SecretStr = _setting(NO_KEY, "Other models", "Its key. Empty: as the chat model's.")
    EMBEDDING_MODEL: str = _setting("", "Other models", "Embedding model. Empty: the bundled one, which needs no server.")
    EMBEDDING_API_URL: str = _setting("", "Other models", "Its base URL. Empty: as the chat model's.")
    EMBEDDING_API_KEY: SecretStr = _setting(NO_KEY, "Other models", "Its key. Empty: as the chat model's.")
    RERANK_MODEL: str = _setting(
        "",
        "Other models",
        "Model that reads the best passages of a search once more and puts the fitting ones first. Empty: none.",
    )
    RERANK_API_URL: str = _setting(
        "",
        "Other models",
        "Its base URL, with or without /rerank: of Jina, Cohere, SiliconFlow, vLLM, Xinference, llama.cpp. "
        "Empty: DashScope, which has qwen3-rerank and gte-rerank-v2.",
    )
    RERANK_API_KEY: SecretStr = _setting(
        NO_KEY, "Other models", "Its key. Empty: that of another model at the same address."
    )
    RERANK_TIMEOUT_SECONDS: float = _setting(
        5, "Other models", "Longest wait for it; a search then goes on without it.", gt=0
    )
    DASHSCOPE_API_KEY: SecretStr = _setting(
        NO_KEY,
        "Other models",
        "Key of DashScope: speech, and chat, pictures, embeddings and reranking where no other is set.",
    )
    DASHSCOPE_API_URL: str = _setting(DASHSCOPE_URL, "Other models", "Address of DashScope, without a path.")
    TTS_MODEL: str = _setting("qwen3-tts-flash", "Other models", "Speech model of DashScope.")
    TTS_VOICE: str = _setting("Cherry", "Other models", "Voice where a request names none.")
    TTS_MAX_CHARS: int = _setting(5_000, "Other models", "Longest text that is spoken, in characters.", ge=1)
    TTS_TIMEOUT_SECONDS: float = _setting(120, "Other models", "Longest duration of speaking one text.", gt=0)

    REDIS_URL: str = _setting("", "Stores", "Redis or Valkey. Empty, REDIS_HOST too: a bundled Valkey is started.")
    REDIS_HOST: str = _setting("", "Stores", "Host of Redis, where REDIS_URL is not set.")
    REDIS_PORT: int = _setting(6379, "Stores", "Port of Redis, with REDIS_HOST.", ge=1, le=65535)
    DATABASE_URL: str = _setting(
        "",
        "Stores",
        "sqlite:///file.db, postgresql://user:password@host/db or mysql://user:password@host/db. Empty: SQLite in DATA_DIR.",
        pattern=r"^$|^(sqlite|postgres(ql)?|mysql|mariadb)(\+\w+)?://",
    )
    CHROMA_URL: str = _setting("", "Stores", "Chroma server. Empty: one is started on loopback.")
    CHROMA_PATH: Path = _setting(Path(), "Stores", "Folder of the Chroma that is started. Empty: in DATA_DIR.")
    SEARCH_CACHE_BYTES: int = _setting(
        268_435_456, "Stores", "Memory of each worker for the indexes of the documents searched last.", ge=1
    )

    UPLOAD_MAX_BYTES: int = _setting(52_428_800, "Documents", "Largest file.", ge=1)
    ALLOWED_FILE_TYPES: Names = _setting(
        (), "Documents", "Endings that are accepted, such as ('pdf', 'docx'). Empty: every type that can be read."
    )
    FILE_WAIT_SECONDS: float = _setting(120, "Documents", "How long chat_with_file waits for its file, then 202.", ge=0)
    DOCUMENT_MAX_PAGES: int = _setting(5_000, "Documents", "Most pages of one document.", ge=1)
    DOCUMENT_TIMEOUT_SECONDS: int = _setting(600, "Documents", "Longest duration of one ingestion job.", ge=1)
    DOCUMENT_MEMORY_BYTES: int = _setting(3_000_000_000, "Documents", "Address space of one ingestion job.", ge=1)
    OCR_ENGINE: Literal["rapidocr", "tesseract"] = _setting(
        "rapidocr", "Documents", "rapidocr needs nothing; tesseract needs the program and its languages."
    )
    OCR_LANGUAGES: str = _setting("chi_sim+eng", "Documents", "Languages for tesseract.")
    OCR_DPI: int = _setting(150, "Documents", "Resolution at which a page is rendered for OCR.", ge=72, le=600)
    PAGE_TIMEOUT_SECONDS: int = _setting(60, "Documents", "Longest duration of the OCR of one page.", ge=1)
    DOCUMENT_MAX_PICTURES: int = _setting(
        50, "Documents", "Most pictures inside one document that are read and described. 0: none.", ge=0
    )
    PICTURES_TIMEOUT_SECONDS: float = _setting(
        300, "Documents", "How long VISION_MODEL may take to describe all pictures inside one document.", gt=0
    )

    TAVILY_API_KEY: SecretStr = _setting(NO_KEY, "Web tools", "Key of Tavily; without it there is no web search.")
    TAVILY_API_URL: str = _setting("", "Web tools", "Address of Tavily, where it is not the vendor's.")
    WEB_ALLOWED_HOSTS: Names = _setting(
        (), "Web tools", "Inner hosts ('host' or 'host:port') that tools may visit, and users' own models may be at."
    )
    WEB_TIMEOUT_SECONDS: float = _setting(15, "Web tools", "Longest duration of one page visit.", gt=0)
    WEB_MAX_BYTES: int = _setting(5_000_000, "Web tools", "Largest page, unpacked.", ge=1)
    CRAWL_MAX_PAGES: int = _setting(10, "Web tools", "Most pages of one crawl.", ge=1, le=100)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, config_file.ConfigFile(settings_cls, ROOT / "config.py")

    @field_validator("DATA_DIR", "UPLOAD_DIR")
    @classmethod
    def _from_root(cls, path: Path) -> Path:
        return ROOT / path  # an absolute path stays as it is

    @field_validator("LOCAL_MODEL_PATH")
    @classmethod
    def _local_model(cls, path: Path) -> Path:
        if not path.parts:
            return path
        if not (ROOT / path / "config.json").is_file():
            raise ValueError("there is no model (config.json and its other files) in this folder")
        if missing := [name for name in ("torch", "transformers") if find_spec(name) is None]:
            raise ValueError(f"{' and '.join(missing)} must be installed, see requirements-local.txt")
        return ROOT / path

    @field_validator(
        "LLM_API_URL", "VISION_MODEL_API_URL", "EMBEDDING_API_URL", "RERANK_API_URL", "LOCAL_LLM_URL", "DASHSCOPE_API_URL"
    )
    @classmethod
    def _base_url(cls, url: str) -> str:
        url = url.strip().rstrip("/").removesuffix("/chat/completions").removesuffix("/embeddings")
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url

    @field_validator("ALLOWED_FILE_TYPES", "WEB_ALLOWED_HOSTS", "CORS_ORIGINS", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        names = value.split(",") if isinstance(value, str) else value
        return tuple(name.strip().lower().lstrip(".") for name in names if name.strip())

    @field_validator("MODEL_MAPPING", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        try:
            mapping = json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError:
            raise ValueError("must be a JSON object") from None
        return tuple(mapping.items()) if isinstance(mapping, dict) else mapping

    @field_validator("SECRET_KEY")
    @classmethod
    def _long(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value()) < 16:
            raise ValueError("must have at least 16 characters")
        return secret

    _decoded_presets = field_validator("MODEL_PRESETS", mode="before")(presets.decoded)
    _checked_presets = field_validator("MODEL_PRESETS")(presets.checked)

    @field_validator("CORS_ORIGINS")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        origins = tuple(origin.rstrip("/") for origin in origins)
        if wrong := [origin for origin in origins if not ORIGIN.fullmatch(origin)]:
            raise ValueError(f"must be '*' or like https://chat.example.com: {', '.join(wrong)}")
        return origins

    @field_validator("CORS_CREDENTIALS")
    @classmethod
    def _no_credentials_for_all(cls, allowed: bool, others: ValidationInfo) -> bool:
        if allowed and "*" in others.data.get("CORS_ORIGINS", ()):
            raise ValueError("must be False while CORS_ORIGINS allows any page")
        return allowed

    @field_validator("RATE_LIMIT")
    @classmethod
    def _rate(cls, rate: str) -> str:
        if rate:
            import limits  # takes a while, and most do without

            if any(limit.amount < 1 for limit in limits.parse_many(rate)):
                raise ValueError("must allow at least one turn")
        return rate

    @cached_property
    def redis_url(self) -> str:
        """The Redis that is configured, or an empty string when the bundled one is to be started."""
        if self.REDIS_URL or not self.REDIS_HOST:
            return self.REDIS_URL
        return f"redis://{self.REDIS_HOST}:{self.REDIS_PORT}/0"

    @cached_property
    def database_url(self) -> str:
        return self.DATABASE_URL or f"sqlite:///{self.DATA_DIR / 'chat.db'}"

    @cached_property
    def offered_presets(self) -> dict[str, presets.ModelPreset]:
        """The presets that have a URL, by their types."""
        return {preset.type: preset for preset in self.MODEL_PRESETS if preset.url}

    @cached_property
    def log_path(self) -> Path | None:
        return ROOT / self.LOG_FILE if self.LOG_FILE.parts else None

    @cached_property
    def chroma_path(self) -> Path:
        return ROOT / self.CHROMA_PATH if self.CHROMA_PATH.parts else self.DATA_DIR / "chroma"

    @cached_property
    def dashscope_compatible_url(self) -> str:
        """DashScope's OpenAI-compatible address."""
        return f"{self.DASHSCOPE_API_URL}/compatible-mode/v1"


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; ends it with every fault listed when one is wrong."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        faults = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)]
        raise SystemExit("The configuration is wrong:\n" + "\n".join(faults)) from None


if __name__ == "__main__":
    sys.stdout.write(config_file.example(Settings.model_fields, get_args(Section)))
