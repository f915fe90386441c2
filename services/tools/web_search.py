"""Searches the web through Tavily."""

import logging
import ssl
from functools import cache
from typing import Any

from pydantic import BaseModel, Field

from models.tools import Tool, ToolContext, ToolOutput
from utils.errors import ProviderNotConfigured, UpstreamBusy, UpstreamError, UpstreamTimeout
from utils.http_client import error_of
from utils.settings import Settings
from utils.texts import clean

TAVILY = "https://api.tavily.com"
MAX_RESULTS = 6
NO_KEY = {"en": "web search needs the setting TAVILY_API_KEY", "zh": "网页搜索需要设置 TAVILY_API_KEY"}

log = logging.getLogger(__name__)


class Arguments(BaseModel):
    query: str = Field(
        min_length=1, max_length=400, description="What to search for, as one would type it into a search engine."
    )


async def run(args: Arguments, context: ToolContext) -> ToolOutput:
    results = await _search(args.query, context.settings)
    entries = [
        f"{number}. {_line(result, 'title')}\n{_line(result, 'url')}\n{_line(result, 'content')}"
        for number, result in enumerate(results[:MAX_RESULTS], 1)
    ]
    return ToolOutput("\n\n".join(entries) or "The web search found nothing.")


def _line(result: dict[str, Any], name: str) -> str:
    return " ".join(clean(str(result.get(name) or "")).split())


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()  # takes 15 ms, too much for each search


async def _search(query: str, settings: Settings) -> list[dict[str, Any]]:
    import httpx  # with tavily 0.1 s and 29 MB, for workers that search the web only
    from tavily import AsyncTavilyClient, errors

    key = settings.TAVILY_API_KEY.get_secret_value()
    if not key:  # the client would ask the vendor without one
        raise ProviderNotConfigured(setting="TAVILY_API_KEY")
    try:
        async with httpx.AsyncClient(base_url=settings.TAVILY_API_URL or TAVILY, verify=_tls()) as http:
            client = AsyncTavilyClient(key, client=http)
            found = await client.search(query, max_results=MAX_RESULTS, timeout=settings.WEB_TIMEOUT_SECONDS)
        return [dict(result) for result in found["results"]]
    except errors.TimeoutError as error:
        raise UpstreamTimeout(upstream="Tavily") from error
    except errors.UsageLimitExceededError as error:
        raise UpstreamBusy(upstream="Tavily") from error
    except httpx.HTTPStatusError as error:
        raise error_of(error.response.status_code, upstream="Tavily", headers=error.response.headers) from error
    except (errors.InvalidAPIKeyError, errors.ForbiddenError, errors.BadRequestError) as error:
        log.warning("Tavily refused a search: %s", type(error).__name__)
        raise UpstreamError(upstream="Tavily") from error
    except (
        httpx.HTTPError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:  # no connection, or an answer that is none
        raise UpstreamError(upstream="Tavily") from error


TOOL = Tool(
    name="web_search",
    description="Searches the web for current facts, news and pages; returns titles, addresses and short extracts. "
    "Use visit_url to read a page that it found.",
    args=Arguments,
    run=run,
    missing=lambda context: None if context.settings.TAVILY_API_KEY.get_secret_value() else NO_KEY[context.language],
    cacheable=True,
)
