"""The OpenAI-compatible chat model over real sockets: what it reads, sends, tolerates and retries."""

import asyncio
import time
from contextlib import aclosing

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import SecretStr

from fakes.replies import Reply, delta, event, hang, raw, reasoning, status, text, tool_call
from fakes.upstream import Request, Upstream
from models.openai_chat import OpenAIChat
from models.providers import ModelOptions
from utils import http_client
from utils.errors import UpstreamError

KEY = SecretStr("sk-server-0123456789")


@tool
async def search_documents(query: str) -> str:
    """Searches the documents of this conversation."""
    return f"[1] 手册.pdf，第 3 页\n{query}：十天。"


def chat(upstream: Upstream, **options) -> OpenAIChat:
    return OpenAIChat.of("scripted", upstream.url, KEY, ModelOptions(**options))


async def collect(model, messages="年假有几天？", **kwargs) -> list[AIMessageChunk]:
    return [chunk async for chunk in model.astream(messages, **kwargs)]


def answer(model, messages="年假有几天？", **kwargs) -> AIMessageChunk:
    """The sum of a streamed answer."""
    first, *rest = http_client.run(collect(model, messages, **kwargs))
    return first.__add__(rest) if rest else first


def test_streams_text_thoughts_usage_and_finish_reason(upstream: Upstream) -> None:
    upstream.reply(
        reasoning("先想一想"), text("年假有十天。Ten days."), usage=(21, 8), finish_reason="length", interval=0.001
    )
    whole = answer(chat(upstream))
    assert whole.content == "年假有十天。Ten days."
    assert whole.additional_kwargs["reasoning_content"] == "先想一想"
    assert whole.usage_metadata == {"input_tokens": 21, "output_tokens": 8, "total_tokens": 29}
    assert whole.response_metadata["finish_reason"] == "length"
    assert whole.response_metadata["model_name"] == "scripted"


def test_what_arrives_together_is_one_chunk(upstream: Upstream) -> None:
    upstream.reply(text(["词"] * 500))
    chunks = http_client.run(collect(chat(upstream)))
    assert "".join(chunk.text for chunk in chunks) == "词" * 500
    assert len(chunks) < 50


def test_a_token_is_passed_on_before_the_next_one_comes(upstream: Upstream) -> None:
    upstream.reply(text(["早"]), hang(), text(["晚"]))

    async def run() -> tuple[str, str]:
        async with aclosing(chat(upstream).astream("在吗")) as stream:
            first = (await anext(stream)).text
            upstream.release()
            return first, "".join([chunk.text async for chunk in stream])

    assert http_client.run(run()) == ("早", "晚")


@pytest.mark.parametrize("packet", [1, 2, 3, 7])
def test_characters_may_be_cut_by_packets(upstream: Upstream, packet: int) -> None:
    upstream.reply(text(["汉字很好", "𠮷野家🍜"]), tool_call("search_documents", {"query": "年假"}), packet=packet)
    whole = answer(chat(upstream))
    assert whole.content == "汉字很好𠮷野家🍜"
    assert whole.tool_calls[0]["args"] == {"query": "年假"}


def test_several_tool_calls_at_once(upstream: Upstream) -> None:
    upstream.reply(
        tool_call("search_documents", {"query": "年假"}), tool_call("search_web", {"query": "labour law"}, "call_b")
    )
    whole = answer(chat(upstream))
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [
        ("search_documents", {"query": "年假"}),
        ("search_web", {"query": "labour law"}),
    ]
    assert whole.tool_calls[1]["id"] == "call_b"
    assert whole.response_metadata["finish_reason"] == "tool_calls"


def call(**fields) -> dict:
    return {"tool_calls": [fields]}


