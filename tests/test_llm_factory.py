"""Which provider, model, URL and key the settings come to."""

import pytest
from pydantic import SecretStr

from fakes.replies import hang, html, status
from fakes.upstream import Upstream, refusing_url
from models.claude_chat import Claude
from models.llm_factory import chat_model, default_model_name, provider_name, vision_model
from models.openai_chat import OpenAIChat
from models.providers import ModelOptions, anthropic, ollama, openai_compatible
from utils import http_client
from utils.errors import UpstreamError, UpstreamTimeout
from utils.settings import Settings

DASHSCOPE = "https://dashscope.aliyuncs.com/compatible-mode/v1"


def settings(**values) -> Settings:
    return Settings(_env_file=None, **values)


def endpoint(model) -> tuple[str, str]:
    """The URL that a model asks, and the key that it sends."""
    assert isinstance(model, OpenAIChat)
    return str(model.openai_api_base), model._key


CHOICES = [
    ({}, "offline", "offline"),
    ({"LLM_API_KEY": "sk-1"}, "openai_compatible", openai_compatible.OPENAI_MODEL),
    ({"LLM_API_URL": "http://127.0.0.1:8000/v1"}, "openai_compatible", openai_compatible.OPENAI_MODEL),
    ({"LLM_API_KEY": "sk-1", "LLM_MODEL": "glm-4.6", "ANTHROPIC_API_KEY": "a"}, "openai_compatible", "glm-4.6"),
    ({"ANTHROPIC_API_KEY": "a", "LOCAL_LLM_URL": "http://h"}, "anthropic", anthropic.MODEL),
    ({"ANTHROPIC_API_KEY": "a", "DASHSCOPE_API_KEY": "d"}, "anthropic", anthropic.MODEL),
    ({"LOCAL_LLM_URL": "http://h", "DASHSCOPE_API_KEY": "d"}, "ollama", ollama.FIRST_LISTED),
    ({"LOCAL_LLM_URL": "http://h", "LLM_MODEL": "qwen3:8b"}, "ollama", "qwen3:8b"),
    ({"DASHSCOPE_API_KEY": "d"}, "openai_compatible", "qwen-plus"),
    ({"LLM_PROVIDER": "offline", "LLM_API_KEY": "sk-1"}, "offline", "offline"),
    ({"LLM_PROVIDER": "ollama", "LLM_API_KEY": "sk-1", "LOCAL_LLM_URL": "http://h"}, "ollama", ollama.FIRST_LISTED),
    (
        {"LLM_PROVIDER": "openai_compatible", "DASHSCOPE_API_KEY": "d", "ANTHROPIC_API_KEY": "a"},
        "openai_compatible",
        "qwen-plus",
    ),
]


@pytest.mark.parametrize(("values", "provider", "model"), CHOICES)
def test_chooses_the_provider_and_its_model(values, provider: str, model: str) -> None:
    assert (provider_name(settings(**values)), default_model_name(settings(**values))) == (provider, model)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"LLM_PROVIDER": "chatgpt"}, ["LLM_PROVIDER", "anthropic, offline, ollama, openai_compatible"]),
        ({"LLM_PROVIDER": "anthropic"}, ["LLM_PROVIDER", "ANTHROPIC_API_KEY"]),
        ({"LLM_PROVIDER": "ollama"}, ["LLM_PROVIDER", "LOCAL_LLM_URL"]),
    ],
)
def test_a_wrong_provider_ends_the_start_with_a_clear_message(values, words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        provider_name(settings(**values))
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("values", "url", "key"),
    [
        ({"LLM_API_KEY": "sk-1"}, "https://api.openai.com/v1", "sk-1"),
        ({"LLM_API_URL": "http://h/v1/chat/completions/"}, "http://h/v1", ""),
        ({"LLM_API_URL": "http://h/v1", "LLM_API_KEY": "sk-1", "DASHSCOPE_API_KEY": "d"}, "http://h/v1", "sk-1"),
        ({"LLM_API_URL": "http://h/v1", "DASHSCOPE_API_KEY": "d"}, "http://h/v1", ""),
        ({"DASHSCOPE_API_KEY": "d"}, DASHSCOPE, "d"),
        ({"LOCAL_LLM_URL": "http://h:11434"}, "http://h:11434/v1", ""),
        ({"LOCAL_LLM_URL": "http://h:8000/v1/", "DASHSCOPE_API_KEY": "d"}, "http://h:8000/v1", ""),
    ],
)
def test_each_url_gets_its_own_key_only(values, url: str, key: str) -> None:
    assert endpoint(chat_model(settings(**values))) == (url, key)


