"""The OpenAI SDK, as people use it, with the agent, against the running product."""

import base64
from typing import Any

import openai
import pytest
from openai import OpenAI

from fakes.documents import text_image
from fakes.replies import cut, hang, reasoning, text, tool_call
from fakes.upstream import Request, Upstream
from fakes.website import Website
from fixtures.openai_clients import WEATHER, Rich, ask
from fixtures.server import Server


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
        first = ask(
            client, messages=[{"role": "system", "content": "叫我船长。"}, {"role": "user", "content": "我叫小明"}], **named
        )
        assert first.session_id == session and first.message_id.startswith("msg_") and first.sources == []
        ask(client, messages=[{"role": "user", "content": "我叫什么？"}], **named)
        told = scripted.requests[1].messages
        assert "叫我船长。" in told[0]["content"]
        assert [message["content"] for message in told[1:]] == ["我叫小明", "回声: 我叫小明", "我叫什么？"]
        assert "我叫小明" in server.chat("一共几句？", session)["response"] or "我叫小明" in str(
            scripted.requests[2].messages
        )

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

    def test_a_turn_that_runs_in_the_session_is_a_conflict(
        self, rich_client: OpenAI, scripted: Upstream, session: str
    ) -> None:
        scripted.reply(text("词"), hang())
        running = ask(rich_client, stream=True, extra_body={"session_id": session})
        next(running)
        with pytest.raises(openai.ConflictError):
            ask(rich_client, extra_body={"session_id": session})
        scripted.release()
        assert [chunk.choices[0].finish_reason for chunk in running][-1] == "stop"

    def test_a_preset_may_do_its_work(self, rich_client: OpenAI, rich: Rich) -> None:
        assert ask(rich_client, model="agent:glm4").choices[0].message.content == "回声: 年假有几天？"
        assert rich.preset.requests[0].body["model"] == "GLM-4-32B" and rich.preset.requests[0].tools

    def test_results_of_the_clients_tools_in_the_history_are_told(self, client: OpenAI, scripted: Upstream) -> None:
        call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "北京"}'}}
        lost = {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
        history = [
            {"role": "user", "content": "天气？"},
            {"role": "assistant", "content": None, "tool_calls": [call, lost]},
            {"role": "tool", "tool_call_id": "call_1", "content": "晴"},
            {"role": "assistant", "content": "晴天。"},
            {"role": "user", "content": "那明天呢？"},
        ]
        ask(client, model="agent", messages=history)
        told = scripted.requests[0].messages[1:]
        assert [message["role"] for message in told] == ["user", "assistant", "tool", "assistant", "user"]
        assert [one["id"] for one in told[1]["tool_calls"]] == ["call_1"] and told[2]["content"] == "晴"

    @pytest.mark.parametrize(
        "messages",
        [
            [{"role": "user", "content": "一"}, {"role": "assistant", "content": "二"}],
            [{"role": "system", "content": "一"}],
            [{"role": "user", "content": "  "}],
            [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}],
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "../../../etc/passwd"}}]}],
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}],
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:text/plain,x"}}]}],
            [{"role": "user", "content": [{"type": "file", "file": {"file_data": "data:application/pdf,x"}}]}],
        ],
    )
    def test_refuses_messages_that_it_cannot_answer(self, client: OpenAI, messages: list[dict[str, Any]]) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, model="agent", messages=messages)
        assert caught.value.param == "messages"

    def test_a_failure_in_mid_stream_is_an_error_object(self, client: OpenAI, scripted: Upstream) -> None:
        scripted.reply(text(["从前", "有"]), cut(), interval=0.05)
        seen = []
        with pytest.raises(openai.APIError) as caught:
            for chunk in ask(client, model="agent", stream=True):
                seen.append(chunk.choices[0].delta.content)
        assert "从前" in "".join(seen) and caught.value.code == "upstream_failed" and caught.value.type == "server_error"


