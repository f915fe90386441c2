"""The log: one line a record, each with the id of its request; what a client sends cannot begin a line of its own."""

import logging
import sys
from contextvars import ContextVar

request_id_var: ContextVar[str] = ContextVar("request_id", default="-")


class OneLine(logging.Formatter):
    """Line ends inside a record are escaped, but for the lines of a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        record.request_id = request_id_var.get()
        message = record.getMessage()
        record.msg, record.args = message.replace("\r", "\\r").replace("\n", "\\n"), None
        return super().format(record)


def configure_logging(level: str) -> None:
    """Logs to standard error, from `level` on; libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in ("chat", "models", "services", "utils", "views", "app"):
        logging.getLogger(name).setLevel(level)
