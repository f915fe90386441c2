"""The ingestion worker: `python -m services.ingestion_worker`.

One process imports what jobs need and forks three that share its memory: a worker for the interactive queue alone, so that
nobody waits behind a long scan; one for both queues; and the housekeeper. It holds no connection, starts again what died,
and ends all within seconds on SIGTERM or SIGINT; all die with it.
"""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "OMP_THREAD_LIMIT"):
    os.environ.setdefault(_name, "1")  # before numpy is imported: with more threads it is far slower on busy cores

# ruff: noqa: E402
import logging
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from types import FrameType
from typing import NoReturn

from models.embeddings import embedder
from services.housekeeping import Housekeeper
from utils.jobs import INTERACTIVE, LONG, die_with_parent, serve
from utils.logs import configure_logging
from utils.registry import modules_of
from utils.settings import Settings, load_settings

log = logging.getLogger("services.ingestion_worker")  # __name__ is __main__ here

PRELOADED = ("services.ingestion", "chromadb.api.fastapi", "rapidocr.main", "pypdf")
STOPPING = (signal.SIGTERM, signal.SIGINT)
STOP_SECONDS = 5.0
PAUSE_SECONDS = 1.0  # before what died is started again


def preload(settings: Settings) -> None:
    """Imports what jobs use and loads the bundled encoder before the fork: all share that memory, and jobs save seconds."""
    for name in PRELOADED:
        import_module(name)
    for package in ("utils.loaders", "models.providers"):
        modules_of(package)
    if not settings.EMBEDDING_MODEL:
        embedder(settings).embed([""])


def _start(name: str, role: Callable[[], None]) -> ForkProcess:
    parent = os.getpid()

    def run() -> None:
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        die_with_parent(parent)
        role()

    process = multiprocessing.get_context("fork").Process(target=run, name=name)
    process.start()
    return process


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Lets signals wait: a process that is started and not yet noted down would outlive us."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in STOPPING:  # one more would break off what is done at the end, and leave processes behind
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


def main() -> None:
    """Runs until a signal ends it."""
    settings = load_settings()
    if not (settings.redis_url and settings.CHROMA_URL):
        raise SystemExit("The ingestion worker needs REDIS_URL and CHROMA_URL; the launcher sets them where it can.")
    configure_logging(settings)
    preload(settings)
    roles: dict[str, Callable[[], None]] = {
        "interactive": lambda: serve([INTERACTIVE], settings.redis_url, settings.DOCUMENT_MEMORY_BYTES),
        "long": lambda: serve([INTERACTIVE, LONG], settings.redis_url, settings.DOCUMENT_MEMORY_BYTES),
        "housekeeper": lambda: Housekeeper(settings).serve(),
    }
    for number in STOPPING:
        signal.signal(number, _stop)
    processes: dict[str, ForkProcess] = {}
    try:
        for name, role in roles.items():
            with _undisturbed():
                processes[name] = _start(name, role)
        log.info("The ingestion worker is ready")
        while True:
            wait([process.sentinel for process in processes.values()])
            time.sleep(PAUSE_SECONDS)
            for name, process in processes.items():
                if not process.is_alive():
                    log.warning("%s ended with %s; starting it again", name, process.exitcode)
                    with _undisturbed():
                        processes[name] = _start(name, roles[name])
    finally:
        for process in processes.values():
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in processes.values():
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()


if __name__ == "__main__":
    main()