def picture_part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def asking_about(*urls: str, question: str = "门牌号是多少？") -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": question}, *map(picture_part, urls)]}]


PICTURE = text_image(["会议室 305", "下午三点开会"])
DATA_URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()


class TestPicturesForTheAgent:
    def test_without_a_session_their_text_is_told_and_nothing_is_kept(
        self, client: OpenAI, scripted: Upstream, server: Server
    ) -> None:
        earlier = [*asking_about(DATA_URL, question="看图"), {"role": "assistant", "content": "好"}]
        ask(client, model="agent", messages=[*earlier, {"role": "user", "content": "门牌号是多少？"}])
        (request,) = scripted.requests
        assert "305" in request.messages[1]["content"] and request.messages[1]["content"].endswith("看图")
        assert request.messages[3]["content"] == "门牌号是多少？"
        ask(client, model="agent", messages=asking_about(DATA_URL))
        assert "305" in scripted.requests[1].messages[-1]["content"]
        assert not list((server.data / "uploads" / "incoming").iterdir())

    def test_a_model_that_sees_gets_them_as_they_are(self, rich_client: OpenAI, scripted: Upstream) -> None:
        remote = "https://example.com/猫.png"
        earlier = [*asking_about(remote, question="看图"), {"role": "assistant", "content": "好"}]
        ask(rich_client, model="agent", messages=[*earlier, *asking_about(DATA_URL)])
        told = scripted.requests[0].messages
        assert told[1]["content"] == [{"type": "text", "text": "看图"}, picture_part(remote)]
        assert told[3]["content"] == [{"type": "text", "text": "门牌号是多少？"}, picture_part(DATA_URL)]

    def test_with_a_session_they_stay_with_it(
        self, client: OpenAI, scripted: Upstream, server: Server, session: str
    ) -> None:
        named = {"extra_body": {"session_id": session}}
        ask(client, messages=asking_about(DATA_URL), **named)
        ask(client, messages=[{"role": "user", "content": "再说一遍？"}], **named)
        for request in scripted.requests:
            assert "305" in request.messages[1]["content"]
        assert PICTURE in [path.read_bytes() for path in (server.data / "uploads").glob("*/images/*/original")]

    def test_a_url_is_fetched_by_the_guard(self, client: OpenAI, scripted: Upstream) -> None:
        with Website() as inner, pytest.raises(openai.BadRequestError) as caught:
            ask(client, model="agent", messages=asking_about(f"{inner.url}/secret.png"))
        assert caught.value.code == "url_not_allowed" and not inner.paths and not scripted.requests

    def test_a_url_may_lead_to_a_picture(self, rich_client: OpenAI, rich: Rich, scripted: Upstream, session: str) -> None:
        rich.site.page("/room.png", PICTURE, "image/png")
        url = f"{rich.site.url}/room.png"
        ask(rich_client, messages=asking_about(url), extra_body={"session_id": session})
        told = scripted.requests[-1].messages[1]["content"]
        assert "305" in told[0]["text"] and told[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")

    def test_documents_are_for_sessions(self, client: OpenAI, scripted: Upstream, session: str) -> None:
        data = base64.b64encode("员工每年享有十五天带薪年假。".encode()).decode()
        part = {"type": "file", "file": {"filename": "手册.txt", "file_data": f"data:text/plain;base64,{data}"}}
        messages = [{"role": "user", "content": [{"type": "text", "text": "年假几天？"}, part]}]
        ask(client, messages=messages, extra_body={"session_id": session})
        assert "手册.txt" in scripted.requests[-1].messages[0]["content"]
        assert "search_documents" in scripted.requests[-1].tools


def request_tokens(scripted: Upstream) -> list[int]:
    """The tokens of the two scripted calls: 11 and 5 for the call of a tool, then those of the answer."""
    assert len(scripted.requests) == 2
    return [11, 5, 30, 6]
