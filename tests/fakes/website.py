"""A scripted web site on loopback.

    with Website() as site:
        site.page("/", "<p>你好</p>")
        site.redirect("/old", "/")
        site.on("/search", lambda request: Reply(request.headers["host"]))
        ...
        assert [request.path for request in site.requests] == ["/old", "/"]

Paths that nobody scripted answer 404.
"""

import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass
class Reply:
    """`body` may come in pieces; a reply that hangs sends them and then nothing more until the site closes."""

    body: str | bytes | Iterable[bytes] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False

    def pieces(self) -> Iterable[bytes]:
        if isinstance(self.body, str):
            return [self.body.encode()]
        return [self.body] if isinstance(self.body, bytes) else self.body


@dataclass
class Request:
    """`path` is as it was sent, with its query; names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Website:
    """The server, in threads between enter and exit. `url` has no slash at its end; `host` is `127.0.0.1:port`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._routes: dict[str, Callable[[Request], Reply]] = {}
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._server.handle_error = lambda *args: None  # type: ignore[method-assign]
        self.port = self._server.server_port
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"

    def page(self, path: str, body: str | bytes, content_type: str = "text/html; charset=utf-8", **headers: str) -> None:
        self.on(path, lambda request: Reply(body, headers={"Content-Type": content_type, **headers}))

    def redirect(self, path: str, location: str, status: int = 302) -> None:
        self.on(path, lambda request: Reply(status=status, headers={"Location": location}))

    def on(self, path: str, function: Callable[[Request], Reply]) -> None:
        """Answers a path, without its query, by a function of the request."""
        self._routes[path] = function

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, in their order."""
        return [request.path for request in self.requests]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Request) -> Reply:
        """Records the request and finds its reply."""
        self.requests.append(request)
        route = self._routes.get(request.path.partition("?")[0])
        return route(request) if route else Reply("not found", 404)


def _handler(site: Website) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._send(site.answer(Request(self.command, self.path, headers, body)))

        do_POST = do_GET

        def _send(self, reply: Reply) -> None:
            """Sends the reply and closes: a client that leaves early is no error of the site."""
            self.close_connection = True
            try:
                self.send_response(reply.status)
                for name, value in {**reply.headers, "Connection": "close"}.items():
                    self.send_header(name, value)
                self.end_headers()
                for piece in reply.pieces():
                    self.wfile.write(piece)
                self.wfile.flush()
                if reply.hang:
                    site.closing.wait()
            except ConnectionError:
                pass

        def log_message(self, *args: object) -> None:
            pass

    return Handler
