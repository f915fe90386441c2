"""The AI SDK 4 to 7 itself talks to the server. Each plays its scenes in one run of Node; see `clients/`."""

import base64
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fakes.documents import text_image
from fakes.replies import Reply, cut, hang, reasoning, status, text, tool_call
from fakes.upstream import Answer, Request, Upstream
from fixtures.clients import RunClient
from fixtures.ingestion import eventually
from fixtures.server import Server

HANDBOOK = "员工手册\n\n年假为十五天，工作满十年者为二十天。"
GOLDEN = Path(__file__).parent / "golden"
UI = pytest.mark.parametrize(
    "ui", ["ai7", pytest.param("ai6", marks=pytest.mark.slow), pytest.param("ai5", marks=pytest.mark.slow)], indirect=True
)


@dataclass
class Played:
    """What became of all scenes, and what the model was asked meanwhile."""

    name: str
    scenes: dict[str, Any]
    requests: list[Request]
    server: Server

    def texts(self, scene: str) -> list[str]:
        """What each message of a scene says, one after the other."""
        messages = self.scenes[scene]["messages"]
        return ["".join(part["text"] for part in parts(message, "text")) for message in messages]

    def history(self, scene: str, branches: str = "active") -> list[dict[str, Any]]:
        url = f"{self.server.url}/conversations/{self.name}-{scene}/history"
        messages: list[dict[str, Any]] = self.server.api.get(url, params={"branches": branches}).json()["messages"]
        return messages


@dataclass
class Model:
    """Answers by what is asked."""

    upstream: Upstream
    asked: Counter[str] = field(default_factory=Counter)

    def __call__(self, request: Request) -> Answer | None:
        question = request.question.rpartition("\n")[2]
        self.asked[question] += 1
        match question:
            case "想一想":
                return reasoning("先想一想。"), text("好。")
            case "查手册" if request.messages[-1]["role"] == "tool":
                return text("年假十五天 [1]。")
            case "查手册":
                return (
                    text("我查一下。"),
                    tool_call("search_documents", {"query": "年假"}),
                    tool_call("visit_url", {"url": "http://10.0.0.1/"}),
                )
            case "坏了":
                return Reply((status(500),))
            case "断了":
                return text("从前"), cut()
            case "慢慢说":
                return text("第一段。"), hang(), text("第二段。")
            case "放行":
                self.upstream.release()
            case "掷骰子":
                return f"第{self.asked[question]}次"
            case "先坏后好":
                return Reply((status(500),)) if self.asked[question] == 1 else "好了"
        return None


def data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def play(run_client: RunClient, server: Server, model: Upstream, name: str, *command: str) -> Iterator[Played]:
    model.on(Model(model))
    upload = server.api.post(
        "documents", files={"file": ("员工手册.txt", HANDBOOK.encode())}, data={"session_id": f"{name}-tools"}
    )
    path = f"documents/{upload.json()['documents'][0]['id']}"
    eventually(lambda: server.api.get(path).json()["status"] == "ready")
    scenes = run_client(
        *command,
        PICTURE=data_url("image/png", text_image(["你好 2026"])),
        DOCUMENT=data_url("text/plain", "保修期为三年。".encode()),
    )
    model.release()
    yield Played(name, scenes, list(model.requests), server)
    model.on(lambda request: None)


@pytest.fixture(scope="module")
def ui(
    request: pytest.FixtureRequest, run_client: RunClient, _shared_server: Server, scripted: Upstream
) -> Iterator[Played]:
    """The AI SDK from 5 on."""
    name = request.param
    yield from play(run_client, _shared_server, scripted, name, "ui.mjs", name, _shared_server.url)


@pytest.fixture(scope="module")
def data(run_client: RunClient, _shared_server: Server, scripted: Upstream) -> Iterator[Played]:
    """The AI SDK 4."""
    yield from play(run_client, _shared_server, scripted, "ai4", "data.mjs", _shared_server.url)


def parts(message: dict[str, Any], *types: str) -> list[dict[str, Any]]:
    return [part for part in message["parts"] if part["type"] in types]


def test_every_client_reads_the_golden_files(run_client: RunClient) -> None:
    read = run_client("golden.mjs", str(GOLDEN / "ui.txt"), str(GOLDEN / "data.txt"))
    assert set(read) == {"ai4", "ai5-first", "ai5", "ai6-first", "ai6", "ai7-first", "ai7"}
    failures = {
        "failed before the first token": "上游服务未及时响应：qwen。",
        "failed before it began": "上游服务未及时响应：qwen。",
        "failed in mid-answer": "上游服务出错：qwen。",
        "failed while a tool runs": "上游服务出错：qwen。",
        "reader sent away": "服务暂时不可用，请稍后再试。",
    }
    for turns in read.values():
        assert {title: seen["error"] for title, seen in turns.items() if seen["error"]} == failures
        said = parts(turns["two tools at once, one of which fails, then sources"]["message"], "text")
        assert [part["text"].strip() for part in said] == ["我查一下。", "五年以上的十五天 [3][1]。"]
        assert parts(turns["text"]["message"], "text")[0]["text"] == '你好，\n"世界" </script> 🙂'


