"""`/api/chat` as HTTP: how a body is understood, and what a front end gets. The AI SDK itself is in test_ai_sdk."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fakes.documents import text_image
from fakes.replies import hang, reasoning, text, tool_call
from fakes.upstream import Upstream
from fakes.website import Website
from fixtures.ingestion import Product
from fixtures.server import MakeServer, Server
from golden_script import SCRIPT
from models.events import Ended
from models.schemas_front_end import FrontEndBody
from models.turns import Branch, ClientMessage, Turn
from services.attachments import AttachedFile, with_files
from services.document_service import DocumentService
from services.front_end_requests import parse, protocol_of
from services.front_ends import whole
from services.image_service import ImageService
from utils import http_client
from utils.errors import InvalidField, TooLarge, UpstreamError, UrlNotAllowed
from utils.settings import Settings

PLAIN = [{"role": "user", "content": "你好"}]


def ui(*texts: str, **body: Any) -> dict[str, Any]:
    """A body of the AI SDK 5: questions and answers by turns."""
    roles = ("user", "assistant")
    messages = [
        {"id": f"m{place}", "role": roles[place % 2], "parts": [{"type": "text", "text": said}]}
        for place, said in enumerate(texts)
    ]
    return {"messages": messages, "trigger": "submit-message", **body}


def turn_of(**body: Any) -> Turn:
    turn, _ = parse(FrontEndBody(**body), "local", "zh", {"chat-model": "qwen-plus", "title-model": ""})
    return turn


@pytest.mark.parametrize(
    ("body", "protocol"),
    [
        ({"messages": PLAIN}, "seed"),
        ({"id": "c", "messages": PLAIN}, "seed"),
        ({"messages": [{"role": "user", "content": "你好", "parts": [{"type": "text", "text": "你好"}]}]}, "data"),
        ({"messages": [{"role": "user", "parts": [{"type": "text", "text": "你好"}]}]}, "ui"),
        ({"message": {"role": "user", "parts": [{"type": "text", "text": "你好"}]}}, "ui"),
        (ui("你好"), "ui"),
        ({"messages": PLAIN, "trigger": "submit-message"}, "ui"),
    ],
)
def test_the_body_tells_which_format_its_client_reads(body: dict[str, Any], protocol: str) -> None:
    assert protocol_of(FrontEndBody(**body)) == protocol


class TestParsing:
    def test_messages_without_a_chat_are_all_there_is(self) -> None:
        said = [
            {"role": "system", "content": "说文言文。"},
            {"role": "user", "content": "你好"},
            {"role": "assistant", "content": "幸会"},
            {"role": "assistant", "content": ""},
            {"role": "tool", "content": "…"},
            {"role": "user", "content": [{"type": "text", "text": "再会"}]},
        ]
        turn = turn_of(messages=said, temperature=0.7, max_tokens=9)
        assert turn.history == ({"role": "user", "content": "你好"}, {"role": "assistant", "content": "幸会"})
        assert (turn.message, turn.system_prompt) == ("再会", "说文言文。")
        assert (turn.temperature, turn.max_tokens, turn.branch) == (0.7, 9, None)

    def test_of_a_chat_only_what_follows_the_last_answer_counts(self) -> None:
        body = ui("你好", "幸会", "一", id="c")
        body["messages"].append({"id": "m3", "role": "user", "parts": [{"type": "text", "text": "二"}]})
        turn = turn_of(**body)
        assert turn.history is None and turn.key.session_id == "c"
        assert (turn.message, turn.client_id) == ("二", "m3")
        assert turn.before == (ClientMessage("m2", "一"),)

    @pytest.mark.parametrize(
        ("fields", "branch"),
        [
            ({}, None),
            ({"messageId": "m0"}, Branch("edit", "m0")),
            ({"trigger": "regenerate-message"}, Branch("again", None)),
            ({"trigger": "regenerate-message", "messageId": "msg_1"}, Branch("again", "msg_1")),
        ],
    )
    def test_edits_and_regenerated_answers_go_on_a_branch(self, fields: dict[str, Any], branch: Branch | None) -> None:
        assert turn_of(**ui("你好", id="c", **fields)).branch == branch

    @pytest.mark.parametrize(
        ("name", "model"), [("chat-model", "qwen-plus"), ("title-model", None), ("gpt-4", "gpt-4"), (None, None)]
    )
    def test_names_of_models_are_mapped(self, name: str | None, model: str | None) -> None:
        assert turn_of(messages=PLAIN, model=name).model == model

    def test_files_come_with_the_newest_message_unless_it_is_answered_anew(self) -> None:
        body = ui("看图", id="c")
        body["messages"][0]["parts"].append(
            {"type": "file", "mediaType": "image/png", "filename": "图.png", "url": "data:image/png;base64,AA=="}
        )
        expected = AttachedFile("data:image/png;base64,AA==", "图.png", "image/png")
        assert parse(FrontEndBody(**body), "local", "zh", {})[1] == (expected,)
        body["trigger"] = "regenerate-message"
        assert parse(FrontEndBody(**body), "local", "zh", {})[1] == ()

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"messages": [*PLAIN, {"role": "assistant", "content": "幸会"}]},
            {"messages": [{"role": "user", "content": " "}]},
            {"messages": [{"role": "system", "content": "你好"}]},
            ui("你好", "幸会"),
        ],
        ids=["none", "an answer", "blank", "no user", "parts of an answer"],
    )
    def test_the_last_message_must_be_a_question(self, body: dict[str, Any]) -> None:
        with pytest.raises(InvalidField):
            turn_of(**body)


def test_a_finished_turn_as_one_object() -> None:
    batches = SCRIPT["two tools at once, one of which fails, then sources"]
    [answer] = [event.answer for batch in batches for event in batch if isinstance(event, Ended)]
    found = whole(answer)
    assert list(found) == ["id", "role", "content", "tool_calls", "sources", "usage", "finish_reason"]
    assert (found["id"], found["role"], found["content"]) == (
        "msg_2",
        "assistant",
        "我查一下。\n\n五年以上的十五天 [3][1]。",
    )
    assert found["usage"] == {"input_tokens": 100, "output_tokens": 9, "total_tokens": 109}
    assert [call["name"] for call in found["tool_calls"]] == ["visit_url", "search_documents"]


def post(server: Server, path: str = "", **body: Any) -> httpx.Response:
    return server.api.post(f"{server.url}/api/chat{path}", json=body)


def content(server: Server, path: str = "", **body: Any) -> str:
    """The answer to a turn that must succeed."""
    response = post(server, path, stream=False, **body)
    assert response.status_code == 200, response.text
    said: str = response.json()["content"]
    return said


class TestAnswers:
    def test_plain_messages_get_the_lines_of_their_document(self, server: Server, scripted: Upstream) -> None:
        scripted.reply(text(["你", "好！"]))
        response = post(server, messages=PLAIN, model="chat-model", temperature=0.7, stream=True)
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        *lines, last = response.text.splitlines()
        assert last == 'd:{"type":"finish","finishReason":"stop"}'
        said = [json.loads(line.removeprefix("0:"))["textDelta"] for line in lines]
        assert "".join(said) == "你好！"
        assert lines == [f'0:{{"type":"text-delta","textDelta":"{delta}"}}' for delta in said]

    def test_tools_are_told_in_these_lines_too(self, server: Server, scripted: Upstream) -> None:
        scripted.reply(tool_call("current_time", {"timezone": "Asia/Shanghai"}, id="call_1"))
        scripted.reply("现在是中午。")
        lines = post(server, messages=PLAIN).text.splitlines()
        assert [line[0] for line in lines] == ["9", "a", "0", "d"]
        assert json.loads(lines[0][2:]) == {
            "type": "tool-call",
            "toolCallId": "call_1",
            "toolName": "current_time",
            "args": {"timezone": "Asia/Shanghai"},
        }
        returned = json.loads(lines[1][2:])
        assert (returned["type"], returned["toolCallId"]) == ("tool-result", "call_1") and returned["result"]

    def test_the_stream_is_the_default(self, server: Server) -> None:
        assert post(server, messages=PLAIN).text.startswith("0:")

    def test_without_a_stream_the_answer_is_one_object(self, server: Server) -> None:
        answer = post(server, messages=PLAIN, stream=False).json()
        assert (answer["role"], answer["content"], answer["finish_reason"]) == ("assistant", "回声: 你好", "stop")
        assert answer["id"] and answer["tool_calls"] == answer["sources"] == [] and answer["usage"]["total_tokens"] > 0

    @pytest.mark.parametrize(
        ("protocol", "start", "headers"),
        [
            ("seed", "0:{", {"content-type": "text/event-stream; charset=utf-8"}),
            ("data", "f:{", {"content-type": "text/plain; charset=utf-8", "x-vercel-ai-data-stream": "v1"}),
            (
                "ui",
                "data: {",
                {"content-type": "text/event-stream; charset=utf-8", "x-vercel-ai-ui-message-stream": "v1"},
            ),
        ],
    )
    def test_a_format_can_be_asked_for(self, server: Server, protocol: str, start: str, headers: dict[str, str]) -> None:
        response = post(server, f"?protocol={protocol}", messages=PLAIN)
        assert response.text.startswith(start)
        assert headers.items() <= dict(response.headers).items()
        assert response.headers["cache-control"] == "no-cache" and response.headers["x-accel-buffering"] == "no"

    def test_a_stateless_chat_leaves_nothing_behind(self, server: Server, scripted: Upstream) -> None:
        before = server.api.get(f"{server.url}/conversations").json()
        history = [*PLAIN, {"role": "assistant", "content": "幸会"}, {"role": "user", "content": "再会"}]
        assert content(server, messages=history) == "回声: 再会"
        assert [message["content"] for message in scripted.requests[0].messages[1:]] == ["你好", "幸会", "再会"]
        assert server.api.get(f"{server.url}/conversations").json() == before

    def test_a_client_may_send_the_newest_message_only(self, server: Server, scripted: Upstream) -> None:
        for said in ("你好", "还记得吗"):
            message = {"id": said, "role": "user", "parts": [{"type": "text", "text": said}]}
            assert post(server, id="newest-only", message=message).text.startswith("data: ")
        assert [message["content"] for message in scripted.requests[1].messages[1:]] == ["你好", "回声: 你好", "还记得吗"]

    def test_a_temporary_chat_can_be_answered_anew_and_is_never_stored(self, server: Server, scripted: Upstream) -> None:
        body = ui("你好", id="temporary-chat", temporary=True)
        content(server, **body)
        assert content(server, **{**body, "trigger": "regenerate-message"}) == "回声: 你好"
        assert [message["content"] for message in scripted.requests[1].messages[1:]] == ["你好"]
        assert "temporary-chat" not in server.api.get(f"{server.url}/conversations").text

    @pytest.mark.parametrize("fields", [{"trigger": "regenerate-message"}, {"messageId": "m2"}], ids=["again", "edit"])
    @pytest.mark.parametrize("temporary", [True, False])
    def test_a_question_whose_first_attempt_was_lost_is_a_new_one(
        self, server: Server, scripted: Upstream, fields: dict[str, str], temporary: bool
    ) -> None:
        chat = f"lost-{temporary}-{len(fields['messageId' if 'messageId' in fields else 'trigger'])}"
        content(server, **ui("你好", id=chat, temporary=temporary))
        lost = ui("你好", "回声: 你好", "再会", id=chat, temporary=temporary)
        assert content(server, **{**lost, **fields}) == "回声: 再会"
        assert [message["content"] for message in scripted.requests[1].messages[1:]] == ["你好", "回声: 你好", "再会"]

    def test_a_message_of_an_unknown_answer_is_404_where_the_client_names_none(self, server: Server) -> None:
        content(server, **ui("你好", id="unnamed"))
        body = {"id": "unnamed", "messages": PLAIN, "trigger": "regenerate-message", "messageId": "msg_nothing"}
        assert post(server, **body).status_code == 404


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"messages": []}, "messages"),
            ({"messages": [{"role": "robot", "content": "你好"}]}, "messages.0.role"),
            ({"messages": PLAIN, "id": "a b"}, "id"),
            ({"messages": PLAIN, "temperature": 3}, "temperature"),
            ({"messages": PLAIN, "trigger": "resume-stream"}, "trigger"),
        ],
    )
    def test_an_invalid_field_is_named(self, server: Server, body: dict[str, Any], field: str) -> None:
        response = post(server, **body)
        assert response.status_code == 422
        assert [error["field"] for error in response.json()["errors"]] == [field]

    def test_what_is_no_json_is_400(self, server: Server) -> None:
        headers = {"Content-Type": "application/json"}
        assert server.api.post(f"{server.url}/api/chat", content=b"{", headers=headers).status_code == 400

    def test_bodies_with_files_may_be_larger_than_others(self, special: Server) -> None:
        url = "data:text/plain;base64," + "A" * 3_900_000
        body = ui("看看", id="large-file")
        body["messages"][0]["parts"] += [{"type": "file", "mediaType": "text/plain", "url": url}] * 3
        refused = post(special, **body)  # for the content, zeros, not for its size
        assert (refused.status_code, refused.json()["code"]) == (422, "document_unreadable")
        body["messages"][0]["parts"] += body["messages"][0]["parts"]
        assert post(special, **body).status_code == 413
        assert special.api.post("chat", json={"message": "A" * 8_000_000}).status_code == 413

    @pytest.mark.parametrize(
        ("url", "status"),
        [
            ("data:text/plain;base64,***", 422),
            ("data:text/plain;base64", 422),
            ("data:text/plain;base64,", 422),
            ("data:application/octet-stream;base64,AAECAwQFBgc=", 415),
            ("file:///etc/passwd", 422),
            ("http://10.0.0.1/a.txt", 422),
            ("", 422),
        ],
    )
    def test_a_file_that_cannot_be_had_is_refused(self, server: Server, url: str, status: int) -> None:
        body = ui("看看", id="refused-file")
        body["messages"][0]["parts"].append({"type": "file", "mediaType": "text/plain", "url": url})
        assert post(server, **body).status_code == status

    def test_files_need_a_chat_that_keeps_them(self, server: Server) -> None:
        body = ui("看看")
        body["messages"][0]["parts"].append({"type": "file", "mediaType": "text/plain", "url": "data:,a"})
        assert post(server, **body).status_code == 422

    @pytest.mark.parametrize("path", ["/claude", "/local"])
    def test_a_provider_that_is_not_configured_is_503(self, server: Server, path: str) -> None:
        response = post(server, path, messages=PLAIN)
        assert (response.status_code, response.json()["code"]) == (503, "provider_not_configured")

    def test_only_what_runs_can_be_resumed_or_stopped(self, server: Server) -> None:
        for path in ("/api/chat/nobody/stream", "/api/chat?chatId=nobody"):
            response = server.api.get(server.url + path)
            assert (response.status_code, response.content) == (204, b"")
        assert post(server, "/nobody/stop").json() == {"stopped": False}


class TestResumption:
    @pytest.mark.parametrize(
        ("path", "start"),
        [
            ("/api/chat/{}/stream", b'data: {"type":"start","messageId":'),
            ("/api/chat/{}/stream?protocol=data", b'f:{"messageId":'),
            ("/api/chat?chatId={}", b'f:{"messageId":'),
            ("/api/chat?chatId={}&protocol=seed", b'0:{"type":"text-delta"'),
        ],
    )
    def test_a_running_answer_is_replayed_in_the_format_asked_for(
        self, server: Server, scripted: Upstream, path: str, start: bytes
    ) -> None:
        chat = f"resumed-{len(path)}-{path.count('=')}"
        scripted.reply(text("从前"), hang(), text("以后"))
        with server.api.stream("POST", f"{server.url}/api/chat", json=ui("慢慢说", id=chat)) as first:
            next(first.iter_bytes())
            with server.api.stream("GET", server.url + path.format(chat)) as again:
                assert again.status_code == 200
                pieces = again.iter_bytes()
                seen = next(pieces)
                scripted.release()
                seen += b"".join(pieces)
        assert seen.startswith(start) and "从前".encode() in seen and "以后".encode() in seen

    def test_a_turn_can_be_resumed_in_the_very_moment_in_which_it_begins(self, server: Server, scripted: Upstream) -> None:
        statuses = []
        for number in range(8):
            chat = f"moment-{number}"
            scripted.reply(text("从前"), hang())
            with server.api.stream("POST", f"{server.url}/api/chat", json=ui("慢慢说", id=chat)) as first:
                next(first.iter_bytes())
                with server.api.stream("GET", f"{server.url}/api/chat/{chat}/stream") as again:
                    statuses.append(again.status_code)
                post(server, f"/{chat}/stop")
        assert statuses == [200] * 8


@pytest.fixture(scope="module")
def _special(make_server: MakeServer, scripted: Upstream) -> Server:
    return make_server(
        LLM_API_URL=scripted.url,
        LLM_API_KEY="sk-test-secret",
        LLM_MODEL="scripted",
        ANTHROPIC_API_KEY="sk-ant-secret",
        ANTHROPIC_API_URL=scripted.root,
        LOCAL_LLM_URL=scripted.url,
        LLM_PROVIDER="openai_compatible",
        MODEL_MAPPING='{"chat-model": "qwen-plus", "title-model": ""}',
        ANSWER_CACHE_SECONDS="60",
        UPLOAD_MAX_BYTES="3000000",
    )


@pytest.fixture
def special(_special: Server, scripted: Upstream) -> Iterator[Server]:
    """A server with three providers, names of models and kept answers."""
    scripted.requests.clear()
    yield _special
    scripted.requests.clear()


class TestModels:
    @pytest.mark.parametrize(
        ("name", "model"), [("chat-model", "qwen-plus"), ("title-model", "scripted"), ("gpt-4", "gpt-4")]
    )
    def test_names_are_mapped(self, special: Server, scripted: Upstream, name: str, model: str) -> None:
        content(special, messages=PLAIN, model=name)
        assert scripted.requests[0].body["model"] == model

    def test_claude_answers_at_its_address(self, special: Server, scripted: Upstream) -> None:
        assert content(special, "/claude", messages=PLAIN) == "回声: 你好"
        assert scripted.requests[0].path == "/v1/messages" and "sk-ant-secret" in str(scripted.requests[0].headers)

    def test_the_local_model_answers_at_its_address_and_gets_no_key(self, special: Server, scripted: Upstream) -> None:
        assert content(special, "/local", messages=PLAIN) == "回声: 你好"
        assert [request.path for request in scripted.requests] == ["/v1/models", "/v1/chat/completions"]
        assert all("secret" not in str(request.headers) for request in scripted.requests)


class TestKeptAnswers:
    def question(self, said: str) -> list[dict[str, str]]:
        return [*PLAIN, {"role": "assistant", "content": "幸会"}, {"role": "user", "content": said}]

    def test_the_same_question_needs_no_second_call_in_any_format(self, special: Server, scripted: Upstream) -> None:
        scripted.reply(reasoning("想。"), text("四十二"))
        body = {"messages": self.question("答案是什么"), "temperature": 0}
        first = post(special, stream=False, **body).json()
        second = post(special, stream=False, **body).json()
        assert second == {**first, "id": second["id"]} and second["id"] != first["id"]
        assert first["content"] == "四十二"
        assert post(special, **body).text.splitlines()[0] == '0:{"type":"text-delta","textDelta":"四十二"}'
        data = post(special, "?protocol=data", **body).text.splitlines()
        assert data[1:3] == ['g:"想。"', '0:"四十二"']
        assert '"delta":"四十二"' in post(special, "?protocol=ui", **body).text
        assert len(scripted.requests) == 1

    @pytest.mark.parametrize(
        "changed",
        [
            {"temperature": 0.5},
            {"model": "gpt-4"},
            {"max_tokens": 9},
            {"messages": [{"role": "user", "content": "不同"}]},
            {"id": "a-chat"},
        ],
        ids=["warm", "model", "length", "messages", "session"],
    )
    def test_another_question_is_asked(self, special: Server, scripted: Upstream, changed: dict[str, Any]) -> None:
        body = {"messages": self.question(f"{changed}"), "temperature": 0}
        content(special, **body)
        content(special, **{**body, **changed})
        assert len(scripted.requests) == 2

    def test_another_provider_is_asked(self, special: Server, scripted: Upstream) -> None:
        for path in ("", "/claude"):
            content(special, path, messages=self.question("谁"), temperature=0)
        assert [request.path for request in scripted.requests] == ["/v1/chat/completions", "/v1/messages"]

    @pytest.mark.parametrize("unfit", ["tools", "cut"])
    def test_answers_of_tools_and_such_as_were_cut_are_not_kept(
        self, special: Server, scripted: Upstream, unfit: str
    ) -> None:
        body = {"messages": self.question(unfit), "temperature": 0}
        if unfit == "tools":
            scripted.reply(tool_call("current_time", {}))
            scripted.reply("一点")
        else:
            scripted.reply("一", finish_reason="length")
        first = content(special, **body)
        assert first in ("一点", "一") and content(special, **body) == f"回声: {unfit}"


class TestFiles:
    def ask(self, product: Product, turn: Turn, *files: AttachedFile, **options: Any) -> Turn:
        settings = Settings(**(product.environment | options))
        images = ImageService(settings, product.database)
        documents = DocumentService(settings, product.database, product.documents.retrieval)
        return http_client.run(with_files(images, documents, files)(turn, lambda event: None))

    def url(self, media_type: str, data: bytes) -> str:
        return f"data:{media_type};base64,{base64.b64encode(data).decode()}"

    def test_pictures_and_documents_come_together(self, product: Product) -> None:
        picture = AttachedFile(self.url("image/png", text_image(["2026"])), media_type="image/png")
        first = AttachedFile(self.url("text/plain", "保修三年。".encode()), "保修.txt", "text/plain")
        second = AttachedFile("data:text/plain,%E9%80%80%E8%B4%A7%E4%B8%83%E5%A4%A9", media_type="text/plain")
        turn = self.ask(product, Turn(product.key(), "", language="zh"), first, picture, second)
        assert turn.message == "请描述这张图片。"
        assert [seen.ocr_text for seen in turn.attachments] == ["2026"]
        assert "保修三年" in turn.context and "退货七天" in turn.context
        assert [document.filename for document in product.documents.list(turn.key)] == ["保修.txt", "file.txt"]

    def test_a_document_that_comes_again_is_not_read_again(self, product: Product) -> None:
        file = AttachedFile(self.url("text/plain", "保修三年。".encode()), "保修.txt", "text/plain")
        turn = Turn(product.key(), "总结", language="zh")
        for _ in range(2):
            assert "保修三年" in self.ask(product, turn, file, file).context
        assert len(product.documents.list(turn.key)) == 1

    def test_a_file_on_the_web_is_fetched_through_the_guard(self, product: Product, site: Website) -> None:
        site.page("/a.txt", "保修三年。")
        file = AttachedFile(f"{site.url}/a.txt", "保修.txt", "text/plain")
        turn = Turn(product.key(), "总结", language="zh")
        with pytest.raises(UrlNotAllowed):
            self.ask(product, turn, file)
        assert "保修三年" in self.ask(product, turn, file, WEB_ALLOWED_HOSTS=site.host).context
        with pytest.raises(TooLarge):
            self.ask(product, turn, file, WEB_ALLOWED_HOSTS=site.host, UPLOAD_MAX_BYTES="8")
        with pytest.raises(UpstreamError):
            self.ask(product, turn, AttachedFile(f"{site.url}/b.txt"), WEB_ALLOWED_HOSTS=site.host)
