"""Models that a request chose, another provider or a URL: which key and which settings they get, and where they may be."""

import pytest
from pydantic import SecretStr

from fakes.replies import raw, status, text
from fakes.upstream import Upstream
from models.llm_factory import chat_model, default_model_name, local_provider
from models.openai_chat import MAX_ANSWER_BYTES, OpenAIChat
from models.providers import Endpoint, anthropic
from utils.errors import ProviderNotConfigured, UpstreamError, UrlNotAllowed
from utils.settings import Settings

SERVER = {"LLM_API_KEY": "sk-server", "LLM_API_URL": "http://server.invalid/v1", "LLM_MODEL": "server-model"}


def settings(**values) -> Settings:
    return Settings(_env_file=None, **values)


@pytest.mark.parametrize("key", ["", "sk-user-0123456789"])
@pytest.mark.parametrize("ending", ["", "/", "/chat/completions"])
def test_a_url_of_a_request_gets_its_own_key_and_none_of_the_servers_settings(
    upstream: Upstream, key: str, ending: str
) -> None:
    endpoint = Endpoint(base_url=upstream.url + ending, api_key=SecretStr(key))
    configured = settings(**SERVER, ANTHROPIC_API_KEY="sk-ant", DASHSCOPE_API_KEY="sk-dash", TAVILY_API_KEY="tvly-1")
    assert chat_model(configured, endpoint=endpoint, model="我的模型").invoke("你好").content == "回声: 你好"
    chat_model(configured, endpoint=endpoint).invoke("你好")
    named, unnamed = upstream.requests
    assert named.headers.get("authorization") == (f"Bearer {key}" if key else None)
    sent = f"{named.headers} {named.body} {unnamed.headers} {unnamed.body}"
    assert not any(word in sent for word in ("sk-server", "sk-ant", "sk-dash", "tvly-1", "server-model"))
    assert named.body["model"] == "我的模型"
    assert unnamed.body["model"] == default_model_name(configured, endpoint)


def test_options_of_the_request_or_the_settings_hold_for_another_url_too(upstream: Upstream) -> None:
    configured = settings(**SERVER, LLM_TEMPERATURE=0.7, LLM_MAX_TOKENS=100)
    endpoint = Endpoint(base_url=upstream.url)
    chat_model(configured, endpoint=endpoint, model="m").invoke("一")
    chat_model(configured, endpoint=endpoint, model="m", temperature=0, max_tokens=5).invoke("二")
    assert [(r.body["temperature"], r.body["max_tokens"]) for r in upstream.requests] == [(0.7, 100), (0, 5)]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_a_users_url_does_not_lead_to_the_inner_network(upstream: Upstream, host: str) -> None:
    url = upstream.url.replace("127.0.0.1", host)
    model = chat_model(settings(**SERVER), endpoint=Endpoint(base_url=url, public_only=True))
    with pytest.raises(UrlNotAllowed):
        model.invoke("你好")
    assert upstream.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_operator_may_let_a_users_url_through(upstream: Upstream, host: str) -> None:
    url = upstream.url.replace("127.0.0.1", host)
    endpoint = Endpoint(base_url=url, api_key=SecretStr("sk-user"), public_only=True)
    chat_model(settings(**SERVER, WEB_ALLOWED_HOSTS=(host,)), endpoint=endpoint).invoke("你好")
    assert upstream.requests[0].headers["authorization"] == "Bearer sk-user"


def test_an_operators_url_may_lead_to_the_inner_network(upstream: Upstream) -> None:
    chat_model(settings(**SERVER), endpoint=Endpoint(base_url=upstream.url)).invoke("你好")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(upstream: Upstream, code: int) -> None:
    with Upstream() as elsewhere:
        upstream.reply(status(code, "moved", location=f"{elsewhere.url}/chat/completions"))
        endpoint = Endpoint(base_url=upstream.url, api_key=SecretStr("sk-user"), public_only=True)
        model = chat_model(settings(**SERVER, WEB_ALLOWED_HOSTS=("127.0.0.1",)), endpoint=endpoint)
        with pytest.raises(UpstreamError):
            model.invoke("你好")
        assert len(upstream.requests) == 1 and elsewhere.requests == []


def test_an_answer_without_end_is_given_up(upstream: Upstream) -> None:
    endless = [raw(b": " + b"x" * 1_000_000 + b"\n")] * (MAX_ANSWER_BYTES // 1_000_000 + 1)
    upstream.reply(*endless, text("好"))
    with pytest.raises(UpstreamError):
        chat_model(settings(), endpoint=Endpoint(base_url=upstream.url)).invoke("你好")


def test_a_model_at_a_new_url_makes_no_clients_of_the_sdk() -> None:
    model = chat_model(settings(), endpoint=Endpoint(base_url="http://user.example/v1"))
    assert isinstance(model, OpenAIChat)
    assert model.root_client is None and model.root_async_client is None  # 35 ms and 1.6 MB, kept for ever


def test_a_request_may_name_another_provider(upstream: Upstream) -> None:
    configured = settings(**SERVER, ANTHROPIC_API_KEY="sk-ant", ANTHROPIC_API_URL=upstream.root, LOCAL_LLM_URL=upstream.root)
    claude = chat_model(configured, endpoint=Endpoint(provider="anthropic"))
    assert claude.invoke("你好").text == "回声: 你好"
    chat_model(configured, endpoint=Endpoint(provider="ollama"), model="qwen3:8b").invoke("你好")
    first, second = upstream.requests
    assert (first.headers["authorization"], first.body["model"]) == ("Bearer sk-ant", anthropic.MODEL)
    assert (second.headers.get("authorization"), second.body["model"]) == (None, "qwen3:8b")
    assert "sk-server" not in f"{first.headers} {second.headers}"


def test_claude_takes_no_temperature_beyond_its_range(upstream: Upstream) -> None:
    configured = settings(ANTHROPIC_API_KEY="sk-ant", ANTHROPIC_API_URL=upstream.root)
    chat_model(configured, model="claude-of-tomorrow", temperature=1.5).invoke("你好")
    assert upstream.requests[0].body["temperature"] == 1


@pytest.mark.parametrize(("provider", "needs"), [("anthropic", "ANTHROPIC_API_KEY"), ("ollama", "LOCAL_LLM_URL")])
def test_a_provider_that_is_not_configured_says_what_it_needs(provider: str, needs: str) -> None:
    with pytest.raises(ProviderNotConfigured) as caught:
        chat_model(settings(**SERVER), endpoint=Endpoint(provider=provider))
    assert needs in caught.value.message("zh")


def test_the_servers_model_name_is_for_its_own_provider() -> None:
    configured = settings(LLM_MODEL="qwen3:8b", LOCAL_LLM_URL="http://h", ANTHROPIC_API_KEY="a", LLM_PROVIDER="ollama")
    assert default_model_name(configured, Endpoint(provider="ollama")) == "qwen3:8b"
    assert default_model_name(configured, Endpoint(provider="anthropic")) == anthropic.MODEL


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, None),
        (SERVER, None),
        ({**SERVER, "LOCAL_LLM_URL": "http://h:11434"}, "ollama"),
        ({"LOCAL_LLM_URL": "http://h:8000/v1", "ANTHROPIC_API_KEY": "a"}, "ollama"),
    ],
)
def test_the_local_provider_is_the_one_that_is_configured(values, name: str | None) -> None:
    assert local_provider(settings(**values)) == name
