"""Reads several pages of one web site, politely: one after the other, and only what its robots.txt allows."""

import asyncio
import mimetypes
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

from pydantic import BaseModel, Field

from models.tools import Tool, ToolContext, ToolOutput
from utils.errors import ChatError, UpstreamError, UpstreamTimeout
from utils.settings import Settings
from utils.web_pages import WebPage, read_page, text_of
from utils.web_utils import MAX_URL_CHARS, USER_AGENT, fetch, parse_url

ROBOTS_BYTES = 500_000
SHARE_OF_TIME = 0.8  # of what one tool call may take, so that the pages read until then are returned
TRIES_PER_PAGE = 3


class Arguments(BaseModel):
    url: str = Field(
        max_length=MAX_URL_CHARS, description="Address of the page to start from, beginning with http:// or https://."
    )
    max_pages: int = Field(5, ge=1, le=100, description="How many pages to read at most.")


@dataclass
class Crawl:
    """One walk over a site, breadth first; `pages` grows while it goes. All pages together have `WEB_MAX_BYTES` bytes."""

    settings: Settings
    bytes_left: int
    pages: list[WebPage] = field(default_factory=list)
    robots: dict[str, RobotFileParser] = field(default_factory=dict)

    async def walk(self, start: str, limit: int) -> None:
        """Raises ChatError when the first page cannot be read; a later one is then passed over."""
        first = await self._read(start)
        if first is None:
            return
        self.pages.append(first)
        site = urlsplit(first.url).netloc
        seen, queue, tries = {start, first.url}, deque(first.links), limit * TRIES_PER_PAGE
        while queue and tries and len(self.pages) < limit and self.bytes_left > 0:
            url = queue.popleft()
            if url in seen or not _is_page_of(site, url):
                continue
            seen.add(url)
            tries -= 1
            try:
                page = await self._read(url)
            except ChatError:
                continue
            redirected_to_known = page is not None and page.url != url and page.url in seen
            if page and not redirected_to_known and urlsplit(page.url).netloc == site:
                seen.add(page.url)
                self.pages.append(page)
                queue.extend(page.links)

    async def _read(self, url: str) -> WebPage | None:
        """The page, None where robots.txt does not allow it."""
        robots = await self._robots(url)
        if not robots.can_fetch(USER_AGENT, url):
            return None
        if self.pages:
            await asyncio.sleep(float(robots.crawl_delay(USER_AGENT) or 0))
        fetched = await fetch(url, self.settings, max_bytes=self.bytes_left)
        self.bytes_left -= len(fetched.body)
        if fetched.status >= 400:
            raise UpstreamError(upstream=f"{urlsplit(fetched.url).hostname}, HTTP {fetched.status}")
        if not (await self._robots(fetched.url)).can_fetch(USER_AGENT, fetched.url):
            return None  # redirected to what is not allowed
        return await read_page(fetched)

    async def _robots(self, url: str) -> RobotFileParser:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self.robots:
            fetched = await fetch(f"{origin}/robots.txt", self.settings, max_bytes=ROBOTS_BYTES)
            lines = text_of(fetched).splitlines() if fetched.status < 400 else []
            if fetched.status >= 500:  # RFC 9309: a server that fails allows nothing
                lines = ["User-agent: *", "Disallow: /"]
            self.robots[origin] = RobotFileParser()
            self.robots[origin].parse(lines)
        return self.robots[origin]


def _is_page_of(site: str, url: str) -> bool:
    parts = urlsplit(url)
    kind = mimetypes.guess_type(parts.path)[0]
    return parts.scheme in ("http", "https") and parts.netloc == site and (kind is None or kind.startswith("text/html"))


async def run(args: Arguments, context: ToolContext) -> ToolOutput:
    settings = context.settings
    start = str(parse_url(args.url, settings))
    crawl = Crawl(settings, settings.WEB_MAX_BYTES)
    try:
        async with asyncio.timeout(settings.TOOL_TIMEOUT_SECONDS * SHARE_OF_TIME):
            await crawl.walk(start, min(args.max_pages, settings.CRAWL_MAX_PAGES))
    except TimeoutError as error:
        if not crawl.pages:
            raise UpstreamTimeout(upstream=urlsplit(start).hostname) from error
    if not crawl.pages:
        return ToolOutput(f"The robots.txt of this site does not allow programs to read {start}.")
    share = settings.TOOL_RESULT_CHARS // len(crawl.pages)
    entries = [f"{n}. {page.title}\n{page.url}\n{page.text}"[: share - 2] for n, page in enumerate(crawl.pages, 1)]
    return ToolOutput("\n\n".join(entries))


TOOL = Tool(
    name="crawl_site",
    description="Reads several pages of one web site, following its links from a first page; returns the title, address and "
    "beginning of each. Use visit_url when one page is enough.",
    args=Arguments,
    run=run,
    cacheable=True,
)
