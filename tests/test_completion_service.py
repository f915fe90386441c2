"""Completions of models that do not speak OpenAI's API, in this process, over real sockets."""

from collections.abc import Iterator
from typing import Any

import pytest

from fakes.replies import hang, reasoning, status, text, tool_call
from fakes.upstream import Upstream
from models.completions import Completed, Completion, TokenCount
from models.events import Failed
from services.completion_service import CompletionService
from services.model_catalog import ModelCatalog
from services.protocols.openai import Wire
from utils import metrics
from utils.background import Background
from utils.errors import (
    ChatError,
    InvalidField,
    ModelNotFound,
    OptionNotSupported,
    RequestRefused,
    StoreUnavailable,
    UpstreamTimeout,
)
from utils.settings import Settings

CLAUDE = "claude-haiku-4-5"
QUESTION = {"role": "user", "content": "年假有几天？"}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def background() -> Iterator[Background]:
    background = Background()
    yield background
    background.close()


def service(background: Background, **settings: Any) -> CompletionService:
    configured = Settings(_env_file=None, **settings)
    return CompletionService(configured, ModelCatalog(configured), background)


@pytest.fixture
def claude(background: Background, upstream: Upstream) -> Iterator[CompletionService]:
    completions = service(background, ANTHROPIC_API_KEY="sk-ant-test", ANTHROPIC_API_URL=upstream.root, LLM_MODEL=CLAUDE)
    yield completions
    model: Any = completions.catalog.chat_model(CLAUDE)
    background.run(model._async_client.close())  # the vendor's client pools connections too


def whole(completions: CompletionService, *messages: dict[str, Any], model: str = CLAUDE, **options: Any) -> dict[str, Any]:
    """The completion as clients see it."""
    started = completions.start(Completion(model, messages or [QUESTION], options))
    return Wire("chatcmpl-1", model, 0).whole_of(started.pieces())


class TestClaude:
    def test_answers_in_openais_terms(self, claude: CompletionService, upstream: Upstream) -> None:
        upstream.reply(reasoning("先想"), text("十天。"), usage=(21, 8))
        completion = whole(
            claude, {"role": "system", "content": "简短"}, QUESTION, temperature=0.2, stop="完", max_tokens=50
        )
        (choice,) = completion["choices"]
        assert (choice["message"]["content"], choice["message"]["reasoning_content"]) == ("十天。", "先想")
        assert choice["finish_reason"] == "stop" and completion["usage"]["total_tokens"] == 29
        body = upstream.requests[0].body
        assert (body["temperature"], body["stop_sequences"], body["max_tokens"]) == (0.2, ["完"], 50)
        assert body["system"] == "简短" or body["system"][0]["text"] == "简短"

    def test_hands_tools_to_the_client_and_takes_their_results(self, claude: CompletionService, upstream: Upstream) -> None:
        calls = [tool_call("get_weather", {"city": city}, f"call_{city}") for city in ("北京", "上海")]
        upstream.reply(text("查一下。"), *calls)
        tools = {"tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False}
        (choice,) = whole(claude, **tools)["choices"]
        found = [(call["id"], call["function"]["arguments"]) for call in choice["message"]["tool_calls"]]
        assert found == [("call_北京", '{"city":"北京"}'), ("call_上海", '{"city":"上海"}')]
        assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] == "查一下。"
        assert upstream.requests[0].body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
        results = [{"role": "tool", "tool_call_id": id, "content": "晴"} for id, _ in found]
        upstream.reply("都是晴天。")
        (choice,) = whole(claude, QUESTION, choice["message"], *results, tools=[WEATHER])["choices"]
        assert choice["message"]["content"] == "都是晴天。"
        kinds = [part["type"] for part in upstream.requests[1].messages[2]["content"]]
        assert kinds == ["tool_result", "tool_result"]

    @pytest.mark.parametrize(
        ("choice", "sent"),
        [
            ("none", {"type": "none"}),
            ("auto", None),
            ({"type": "function", "function": {"name": "get_weather"}}, {"type": "tool", "name": "get_weather"}),
        ],
    )
    def test_follows_the_choice_of_tools(
        self, claude: CompletionService, upstream: Upstream, choice: Any, sent: Any
    ) -> None:
        whole(claude, tools=[WEATHER], tool_choice=choice)
        assert upstream.requests[0].body.get("tool_choice") == sent

    def test_is_shown_pictures(self, claude: CompletionService, upstream: Upstream) -> None:
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        whole(claude, {"role": "user", "content": [{"type": "text", "text": "这是什么？"}, picture]})
        assert upstream.requests[0].images[0].startswith(b"\x89PNG")

    @pytest.mark.parametrize(
        "option", [{"n": 2}, {"logprobs": True}, {"seed": 1}, {"response_format": {"type": "json_object"}}]
    )
    def test_what_it_cannot_follow_is_refused(
        self, claude: CompletionService, upstream: Upstream, option: dict[str, Any]
    ) -> None:
        with pytest.raises(OptionNotSupported):
            whole(claude, **option)
        assert not upstream.requests

    def test_options_that_ask_for_nothing_are_fine(self, claude: CompletionService) -> None:
        assert whole(claude, n=1, logprobs=False, response_format={"type": "text"}, tool_choice="auto", user="张三")

    @pytest.mark.parametrize(
        "messages",
        [
            [{"role": "user", "content": "一"}, {"role": "tool", "content": "二"}],
            [{"role": "system", "content": "一"}, QUESTION, {"role": "system", "content": "二"}],
        ],
    )
    def test_messages_that_it_cannot_be_asked_are_refused(self, claude: CompletionService, messages: list[Any]) -> None:
        with pytest.raises(InvalidField):
            whole(claude, *messages)

    def test_what_its_server_refuses_is_the_clients_error(self, claude: CompletionService, upstream: Upstream) -> None:
        upstream.reply(status(400))
        with pytest.raises(RequestRefused):
            whole(claude)

    def test_other_names_are_not_found(self, claude: CompletionService) -> None:
        with pytest.raises(ModelNotFound):
            whole(claude, model="gpt-5.4-mini")


