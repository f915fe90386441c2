"""What can go wrong between the OpenAI-compatible chat model and its server, and what a caller sees of it."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk
from pydantic import SecretStr

from fakes.replies import cut, delta, empty, event, hang, html, raw, reset, status, text
from fakes.upstream import Upstream, refusing_url
from models.openai_chat import OpenAIChat
from models.providers import ModelOptions
from utils import http_client
from utils.errors import (
    ChatError,
    UpstreamBadRequest,
    UpstreamBusy,
    UpstreamError,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)

KEY = SecretStr("sk-server-0123456789")
SECRET = "sk-live-9876543210abcdef"
UGLY = f'Traceback (most recent call last): File "/srv/secret/app.py" key={SECRET} Bearer {KEY.get_secret_value()}'


def chat(url: str, **options) -> OpenAIChat:
    return OpenAIChat.of("scripted", url, KEY, ModelOptions(**options))


def fails(model, seen: list[AIMessageChunk] | None = None) -> ChatError:
    """The error of a streamed answer; `seen` gets the chunks that came before it."""

    async def run() -> None:
        async for chunk in model.astream("年假有几天？"):
            if seen is not None:
                seen.append(chunk)

    with pytest.raises(ChatError) as caught:
        http_client.run(run())
    return caught.value


STATUSES = [
    (status(400), UpstreamBadRequest),
    (status(401), UpstreamRejected),
    (status(403), UpstreamRejected),
    (status(404), UpstreamRejected),
    (status(500, UGLY, "text/plain"), UpstreamError),
    (status(502), UpstreamError),
    (status(504), UpstreamTimeout),
    (status(429), UpstreamBusy),
    (status(503), UpstreamBusy),
    (html(502), UpstreamError),
]


@pytest.mark.parametrize(("answer", "kind"), STATUSES, ids=[str(answer.status) for answer, _ in STATUSES])
def test_a_status_becomes_our_error(upstream: Upstream, answer, kind) -> None:
    upstream.on(lambda request: answer)
    error = fails(chat(upstream.url))
    assert type(error) is kind
    assert error.message("zh").isprintable()
    assert "scripted" in error.message("en")


def test_a_redirect_is_not_followed(upstream: Upstream) -> None:
    upstream.reply(status(307, location=f"{upstream.url}/chat/completions"))
    assert isinstance(fails(chat(upstream.url)), UpstreamError)
    assert len(upstream.requests) == 1


STREAMS = {
    "a page of HTML": (html(),),
    "an empty body": (empty(),),
    "an error object in the stream": (text("一半"), event({"error": {"message": UGLY, "code": 500}})),
    "an error object instead of a completion": (status(200, {"error": {"message": UGLY}}),),
    "vLLM's error object": (event({"object": "error", "message": UGLY, "code": 400}),),
    "JSON that is no completion": (status(200, {"detail": "Not Found"}),),
    "half a completion": (status(200, '{"choices": [{"message": {"content": "一'),),
    "broken JSON": (text("一半"), raw(b'data: {"choices": [\n\n')),
    "JSON that is no object": (raw(b"data: [1, 2]\n\n"),),
    "choices of an unknown shape": (event({"choices": ["一"]}),),
    "bytes that are no text": (raw(b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n'),),
    "a cut in mid-stream": (text("一半"), cut()),
    "a reset in mid-stream": (text("一半"), reset()),
    "nothing but an end": (),
    "an empty text": (delta({"content": ""}),),
}


@pytest.mark.parametrize("parts", STREAMS.values(), ids=STREAMS.keys())
def test_what_is_no_answer_becomes_an_error(upstream: Upstream, parts) -> None:
    upstream.reply(*parts)
    assert isinstance(fails(chat(upstream.url)), UpstreamError)
    assert len(upstream.requests) == 1


def test_a_stream_that_just_ends_is_no_answer(upstream: Upstream) -> None:
    upstream.reply(text("没完"), finish_reason=None, done=False)
    seen: list[AIMessageChunk] = []
    assert type(fails(chat(upstream.url), seen)) is UpstreamError
    assert "".join(chunk.text for chunk in seen) == "没完"


@pytest.mark.parametrize("code", [429, "429", "rate_limit_exceeded"])
def test_an_error_object_may_say_that_the_server_is_busy(upstream: Upstream, code) -> None:
    upstream.reply(event({"error": {"message": "too many", "code": code}}))
    assert type(fails(chat(upstream.url))) is UpstreamBusy


def test_an_event_without_an_end_is_not_read_for_ever(upstream: Upstream) -> None:
    upstream.reply(raw(b"data: " + b"x" * 17_000_000), hang())
    assert type(fails(chat(upstream.url))) is UpstreamError


def test_the_same_errors_come_through_an_agent_and_ainvoke(upstream: Upstream) -> None:
    upstream.on(lambda request: status(401))
    with pytest.raises(UpstreamError):
        http_client.run(create_agent(chat(upstream.url), []).ainvoke({"messages": "在吗"}))
    with pytest.raises(UpstreamError):
        chat(upstream.url).invoke("在吗")


def test_a_refused_connection_is_an_upstream_error() -> None:
    with refusing_url() as url:
        assert type(fails(chat(url))) is UpstreamUnreachable


def test_a_host_without_address_is_an_upstream_error() -> None:
    assert type(fails(chat("http://no-such-host.invalid/v1"))) is UpstreamUnreachable


@pytest.mark.parametrize("url", ["not a url", "ftp://127.0.0.1/v1", "http://127.0.0.1:99999/v1", ""])
def test_a_url_that_is_none_is_an_upstream_error(url: str) -> None:
    assert type(fails(chat(url))) is UpstreamUnreachable


@contextlib.contextmanager
def deaf_url() -> Iterator[str]:
    """A base URL whose server never accepts: its backlog is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"


