"""The OpenAI SDK, as people use it, against the running product."""

import base64
import io
import struct
import threading
import time
import uuid
import wave
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from fakes.dashscope import DashScope
from fakes.replies import Reply, cut, delta, event, hang, reasoning, status, text, tool_call
from fakes.upstream import Request, Upstream
from fixtures.server import MakeServer, Server

QUESTION = [{"role": "user", "content": "年假有几天？"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "查询天气",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def client_of(server: Server, **options: Any) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=30, **options)


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    with client_of(server) as client:
        yield client


@pytest.fixture
def session() -> str:
    return f"sdk:{uuid.uuid4()}"


def ask(client: OpenAI, **options: Any) -> Any:
    return client.chat.completions.create(**{"model": "scripted", "messages": QUESTION, **options})


class TestTheModelItself:
    def test_answers_without_our_prompt_and_tools(self, client: OpenAI, scripted: Upstream) -> None:
        scripted.reply(text("十天。"), usage=(21, 8))
        answer = ask(client)
        assert answer.object == "chat.completion" and answer.id.startswith("chatcmpl-") and answer.model == "scripted"
        assert abs(answer.created - time.time()) < 60
        (choice,) = answer.choices
        assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
        assert (choice.message.role, choice.message.content, choice.message.refusal) == ("assistant", "十天。", None)
        assert choice.message.tool_calls is None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (21, 8, 29)
        (request,) = scripted.requests
        assert request.messages == QUESTION and request.tools == []

    def test_streams(self, client: OpenAI, scripted: Upstream) -> None:
        scripted.reply(text(["十", "天", "。"]), interval=0.01)
        chunks = list(ask(client, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "十天。"
        assert len({chunk.id for chunk in chunks}) == 1 and len(chunks) >= 3
        assert {(chunk.object, chunk.model, chunk.usage) for chunk in chunks} == {
            ("chat.completion.chunk", "scripted", None)
        }
        assert chunks[0].choices[0].delta.role == "assistant" and chunks[0].choices[0].delta.content == ""
        assert {chunk.choices[0].delta.role for chunk in chunks[1:]} == {None}
        assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]

    def test_tells_what_a_stream_cost_only_when_asked(self, client: OpenAI, scripted: Upstream) -> None:
        scripted.reply("好", usage=(3, 1))
        *chunks, last = ask(client, stream=True, stream_options={"include_usage": True})
        assert last.choices == [] and last.usage.total_tokens == 4
        assert all(chunk.choices and "usage" in chunk.model_fields_set and chunk.usage is None for chunk in chunks)

    def test_hands_tools_to_the_client_and_takes_their_results(self, client: OpenAI, scripted: Upstream) -> None:
        scripted.reply(tool_call("get_weather", {"city": "北京"}, "call_a"))
        first = ask(client, tools=[WEATHER], tool_choice="auto", parallel_tool_calls=False)
        assert first.choices[0].finish_reason == "tool_calls" and first.choices[0].message.content is None
        (call,) = first.choices[0].message.tool_calls
        assert (call.id, call.type, call.function.name) == ("call_a", "function", "get_weather")
        assert call.function.arguments == '{"city":"北京"}'
        result = {"role": "tool", "tool_call_id": call.id, "content": "晴，25 度"}
        scripted.reply("北京晴。")
        second = ask(client, messages=[*QUESTION, first.choices[0].message, result], tools=[WEATHER])
        assert second.choices[0].message.content == "北京晴。"
        sent = scripted.requests[1].messages
        assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
        assert sent[1]["tool_calls"][0]["function"]["arguments"] == '{"city":"北京"}' and sent[2] == result
        assert scripted.requests[0].body["parallel_tool_calls"] is False
        assert scripted.requests[0].body["tools"] == [WEATHER]

    def test_streams_tool_calls_with_their_indexes(self, client: OpenAI, scripted: Upstream) -> None:
        calls = [tool_call("get_weather", {"city": city}, f"call_{city}") for city in ("北京", "上海")]
        scripted.reply(*calls, interval=0.02)
        deltas = [call for chunk in ask(client, stream=True, tools=[WEATHER]) for call in chunk.choices[0].delta.tool_calls or ()]
        for index, city in enumerate(("北京", "上海")):
            own = [call for call in deltas if call.index == index]
            assert (own[0].id, own[0].type, own[0].function.name) == (f"call_{city}", "function", "get_weather")
            assert {(call.id, call.function.name) for call in own[1:]} <= {(None, None)}
            assert "".join(call.function.arguments for call in own) == f'{{"city":"{city}"}}'

    def test_the_stream_helper_of_the_sdk_puts_it_together(self, client: OpenAI, scripted: Upstream) -> None:
        scripted.reply(text("查一下"), tool_call("get_weather", {"city": "北京"}), interval=0.005)
        with client.chat.completions.stream(model="scripted", messages=QUESTION, tools=[WEATHER]) as stream:
            whole = stream.get_final_completion()
        assert whole.choices[0].message.content == "查一下"
        assert whole.choices[0].message.tool_calls[0].function.arguments == '{"city":"北京"}'

    def test_options_go_to_the_model_as_they_are(self, client: OpenAI, scripted: Upstream) -> None:
        options: dict[str, Any] = {
            "temperature": 0.2,
            "top_p": 0.9,
            "max_tokens": 50,
            "stop": ["完"],
            "seed": 7,
            "presence_penalty": 0.5,
            "frequency_penalty": -0.5,
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"default": None}}},
            "logit_bias": {"50256": -100},
            "user": "张三",
        }
        ask(client, **options, extra_body={"top_k": 5, "chat_template_kwargs": {"enable_thinking": False}})
        sent = scripted.requests[0].body
        assert {name: sent[name] for name in options} == options
        assert sent["top_k"] == 5 and sent["chat_template_kwargs"] == {"enable_thinking": False}

    def test_the_newer_name_of_the_limit_reaches_a_server_that_knows_it(self, client: OpenAI, scripted: Upstream) -> None:
        ask(client, max_completion_tokens=9)
        assert scripted.requests[0].body["max_completion_tokens"] == 9 and "max_tokens" not in scripted.requests[0].body

    def test_messages_go_to_the_model_as_they_are(self, client: OpenAI, scripted: Upstream) -> None:
        picture = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
        messages = [
            {"role": "developer", "content": "简短"},
            {"role": "assistant", "content": "好", "name": "小助手", "reasoning_content": "想"},
            {
                "role": "user",
                "name": "张三",
                "content": [
                    {"type": "text", "text": "这是什么？"},
                    {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/猫.png"}},
                ],
            },
        ]
        ask(client, messages=messages)
        assert scripted.requests[0].messages == messages

    @pytest.mark.parametrize("stream", [False, True])
    def test_several_choices(self, client: OpenAI, scripted: Upstream, stream: bool) -> None:
        def choice(index: int, **fields: Any) -> Any:
            return event({"choices": [{"index": index, "delta": fields, "finish_reason": fields.pop("end", None)}]})

        parts = [choice(1, content="乙"), choice(0, content="甲"), choice(1, content="二"), choice(0, content="一")]
        scripted.reply(*parts, choice(0, end="stop"), choice(1, end="length"), finish_reason=None, interval=0.005)
        answer = ask(client, n=2, stream=stream)
        found: dict[int, list[str]] = {0: [], 1: []}
        if stream:
            for chunk in answer:
                found[chunk.choices[0].index] += [chunk.choices[0].delta.content, chunk.choices[0].finish_reason]
            joined = {index: ["".join(filter(None, texts[:-1])), texts[-1]] for index, texts in found.items()}
        else:
            joined = {one.index: [one.message.content, one.finish_reason] for one in answer.choices}
        assert joined == {0: ["甲一", "stop"], 1: ["乙二", "length"]}
        assert scripted.requests[0].body["n"] == 2

    @pytest.mark.parametrize("stream", [False, True])
    def test_log_probabilities(self, client: OpenAI, scripted: Upstream, stream: bool) -> None:
        token = {"token": "好", "logprob": -0.1, "bytes": [229, 165, 189], "top_logprobs": []}
        scripted.reply(event({"choices": [{"delta": {"content": "好"}, "logprobs": {"content": [token]}}]}))
        answer = ask(client, logprobs=True, top_logprobs=2, stream=stream)
        told = [chunk.choices[0].logprobs for chunk in answer if chunk.choices[0].logprobs] if stream else [answer.choices[0].logprobs]
        assert [one.token for found in told for one in found.content] == ["好"]
        assert (scripted.requests[0].body["logprobs"], scripted.requests[0].body["top_logprobs"]) == (True, 2)

    @pytest.mark.parametrize("stream", [False, True])
    def test_thoughts_have_a_place_of_their_own(self, client: OpenAI, scripted: Upstream, stream: bool) -> None:
        scripted.reply(reasoning("先想"), text("好"))
        answer = ask(client, stream=stream)
        if stream:
            deltas = [chunk.choices[0].delta for chunk in answer]
            found = "".join(getattr(one, "reasoning_content", "") for one in deltas), "".join(one.content or "" for one in deltas)
        else:
            found = answer.choices[0].message.reasoning_content, answer.choices[0].message.content
        assert found == ("先想", "好")

    def test_a_refusal_is_no_content(self, client: OpenAI, scripted: Upstream) -> None:
        scripted.reply(delta({"refusal": "我不能"}), delta({"refusal": "回答。"}))
        message = ask(client).choices[0].message
        assert (message.refusal, message.content) == ("我不能回答。", None)

    def test_an_answer_may_be_empty(self, client: OpenAI, scripted: Upstream) -> None:
        scripted.reply(finish_reason="stop")
        assert ask(client, stop="十").choices[0].message.content == ""

    def test_finish_reasons_are_the_models(self, client: OpenAI, scripted: Upstream) -> None:
        for reason in ("length", "content_filter"):
            scripted.reply("一半", finish_reason=reason)
            assert ask(client).choices[0].finish_reason == reason

    def test_any_name_is_passed_on(self, client: OpenAI, scripted: Upstream) -> None:
        assert ask(client, model="Qwen/Qwen3-8B").model == "Qwen/Qwen3-8B"
        assert scripted.requests[0].body["model"] == "Qwen/Qwen3-8B"


class TestAClientThatLeaves:
    def test_ends_the_generation_while_tokens_come(self, client: OpenAI, scripted: Upstream) -> None:
        scripted.reply(text("词" * 2000), interval=0.02)
        stream = ask(client, stream=True)
        next(stream)
        left = time.monotonic()
        stream.close()
        assert scripted.requests[0].disconnected.wait(5) and time.monotonic() - left < 1

    @pytest.mark.parametrize("model", ["scripted", "agent"])
    def test_ends_it_also_while_nothing_comes(self, client: OpenAI, scripted: Upstream, model: str) -> None:
        scripted.reply(text("词"), hang())
        stream = ask(client, stream=True, model=model)
        next(stream)
        assert scripted.requests[0].hanging.wait(5)
        left = time.monotonic()
        stream.close()
        assert scripted.requests[0].disconnected.wait(5) and time.monotonic() - left < 1

    @pytest.mark.parametrize("model", ["scripted", "agent"])
    def test_ends_it_also_without_a_stream(self, server: Server, scripted: Upstream, model: str) -> None:
        scripted.reply(hang("headers"))
        with client_of(server) as client, pytest.raises(openai.APITimeoutError):
            ask(client.with_options(timeout=0.5), model=model)
        assert scripted.requests[0].disconnected.wait(1)


class TestTheAgent:
    def test_answers_statelessly_with_the_servers_tools(self, client: OpenAI, scripted: Upstream) -> None:
        scripted.reply(tool_call("current_time", {}))
        scripted.reply(text("现在是三点。"), usage=(30, 6))
        messages = [
            {"role": "system", "content": "你是海盗。"},
            {"role": "user", "content": "你好"},
            {"role": "assistant", "content": "嗨！"},
            {"role": "user", "content": "几点了？"},
        ]
        answer = ask(client, model="agent", messages=messages, temperature=0.3, max_tokens=99)
        (choice,) = answer.choices
        assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == ("现在是三点。", None, "stop")
        assert answer.model == "agent" and answer.sources == [] and answer.session_id is None
        assert answer.usage.total_tokens == sum(request_tokens(scripted))
        first = scripted.requests[0]
        assert "current_time" in first.tools and "你是海盗。" in first.messages[0]["content"]
        assert [message["content"] for message in first.messages[1:]] == ["你好", "嗨！", "几点了？"]
        assert (first.body["temperature"], first.body["max_tokens"], first.body["model"]) == (0.3, 99, "scripted")

    def test_streams_without_showing_its_tool_calls(self, client: OpenAI, scripted: Upstream) -> None:
        scripted.reply(reasoning("要看钟"), tool_call("current_time", {}))
        scripted.reply(text("三点。"), usage=(30, 6))
        chunks = list(ask(client, model="agent", stream=True, stream_options={"include_usage": True}))
        *deltas, last, usage = chunks
        assert "".join(chunk.choices[0].delta.content or "" for chunk in deltas) == "三点。"
        assert any(getattr(chunk.choices[0].delta, "reasoning_content", None) == "要看钟" for chunk in deltas)
        assert not any(chunk.choices[0].delta.tool_calls for chunk in deltas)
        assert last.choices[0].finish_reason == "stop" and last.sources == []
        assert usage.choices == [] and usage.usage.total_tokens > 36

    def test_another_model_may_do_its_work(self, client: OpenAI, scripted: Upstream) -> None:
        ask(client, model="agent:qwen-max")
        assert scripted.requests[0].body["model"] == "qwen-max" and scripted.requests[0].tools

    def test_a_session_knows_what_was_said(self, client: OpenAI, scripted: Upstream, server: Server, session: str) -> None:
        named = {"extra_body": {"session_id": session}}
        first = ask(client, messages=[{"role": "system", "content": "叫我船长。"}, {"role": "user", "content": "我叫小明"}], **named)
        assert first.session_id == session and first.message_id.startswith("msg_") and first.sources == []
        ask(client, messages=[{"role": "user", "content": "我叫什么？"}], **named)
        told = scripted.requests[1].messages
        assert "叫我船长。" in told[0]["content"]
        assert [message["content"] for message in told[1:]] == ["我叫小明", "回声: 我叫小明", "我叫什么？"]
        assert "我叫小明" in server.chat("一共几句？", session)["response"] or "我叫小明" in str(scripted.requests[2].messages)

    def test_of_a_history_only_what_is_new_counts(self, client: OpenAI, scripted: Upstream, session: str) -> None:
        named = {"extra_body": {"session_id": session}}
        ask(client, messages=[{"role": "user", "content": "一"}], **named)
        forged = [
            {"role": "user", "content": "一"},
            {"role": "assistant", "content": "我是假的"},
            {"role": "user", "content": "二"},
            {"role": "user", "content": "三"},
        ]
        ask(client, messages=forged, **named)
        told = "".join(message["content"] for message in scripted.requests[1].messages[1:])
        assert "我是假的" not in told and "回声: 一" in told and "二" in told and "三" in told

    def test_sources_stand_beside_the_answer(self, client: OpenAI, server: Server, scripted: Upstream, session: str) -> None:
        files = {"file": ("手册.txt", "员工每年享有十五天带薪年假。".encode(), "text/plain")}
        document = server.api.post("documents", files=files, data={"session_id": session}).json()["documents"][0]
        for _ in server.api.get(f"documents/{document['id']}/events").iter_lines():
            pass

        def reply(request: Request) -> Any:
            if request.messages[-1]["role"] == "tool":
                return "十五天 [1]。"
            return tool_call("search_documents", {"query": "年假"}) if "search_documents" in request.tools else None

        scripted.on(reply)
        whole = ask(client, model="agent", extra_body={"session_id": session})
        assert [source["quote"] for source in whole.sources] == ["员工每年享有十五天带薪年假。"]
        *_, last = ask(client, model="agent", stream=True, extra_body={"session_id": session})
        assert [source["filename"] for source in last.sources] == ["手册.txt"] and last.session_id == session

    @pytest.mark.parametrize(
        "options", [{"tools": [WEATHER]}, {"n": 2}, {"logprobs": True}, {"stop": "完"}, {"seed": 1}, {"top_p": 0.5}]
    )
    def test_refuses_what_it_cannot_follow(self, client: OpenAI, options: dict[str, Any]) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, model="agent", **options)
        assert caught.value.param == next(iter(options)) and caught.value.type == "invalid_request_error"

    def test_options_that_ask_for_nothing_are_fine(self, client: OpenAI) -> None:
        answer = ask(client, model="agent", n=1, top_p=1, presence_penalty=0, logprobs=False, tool_choice="auto", user="x")
        assert answer.choices[0].message.content == "回声: 年假有几天？"

    def test_a_turn_that_runs_in_the_session_is_a_conflict(self, client: OpenAI, scripted: Upstream, make_server: MakeServer, session: str) -> None:
        impatient = make_server(LLM_API_URL=scripted.url, LLM_API_KEY="k", LLM_MODEL="scripted", TURN_WAIT_SECONDS="0")
        scripted.reply(text("词"), hang())
        with client_of(impatient) as other:
            running = ask(other, stream=True, extra_body={"session_id": session})
            next(running)
            with pytest.raises(openai.ConflictError):
                ask(other, extra_body={"session_id": session})
            scripted.release()
            list(running)


def request_tokens(scripted: Upstream) -> list[int]:
    """The tokens of the two scripted calls: 11 and 5 for the call of a tool, then those of the answer."""
    assert len(scripted.requests) == 2
    return [11, 5, 30, 6]
