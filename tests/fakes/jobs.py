"""Jobs that misbehave, and a worker that runs them: `python -m fakes.jobs REDIS_URL MEMORY_BYTES [QUEUE...]`."""

import os
import signal
import sys
import time
from pathlib import Path

from rq import Retry

from utils.jobs import again, died_before, is_long, limit_cpu, serve


def note(path: str, text: str) -> str:
    """Appends a line to a file; returns the text."""
    with Path(path).open("a") as file:
        file.write(f"{text}\n")
    return text


def in_parts(path: str) -> Retry | None:
    """Goes on in another run once."""
    note(path, "long" if is_long() else "interactive")
    return None if is_long() else again()


def fragile(path: str, how: str) -> None:
    """Dies at its first run, in the given way, and says at the second whether it knows."""
    if Path(path).exists():
        note(path, f"died: {died_before()}")
        return
    note(path, f"{how} {os.getpid()}")
    if how == "memory":
        hoard = [bytes(50_000_000) for _ in range(1_000)]
        note(path, f"survived {len(hoard)}")
    elif how == "processor":
        limit_cpu(0)
        while True:
            pass
    elif how == "error":
        raise KeyError("unforeseen")
    elif how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    else:
        time.sleep(60)


def hopeless(path: str) -> None:
    """Dies at every run."""
    note(path, "run")
    os.kill(os.getpid(), signal.SIGSEGV)


if __name__ == "__main__":
    url, memory, *queues = sys.argv[1:]
    serve(queues or ["interactive", "long"], url, int(memory))