@UI
class TestFromFive:
    def test_a_conversation_has_its_memory_on_the_server(self, ui: Played) -> None:
        assert ui.texts("text") == ["你好，世界", "回声: 你好，世界", "还记得吗", "回声: 还记得吗"]
        asked = next(request for request in ui.requests if request.question == "还记得吗")
        assert [message["content"] for message in asked.messages[1:]] == ["你好，世界", "回声: 你好，世界", "还记得吗"]
        scene = ui.scenes["text"]
        assert scene["status"] == "ready" and "error" not in scene
        assert [message["id"] for message in scene["messages"] if message["role"] == "assistant"] == [
            message["id"] for message in ui.history("text") if message["role"] == "assistant"
        ]

    def test_thoughts_stand_apart(self, ui: Played) -> None:
        answer = ui.scenes["thoughts"]["messages"][1]
        assert [part["text"] for part in parts(answer, "reasoning")] == ["先想一想。"]
        assert ui.texts("thoughts")[1] == "好。"

    def test_tools_are_shown_with_input_and_output_and_never_run_by_the_client(self, ui: Played) -> None:
        scene = ui.scenes["tools"]
        answer = scene["messages"][1]
        [found] = parts(answer, "tool-search_documents")
        assert found["state"] == "output-available" and found["providerExecuted"] is True
        assert found["input"] == {"query": "年假"} and "年假为十五天" in found["output"]
        [refused] = parts(answer, "tool-visit_url")
        assert refused["state"] == "output-error" and refused["errorText"]
        assert scene["toolCalls"] == []

    def test_text_before_and_after_the_tools_is_parted_into_steps(self, ui: Played) -> None:
        kinds = [part["type"] for part in ui.scenes["tools"]["messages"][1]["parts"]]
        tools = ["tool-search_documents", "tool-visit_url"]
        assert kinds == ["step-start", "text", *tools, "step-start", "text", "source-document"]
        assert ui.texts("tools")[1] == "我查一下。年假十五天 [1]。"

    def test_sources_name_file_and_quote(self, ui: Played) -> None:
        [source] = parts(ui.scenes["tools"]["messages"][1], "source-document")
        assert source["filename"] == "员工手册.txt" and source["mediaType"] == "text/plain"
        assert "年假为十五天" in source["providerMetadata"]["passage"]["quote"]

    def test_a_failure_before_the_first_token_is_an_http_error(self, ui: Played) -> None:
        scene = ui.scenes["early failure"]
        assert scene["status"] == "error" and '"code":"upstream_failed"' in scene["error"]
        assert ui.texts("early failure") == ["坏了"]

    def test_a_failure_in_mid_answer_is_an_error_and_the_chat_goes_on(self, ui: Played) -> None:
        assert ui.texts("late failure") == ["断了", "从前", "你好", "回声: 你好"]
        assert [message["status"] for message in ui.history("late-failure")][1::2] == ["failed", "complete"]

    def test_an_abort_leaves_the_answer_running_until_it_is_stopped(self, ui: Played) -> None:
        scene = ui.scenes["abort"]
        assert scene["status"] == "ready" and ui.texts("abort")[1] == "第一段。"
        assert scene["stop"] == {"stopped": True}
        eventually(lambda: ui.history("abort")[1]["status"] == "stopped")
        assert ui.history("abort")[1]["content"] == "第一段。"

    def test_a_stop_from_elsewhere_ends_the_stream_properly(self, ui: Played) -> None:
        scene = ui.scenes["stop from elsewhere"]
        assert scene["stop"] == {"stopped": True}
        assert scene["status"] == "ready" and "error" not in scene
        assert ui.texts("stop from elsewhere")[1] == "第一段。"

    def test_a_page_that_is_opened_again_gets_the_whole_message_under_the_same_id(self, ui: Played) -> None:
        before, after = (ui.scenes["resumption"][name]["messages"] for name in ("before", "after"))
        assert [message["id"] for message in after] == [message["id"] for message in before]
        assert "".join(part["text"] for part in parts(after[1], "text")) == "第一段。第二段。"

    def test_where_nothing_runs_there_is_nothing_to_resume(self, ui: Played) -> None:
        idle = ui.scenes["resumption"]["idle"]
        assert idle["status"] == "ready" and len(idle["messages"]) == 1

    def test_an_answer_made_anew_leaves_the_old_one_on_its_branch(self, ui: Played) -> None:
        scene = ui.scenes["regeneration"]
        said = [parts(scene[name], "text")[0]["text"] for name in ("first", "second")]
        assert said == ["第1次", "第2次"]
        assert ui.texts("regeneration") == ["掷骰子", "第3次"]
        assert [message["content"] for message in ui.history("regeneration")] == ["掷骰子", "第3次"]
        assert {*said, "第3次"} <= {message["content"] for message in ui.history("regeneration", "all")}

    def test_another_try_answers_the_question_that_failed(self, ui: Played) -> None:
        assert "upstream_failed" in ui.scenes["another try"]["failure"]
        assert ui.texts("another try") == ["你好", "回声: 你好", "先坏后好", "好了"]
        assert [message["content"] for message in ui.history("another-try")] == ui.texts("another try")

    def test_an_edited_question_takes_the_place_of_the_old_one(self, ui: Played) -> None:
        assert ui.texts("edit") == ["二加二", "回声: 二加二"]
        assert [message["content"] for message in ui.history("edit")] == ["二加二", "回声: 二加二"]
        assert "一加一" in {message["content"] for message in ui.history("edit", "all")}
        asked = next(request for request in ui.requests if request.question == "二加二")
        assert [message["content"] for message in asked.messages[1:]] == ["二加二"]

    def test_files_of_a_message_are_read(self, ui: Played) -> None:
        assert "error" not in ui.scenes["files"]
        asked = next(request for request in ui.requests if request.question.endswith("看看这些"))
        assert "2026" in asked.question
        assert "手册.txt" in asked.messages[0]["content"] and "保修期为三年" in asked.messages[0]["content"]