def test_without_any_model_it_says_what_to_set(background: Background) -> None:
    completions = service(background)
    (choice,) = whole(completions, model="offline", tools=[WEATHER], max_tokens=9)["choices"]
    assert "LLM_API_KEY" in choice["message"]["content"] and choice["finish_reason"] == "stop"
    with pytest.raises(ModelNotFound):
        whole(completions, model="gpt-5.4-mini")


def test_a_local_server_is_asked_for_its_model(background: Background, upstream: Upstream) -> None:
    upstream.models = ["qwen3:8b"]
    assert whole(service(background, LOCAL_LLM_URL=upstream.root), model="local")["choices"]
    assert upstream.requests[1].body["model"] == "qwen3:8b"


def test_one_that_takes_too_long_ends(background: Background, upstream: Upstream) -> None:
    upstream.reply(text("一"), hang())
    slow = service(background, LLM_API_URL=upstream.url, LLM_MODEL="scripted", TURN_TIMEOUT_SECONDS=0.3)
    with pytest.raises(UpstreamTimeout):
        whole(slow, model="scripted")
    assert upstream.requests[0].disconnected.wait(5)


def test_readers_are_told_when_the_worker_ends(background: Background, upstream: Upstream) -> None:
    upstream.reply(text("一"), hang())
    completions = service(background, LLM_API_URL=upstream.url, LLM_MODEL="scripted")
    started = completions.start(Completion("scripted", [QUESTION], {}))
    started.wait_for_model(10)
    completions.close()
    *_, last = started.batches()
    assert isinstance(last[-1], Failed) and isinstance(last[-1].error, StoreUnavailable)


def test_an_early_failure_is_raised_before_the_stream_starts(background: Background, upstream: Upstream) -> None:
    upstream.reply(status(500))
    started = service(background, LLM_API_URL=upstream.url, LLM_MODEL="scripted").start(
        Completion("scripted", [QUESTION], {})
    )
    with pytest.raises(ChatError):
        started.wait_for_model(10)


def test_details_of_usage_and_the_fingerprint_are_told(background: Background, upstream: Upstream) -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    chunk = {
        "choices": [{"delta": {"content": "好"}, "finish_reason": "stop"}],
        "system_fingerprint": "fp_1",
        "usage": usage,
    }
    upstream.reply(status(200, chunk))
    started = service(background, LLM_API_URL=upstream.url, LLM_MODEL="scripted").start(
        Completion("scripted", [QUESTION], {})
    )
    *_, end = started.pieces()
    assert end == Completed(TokenCount(9, 5, cached=4, reasoning=3), "fp_1")


def test_tokens_are_counted_for_models_that_are_known(background: Background, upstream: Upstream) -> None:
    completions = service(background, LLM_API_URL=upstream.url, LLM_MODEL="gezaehlt")
    for model in ("gezaehlt", "gpt-99"):
        upstream.reply("好", usage=(21, 8))
        whole(completions, model=model)
    page = metrics.page().decode()
    assert 'chat_tokens_total{direction="input",model="gezaehlt"} 21.0' in page
    assert 'direction="output",model="other"' in page and "gpt-99" not in page