@pytest.mark.parametrize(
    ("provider", "values"),
    [
        (openai_compatible, {"LLM_API_KEY": "sk-1", "LLM_API_URL": "http://h/v1"}),
        (openai_compatible, {"DASHSCOPE_API_KEY": "d"}),
        (ollama, {"LOCAL_LLM_URL": "http://h"}),
    ],
)
def test_a_url_in_the_options_never_gets_a_key_of_the_server(provider, values) -> None:
    somewhere = ModelOptions(base_url="http://user.example/v1")
    assert endpoint(provider.build(settings(**values), somewhere)) == ("http://user.example/v1", "")
    own = ModelOptions(base_url="http://user.example/v1", api_key=SecretStr("sk-user"))
    assert endpoint(provider.build(settings(**values), own)) == ("http://user.example/v1", "sk-user")


def test_a_request_may_name_model_and_options(upstream: Upstream) -> None:
    configured = settings(LLM_API_URL=upstream.url, LLM_MODEL="qwen-max", LLM_TEMPERATURE=0.7, LLM_MAX_TOKENS=100)
    chat_model(configured).invoke("一")
    chat_model(configured, model="qwen-turbo", temperature=0, max_tokens=5).invoke("二")
    sent = [(body["model"], body["temperature"], body["max_tokens"]) for body in (r.body for r in upstream.requests)]
    assert sent == [("qwen-max", 0.7, 100), ("qwen-turbo", 0, 5)]


def test_without_settings_the_model_decides(upstream: Upstream) -> None:
    chat_model(settings(LLM_API_URL=upstream.url)).invoke("一")
    assert not {"temperature", "max_tokens"} & upstream.requests[0].body.keys()


def test_the_timeouts_are_those_of_the_settings() -> None:
    model = chat_model(settings(LLM_API_KEY="k", LLM_CONNECT_TIMEOUT=3, LLM_READ_TIMEOUT=7))
    assert isinstance(model, OpenAIChat)
    assert (model.connect_timeout, model.read_timeout) == (3, 7)


def test_a_model_is_made_once_for_each_set_of_options() -> None:
    configured = settings(LLM_API_KEY="k")
    assert chat_model(configured) is chat_model(settings(LLM_API_KEY="k"))
    assert chat_model(configured) is not chat_model(configured, temperature=0)
    assert chat_model(configured) is not chat_model(settings(LLM_API_KEY="other"))


