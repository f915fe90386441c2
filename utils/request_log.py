"""What surrounds each request, whatever answers it: its id, its line in the log, its place in the metrics.

WSGI middleware and not hooks of the framework, since those run when a stream begins, not when it ends.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from utils.logs import request_id_var
from utils.metrics import IN_FLIGHT, REQUEST_SECONDS, REQUESTS

log = logging.getLogger("chat.requests")

ROUTE = "llm_chat.route"  # where the application leaves the rule that the address matched
REQUEST_ID = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
StartResponse = Callable[..., Callable[[bytes], object]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class RequestLog:
    """The application with a log. Neither query strings, bodies nor headers are logged: they may hold secrets."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        request_id_var.set(request_id)
        exchange = Exchange(environ)

        def start(status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], object]:
            exchange.status = status[:3]
            return start_response(status, [*headers, ("X-Request-ID", request_id)], exc_info)

        try:
            return Body(self.app(environ, start), exchange)
        except StopIteration:  # how a WebSocket tells gunicorn that it is done
            exchange.end("101")
            raise
        except BaseException:
            exchange.end("500")
            raise


class Exchange:
    """A request and what became of it."""

    def __init__(self, environ: Environ) -> None:
        self.environ, self.started = environ, time.perf_counter()
        self.status, self.sent = "", 0
        IN_FLIGHT.inc()

    def end(self, status: str = "", note: str = "") -> None:
        """Writes the line and counts the request."""
        seconds = time.perf_counter() - self.started
        status = status or self.status
        method, route = self.environ["REQUEST_METHOD"], self.environ.get(ROUTE, "unknown")
        path = self.environ["PATH_INFO"].encode("latin-1", "replace").decode(errors="replace")
        log.info("%s %s %s %.1f ms %d bytes%s", method, path, status, seconds * 1000, self.sent, note)
        label = method if method in METHODS else "other"  # whoever asks could else make any number of series
        REQUESTS.labels(label, route, status).inc()
        REQUEST_SECONDS.labels(label, route).observe(seconds)
        IN_FLIGHT.dec()


class Body:
    """The parts of an answer, on their way to the server, which closes it at the end or when the client has left."""

    def __init__(self, parts: Iterable[bytes], exchange: Exchange) -> None:
        self._parts, self._iterator, self._exchange = parts, iter(parts), exchange
        self._note = " cut short"

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            part = next(self._iterator)
        except StopIteration:
            self._note = ""
            raise
        self._exchange.sent += len(part)
        return part

    def close(self) -> None:
        try:
            if close := getattr(self._parts, "close", None):
                close()
        finally:
            self._exchange.end(note=self._note)
