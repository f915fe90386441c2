"""The log: one line a record, each with the id of its request; what a client sends cannot begin a line of its own.

It goes to standard error and, where LOG_FILE names one, to a file that all processes share.
"""

import contextlib
import fcntl
import logging
import os
import sys
from contextvars import ContextVar
from pathlib import Path

from utils.settings import Settings

FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"

request_id_var: ContextVar[str] = ContextVar("request_id", default="-")


class OneLine(logging.Formatter):
    """What is not printable, line ends and colours for instance, is escaped; the lines of a traceback are indented."""

    def format(self, record: logging.LogRecord) -> str:
        record.request_id = request_id_var.get()
        record.msg, record.args = _printable(record.getMessage()), None
        return super().format(record)

    def formatException(self, ei: "logging._SysExcInfoType") -> str:
        return "\n".join(f"  {_printable(line)}" for line in super().formatException(ei).splitlines())


class SharedFile:
    """A file that several processes append to; whichever finds it full moves it to `.1`, that to `.2`, and so on.

    A text is one write to a file opened for appending, which the system keeps whole, so that writing needs no lock; only
    the rotation takes one. What is written while another process rotates lands in the file that has just been moved.
    """

    def __init__(self, path: Path, max_bytes: int, backups: int) -> None:
        self.path, self.max_bytes, self.backups = path, max_bytes, backups
        self._fd = self._open()

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)

    def write(self, text: str) -> None:
        if not self._is_current():
            os.close(self._fd)
            self._fd = self._open()
        os.write(self._fd, text.encode(errors="backslashreplace"))
        if os.fstat(self._fd).st_size >= self.max_bytes:
            self._rotate()

    def flush(self) -> None:
        """Nothing is held back."""

    def _is_current(self) -> bool:
        """False when another process, or logrotate, has moved the file."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_EX)  # unlike flock's, this lock also tells a process from one that it forked
        try:
            if self._is_current():
                for number in range(self.backups, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        self._numbered(number - 1).replace(self._numbered(number))
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def configure_logging(settings: Settings) -> None:
    """Logs from LOG_LEVEL on, libraries from WARNING on. Ends the program when LOG_FILE cannot be written."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if settings.log_path is not None:
        try:
            settings.log_path.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(
                logging.StreamHandler(SharedFile(settings.log_path, settings.LOG_MAX_BYTES, settings.LOG_BACKUPS))
            )
        except OSError as error:
            raise SystemExit(f"LOG_FILE cannot be written: {error.strerror}: {settings.log_path}") from None
    for handler in handlers:
        handler.setFormatter(OneLine(FORMAT))
    root = logging.getLogger()
    root.handlers = handlers
    root.setLevel(logging.WARNING)
    for name in ("chat", "models", "services", "utils", "views", "app"):
        logging.getLogger(name).setLevel(settings.LOG_LEVEL)
