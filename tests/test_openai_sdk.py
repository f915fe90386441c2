"""The OpenAI SDK, as people use it, with the model itself, against the running product."""

import base64
import time
from typing import Any

import openai
import pytest
from openai import OpenAI

from fakes.replies import delta, event, hang, reasoning, text, tool_call
from fakes.upstream import Upstream
from fixtures.openai_clients import QUESTION, WEATHER, ask, client_of
from fixtures.server import Server


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
        deltas = [
            call for chunk in ask(client, stream=True, tools=[WEATHER]) for call in chunk.choices[0].delta.tool_calls or ()
        ]
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
        told = (
            [chunk.choices[0].logprobs for chunk in answer if chunk.choices[0].logprobs]
            if stream
            else [answer.choices[0].logprobs]
        )
        assert [one.token for found in told for one in found.content] == ["好"]
        assert (scripted.requests[0].body["logprobs"], scripted.requests[0].body["top_logprobs"]) == (True, 2)

    @pytest.mark.parametrize("stream", [False, True])
    def test_thoughts_have_a_place_of_their_own(self, client: OpenAI, scripted: Upstream, stream: bool) -> None:
        scripted.reply(reasoning("先想"), text("好"))
        answer = ask(client, stream=stream)
        if stream:
            deltas = [chunk.choices[0].delta for chunk in answer]
            found = (
                "".join(getattr(one, "reasoning_content", "") for one in deltas),
                "".join(one.content or "" for one in deltas),
            )
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
