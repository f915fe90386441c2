"""A TCP proxy that can fall silent, to stand before a real store."""

import contextlib
import socket
import socketserver
import threading
from typing import Any, Self
from urllib.parse import urlsplit


class Proxy(socketserver.ThreadingTCPServer):
    """Passes everything on to `target`; while it is `silent` it swallows what is asked. Serves between enter and exit."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, target: str) -> None:
        self.silent = threading.Event()
        self._target = urlsplit(target)
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.shutdown()
        super().__exit__(*args)

    def finish_request(self, request: Any, client_address: Any) -> None:
        with socket.create_connection((self._target.hostname, self._target.port)) as target:
            threading.Thread(target=self._back, args=(target, request), daemon=True).start()
            while data := request.recv(65536):
                if not self.silent.is_set():
                    target.sendall(data)

    def _back(self, target: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := target.recv(65536):
                client.sendall(data)