VISION = [
    ({}, None),
    ({"LLM_API_KEY": "k"}, None),
    ({"VISION_MODEL": "v"}, None),
    ({"LLM_API_KEY": "k", "VISION_MODEL": "v"}, ("v", "https://api.openai.com/v1", "k")),
    ({"LLM_API_KEY": "k", "LLM_API_URL": "http://h/v1", "VISION_MODEL": "v"}, ("v", "http://h/v1", "k")),
    (
        {"LLM_API_KEY": "k", "LLM_API_URL": "http://h/v1", "VISION_MODEL": "v", "VISION_MODEL_API_URL": "http://h/v1"},
        ("v", "http://h/v1", "k"),
    ),
    (
        {"LLM_API_KEY": "k", "LLM_API_URL": "http://h/v1", "VISION_MODEL": "v", "VISION_MODEL_API_URL": "http://other/v1"},
        ("v", "http://other/v1", ""),
    ),
    ({"LLM_API_KEY": "k", "VISION_MODEL": "v", "VISION_MODEL_API_URL": "http://other/v1"}, ("v", "http://other/v1", "")),
    (
        {"LLM_API_URL": "http://h/v1", "LLM_API_KEY": "k", "VISION_MODEL": "v", "VISION_MODEL_API_KEY": "kv"},
        ("v", "http://h/v1", "kv"),
    ),
    ({"VISION_MODEL": "v", "VISION_MODEL_API_URL": "http://v/v1", "VISION_MODEL_API_KEY": "kv"}, ("v", "http://v/v1", "kv")),
    ({"LOCAL_LLM_URL": "http://h", "VISION_MODEL": "llava"}, ("llava", "http://h/v1", "")),
    (
        {"LLM_PROVIDER": "ollama", "LOCAL_LLM_URL": "http://h", "LLM_API_KEY": "k", "VISION_MODEL": "llava"},
        ("llava", "http://h/v1", ""),
    ),
    (
        {"LLM_API_KEY": "k", "VISION_MODEL": "v", "VISION_MODEL_API_URL": "https://api.openai.com/v1"},
        ("v", "https://api.openai.com/v1", "k"),
    ),
    ({"DASHSCOPE_API_KEY": "d"}, ("qwen-vl-plus", DASHSCOPE, "d")),
    ({"DASHSCOPE_API_KEY": "d", "LLM_API_KEY": "k"}, ("qwen-vl-plus", DASHSCOPE, "d")),
    ({"DASHSCOPE_API_KEY": "d", "VISION_MODEL": "qwen-vl-max"}, ("qwen-vl-max", DASHSCOPE, "d")),
]


@pytest.mark.parametrize(("values", "expected"), VISION)
def test_the_vision_model_has_its_own_url_and_key_or_the_chat_models(values, expected) -> None:
    model = vision_model(settings(**values))
    found = None if model is None else (model.model_name, *endpoint(model))
    assert found == expected


def test_claude_may_be_the_vision_model() -> None:
    model = vision_model(settings(ANTHROPIC_API_KEY="a", VISION_MODEL="claude-haiku-5-5"))
    assert isinstance(model, Claude)


def test_a_local_server_is_asked_for_the_name_of_its_model_once(upstream: Upstream) -> None:
    upstream.models = ["qwen3:8b", "llava"]
    model = chat_model(settings(LOCAL_LLM_URL=upstream.root))

    async def twice() -> list[str]:
        return [(await model.ainvoke("你好")).content for _ in range(2)]

    assert http_client.run(twice()) == ["回声: 你好"] * 2
    assert [request.path for request in upstream.requests] == ["/v1/models", "/v1/chat/completions", "/v1/chat/completions"]
    assert upstream.requests[1].body["model"] == "qwen3:8b"


@pytest.mark.parametrize("answer", [status(404), html(), status(200, {"data": []}), status(200, [1])])
def test_a_local_server_that_names_no_model_is_an_upstream_error(upstream: Upstream, answer) -> None:
    upstream.reply(answer, to="models")
    with pytest.raises(UpstreamError):
        chat_model(settings(LOCAL_LLM_URL=upstream.root)).invoke("你好")


def test_a_local_server_that_is_away_is_an_upstream_error() -> None:
    with refusing_url() as url, pytest.raises(UpstreamError):
        chat_model(settings(LOCAL_LLM_URL=url)).invoke("你好")


def test_a_local_server_that_is_silent_times_out(upstream: Upstream) -> None:
    upstream.reply(hang("headers"), to="models")
    with pytest.raises(UpstreamTimeout):
        chat_model(settings(LOCAL_LLM_URL=upstream.root, LLM_READ_TIMEOUT=0.2)).invoke("你好")