def test_a_connection_that_is_not_accepted_times_out() -> None:
    with deaf_url() as url:
        assert type(fails(chat(url, connect_timeout=0.2))) is UpstreamTimeout


SILENCES = {
    "before the headers": (hang("headers"), text("好")),
    "before the first token": (hang(), text("好")),
    "between two tokens": (text("一半"), hang(), text("另一半")),
    "but for heartbeats": tuple(raw(b": keep-alive\n\n") for _ in range(500)),
}


@pytest.mark.parametrize("parts", SILENCES.values(), ids=SILENCES.keys())
def test_silence_times_out_and_the_connection_is_closed(upstream: Upstream, parts) -> None:
    upstream.reply(*parts, interval=0.02)
    assert type(fails(chat(upstream.url, read_timeout=0.3))) is UpstreamTimeout
    assert upstream.requests[0].disconnected.wait(5)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("parts", [(text("开头"), hang()), (hang("headers"),)], ids=["in mid-stream", "before the headers"])
def test_a_cancelled_task_closes_the_connection_at_once(upstream: Upstream, parts) -> None:
    upstream.reply(*parts)

    async def run() -> None:
        task = asyncio.ensure_future(read_all(chat(upstream.url)))
        (request,) = await asyncio.to_thread(upstream.arrived)
        assert await asyncio.to_thread(request.hanging.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(request.disconnected.wait, 5)

    http_client.run(run())


async def read_all(model) -> None:
    async for _ in model.astream("在吗"):
        pass


def test_a_cancelled_agent_closes_the_connection_at_once(upstream: Upstream) -> None:
    upstream.reply(text("开头"), hang())

    async def run() -> None:
        agent = create_agent(chat(upstream.url), [])
        task = asyncio.ensure_future(agent.ainvoke({"messages": "在吗"}))
        (request,) = await asyncio.to_thread(upstream.arrived)
        assert await asyncio.to_thread(request.hanging.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(request.disconnected.wait, 5)

    http_client.run(run())


def test_an_answer_that_is_left_half_read_is_closed(upstream: Upstream) -> None:
    upstream.reply(text("开头"), hang())

    async def run() -> None:
        async with contextlib.aclosing(chat(upstream.url).astream("在吗")) as stream:
            await anext(stream)
        assert await asyncio.to_thread(upstream.requests[0].disconnected.wait, 5)

    http_client.run(run())


class TestRetries:
    @pytest.mark.parametrize("answer", [status(502), status(503), status(504), status(429, retry_after="0")])
    def test_a_passing_fault_is_not_seen(self, upstream: Upstream, answer) -> None:
        upstream.reply(answer)
        upstream.reply(text("好"))
        assert chat(upstream.url).invoke("在吗").content == "好"
        assert len(upstream.requests) == 2

    def test_there_are_two_at_most(self, upstream: Upstream) -> None:
        upstream.on(lambda request: status(503))
        assert type(fails(chat(upstream.url))) is UpstreamBusy
        assert len(upstream.requests) == 3

    def test_a_lost_connection_before_any_answer_is_tried_again(self, upstream: Upstream) -> None:
        with refusing_url() as url:
            started = time.monotonic()
            fails(chat(url))
            assert time.monotonic() - started > 0.29  # the two pauses

    @pytest.mark.parametrize("answer", [status(429), status(400), status(401), status(500), status(503, retry_after="30")])
    def test_other_faults_are_not_tried_again(self, upstream: Upstream, answer) -> None:
        chat(upstream.url).invoke("在吗")  # the server is known to take stream_options
        upstream.on(lambda request: answer)
        fails(chat(upstream.url))
        assert len(upstream.requests) == 2

    def test_nothing_is_tried_again_once_an_answer_has_begun(self, upstream: Upstream) -> None:
        upstream.reply(text("一"), cut())
        fails(chat(upstream.url))
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("30", 30, 30),
        ("7.5", 7.5, 7.5),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 5),
        ("bald", 5, 5),
        ("-3", 5, 5),
    ],
)
def test_retry_after_is_handed_on(upstream: Upstream, value: str, low: float, high: float) -> None:
    upstream.on(lambda request: status(429, retry_after=value))
    error = fails(chat(upstream.url))
    assert isinstance(error, UpstreamBusy)
    assert low <= (error.retry_after or -1) <= high


