"""Errors at /v1 as the OpenAI SDK's exceptions, and as they stand on the wire."""

from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from fakes.replies import cut, status, text
from fakes.upstream import Upstream
from fixtures.openai_clients import QUESTION, ask, client_of
from fixtures.server import Server

JSON = {"Content-Type": "application/json"}


def fails(client: OpenAI, kind: type[openai.APIError], **options: Any) -> Any:
    with pytest.raises(kind) as caught:
        ask(client, **options)
    assert type(caught.value) is kind
    return caught.value


INVALID = [
    ({"messages": []}, "messages"),
    ({"messages": "你好"}, "messages"),
    ({"messages": [{"role": "robot", "content": "你好"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [*QUESTION, {"role": "user", "content": [{"text": "无类型"}]}]}, "messages[1].content[0].type"),
    ({"model": ""}, "model"),
    ({"temperature": 3}, "temperature"),
    ({"temperature": "0.5"}, "temperature"),
    ({"n": 0}, "n"),
    ({"n": True}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"stop": 5}, "stop"),
    ({"stream_options": "yes"}, "stream_options"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"extra_body": {"session_id": "a b"}}, "session_id"),
    ({"extra_body": {"stream": "yes"}}, "stream"),
]


@pytest.mark.parametrize(("options", "param"), INVALID)
def test_an_invalid_field_is_named(client: OpenAI, scripted: Upstream, options: dict[str, Any], param: str) -> None:
    error = fails(client, openai.BadRequestError, **options)
    assert (error.param, error.type, error.code) == (param, "invalid_request_error", "invalid_field")
    assert param in error.message and not scripted.requests


UNSUPPORTED = [
    {"functions": [{"name": "f", "parameters": {}}]},
    {"modalities": ["text", "audio"]},
    {"audio": {"voice": "alloy", "format": "wav"}},
    {"tools": [{"type": "custom", "custom": {"name": "f"}}]},
]


@pytest.mark.parametrize("options", UNSUPPORTED)
def test_what_would_be_lost_is_refused(client: OpenAI, options: dict[str, Any]) -> None:
    error = fails(client, openai.BadRequestError, **options)
    assert error.param == next(iter(options)) and error.code == "unsupported_parameter"


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_model_refuses_is_the_clients_error(client: OpenAI, scripted: Upstream, stream: bool) -> None:
    said = {"message": "sk-secret /srv/app", "type": "x", "param": "messages.[0].content", "code": "context_length_exceeded"}
    scripted.on(lambda request: status(400, {"error": said}))
    error = fails(client, openai.BadRequestError, stream=stream)
    assert (error.param, error.code) == ("messages[0].content", "context_length_exceeded")
    assert "secret" not in str(error.body) and "/srv" not in str(error.body)


@pytest.mark.parametrize("said", ["Bad", {"error": {"param": "sk-live-1234", "code": 400}}, {"error": "no"}, []])
def test_what_a_server_says_otherwise_is_not_handed_on(client: OpenAI, scripted: Upstream, said: Any) -> None:
    scripted.on(lambda request: status(422, said))
    error = fails(client, openai.BadRequestError)
    assert (error.param, error.code) == (None, "request_refused")


def test_a_name_that_the_server_does_not_know_is_not_found(client: OpenAI, scripted: Upstream) -> None:
    scripted.reply(status(404))
    error = fails(client, openai.NotFoundError, model="Qwen/无此模型")
    assert (error.code, error.param) == ("model_not_found", "model") and "Qwen/无此模型" in error.message


def test_the_configured_model_not_found_is_the_operators_error(client: OpenAI, scripted: Upstream) -> None:
    scripted.reply(status(404))
    error = fails(client, openai.InternalServerError)
    assert (error.status_code, error.code, error.type) == (502, "upstream_rejected", "server_error")


@pytest.mark.parametrize("model", ["scripted", "agent"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("code", "expected"), [(401, 502), (429, 503), (500, 502), (504, 504)])
def test_what_fails_behind_us_is_a_server_error(
    client: OpenAI, scripted: Upstream, code: int, expected: int, stream: bool, model: str
) -> None:
    scripted.on(lambda request: status(code, "geheim"))
    error = fails(client, openai.InternalServerError, stream=stream, model=model)
    assert (error.status_code, error.type) == (expected, "server_error") and "geheim" not in str(error.body)
    if expected == 503:
        assert int(error.response.headers["retry-after"]) > 0


def test_a_failure_in_mid_stream_is_an_error_object_and_the_stream_ends(
    client: OpenAI, server: Server, scripted: Upstream
) -> None:
    for _ in range(2):
        scripted.reply(text(["从前", "有"]), cut(), interval=0.05)
    seen = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in ask(client, stream=True):
            seen.append(chunk.choices[0].delta.content)
    assert "从前" in "".join(seen) and caught.value.code == "upstream_failed"
    body = {"model": "scripted", "messages": QUESTION, "stream": True}
    lines = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=20).text.splitlines()
    assert lines[-2:] == ["data: [DONE]", ""] and '"error"' in lines[-4]


def test_too_many_turns_are_a_rate_limit_error(guarded_server: Server) -> None:
    with client_of(guarded_server, default_headers={"X-Forwarded-For": "192.0.2.77"}) as client:
        for model in ("scripted", "agent", "scripted", "agent", "scripted"):
            ask(client, model=model)
        error = fails(client, openai.RateLimitError)
    assert error.type == "rate_limit_error" and int(error.response.headers["retry-after"]) > 0


def test_errors_speak_the_readers_language(client: OpenAI) -> None:
    error = fails(client, openai.BadRequestError, model="agent", n=2, extra_headers={"Accept-Language": "zh-CN"})
    assert "不支持参数 n" in error.message


@pytest.mark.parametrize(
    ("method", "path", "content", "expected", "code"),
    [
        ("POST", "/v1/chat/completions", b"{", 400, "invalid_json"),
        ("POST", "/v1/chat/completions", b'{"model": "\xff"}', 400, "invalid_json"),
        ("POST", "/v1/chat/completions", b"[]", 400, "invalid_field"),
        ("POST", "/v1/chat/completions", b"", 400, "invalid_field"),
        ("POST", "/v1/completions", b"{}", 404, "not_found"),
        ("GET", "/v1/chat/completions", b"", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/scripted", b"", 405, "method_not_allowed"),
    ],
)
def test_every_error_at_v1_is_an_error_object(
    server: Server, method: str, path: str, content: bytes, expected: int, code: str
) -> None:
    response = httpx.request(method, f"{server.url}{path}", content=content, headers=JSON)
    assert response.status_code == expected and response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", code) and error["message"]


def test_a_body_of_another_type_is_an_invalid_request(server: Server) -> None:
    response = httpx.post(f"{server.url}/v1/chat/completions", content="model=x", headers={"Content-Type": "text/plain"})
    assert response.status_code == 400 and response.json()["error"]["code"] == "unsupported_type"
