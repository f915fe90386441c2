"""The scripted upstream is a faithful server: the vendors' own clients are content with it."""

import base64
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anthropic
import httpx
import openai
import pytest

from fakes.replies import cut, delta, empty, event, hang, html, raw, reasoning, reset, status, text, tool_call
from fakes.upstream import Request, Upstream, refusing_url
from fakes.wire import vector

QUESTION = [{"role": "user", "content": "年假有几天？"}]


@pytest.fixture
def client(upstream: Upstream) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=upstream.url, api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
def http(upstream: Upstream) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=upstream.root, trust_env=False) as client:
        yield client


def ask(client: openai.OpenAI, **options):
    return client.chat.completions.create(model="scripted", messages=QUESTION, **options)


def test_without_a_script_it_echoes_the_question(client: openai.OpenAI) -> None:
    assert ask(client).choices[0].message.content == "回声: 年假有几天？"


def test_streams_word_by_word_with_finish_reason_and_usage(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.reply(text("你好 world"), usage=(7, 3))
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert [c.choices[0].delta.content for c in chunks if c.choices] == ["", "你", "好", " ", "world", None]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.total_tokens == 10


def test_several_tool_calls_at_once(client: openai.OpenAI, upstream: Upstream) -> None:
    calls = (tool_call("search_documents", {"query": "年假"}), tool_call("search_web", {"query": "labour law"}))
    upstream.reply(*calls)
    upstream.reply(*calls)
    whole = ask(client).choices[0]
    assert whole.finish_reason == "tool_calls"
    assert [(c.function.name, c.function.arguments) for c in whole.message.tool_calls] == [(c.name, c.args) for c in calls]
    with client.chat.completions.stream(model="scripted", messages=QUESTION) as stream:
        streamed = stream.get_final_completion().choices[0].message
    assert [(c.id, c.function.arguments) for c in streamed.tool_calls] == [(c.id, c.args) for c in calls]


def test_queued_replies_come_before_the_function(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.on(lambda request: f"关于{request.question}")
    upstream.reply("第一")
    assert [ask(client).choices[0].message.content for _ in range(2)] == ["第一", "关于年假有几天？"]


def test_concurrent_clients_get_the_answers_to_their_own_questions(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.on(lambda request: f"答{request.question}")

    def one(number: int) -> str | None:
        messages = [{"role": "user", "content": f"问{number}"}]
        return client.chat.completions.create(model="m", messages=messages).choices[0].message.content

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(40))) == [f"答问{number}" for number in range(40)]
    assert len(upstream.arrived(40)) == 40


def test_several_choices(client: openai.OpenAI, upstream: Upstream) -> None:
    assert [c.index for c in ask(client, n=3).choices] == [0, 1, 2]
    assert {c.index for chunk in ask(client, n=3, stream=True) for c in chunk.choices} == {0, 1, 2}


def test_records_what_was_sent(client: openai.OpenAI, upstream: Upstream) -> None:
    ask(client, temperature=0, tools=[{"type": "function", "function": {"name": "search", "parameters": {}}}])
    (request,) = upstream.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-test"
    assert (request.body["temperature"], request.tools, request.question) == (0, ["search"], "年假有几天？")


def test_records_pictures_and_describes_them(client: openai.OpenAI, upstream: Upstream) -> None:
    url = "data:image/png;base64," + base64.b64encode(b"\x89PNG!").decode()
    content = [{"type": "text", "text": "图里有什么？"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = client.chat.completions.create(model="vision", messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == upstream.image_text
    assert upstream.requests[0].images == [b"\x89PNG!"]
    assert upstream.requests[0].question == "图里有什么？"


def test_lists_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["scripted"]


def test_embeddings_are_deterministic_and_like_texts_are_near(client: openai.OpenAI) -> None:
    texts = ["年假有几天", "年假有多少天", "quarterly revenue"]
    rows = [row.embedding for row in client.embeddings.create(model="e", input=texts).data]
    floats = [row.embedding for row in client.embeddings.create(model="e", input=texts, encoding_format="float").data]
    assert floats[0] == vector(texts[0])
    assert rows[0] == pytest.approx(floats[0])
    near, far = (sum(a * b for a, b in zip(rows[0], other, strict=True)) for other in rows[1:])
    assert near > far + 0.3


def test_any_endpoint_can_be_given_a_fault(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.reply(status(500), to="embeddings")
    with pytest.raises(openai.InternalServerError):
        client.embeddings.create(model="e", input="年假")
    assert client.embeddings.create(model="e", input="年假").data


def test_thoughts_and_odd_deltas_are_sent_as_scripted(http: httpx.Client, upstream: Upstream) -> None:
    odd = {"tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}
    upstream.reply(reasoning("想想"), reasoning(["再想"], field="reasoning"), delta(odd), event({"choices": []}), text("好"))
    answer = http.post("/v1/chat/completions", json={"messages": QUESTION, "stream": True}).text
    chunks = [json.loads(line[6:]) for line in answer.splitlines() if line.startswith("data: {")]
    assert {"choices": []} in chunks
    assert [c["choices"][0]["delta"] for c in chunks if c["choices"]] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "想"},
        {"reasoning_content": "想"},
        {"reasoning": "再想"},
        odd,
        {"content": "好"},
        {},
    ]


def test_packets_may_end_inside_a_character(upstream: Upstream) -> None:
    upstream.reply(text(["汉字", "很好"]), packet=5)
    body = {"model": "m", "messages": QUESTION, "stream": True}
    with httpx.Client(trust_env=False) as http, http.stream("POST", f"{upstream.url}/chat/completions", json=body) as answer:
        packets = list(answer.iter_raw())
    broken = 0
    for packet in packets:
        try:
            packet.decode()
        except UnicodeDecodeError:
            broken += 1
    assert broken
    assert "汉字" in b"".join(packets).decode()


def test_answers_a_status_with_its_headers(http: httpx.Client, upstream: Upstream) -> None:
    upstream.reply(status(429, retry_after="7"))
    upstream.reply(status(500, "Traceback: key sk-live-geheim", "text/plain"))
    first, second = (http.post("/v1/chat/completions", json={"messages": QUESTION}) for _ in range(2))
    assert (first.status_code, first.headers["retry-after"]) == (429, "7")
    assert (second.status_code, second.text) == (500, "Traceback: key sk-live-geheim")


@pytest.mark.parametrize(("part", "body"), [(html(), "<!doctype"), (empty(), ""), (raw(b"data: {oops\n\n"), "data: ")])
def test_answers_nonsense_with_200(http: httpx.Client, upstream: Upstream, part, body: str) -> None:
    upstream.reply(part)
    answer = http.post("/v1/chat/completions", json={"messages": QUESTION, "stream": True})
    assert answer.status_code == 200
    assert answer.text.startswith(body)


@pytest.mark.parametrize(("fault", "error"), [(cut(), httpx.RemoteProtocolError), (reset(), httpx.ReadError)])
def test_breaks_off_in_mid_stream(http: httpx.Client, upstream: Upstream, fault, error) -> None:
    upstream.reply(text("一半"), fault, text("永远不会"))
    with pytest.raises(error):
        http.post("/v1/chat/completions", json={"messages": QUESTION, "stream": True})
    assert not upstream.requests[0].disconnected.is_set()


def test_a_stream_may_end_without_finish_reason(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.reply(text("没完"), finish_reason=None, done=False)
    assert {c.choices[0].finish_reason for c in ask(client, stream=True)} == {None}


@pytest.mark.parametrize("before", ["headers", "next"])
def test_hangs_until_released(client: openai.OpenAI, upstream: Upstream, before) -> None:
    upstream.reply(hang(before), text("醒了"))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: [c.choices[0].delta.content for c in ask(client, stream=True)])
        assert upstream.arrived()[0].hanging.wait(5)
        assert not answer.done()
        upstream.release()
        assert answer.result(5)[1:3] == ["醒", "了"]


def test_sees_a_client_that_leaves_early(http: httpx.Client, upstream: Upstream) -> None:
    upstream.reply(text("开头"), hang())
    with http.stream("POST", "/v1/chat/completions", json={"messages": QUESTION, "stream": True}) as answer:
        pieces = answer.iter_bytes()  # kept: httpx closes the answer with its iterator
        next(pieces)
        assert not upstream.requests[0].disconnected.is_set()
    assert upstream.requests[0].disconnected.wait(5)
    assert upstream.requests[0].disconnected_after > 0


def test_a_refusing_url_refuses() -> None:
    with refusing_url() as url, httpx.Client(trust_env=False) as http, pytest.raises(httpx.ConnectError):
        http.get(url)


def test_speaks_anthropic(upstream: Upstream) -> None:
    call = tool_call("search_documents", {"query": "年假"})
    script = (reasoning("想一想"), text("我查一下"), call)
    upstream.reply(*script)
    upstream.reply(*script)
    with anthropic.Anthropic(base_url=upstream.root, api_key="sk-ant-test", max_retries=0) as client:
        whole = client.messages.create(model="claude", max_tokens=50, messages=QUESTION)
        with client.messages.stream(model="claude", max_tokens=50, messages=QUESTION) as stream:
            streamed = stream.get_final_message()
    for message in (whole, streamed):
        assert message.content[0].thinking == "想一想"
        assert message.content[1].text == "我查一下"
        assert message.content[2].input == {"query": "年假"}
        assert message.stop_reason == "tool_use"
    assert upstream.requests[0].headers["authorization"] == "Bearer sk-ant-test"


def test_an_anthropic_question_is_echoed(upstream: Upstream) -> None:
    with anthropic.Anthropic(base_url=upstream.root, api_key="k", max_retries=0) as client:
        answer = client.messages.create(model="claude", max_tokens=50, messages=[{"role": "user", "content": "在吗"}])
    assert answer.content[0].text == "回声: 在吗"


def test_the_question_is_the_last_of_the_user_even_after_tool_results() -> None:
    messages = [*QUESTION, {"role": "assistant", "content": ""}, {"role": "tool", "content": "[1]", "tool_call_id": "c"}]
    assert Request("/", {}, {"messages": messages}).question == "年假有几天？"


def test_runs_as_a_program() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    program = Path(__file__).parent / "fakes" / "upstream.py"
    command = [sys.executable, str(program), "--port", str(port), "--tokens", "50"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as client:
                pieces = [chunk.choices[0].delta.content for chunk in ask(client, stream=True)]
        finally:
            process.terminate()
    assert len([piece for piece in pieces if piece]) == 50
