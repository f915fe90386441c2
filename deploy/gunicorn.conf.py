"""gunicorn's configuration, from the same settings as everything else."""

import gc
import importlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.database import Database
from models.migrations import is_current
from utils.settings import load_settings

settings = load_settings()

DRAIN_SECONDS = 20  # how long answers may still finish after SIGTERM; then they are marked interrupted

bind = f"{settings.HOST}:{settings.PORT}"
workers = settings.WORKERS
worker_class = "gthread"
threads = settings.THREADS
worker_connections = settings.THREADS * 2
timeout = 60
graceful_timeout = DRAIN_SECONDS + 10
keepalive = 75  # longer than nginx keeps its connections to us
backlog = 2048
reuse_port = True  # one socket for each worker: kept-alive connections would else gather at whichever woke up first
control_socket_disable = True
loglevel = "warning"
proc_name = "llm-chat-backend"


def on_starting(server: Any) -> None:
    """Imports everything once, before the fork; what connects or starts threads is made after it, by create_app.

    Ends at once where the database has not been migrated: workers could only refuse one after the other.
    """
    database = Database(settings.database_url)
    if not is_current(database.engine):
        raise SystemExit("The database schema is behind. Run `python -m models.migrations` first.")
    database.close()
    _prepare_metrics(server)
    importlib.import_module("app")
    gc.freeze()  # what is imported lives for ever: no collection needs to look at it, nor to unshare its memory


def _prepare_metrics(server: Any) -> None:
    """An empty folder in which the workers count. prometheus-client asks for its name when it is imported: before `app`."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder is None:
        server.metrics = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="llm-chat-metrics-")
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    if not server.master_pid:  # not when USR2 made this process: the workers of the one before still count there
        for left in Path(folder).glob("*.db"):
            left.unlink()


def child_exit(_server: Any, worker: Any) -> None:
    """What a worker has counted stays; requests that it had in hand are no more."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    """Removes the folder of the metrics if it was made here."""
    if folder := getattr(server, "metrics", None):
        shutil.rmtree(folder, ignore_errors=True)


def post_worker_init(worker: Any) -> None:
    """Ends what still runs some time after SIGTERM, before the arbiter would kill the worker."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)  # a turn makes thousands of short-lived objects
    stop = signal.getsignal(signal.SIGTERM)
    services = worker.wsgi.extensions["services"]

    def drain(number: int, frame: Any) -> None:
        worker.ends_at = time.monotonic() + DRAIN_SECONDS
        services.drain()
        timer = threading.Timer(DRAIN_SECONDS, services.close)
        timer.daemon = True
        timer.start()
        if callable(stop):
            stop(number, frame)

    signal.signal(signal.SIGTERM, drain)


def worker_exit(_server: Any, worker: Any) -> None:
    """Says goodbye to the stores, so that no other worker waits for this one; answers may finish without a request too."""
    if getattr(worker, "wsgi", None) is not None:
        services = worker.wsgi.extensions["services"]
        if (left := getattr(worker, "ends_at", 0) - time.monotonic()) > 0:
            services.chat.finish(left)
        services.close()