ODD_CALLS = {
    "whole calls in one delta each, without index": [
        call(id="a", function={"name": "f", "arguments": '{"x": 1}'}),
        call(id="b", function={"name": "g", "arguments": '{"y": 2}'}),
    ],
    "arguments as objects, without ids": [
        call(index=0, function={"name": "f", "arguments": {"x": 1}}),
        call(index=1, function={"name": "g", "arguments": {"y": 2}}),
    ],
    "one index for all calls": [
        call(index=0, id="a", function={"name": "f", "arguments": '{"x": 1}'}),
        call(index=0, id="b", function={"name": "g", "arguments": '{"y": 2}'}),
    ],
    "name and id with every delta": [
        call(index=0, id="a", function={"name": "f", "arguments": '{"x"'}),
        call(index=0, id="a", function={"name": "f", "arguments": ": 1}"}),
        call(index=1, id="b", function={"name": "g", "arguments": '{"y": 2}'}),
    ],
    "empty ids and names after the first delta": [
        call(index=0, id="a", function={"name": "f", "arguments": None}),
        call(index=0, id="", function={"name": "", "arguments": '{"x": 1}'}),
        call(index=1, id="b", function={"name": "g", "arguments": '{"y"'}),
        call(index=1, id=None, function={"name": None, "arguments": ": 2}"}),
    ],
    "pieces without index": [
        call(id="a", function={"name": "f", "arguments": ""}),
        call(function={"arguments": '{"x": 1}'}),
        call(id="b", function={"name": "g", "arguments": ""}),
        call(function={"arguments": '{"y": 2}'}),
    ],
}


@pytest.mark.parametrize("interval", [0, 0.002], ids=["at once", "one by one"])
@pytest.mark.parametrize("deltas", ODD_CALLS.values(), ids=ODD_CALLS.keys())
def test_tolerates_tool_calls_as_servers_write_them(upstream: Upstream, deltas: list[dict], interval: float) -> None:
    upstream.reply(*(delta(item) for item in deltas), interval=interval, finish_reason="tool_calls")
    calls = answer(chat(upstream)).tool_calls
    assert [(item["name"], item["args"]) for item in calls] == [("f", {"x": 1}), ("g", {"y": 2})]
    assert calls[0]["id"] != calls[1]["id"]
    assert all(item["id"] for item in calls)


@pytest.mark.parametrize(
    ("pieces", "thoughts", "content"),
    [
        (["<think>", "想一想", "</think>", "\n\n十天"], "想一想", "十天"),
        (["<th", "ink>\n想", "</th", "ink>十", "天"], "想", "十天"),
        (["\n", "<think>", "a < b </b>", "</think>", "好"], "a < b </b>", "好"),
        (["<think>没想完"], "没想完", ""),
        (["<thin", "g> is a tag"], None, "<thing> is a tag"),
        (["先答。<think>不是</think>"], None, "先答。<think>不是</think>"),
        (["<"], None, "<"),
    ],
)
def test_parts_thoughts_that_stand_in_the_content(upstream: Upstream, pieces, thoughts, content) -> None:
    upstream.reply(text(pieces), interval=0.002)
    whole = answer(chat(upstream))
    assert (whole.additional_kwargs.get("reasoning_content"), whole.content) == (thoughts, content)


def test_tolerates_content_in_parts_other_names_for_thoughts_and_events_without_choices(upstream: Upstream) -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "丙"}]}, {"type": "text", "text": "十天"}]
    upstream.reply(
        event({"choices": []}),
        event({"choices": None}),
        reasoning(["甲"], field="reasoning"),
        delta({"content": parts}),
        raw(b": ping\n\n"),
    )
    whole = answer(chat(upstream))
    assert (whole.additional_kwargs["reasoning_content"], whole.content) == ("甲丙", "十天")


def test_lines_may_end_in_crlf_and_need_no_space(upstream: Upstream) -> None:
    line = b'data:{"choices":[{"delta":{"content":"\xe5\xa5\xbd"},"finish_reason":"stop"}]}\r\n\r\ndata:[DONE]\r\n\r\n'
    upstream.reply(status(200, line.decode(), "text/plain"))
    assert answer(chat(upstream)).content == "好"


def test_a_last_line_needs_no_newline(upstream: Upstream) -> None:
    upstream.reply(status(200, 'data: {"choices":[{"delta":{"content":"好"},"finish_reason":"stop"}]}', "text/event-stream"))
    assert answer(chat(upstream)).content == "好"


