"""Outgoing HTTP: a pooled aiohttp session per event loop, and how an upstream's failures become ours."""

import asyncio
import random
import re
import time
from collections.abc import Coroutine, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from aiohttp import ClientSession, DummyCookieJar, TCPConnector

from utils.errors import ChatError, UpstreamBusy, UpstreamError, UpstreamRejected, UpstreamTimeout
from utils.settings import Settings
from utils.web_utils import PublicConnector

T = TypeVar("T")
KEY = re.compile(r"\b(?:sk|pk|tvly|key|api)[-_][\w-]{8,}|(?<=Bearer )\S+", re.IGNORECASE)
LOGGED_CHARS = 500
RETRIES = 2
LONGEST_PAUSE = 2.0  # an upstream that asks for more is busy, and our client shall know

# by loop and, where only public addresses may be reached, by the inner hosts that are let through
_sessions: dict[tuple[asyncio.AbstractEventLoop, tuple[str, ...] | None], ClientSession] = {}


def session(guard: Settings | None = None) -> ClientSession:
    """The session of the running loop, made at its first use. It knows no proxies and keeps no cookies.

    With `guard` it reaches public addresses, and what these settings let through; for others it raises UrlNotAllowed.
    """
    key = asyncio.get_running_loop(), guard.WEB_ALLOWED_HOSTS if guard else None
    found = _sessions.get(key)
    if found is None or found.closed:
        # no limit of connections: how many turns may run is decided where turns start
        connector = (
            PublicConnector(guard, limit=0) if guard else TCPConnector(limit=0, ttl_dns_cache=60, keepalive_timeout=30)
        )
        found = ClientSession(connector=connector, cookie_jar=DummyCookieJar(), trust_env=False, read_bufsize=2**18)
        _sessions[key] = found
    return found


async def close() -> None:
    """Closes the sessions of the running loop, if there are any; to be awaited before the loop ends."""
    loop = asyncio.get_running_loop()
    for key in [key for key in _sessions if key[0] is loop]:
        await _sessions.pop(key).close()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine from synchronous code, in a loop of its own whose sessions are closed at the end."""

    async def closing() -> T:
        try:
            return await coroutine
        finally:
            await close()

    return asyncio.run(closing())


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a Retry-After header asks for, given as a number or as a date; None where it says nothing usable."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = (
            float(value) if value.replace(".", "", 1).isdigit() else parsedate_to_datetime(value).timestamp() - time.time()
        )
    except ValueError:
        return None
    return max(seconds, 0)


def error_of(status: int, upstream: str, headers: Mapping[str, str]) -> ChatError:
    """What an upstream's HTTP status means to our client. `upstream` is a name that people may read."""
    if status in (429, 503, 529):  # 529: Anthropic, overloaded
        return UpstreamBusy(upstream=upstream, retry_after=retry_after(headers) or 5)
    if status == 504:
        return UpstreamTimeout(upstream=upstream)
    if status in (401, 403, 404):
        return UpstreamRejected(upstream=upstream, status=status)
    return UpstreamError(upstream=upstream)


def retry_pause(retry: int, status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds until a request that has had no answer may be sent again, None: it may not. `retry` counts from 0; status 0
    means that the server was not reached."""
    asked = retry_after(headers)
    if retry >= RETRIES or status not in (0, 429, 502, 503, 504, 529):
        return None
    if (asked or 0) > LONGEST_PAUSE or (status == 429 and asked is None):
        return None
    return (asked or 0) + 0.2 * (1 << retry) * random.uniform(0.5, 1.5)  # noqa: S311


def for_log(body: str, *secrets: str) -> str:
    """An upstream's body as it may stand in our log: short, on one line, without keys."""
    for secret in filter(None, secrets):
        body = body.replace(secret, "***")
    return " ".join(KEY.sub("***", body).split())[:LOGGED_CHARS]