def test_retry_after_may_be_a_date(upstream: Upstream) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=3600), usegmt=True)
    upstream.on(lambda request: status(429, retry_after=date))
    error = fails(chat(upstream.url))
    assert isinstance(error, UpstreamBusy) and 3000 < (error.retry_after or 0) <= 3600


@pytest.mark.parametrize(
    "parts", [(status(500, UGLY, "text/plain"),), (event({"error": {"message": UGLY}}),), (raw(UGLY.encode()),)]
)
def test_an_upstreams_words_reach_neither_the_client_nor_keys_the_log(
    upstream: Upstream, caplog: pytest.LogCaptureFixture, parts
) -> None:
    upstream.reply(*parts, finish_reason=None, done=False)
    with caplog.at_level(logging.DEBUG):
        error = fails(chat(upstream.url))
    for words in (error.message("en"), error.message("zh"), repr(error)):
        assert not any(leak in words for leak in ("sk-", "Traceback", "/srv", "127.0.0.1"))
    assert "scripted" in caplog.text
    ours = "\n".join(record.getMessage() for record in caplog.records)
    assert SECRET not in ours
    assert KEY.get_secret_value() not in ours


def test_the_log_holds_the_beginning_of_an_errors_body(upstream: Upstream, caplog: pytest.LogCaptureFixture) -> None:
    upstream.reply(status(400, {"error": {"message": "model not found: 千问" + "x" * 5000}}))
    upstream.reply(status(400, {"error": {"message": "model not found: 千问" + "x" * 5000}}))
    fails(chat(upstream.url))
    assert "model not found: 千问" in caplog.text
    assert max(len(record.getMessage()) for record in caplog.records) < 1000


def test_a_path_as_the_models_name_is_not_shown(upstream: Upstream) -> None:
    upstream.on(lambda request: status(500))
    model = OpenAIChat.of("/srv/models/qwen3", upstream.url, KEY, ModelOptions())
    assert fails(model).message("zh") == "上游服务出错：LLM。"