def test_only_the_last_of_several_usages_counts(upstream: Upstream) -> None:
    running = [event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": n}}) for n in (1, 2)]
    upstream.reply(running[0], text("好"), running[1], usage=(5, 3), interval=0.002)
    assert answer(chat(upstream)).usage_metadata == {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}


def test_a_stream_with_finish_reason_needs_no_done(upstream: Upstream) -> None:
    upstream.reply(text("好"), done=False)
    assert answer(chat(upstream)).content == "好"


def test_a_whole_completion_is_an_answer_too(upstream: Upstream) -> None:
    upstream.reply(reasoning("想"), text("好"), tool_call("f", {"x": 1}), whole=True)
    whole = answer(chat(upstream))
    assert (whole.content, whole.additional_kwargs["reasoning_content"]) == ("好", "想")
    assert whole.tool_calls[0]["args"] == {"x": 1}
    assert whole.usage_metadata["input_tokens"] == 11


def test_ainvoke_and_invoke_give_a_whole_message(upstream: Upstream) -> None:
    model = chat(upstream)
    message = http_client.run(model.ainvoke("你好"))
    assert isinstance(message, AIMessage)
    assert not isinstance(message, AIMessageChunk)
    assert message.content == model.invoke("你好").content == "".join(c.text for c in model.stream("你好")) == "回声: 你好"


def test_several_choices_can_be_asked_for(upstream: Upstream) -> None:
    upstream.reply("好")
    result = http_client.run(chat(upstream).agenerate([[HumanMessage("选一个")]], n=3))
    assert [generation.text for generation in result.generations[0]] == ["好", "好", "好"]


def test_log_probabilities_are_kept(upstream: Upstream) -> None:
    logprobs = {"content": [{"token": "好", "logprob": -0.1}]}
    upstream.reply(event({"choices": [{"delta": {"content": "好"}, "logprobs": logprobs}]}))
    assert answer(chat(upstream)).response_metadata["logprobs"] == logprobs


def test_sends_options_tools_key_and_messages(upstream: Upstream) -> None:
    model = chat(upstream, temperature=0.3, max_tokens=99).bind_tools([search_documents])
    picture = [
        {"type": "text", "text": "这是什么？"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
    ]
    history = [
        SystemMessage("系统"),
        HumanMessage("问"),
        AIMessage("", tool_calls=[{"id": "c1", "name": "search_documents", "args": {"query": "假"}}]),
        ToolMessage("结果", tool_call_id="c1"),
        HumanMessage(picture),
    ]
    answer(model, history, stop=["完"])
    (request,) = upstream.requests
    assert request.headers["authorization"] == f"Bearer {KEY.get_secret_value()}"
    assert (request.body["temperature"], request.body["max_tokens"], request.body["stop"]) == (0.3, 99, ["完"])
    assert request.tools == ["search_documents"]
    assert [message["role"] for message in request.messages] == ["system", "user", "assistant", "tool", "user"]
    assert request.messages[2]["tool_calls"][0]["function"]["name"] == "search_documents"
    assert request.messages[3]["tool_call_id"] == "c1"
    assert request.images == [b"\x89PN"]


def test_without_a_key_there_is_no_authorization(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:1/v1")
    answer(OpenAIChat.of("scripted", upstream.url, SecretStr(""), ModelOptions()))
    assert "authorization" not in upstream.requests[0].headers


def test_thoughts_go_back_with_the_call_that_they_led_to(upstream: Upstream) -> None:
    upstream.reply(reasoning("要查"), tool_call("search_documents", {"query": "年假"}))
    agent = create_agent(chat(upstream), [search_documents])
    http_client.run(agent.ainvoke({"messages": "年假有几天？"}))
    assistant = upstream.requests[1].messages[1]
    assert assistant["reasoning_content"] == "要查"
    assert assistant["tool_calls"][0]["function"]["name"] == "search_documents"


def test_a_text_with_half_a_surrogate_pair_can_be_sent(upstream: Upstream) -> None:
    assert answer(chat(upstream), "坏\ud83d字").content == "回声: 坏?字"


def test_an_agent_calls_its_tool_and_answers(upstream: Upstream) -> None:
    def reply(request: Request):
        if request.messages[-1]["role"] == "tool":
            return f"答：{request.messages[-1]['content']}"
        return tool_call("search_documents", {"query": request.question})

    upstream.on(reply)
    agent = create_agent(chat(upstream), [search_documents])

    async def one(number: int) -> str:
        pieces = agent.astream({"messages": f"问题{number}"}, stream_mode="messages")
        return "".join([c.text async for c, meta in pieces if meta["langgraph_node"] == "model"])

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(one(number) for number in range(20)))

    expected = [f"答：[1] 手册.pdf，第 3 页\n问题{number}：十天。" for number in range(20)]
    assert http_client.run(all_at_once()) == expected


def test_hundreds_of_streams_at_once_keep_apart(upstream: Upstream) -> None:
    upstream.on(lambda request: Reply((text(f"甲乙丙丁戊{request.question}"),), interval=0.005))
    model = chat(upstream)

    async def one(number: int) -> str:
        return "".join([chunk.text async for chunk in model.astream(f"#{number}")])

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(one(number) for number in range(300)))

    assert http_client.run(all_at_once()) == [f"甲乙丙丁戊#{number}" for number in range(300)]


def test_structured_output_by_a_tool_call(upstream: Upstream) -> None:
    upstream.reply(tool_call("Title", {"title": "年假"}))
    schema = {"title": "Title", "description": "A title.", "type": "object", "properties": {"title": {"type": "string"}}}
    model = chat(upstream).with_structured_output(schema, method="function_calling")
    assert http_client.run(model.ainvoke("起个标题")) == {"title": "年假"}


def refuses_stream_options(request: Request):
    return status(400, {"error": {"message": "Extra inputs"}}) if "stream_options" in request.body else "好"


def test_a_server_that_refuses_stream_options_is_asked_without_from_then_on(upstream: Upstream) -> None:
    upstream.on(refuses_stream_options)
    model = chat(upstream)
    assert [answer(model).content for _ in range(2)] == ["好", "好"]
    assert ["stream_options" in request.body for request in upstream.requests] == [True, False, False]


def test_a_bad_request_is_not_repeated_where_stream_options_are_known_to_work(upstream: Upstream) -> None:
    model = chat(upstream)
    answer(model)
    upstream.reply(status(400))
    with pytest.raises(UpstreamError):
        answer(model)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("interval", [0, 0.01], ids=["end with the last event", "end after the last event"])
def test_a_connection_is_used_again(upstream: Upstream, interval: float) -> None:
    upstream.on(lambda request: Reply((text("好"),), interval=interval))
    model = chat(upstream)

    async def ports() -> set[int]:
        seen = set()
        for _ in range(3):
            await collect(model)
            connections = http_client.session().connector._conns.values()
            seen.update(c[0].transport.get_extra_info("sockname")[1] for conns in connections for c in conns)
        return seen

    assert len(http_client.run(ports())) == 1


def test_done_is_the_end_even_where_the_server_keeps_the_stream_open(upstream: Upstream) -> None:
    upstream.reply(text("好"), raw(b"data: [DONE]\n\n"), hang())
    started = time.monotonic()
    assert answer(chat(upstream)).content == "好"
    assert time.monotonic() - started < 10


class TestOpenAIItself:
    """What is special about api.openai.com is seen in the request that is made for it."""

    def payload(self, name: str, url: str = "https://api.openai.com/v1", **options) -> dict:
        model = OpenAIChat.of(name, url, KEY, ModelOptions(**options)).bind_tools([search_documents])
        return model.bound._get_request_payload([HumanMessage("问")], **model.kwargs)

    def test_it_gets_its_own_name_for_the_limit_others_the_old_one(self) -> None:
        assert self.payload("gpt-4.1-mini", max_tokens=9)["max_completion_tokens"] == 9
        assert (
            self.payload("qwen-plus", "https://dashscope.aliyuncs.com/compatible-mode/v1", max_tokens=9)["max_tokens"] == 9
        )

    def test_models_that_refuse_tools_while_they_think_do_not_think(self) -> None:
        assert self.payload("gpt-5.4-mini")["reasoning_effort"] == "none"
        assert "reasoning_effort" not in self.payload("gpt-4.1-mini")
        assert "reasoning_effort" not in self.payload("gpt-5.4-mini", "http://127.0.0.1:8000/v1")

    def test_models_that_refuse_a_temperature_get_none(self) -> None:
        assert "temperature" not in self.payload("gpt-6-luna", temperature=0.3)
        assert self.payload("gpt-4.1-mini", temperature=0.3)["temperature"] == 0.3
