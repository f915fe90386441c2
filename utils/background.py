"""One asyncio event loop in a thread of its own, on which a web worker runs its turns.

Views are threads that start work here and wait for it; what runs here outlives the view that started it.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import uvloop

from utils import http_client

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Background:
    """The loop of one process. Make it after a fork: a thread does not survive one."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="background", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Starts `work` on the loop, from any other thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def serve(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Starts what is to go on until it is cancelled. When it ends otherwise, the log tells."""
        future = self.submit(work)
        future.add_done_callback(_note_end)
        return future

    def run(self, work: Coroutine[Any, Any, Result], timeout: float | None = None) -> Result:
        """Runs `work` on the loop and waits for it, from any other thread. Raises TimeoutError after `timeout` seconds."""
        future = self.submit(work)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise

    def close(self) -> None:
        """Ends the loop and its connections to upstreams; what still runs on it is dropped."""
        with contextlib.suppress(TimeoutError):
            self.run(http_client.close(), timeout=5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self.loop.close()


def _note_end(future: Future[None]) -> None:
    if not future.cancelled():
        log.critical("What should go on in this worker has ended", exc_info=future.exception())
