"""The pooled session, and how upstream's failures are named and logged."""

import asyncio

import pytest

from fakes.upstream import Upstream
from utils import http_client
from utils.errors import UpstreamBusy, UpstreamError, UpstreamRejected, UpstreamTimeout


def test_there_is_one_session_per_loop_and_it_is_closed_with_it() -> None:
    async def sessions():
        return http_client.session(), http_client.session()

    (first, again), (other, _) = http_client.run(sessions()), http_client.run(sessions())
    assert first is again
    assert first is not other
    assert first.closed
    assert other.closed


def test_a_closed_session_is_replaced() -> None:
    async def run() -> bool:
        first = http_client.session()
        await http_client.close()
        return first is not http_client.session()

    assert http_client.run(run())


def test_closing_without_a_session_is_nothing() -> None:
    asyncio.run(http_client.close())


def test_a_failing_coroutine_closes_its_session_too() -> None:
    kept = []

    async def fail() -> None:
        kept.append(http_client.session())
        raise KeyError("weg")

    with pytest.raises(KeyError):
        http_client.run(fail())
    assert kept[0].closed


def test_proxies_of_the_environment_are_not_used(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)

    async def run() -> int:
        async with http_client.session().get(f"{upstream.url}/models") as response:
            return response.status

    assert http_client.run(run()) == 200


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UpstreamError),
        (401, UpstreamRejected),
        (500, UpstreamError),
        (429, UpstreamBusy),
        (503, UpstreamBusy),
        (529, UpstreamBusy),
        (504, UpstreamTimeout),
    ],
)
def test_a_status_has_its_error(status: int, kind) -> None:
    assert type(http_client.error_of(status, "search", {})) is kind


def test_keys_do_not_reach_the_log() -> None:
    body = 'failed: sk-abcdefgh12345 Authorization: Bearer eyJhbGciOi.x tvly-dev-0123456789 "mein-geheimnis"\n\ntext 正文'
    line = http_client.for_log(body, "mein-geheimnis", "")
    assert not any(part in line for part in ("abcdefgh", "eyJ", "0123456789", "geheimnis", "\n"))
    assert "正文" in line
    assert len(http_client.for_log("x" * 9999)) == http_client.LOGGED_CHARS
