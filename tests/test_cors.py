"""Which pages may call from browsers."""

import re

import httpx
import pytest

from fixtures.operations import ORIGIN, OTHER_ORIGIN
from fixtures.server import Server
from utils.settings import Settings

PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-request-id"}


def cors(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


def addresses(server: Server) -> list[str]:
    """All that are documented but the WebSocket, which knows no preflights; with something in the place of parameters."""
    paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    return [re.sub(r"\{\w+\}", "x", path) for path in paths if not path.startswith("/ws/")]


def test_without_a_setting_there_are_no_cors_headers(server: Server) -> None:
    for answer in (
        server.api.get("health/live", headers={"Origin": ORIGIN}),
        server.api.options("chat", headers={"Origin": ORIGIN, **PREFLIGHT}),
        server.api.post("chat", json={}, headers={"Origin": "null"}),
    ):
        assert cors(answer) == {}


@pytest.mark.parametrize("origin", [ORIGIN, OTHER_ORIGIN])
def test_a_page_that_is_named_may_read_answers_and_errors(guarded_server: Server, origin: str) -> None:
    for path, status in (("health/live", 200), ("nothing", 404), ("chat", 405), ("documents", 422)):
        answer = guarded_server.api.get(path, headers={"Origin": origin})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == origin and answer.headers["vary"] == "Origin"
        assert answer.headers["access-control-allow-credentials"] == "true"
        exposed = answer.headers["access-control-expose-headers"].lower()
        assert {"x-request-id", "retry-after", "x-vercel-ai-ui-message-stream"} <= set(exposed.split(", "))


def test_every_address_answers_a_preflight(guarded_server: Server) -> None:
    paths = addresses(guarded_server)
    assert {"/api/v1/chat", "/metrics", "/health"} <= set(paths)
    for path in paths:
        answer = httpx.options(f"{guarded_server.url}{path}", headers={"Origin": ORIGIN, **PREFLIGHT})
        assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == ORIGIN, path
        assert answer.headers["access-control-allow-headers"] == "content-type, x-request-id"
        assert {"POST", "PATCH", "DELETE"} <= set(answer.headers["access-control-allow-methods"].split(", "))
        assert answer.headers["access-control-max-age"] == "600"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.com",
        "http://chat.example.com",
        "https://chat.example.com:8443",
        "https://chat.example.com.evil.org",
        "https://chatXexample.com",
        "https://evil.org/https://chat.example.com",
        "null",
        "*",
    ],
)
def test_another_page_gets_no_headers(guarded_server: Server, origin: str) -> None:
    assert cors(guarded_server.api.get("health/live", headers={"Origin": origin})) == {}
    assert cors(guarded_server.api.options("chat", headers={"Origin": origin, **PREFLIGHT})) == {}


def test_any_page_may_call_but_never_with_credentials(open_server: Server) -> None:
    answer = open_server.api.get("health/live", headers={"Origin": "https://anyone.example.org"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


def test_credentials_for_any_page_are_a_fault() -> None:
    with pytest.raises(ValueError, match="CORS_CREDENTIALS"):
        Settings(CORS_ORIGINS=("*",), CORS_CREDENTIALS=True)


@pytest.mark.parametrize(
    "origin", ["chat.example.com", "https://a.example.com/path", r"https://.*\.example\.com", "https://*.a.org"]
)
def test_what_is_no_origin_is_a_fault(origin: str) -> None:
    with pytest.raises(ValueError, match="CORS_ORIGINS"):
        Settings(CORS_ORIGINS=(origin,))


def test_origins_are_read_as_browsers_send_them() -> None:
    given = f" HTTPS://Chat.Example.com/ , {OTHER_ORIGIN},"
    assert Settings(CORS_ORIGINS=given).CORS_ORIGINS == (ORIGIN, OTHER_ORIGIN)  # type: ignore[arg-type]
