"""Fetches pages that a model or a user chose, without ever reaching the inner network.

The host of each hop is brought into one spelling and resolved once; every address that it has must be public, and the
connection goes to just these addresses. Redirects are followed here, each hop checked anew. No cookies, no proxy of the
environment, no credentials.
"""

import asyncio
import contextlib
import re
import socket
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from utils.addresses import Address, canonical_host, is_public
from utils.errors import UpstreamError, UpstreamTimeout, UrlNotAllowed
from utils.settings import Settings

USER_AGENT = "llm-chat-backend/0.1"
MAX_REDIRECTS = 5
MAX_URL_CHARS = 4_000

_AUTHORITY = re.compile(r"https?://([^/?#]+)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = {
    "User-Agent": USER_AGENT,
    "Accept": "text/html,application/xhtml+xml,text/*;q=0.9,application/json;q=0.9,*/*;q=0.5",
    "Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8",
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer. `url` is where the redirects led; `media_type` is lower case, empty where the server named none;
    `body` is unpacked; `truncated` when it was longer than the limit."""

    url: str
    status: int
    media_type: str
    charset: str | None
    body: bytes = field(repr=False)
    truncated: bool = False


def parse_url(url: str, settings: Settings) -> URL:
    """`url` without its fragment, its host in one spelling. Raises UrlNotAllowed; names are not resolved here."""
    authority = _AUTHORITY.match(url := url.strip())
    if not authority or "@" in authority[1] or _CONTROL.search(url) or len(url) > MAX_URL_CHARS:
        raise UrlNotAllowed
    path = url[authority.end() :]
    try:
        parsed = URL(authority[0] + ("" if path.startswith("/") else "/") + path).with_fragment(None)
        host = canonical_host(parsed.raw_host or "")
        parsed = parsed.with_host(host)
    except ValueError:
        raise UrlNotAllowed from None
    if not parsed.port or ("[" in authority[1]) != (":" in host) or parsed.raw_host != host:
        raise UrlNotAllowed
    if not _let_through(host, parsed.port, settings):
        with contextlib.suppress(ValueError):  # a name, whose addresses are checked when it is resolved
            _check(ip_address(host))
    return parsed


def _let_through(host: str, port: int, settings: Settings) -> bool:
    """Whether the operator lets tools visit `host`, wherever it is."""
    bracketed = f"[{host}]" if ":" in host else host
    return not {host, bracketed, f"{bracketed}:{port}"}.isdisjoint(settings.WEB_ALLOWED_HOSTS)


def _check(address: Address) -> None:
    if not is_public(address):
        raise UrlNotAllowed


class PublicResolver(ThreadedResolver):
    """Resolves the names of hosts; raises UrlNotAllowed unless every address of a host may be visited."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._let_through: set[tuple[str, int]] = set()  # addresses of names that the operator lets through

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        for result in found:
            if _let_through(host, port, self._settings):
                self._let_through.add((result["host"], port))
            else:
                _check(ip_address(result["host"]))
        return found

    def open(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """A socket for the connection that is about to be made: the last gate, also for hosts that are addresses."""
        family, kind, protocol, _, (address, port, *_) = info
        if (address, port) not in self._let_through and not _let_through(str(address), port, self._settings):
            _check(ip_address(address))
        return socket.socket(family, kind, protocol)


class PublicConnector(aiohttp.TCPConnector):
    """Connects an aiohttp session to public addresses and to what the operator let through, to nothing else."""

    def __init__(self, settings: Settings, *, limit: int = 100) -> None:
        resolver = PublicResolver(settings)
        super().__init__(resolver=resolver, socket_factory=resolver.open, use_dns_cache=False, limit=limit)


async def check_url(url: str, settings: Settings) -> str:
    """`url` in its one spelling, for a URL that is stored now and visited later through a PublicConnector.

    Raises UrlNotAllowed, also when the host has an inner address now; a host that cannot be resolved now is let pass.
    """
    parsed = parse_url(url, settings)
    with contextlib.suppress(OSError):  # a timeout is one too
        async with asyncio.timeout(settings.WEB_TIMEOUT_SECONDS):
            await PublicResolver(settings).resolve(parsed.raw_host or "", parsed.port or 0)
    return str(parsed)


async def fetch(url: str, settings: Settings, *, max_bytes: int | None = None) -> Fetched:
    """GETs `url`. The body ends after `max_bytes` bytes (default `WEB_MAX_BYTES`), counted after unpacking.

    An HTTP error status is no exception. Raises UrlNotAllowed, UpstreamError, and UpstreamTimeout when it all took more
    than `WEB_TIMEOUT_SECONDS`; `upstream` is the name of the host.
    """
    target = parse_url(url, settings)
    try:
        async with asyncio.timeout(settings.WEB_TIMEOUT_SECONDS), _session(settings) as session:
            for _ in range(MAX_REDIRECTS + 1):
                async with session.get(target, allow_redirects=False) as response:
                    location = response.headers.get("Location")
                    if response.status not in _REDIRECTS or not location:
                        return await _read(response, max_bytes or settings.WEB_MAX_BYTES)
                target = parse_url(urljoin(str(target), location), settings)
    except TimeoutError as error:
        raise UpstreamTimeout(upstream=target.host) from error
    except (aiohttp.ClientError, OSError) as error:
        raise UpstreamError(upstream=target.host) from error
    raise UpstreamError(upstream=target.host)  # redirected too often


def _session(settings: Settings) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=PublicConnector(settings),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        timeout=aiohttp.ClientTimeout(total=None),  # the caller's timeout holds for all hops together
        trust_env=False,
    )


async def _read(response: aiohttp.ClientResponse, limit: int) -> Fetched:
    body = bytearray()
    async for piece in response.content.iter_any():  # pieces are unpacked one by one, each bounded by the library
        body += piece
        if len(body) > limit:
            break
    return Fetched(
        url=str(response.url),
        status=response.status,
        media_type=response.content_type if "Content-Type" in response.headers else "",
        charset=response.charset,
        body=bytes(memoryview(body)[:limit]),
        truncated=len(body) > limit,
    )
