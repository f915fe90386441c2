"""How many turns a client may start."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import redis
from websockets.sync.client import connect

from fixtures.ingestion import eventually
from fixtures.server import Server
from fixtures.stores import free_port
from utils.errors import RateLimited
from utils.rate_limit import RateLimit
from utils.settings import Settings

QUESTION: dict[str, Any] = {"json": {"message": "你好"}}
MESSAGES: dict[str, Any] = {"json": {"messages": [{"role": "user", "content": "你好"}]}}
FORM: dict[str, Any] = {"data": {"message": "看"}}
TURNS: dict[str, dict[str, Any]] = {
    "/api/v1/chat": QUESTION,
    "/api/v1/chat_with_image": {**FORM, "files": {"image": ("a.png", b"x")}},
    "/api/v1/chat_with_file": {**FORM, "files": {"file": ("a.txt", b"x")}},
    "/api/v1/chat/{session_id}": QUESTION,
    "/api/v1/chat/{session_id}/regenerate": {"json": {}},
    "/api/v1/chat/{session_id}/stream": QUESTION,
    "/chat": {"json": {"user_id": "local", "session_id": "s", "message": "你好"}},
    "/api/chat": MESSAGES,
    "/api/chat/claude": MESSAGES,
    "/api/chat/local": MESSAGES,
    "/v1/chat/completions": {"json": {"model": "agent", **MESSAGES["json"]}},
}


def ask(server: Server, address: str, **headers: str) -> httpx.Response:
    """A turn of the client with that address, over a connection of its own."""
    headers = {"X-Forwarded-For": address, **headers}
    return httpx.post(f"{server.url}/api/v1/chat", json={"message": "你好"}, headers=headers, timeout=30)


def test_the_limit_holds_exactly_over_all_workers(guarded_server: Server) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: ask(guarded_server, "192.0.2.1"), range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 7
    remaining = sorted(answer.headers["ratelimit-remaining"] for answer in answers if answer.status_code == 200)
    assert remaining[0] == "0" and set(remaining) <= set("01234")
    assert {answer.headers["ratelimit-limit"] for answer in answers if answer.status_code == 200} == {"5"}
    assert ask(guarded_server, "192.0.2.2").status_code == 200


def test_too_many_is_a_problem_that_says_when_to_come_back(guarded_server: Server) -> None:
    for _ in range(5):
        ask(guarded_server, "192.0.2.3")
    refused = ask(guarded_server, "192.0.2.3", **{"Accept-Language": "zh", "Origin": "https://chat.example.com"})
    assert refused.status_code == 429 and refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "rate_limited" and refused.json()["detail"] == RateLimited.zh
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["access-control-allow-origin"] == "https://chat.example.com"


def test_all_that_starts_turns_shares_one_limit_and_nothing_else_has_one(guarded_server: Server) -> None:
    address = {"X-Forwarded-For": "192.0.2.4"}
    for _ in range(5):
        ask(guarded_server, "192.0.2.4")
    for path, question in TURNS.items():
        url = f"{guarded_server.url}{path.format(session_id='s')}"
        assert httpx.post(url, headers=address, timeout=30, **question).status_code == 429, path
    documented = httpx.get(f"{guarded_server.url}/openapi.json").json()["paths"]
    described = {path for path, methods in documented.items() if "429" in methods.get("post", {}).get("responses", {})}
    assert described == set(TURNS)
    live = httpx.get(f"{guarded_server.url}/api/v1/health/live", headers=address)
    assert live.status_code == 200 and "ratelimit-limit" not in live.headers


def test_a_request_that_is_invalid_does_not_count(guarded_server: Server) -> None:
    headers = {"X-Forwarded-For": "192.0.2.5"}
    for _ in range(6):
        assert httpx.post(f"{guarded_server.url}/api/v1/chat", json={}, headers=headers).status_code == 422
    assert ask(guarded_server, "192.0.2.5").headers["ratelimit-remaining"] == "4"


def test_a_stream_tells_what_is_left(guarded_server: Server) -> None:
    body, headers = {"message": "你好", "stream": True}, {"X-Forwarded-For": "192.0.2.6"}
    answer = httpx.post(f"{guarded_server.url}/api/v1/chat", json=body, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream") and answer.headers["ratelimit-remaining"] == "4"


def test_turns_over_a_websocket_count_too(guarded_server: Server) -> None:
    url, client = f"{guarded_server.url.replace('http', 'ws')}/ws/chat/takt", {"X-Forwarded-For": "192.0.2.8"}
    for _ in range(4):
        ask(guarded_server, "192.0.2.8")
    with connect(url, additional_headers=client) as websocket:
        for _ in range(2):
            websocket.send('{"message": "你好"}')
        told: dict[str, Any] = {}
        while not {"end", "error"} <= told.keys():
            frame = json.loads(websocket.recv(timeout=20))
            told[frame["type"]] = frame["data"]
    assert told["error"]["code"] == "rate_limited"


def test_only_as_many_proxies_are_believed_as_there_are(guarded_server: Server, open_server: Server) -> None:
    for number in range(5):
        ask(guarded_server, f"203.0.113.{number}, 192.0.2.7")  # the proxy has added who really asked
    assert ask(guarded_server, "203.0.113.9, 192.0.2.7").status_code == 429
    answers = [ask(open_server, f"192.0.2.{number}").status_code for number in range(4)]
    assert answers == [200, 200, 200, 429]


def test_a_turn_counts_until_it_is_as_old_as_the_window(redis_url: str) -> None:
    limit = RateLimit("2/second; 100/day", redis_url)
    started = time.monotonic()
    first, second = limit.admit("a"), limit.admit("a")
    assert first and second and (first.remaining, second.remaining) == (1, 0) and second.limit == 2
    with pytest.raises(RateLimited) as refused:
        limit.admit("a")
    assert refused.value.retry_after is not None and 0 < refused.value.retry_after <= 1
    eventually(lambda: admitted(limit, "a"), 5)
    assert 0.9 < time.monotonic() - started < 3


def admitted(limit: RateLimit, client: str) -> bool:
    try:
        limit.admit(client)
    except RateLimited:
        return False
    return True


def test_every_key_in_redis_has_an_end(redis_url: str) -> None:
    RateLimit("5/minute; 100/day", redis_url).admit("10.0.0.1")
    with redis.Redis.from_url(redis_url) as client:
        keys = client.keys("*")
        assert len(keys) == 2 and all(client.ttl(key) > 0 for key in keys)


def test_without_redis_turns_are_let_through_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert RateLimit("1/day", f"redis://127.0.0.1:{free_port()}/0").admit("a") is None
    assert "not limited" in caplog.text


@pytest.mark.parametrize("rate", ["often", "10", "0/minute", "10/fortnight", ";"])
def test_a_rate_that_is_none_is_a_fault(rate: str) -> None:
    with pytest.raises(ValueError, match="RATE_LIMIT"):
        Settings(RATE_LIMIT=rate)