class TestFour:
    def test_a_conversation_has_its_memory_on_the_server(self, data: Played) -> None:
        assert data.texts("text") == ["你好，世界", "回声: 你好，世界", "还记得吗", "回声: 还记得吗"]
        asked = next(request for request in data.requests if request.question == "还记得吗")
        assert [message["content"] for message in asked.messages[1:]] == ["你好，世界", "回声: 你好，世界", "还记得吗"]
        assert data.scenes["text"]["finish"]["finishReason"] == "stop"
        assert data.scenes["text"]["finish"]["usage"]["completionTokens"] > 0

    def test_thoughts_stand_apart(self, data: Played) -> None:
        answer = data.scenes["thoughts"]["messages"][1]
        assert answer["reasoning"] == "先想一想。" and answer["content"] == "好。"

    def test_tools_and_sources_are_shown(self, data: Played) -> None:
        answer = data.scenes["tools"]["messages"][1]
        calls = [part["toolInvocation"] for part in parts(answer, "tool-invocation")]
        assert [(call["toolName"], call["state"]) for call in calls] == [
            ("search_documents", "result"),
            ("visit_url", "result"),
        ]
        assert "年假为十五天" in calls[0]["result"]
        assert answer["content"] == "我查一下。\n\n年假十五天 [1]。"
        [source] = parts(answer, "source")
        assert source["source"]["title"] == "员工手册.txt"
        assert data.server.api.get(data.server.url + source["source"]["url"]).text == HANDBOOK

    def test_failures_are_told(self, data: Played) -> None:
        assert '"code":"upstream_failed"' in data.scenes["early failure"]["error"]
        assert data.scenes["late failure"]["error"].startswith("The upstream service")
        assert data.texts("late failure") == ["断了", "从前"]

    def test_an_abort_leaves_the_answer_running_until_it_is_stopped(self, data: Played) -> None:
        assert data.scenes["abort"]["stop"] == {"stopped": True}
        eventually(lambda: data.history("abort")[1]["status"] == "stopped")

    def test_a_page_that_is_opened_again_gets_the_whole_message_under_the_same_id(self, data: Played) -> None:
        before, after = (data.scenes["resumption"][name]["messages"] for name in ("before", "after"))
        assert after[1]["id"] == before[1]["id"] and after[1]["content"] == "第一段。第二段。"

    def test_an_answer_made_anew_leaves_the_old_one_on_its_branch(self, data: Played) -> None:
        assert data.scenes["regeneration"]["first"]["content"] == "第1次"
        assert data.texts("regeneration") == ["你好", "回声: 你好", "掷骰子", "第2次"]
        assert [message["content"] for message in data.history("regeneration")] == data.texts("regeneration")
        assert "第1次" in {message["content"] for message in data.history("regeneration", "all")}

    def test_so_does_one_whose_client_names_its_messages(self, data: Played) -> None:
        assert [message["content"] for message in data.history("regeneration-ids")] == ["掷骰子", "第4次"]

    def test_files_of_a_message_are_read(self, data: Played) -> None:
        assert "error" not in data.scenes["files"]
        asked = next(request for request in data.requests if request.question.endswith("看看这些"))
        assert "2026" in asked.question and "保修期为三年" in asked.messages[0]["content"]
