"""The web search, through Tavily's own client and a server that speaks as Tavily does."""

import json
import socket

import pytest

from fakes.contexts import call, tool_context
from fakes.tavily import Tavily, failure
from fakes.website import Reply
from models.tools import ToolContext
from services.tools.web_search import TOOL
from utils.errors import ChatError, ProviderNotConfigured, UpstreamBusy, UpstreamError, UpstreamTimeout
from utils.settings import Settings


@pytest.fixture
def context(tavily: Tavily) -> ToolContext:
    settings = Settings(TAVILY_API_KEY=tavily.key, TAVILY_API_URL=tavily.url, WEB_TIMEOUT_SECONDS=2)  # type: ignore[arg-type]
    return tool_context(settings)


def test_results_become_a_numbered_list(tavily: Tavily, context: ToolContext) -> None:
    tavily.result("年假\n规定", "https://example.com/leave", "员工每年享有十天年假。\n\n满十年为十五天。")
    tavily.result("Leave", "https://example.org/a?b=c", "Ten days.")
    assert call(TOOL, context, query="年假 几天").text == (
        "1. 年假 规定\nhttps://example.com/leave\n员工每年享有十天年假。 满十年为十五天。\n\n"
        "2. Leave\nhttps://example.org/a?b=c\nTen days."
    )
    assert tavily.queries == ["年假 几天"]


def test_what_utf8_cannot_hold_does_not_reach_the_turn(tavily: Tavily, context: ToolContext) -> None:
    found = {"results": [{"title": "a\ud800b", "url": "https://example.com/", "content": None}]}
    tavily.reply = lambda request: Reply(json.dumps(found), headers={"Content-Type": "application/json"})
    assert call(TOOL, context, query="x").text.encode() == "1. a\N{REPLACEMENT CHARACTER}b\nhttps://example.com/\n".encode()


def test_a_search_without_results_says_so(tavily: Tavily, context: ToolContext) -> None:
    assert call(TOOL, context, query="没有结果").text == "The web search found nothing."


def test_without_a_key_nothing_leaves_the_house(tavily: Tavily, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAVILY_API_KEY", raising=False)
    context = tool_context(Settings(TAVILY_API_URL=tavily.url), language="zh")
    assert "TAVILY_API_KEY" in (TOOL.missing(context) or "")
    with pytest.raises(ProviderNotConfigured):
        call(TOOL, context, query="年假")
    assert tavily.requests == []


def test_with_a_key_it_is_offered(context: ToolContext) -> None:
    assert TOOL.missing(context) is None


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (failure(429), UpstreamBusy),
        (failure(503), UpstreamBusy),
        (failure(401), UpstreamError),
        (failure(432), UpstreamError),
        (failure(400), UpstreamError),
        (failure(500), UpstreamError),
        (failure(504), UpstreamTimeout),
        (Reply("<html>proxy</html>", 502), UpstreamError),
        (Reply("<html>proxy</html>"), UpstreamError),
        (Reply("[]", headers={"Content-Type": "application/json"}), UpstreamError),
        (Reply('{"results": null}', headers={"Content-Type": "application/json"}), UpstreamError),
        (Reply("", 302, {"Location": "http://127.0.0.1:1/"}), UpstreamError),
    ],
)
def test_failures_of_the_vendor_become_ours(
    reply: Reply, expected: type[ChatError], tavily: Tavily, context: ToolContext
) -> None:
    tavily.reply = lambda request: reply
    with pytest.raises(expected) as caught:
        call(TOOL, context, query="年假")
    assert type(caught.value) is expected
    assert caught.value.params == {"upstream": "Tavily"}


def test_a_vendor_that_hangs_is_a_timeout(tavily: Tavily) -> None:
    tavily.reply = lambda request: Reply(b"{", hang=True)
    settings = Settings(TAVILY_API_KEY=tavily.key, TAVILY_API_URL=tavily.url, WEB_TIMEOUT_SECONDS=0.2)  # type: ignore[arg-type]
    with pytest.raises(UpstreamTimeout):
        call(TOOL, tool_context(settings), query="年假")


def test_a_vendor_that_is_away_is_an_upstream_error() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound, never listening
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        with pytest.raises(UpstreamError):
            call(TOOL, tool_context(Settings(TAVILY_API_KEY="tvly-x", TAVILY_API_URL=url)), query="年假")  # type: ignore[arg-type]
