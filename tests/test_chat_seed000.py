"""The LLM Chat System's chat and configuration, over the real server: whose model answers, and which key it gets."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fakes.replies import cut, status, text
from fakes.upstream import Upstream, refusing_url
from fixtures.server import MakeServer, Server

SERVER_KEY, PRESET_KEY = "sk-server-secret-0001", "sk-preset-secret-0002"
KEYS = {"甲": "sk-user-secret-of-jia", "乙": "sk-user-secret-of-yi0"}


@pytest.fixture(scope="module")
def preset() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def site(make_server: MakeServer, scripted: Upstream, preset: Upstream) -> Server:
    presets = [
        {"type": "codegeex", "title": "CodeGeeX", "url": preset.url, "model": "codegeex4-all-9b", "key": PRESET_KEY},
        {"type": "glm4", "title": "GLM-4", "url": "", "model": "glm4_32B_chat"},
    ]
    return make_server(
        LLM_API_URL=scripted.url,
        LLM_API_KEY=SERVER_KEY,
        LLM_MODEL="server-model",
        LLM_MAX_TOKENS="4000",
        MODEL_PRESETS=json.dumps(presets),
        WEB_ALLOWED_HOSTS="127.0.0.1",
        LOG_LEVEL="DEBUG",
        ANTHROPIC_API_KEY="",
    )


@pytest.fixture
def client(site: Server, scripted: Upstream, preset: Upstream) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=30) as opened:
        yield opened
    for upstream in (scripted, preset):
        upstream.requests.clear()
        upstream.on(lambda request: None)


def configure(client: httpx.Client, user_id: str, **fields: Any) -> dict[str, Any]:
    response = client.post("/api/config", json={"user_id": user_id, **fields})
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


def chat(client: httpx.Client, message: str = "你好", **fields: Any) -> dict[str, Any]:
    response = client.post("/chat", json={"message": message, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def events(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line.startswith("data: ")]


def user() -> str:
    return f"用户-{uuid.uuid4()}"


def authorizations(*upstreams: Upstream) -> list[str | None]:
    return [request.headers.get("authorization") for upstream in upstreams for request in upstream.requests]


def test_the_answer_is_as_documented(client: httpx.Client) -> None:
    answer = chat(client, "你好", session_id="seed-000", user_id=user())
    assert answer == {"session_id": "seed-000", "user_message": "你好", "assistant_reply": "回声: 你好"}


def test_a_session_goes_on(client: httpx.Client, scripted: Upstream) -> None:
    session_id = chat(client, "我叫小明")["session_id"]
    chat(client, "我叫什么？", session_id=session_id)
    assert [m["content"] for m in scripted.requests[-1].messages[1:]] == ["我叫小明", "回声: 我叫小明", "我叫什么？"]


def test_a_stream_is_as_documented(client: httpx.Client) -> None:
    response = client.post("/chat", json={"message": "你好！有什么可以帮助你的吗？", "stream": True})
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (response.headers["cache-control"], response.headers["x-accel-buffering"]) == ("no-cache", "no")
    *pieces, last = response.text.strip().split("\n\n")
    assert last == 'data: {"done": true}'
    assert all(piece.startswith('data: {"chunk": "') for piece in pieces)
    assert "".join(event["chunk"] for event in events(response)[:-1]) == "回声: 你好！有什么可以帮助你的吗？"


def test_a_failure_in_mid_stream_is_an_event_before_done(client: httpx.Client, scripted: Upstream) -> None:
    scripted.reply(text("从前有"), cut(), interval=0.01)
    response = client.post("/chat", json={"message": "讲", "stream": True}, headers={"Accept-Language": "zh"})
    assert response.status_code == 200
    *pieces, failure, done = events(response)
    assert "".join(piece["chunk"] for piece in pieces) == "从前有"
    assert failure["code"] == "upstream_failed" and "上游服务" in failure["error"] and done == {"done": True}


def test_a_failure_before_the_first_piece_keeps_its_status(client: httpx.Client, scripted: Upstream) -> None:
    scripted.reply(status(500))
    response = client.post("/chat", json={"message": "你好", "stream": True})
    assert (response.status_code, response.json()["code"]) == (502, "upstream_failed")


def test_each_user_reaches_a_server_of_their_own_with_their_own_key(client: httpx.Client, scripted: Upstream) -> None:
    with Upstream() as first, Upstream() as second:
        own = {"甲": first, "乙": second}
        for name, upstream in own.items():
            upstream.on(lambda request, name=name: f"{name}的模型答：{request.question}")
            configure(
                client,
                name,
                model_type="custom",
                custom_api_url=f"{upstream.url}/chat/completions",
                custom_model=f"模型-{name}",
                custom_api_key=KEYS[name],
            )
        for name in ("甲", "乙", "甲", "乙"):  # in both workers, likely
            assert chat(client, "年假？", user_id=name)["assistant_reply"] == f"{name}的模型答：年假？"
        for name, upstream in own.items():
            assert authorizations(upstream) == [f"Bearer {KEYS[name]}"] * 2
            assert {request.body["model"] for request in upstream.requests} == {f"模型-{name}"}
            sent = str([(request.headers, request.body) for request in upstream.requests])
            assert SERVER_KEY not in sent and PRESET_KEY not in sent
    assert scripted.requests == []
    assert chat(client, user_id=user())["assistant_reply"] == "回声: 你好"
    assert authorizations(scripted) == [f"Bearer {SERVER_KEY}"]


def test_a_server_without_a_key_of_the_user_gets_none(client: httpx.Client) -> None:
    with Upstream() as own:
        name = user()
        configure(client, name, model_type="custom", custom_api_url=own.url)
        chat(client, user_id=name)
        assert authorizations(own) == [None] and "server-model" not in str(own.requests[0].body)


def test_a_new_url_does_not_get_the_key_of_the_old_one(client: httpx.Client) -> None:
    with Upstream() as own, Upstream() as thief:
        name = user()
        configure(client, name, model_type="custom", custom_api_url=own.url, custom_api_key=KEYS["甲"])
        shown = configure(client, name, custom_api_url=thief.url, custom_api_key="sk-…-jia")
        chat(client, user_id=name)
        assert shown["custom_api_key"] == "" and authorizations(own, thief) == [None]


def test_a_redirect_is_not_followed(client: httpx.Client) -> None:
    with Upstream() as own, Upstream() as elsewhere:
        own.reply(status(307, "moved", location=f"{elsewhere.url}/chat/completions"))
        name = user()
        configure(client, name, model_type="custom", custom_api_url=own.url, custom_api_key=KEYS["甲"])
        response = client.post("/chat", json={"message": "你好", "user_id": name})
        assert (response.status_code, response.json()["code"]) == (502, "upstream_failed")
        assert len(own.requests) == 1 and elsewhere.requests == []


def test_a_preset_answers_with_its_own_key_and_model(client: httpx.Client, preset: Upstream, scripted: Upstream) -> None:
    name = user()
    shown = configure(client, name, model_type="codegeex", max_tokens=2000)
    assert (shown["current_model_type"], shown["llm_model"], shown["max_tokens"]) == ("codegeex", "codegeex4-all-9b", 2000)
    assert chat(client, user_id=name)["assistant_reply"] == "回声: 你好"
    (request,) = preset.requests
    assert (request.headers["authorization"], request.body["model"]) == (f"Bearer {PRESET_KEY}", "codegeex4-all-9b")
    assert scripted.requests == []


def test_the_request_wins_over_the_configuration_and_that_over_the_settings(
    client: httpx.Client, scripted: Upstream
) -> None:
    name = user()
    chat(client, user_id=name)
    configure(client, name, max_tokens=2000)
    chat(client, user_id=name)
    chat(client, user_id=name, max_tokens=7, temperature=0.7)
    assert [request.body["max_tokens"] for request in scripted.requests] == [4000, 2000, 7]
    assert scripted.requests[-1].body["temperature"] == 0.7


def test_without_a_user_the_owner_s_configuration_counts(client: httpx.Client, scripted: Upstream, preset: Upstream) -> None:
    configure(client, "local", model_type="codegeex")
    try:
        chat(client)
        assert (len(preset.requests), len(scripted.requests)) == (1, 0)
        assert client.get("/api/config").json()["current_model_type"] == "codegeex"
    finally:
        configure(client, "local", model_type="")


def test_the_configuration_has_the_documented_fields(client: httpx.Client, scripted: Upstream) -> None:
    response = client.get("/api/config", params={"user_id": user()})
    assert response.json() == {
        "llm_api_url": scripted.url,
        "llm_model": "server-model",
        "llm_api_key": "…",
        "preset_models": [
            {"type": "default", "title": "默认 · Default", "model": "server-model"},
            {"type": "codegeex", "title": "CodeGeeX", "model": "codegeex4-all-9b"},
        ],
        "current_model_type": "default",
        "max_tokens": 4000,
        "custom_api_url": "",
        "custom_model": "",
        "custom_api_key": "",
    }
    name = user()
    shown = configure(client, name, custom_api_url=scripted.url, custom_model="m", custom_api_key=KEYS["甲"], max_tokens=5)
    assert shown["custom_api_key"] == "sk-…-jia" and shown == client.get("/api/config", params={"user_id": name}).json()


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"model_type": "gpt"}, "invalid_field", "model_type"),
        ({"model_type": "glm4"}, "invalid_field", "model_type"),
        ({"model_type": "custom"}, "invalid_field", "custom_api_url"),
        ({"max_tokens": 0}, "invalid_field", "max_tokens"),
        ({"custom_api_key": "密钥-sk-user-secret"}, "invalid_field", "custom_api_key"),
        ({"custom_api_url": "http://10.0.0.1/v1"}, "url_not_allowed", None),
        ({"custom_api_url": "http://169.254.169.254/latest"}, "url_not_allowed", None),
        ({"custom_api_url": "file:///etc/passwd"}, "url_not_allowed", None),
    ],
)
def test_what_is_refused_is_422_and_changes_nothing(
    client: httpx.Client, fields: dict[str, Any], code: str, field: str | None
) -> None:
    name = user()
    response = client.post("/api/config", json={"user_id": name, "custom_model": "m", **fields})
    body = response.json()
    assert (response.status_code, body["code"]) == (422, code)
    assert [error["field"] for error in body.get("errors", [])] == ([field] if field else [])
    assert "sk-user-secret" not in response.text
    assert client.get("/api/config", params={"user_id": name}).json()["custom_model"] == ""


def test_a_configuration_needs_its_user(client: httpx.Client) -> None:
    response = client.post("/api/config", json={"max_tokens": 5})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "user_id")


def test_keys_lie_neither_in_the_database_nor_in_the_log(client: httpx.Client, site: Server) -> None:
    name, key = user(), "sk-user-secret-0123456789"
    with refusing_url() as url:
        configure(client, name, model_type="custom", custom_api_url=url, custom_api_key=key)
        assert client.post("/chat", json={"message": "你好", "user_id": name}).status_code == 502
    with Upstream() as own:
        own.reply(status(401, {"error": {"message": f"Incorrect API key provided: {key}"}}))
        configure(client, name, custom_api_url=own.url, custom_api_key=key)
        refused = client.post("/chat", json={"message": "你好", "user_id": name})
        assert (refused.status_code, refused.json()["code"]) == (502, "upstream_rejected")
        assert authorizations(own) == [f"Bearer {key}"]
    client.post("/api/config", json={"user_id": name, "custom_api_key": key, "model_type": "no"})
    stored = {path.name: path.read_bytes() for path in site.data.iterdir() if path.is_file()}
    assert b"custom_api_url" in stored["chat.db"] and b"answered 401" in stored["log"]
    for secret in (key, SERVER_KEY, PRESET_KEY, *KEYS.values()):
        assert not any(secret.encode() in data for data in stored.values())
