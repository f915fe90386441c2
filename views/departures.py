"""Clients that leave before they have their answer."""

import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import suppress

from flask import Response, after_this_request, request


def on_departure(loop: AbstractEventLoop, leave: Callable[[], object]) -> None:
    """Calls `leave` at once, on `loop`, when the client of this request closes its connection.

    A stream would else notice it only when there is something to send. A client that closes only its sending side counts as
    gone too, as it does for nginx.
    """
    connection = request.environ.get("gunicorn.socket")
    if type(connection) is not socket.socket:  # another server, or TLS without a proxy
        return
    watched = connection.dup()  # gunicorn may close its own at any time

    def look() -> None:
        try:
            gone = not watched.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        loop.remove_reader(watched.fileno())  # also when there is more to read, which is the next request
        if gone:
            leave()

    def end() -> None:
        loop.remove_reader(watched.fileno())
        watched.close()

    @after_this_request
    def until_the_end(response: Response) -> Response:
        response.call_on_close(finish)
        return response

    def finish() -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(end)

    loop.call_soon_threadsafe(loop.add_reader, watched.fileno(), look)
