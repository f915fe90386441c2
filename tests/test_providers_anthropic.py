"""Claude over real sockets, by Anthropic's own client library."""

import asyncio
import logging

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk
from langchain_core.tools import tool
from pydantic import SecretStr

from fakes.replies import cut, empty, event, hang, html, raw, reasoning, status, text, tool_call
from fakes.upstream import Request, Upstream, refusing_url
from models.providers import ModelOptions, anthropic
from utils.errors import ChatError, UpstreamBusy, UpstreamError, UpstreamRejected, UpstreamTimeout
from utils.settings import Settings

KEY = "sk-ant-api03-0123456789"


def claude(url: str, **options):
    return anthropic.build(Settings(ANTHROPIC_API_KEY=KEY, ANTHROPIC_API_URL=url), ModelOptions(**options))


def run(model, coroutine):
    """The vendor's client pools connections too: here they end with the loop."""

    async def closing():
        async with model._async_client:
            return await coroutine

    return asyncio.run(closing())


def answer(model, question: str = "年假有几天？") -> AIMessageChunk:
    chat = getattr(model, "bound", model)

    async def collect() -> list[AIMessageChunk]:
        return [chunk async for chunk in model.astream(question)]

    first, *rest = run(chat, collect())
    return first.__add__(rest) if rest else first


def fails(model) -> ChatError:
    with pytest.raises(ChatError) as caught:
        answer(model)
    return caught.value


@tool
async def search_documents(query: str) -> str:
    """Searches the documents of this conversation."""
    return f"[1] 手册.pdf，第 3 页\n{query}：十天。"


def test_streams_text_with_usage_and_finish_reason(upstream: Upstream) -> None:
    upstream.reply(text("年假有十天。"), usage=(21, 8), finish_reason="length")
    whole = answer(claude(upstream.root))
    assert whole.text == "年假有十天。"
    assert (whole.usage_metadata["input_tokens"], whole.usage_metadata["output_tokens"]) == (21, 8)
    assert whole.response_metadata["finish_reason"] == "length"


def test_thoughts_stand_where_other_models_have_them(upstream: Upstream) -> None:
    upstream.reply(reasoning("先想一想"), text("十天"))
    whole = answer(claude(upstream.root).bind_tools([search_documents]))
    assert (whole.additional_kwargs["reasoning_content"], whole.text) == ("先想一想", "十天")


def test_an_agent_calls_its_tool_and_answers(upstream: Upstream) -> None:
    def reply(request: Request):
        last = request.messages[-1]["content"]
        if isinstance(last, list) and last[0]["type"] == "tool_result":
            return f"答：{last[0]['content']}"
        return tool_call("search_documents", {"query": request.question})

    upstream.on(reply)
    model = claude(upstream.root)
    result = run(model, create_agent(model, [search_documents]).ainvoke({"messages": "年假"}))
    assert result["messages"][-1].text == "答：[1] 手册.pdf，第 3 页\n年假：十天。"
    assert upstream.requests[0].tools == ["search_documents"]


def test_sends_key_model_and_limits(upstream: Upstream) -> None:
    answer(claude(upstream.root + "/v1/", model="claude-of-tomorrow", temperature=0.4, max_tokens=77))
    (request,) = upstream.requests
    assert request.path == "/v1/messages"
    assert KEY in (request.headers.get("x-api-key"), request.headers.get("authorization", "").removeprefix("Bearer "))
    body = request.body
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("claude-of-tomorrow", 0.4, 77)


def test_a_model_that_refuses_a_temperature_gets_none(upstream: Upstream) -> None:
    answer(claude(upstream.root, temperature=0.4))
    assert "temperature" not in upstream.requests[0].body
    assert upstream.requests[0].body["model"] == anthropic.MODEL


def test_a_url_of_the_options_never_gets_the_servers_key(upstream: Upstream) -> None:
    answer(claude("http://127.0.0.1:1", base_url=upstream.root, api_key=SecretStr("sk-of-the-user")))
    assert KEY not in str(upstream.requests[0].headers)
    assert "sk-of-the-user" in str(upstream.requests[0].headers)


def test_sync_invoke_answers_and_fails_alike(upstream: Upstream) -> None:
    upstream.reply("好")
    upstream.reply(status(401))
    model = claude(upstream.root)
    assert model.invoke("在吗").text == "好"
    with pytest.raises(UpstreamError):
        model.invoke("在吗")
    model._client.close()


ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
FAULTS = {
    "401": ((status(401),), UpstreamRejected),
    "429": ((status(429, retry_after="30"),), UpstreamBusy),
    "500": ((status(500, f"Traceback {KEY}", "text/plain"),), UpstreamError),
    "503": ((status(503, retry_after="9"),), UpstreamBusy),
    "529": ((status(529, ERROR, retry_after="9"),), UpstreamBusy),
    "overloaded in mid-stream": ((text("一半"), event(ERROR)), UpstreamBusy),
    "a cut in mid-stream": ((text("一半"), cut()), UpstreamError),
    "broken JSON": ((text("一半"), raw(b"event: content_block_delta\ndata: {oops\n\n")), UpstreamError),
    "a page of HTML": ((html(),), UpstreamError),
    "an empty body": ((empty(),), UpstreamError),
}


@pytest.mark.parametrize(("parts", "kind"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_becomes_our_error(upstream: Upstream, caplog: pytest.LogCaptureFixture, parts, kind) -> None:
    upstream.reply(*parts)
    with caplog.at_level(logging.INFO):
        error = fails(claude(upstream.root))
    assert type(error) is kind
    assert "Traceback" not in error.message("en")
    assert KEY not in caplog.text
    assert len(upstream.requests) == 1


def test_an_answer_without_an_end_is_an_error(upstream: Upstream) -> None:
    upstream.reply(text("没完"), finish_reason=None, done=False)
    assert type(fails(claude(upstream.root))) is UpstreamError


def test_retry_after_is_handed_on(upstream: Upstream) -> None:
    upstream.reply(status(429, retry_after="30"))
    assert fails(claude(upstream.root)).retry_after == 30


def test_a_refused_connection_is_an_upstream_error() -> None:
    with refusing_url() as url:
        assert type(fails(claude(url))) is UpstreamError


@pytest.mark.parametrize("parts", [(hang("headers"),), (text("一半"), hang())], ids=["before the headers", "in mid-stream"])
def test_silence_times_out(upstream: Upstream, parts) -> None:
    upstream.reply(*parts)
    assert type(fails(claude(upstream.root, read_timeout=0.3))) is UpstreamTimeout
    assert upstream.requests[0].disconnected.wait(5)


def test_a_passing_overload_is_not_seen(upstream: Upstream) -> None:
    upstream.reply(status(529, ERROR))
    upstream.reply("好")
    assert answer(claude(upstream.root)).text == "好"


def test_a_cancelled_task_closes_the_connection_at_once(upstream: Upstream) -> None:
    upstream.reply(text("开头"), hang())
    model = claude(upstream.root)

    async def cancelled() -> None:
        task = asyncio.ensure_future(model.ainvoke("在吗"))
        (request,) = await asyncio.to_thread(upstream.arrived)
        assert await asyncio.to_thread(request.hanging.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(request.disconnected.wait, 5)

    run(model, cancelled())
