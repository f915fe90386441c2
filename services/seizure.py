"""The lock of a session for who ends what runs in it."""

import asyncio
import contextlib

from utils.errors import StoreUnavailable
from utils.session_storage import Lease, SessionStorage

INSIST_SECONDS = 0.25  # between two attempts to stop what runs


async def seize(storage: SessionStorage, key: str) -> Lease:
    """Takes a session's lock. Turns that hold it meanwhile, or get it before us, are stopped.

    Raises TurnInProgress when a turn does not end in time.
    """
    taking = asyncio.ensure_future(storage.begin(key))
    while not taking.done():
        with contextlib.suppress(StoreUnavailable):  # then `begin` says so
            await storage.request_stop(key)
        await asyncio.wait({taking}, timeout=INSIST_SECONDS)
    return taking.result()
