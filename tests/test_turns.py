"""Turns in one process: limits, tools, faults of the model. Valkey, SQLite and HTTP are real; no documents here."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fakes.replies import hang, reasoning, text, tool_call
from fakes.upstream import Upstream
from fakes.website import Reply, Website
from models.conversations import ReadyDocument
from models.database import Database
from models.events import Answer, Chunk, Event, ToolReturned
from models.migrations import upgrade
from models.passages import Passage
from models.turns import SessionKey, Turn
from services.chat_service import ChatService
from utils.background import Background
from utils.errors import UpstreamTimeout
from utils.session_storage import SessionStorage
from utils.settings import Settings

KEY = SessionKey("local", "会话")
MakeChat = Callable[..., ChatService]


class NoDocuments:
    """The retrieval of a session without documents."""

    def search(
        self, query: str, documents: Sequence[ReadyDocument], k: int = 8, *, summaries: bool = False
    ) -> list[Passage]:
        raise AssertionError("there is nothing to search")


@pytest.fixture
def make_chat(tmp_path: Path, redis_url: str, upstream: Upstream, site: Website) -> Iterator[MakeChat]:
    made: list[tuple[ChatService, Database]] = []

    def make(**options: Any) -> ChatService:
        settings = Settings(
            LLM_API_URL=upstream.url,
            LLM_API_KEY="k",
            LLM_MODEL="scripted",
            DATA_DIR=tmp_path,
            REDIS_URL=redis_url,
            WEB_ALLOWED_HOSTS=(site.host,),
            **options,
        )
        upgrade(settings.database_url)
        database = Database(settings.database_url)
        storage = SessionStorage(redis_url, ttl=3600, lock_ttl=300, wait=5)
        made.append((ChatService(settings, database, storage, Background(), NoDocuments()), database))
        return made[-1][0]

    yield make
    for chat, database in made:
        chat.close()
        chat.background.close()
        database.close()


def ask(chat: ChatService, message: str = "问") -> Answer:
    return chat.start(Turn(KEY, message)).answer()


def events(chat: ChatService, message: str = "问") -> list[Event]:
    return [event for batch in chat.start(Turn(KEY, message)).batches() for _, event in batch]


def test_a_turn_that_takes_too_long_is_a_timeout(make_chat: MakeChat, upstream: Upstream) -> None:
    chat = make_chat(TURN_TIMEOUT_SECONDS=0.3)
    upstream.reply(text("开头"), hang())
    with pytest.raises(UpstreamTimeout):
        ask(chat)
    assert upstream.requests[0].disconnected.wait(5)
    assert ask(chat, "再问").response == "回声: 再问"


def test_a_model_that_falls_silent_is_a_timeout(make_chat: MakeChat, upstream: Upstream) -> None:
    chat = make_chat(LLM_READ_TIMEOUT=0.2)
    upstream.reply(hang(before="headers"))
    with pytest.raises(UpstreamTimeout):
        ask(chat)


def test_a_tool_that_takes_too_long_is_a_failed_result(make_chat: MakeChat, upstream: Upstream, site: Website) -> None:
    chat = make_chat(TOOL_TIMEOUT_SECONDS=0.3, WEB_TIMEOUT_SECONDS=60)
    site.on("/slow", lambda request: Reply("…", hang=True))
    upstream.reply(tool_call("visit_url", {"url": f"{site.url}/slow"}))
    upstream.reply("页面打不开。")
    answer = ask(chat)
    assert answer.tool_calls[0].status == "error" and answer.response == "页面打不开。"


def test_a_long_result_is_cut(make_chat: MakeChat, upstream: Upstream, site: Website) -> None:
    chat = make_chat(TOOL_RESULT_CHARS=500)
    site.page("/long", f"<p>{'很长的正文。' * 500}</p>")
    upstream.reply(tool_call("visit_url", {"url": f"{site.url}/long"}))
    result = ask(chat).tool_calls[0].result
    assert "很长的正文" in result and len(result) <= 501


def test_results_of_tools_leave_room_in_the_window(make_chat: MakeChat, upstream: Upstream, site: Website) -> None:
    chat = make_chat(LLM_CONTEXT_TOKENS=2000)
    site.page("/long", f"<p>{'很长的正文。' * 2000}</p>")
    calls = [tool_call("visit_url", {"url": f"{site.url}/long?{number}"}) for number in range(4)]
    upstream.reply(*calls)
    upstream.reply("好。")
    ask(chat)
    told = sum(len(message["content"] or "") for message in upstream.requests[-1].messages)
    assert told < 3000


def test_results_of_cacheable_tools_are_used_again(make_chat: MakeChat, upstream: Upstream, site: Website) -> None:
    chat = make_chat()
    site.page("/page", "<p>正文在此。</p>")
    for _ in range(2):
        upstream.reply(tool_call("visit_url", {"url": f"{site.url}/page"}))
        upstream.reply("好。")
        assert "正文在此" in ask(chat).tool_calls[0].result
    assert site.paths.count("/page") == 1


def test_a_failed_result_is_not_kept(make_chat: MakeChat, upstream: Upstream, site: Website) -> None:
    chat = make_chat()
    site.on("/page", lambda request: Reply("x", status=500))
    for status in ("error", "ok"):
        upstream.reply(tool_call("visit_url", {"url": f"{site.url}/page"}))
        upstream.reply("好。")
        assert ask(chat).tool_calls[0].status == status
        site.page("/page", "<p>正文在此。</p>")


def test_private_addresses_are_refused(make_chat: MakeChat, upstream: Upstream) -> None:
    chat = make_chat()
    upstream.reply(tool_call("visit_url", {"url": "http://127.0.0.1:1/secret"}))
    upstream.reply("不能访问。")
    call = ask(chat).tool_calls[0]
    assert call.status == "error" and "不允许访问" in call.result


@pytest.mark.parametrize(
    "arguments", ["{broken", '{"timezone": "Asia/Shang', "[1]", '"text"', '{"a":' * 300 + "1" + "}" * 300]
)
def test_arguments_that_are_no_object_are_a_failed_result(make_chat: MakeChat, upstream: Upstream, arguments: str) -> None:
    upstream.reply(tool_call("current_time", arguments))
    upstream.reply("好。")
    chat = make_chat()
    answer = ask(chat)
    assert [call.status for call in answer.tool_calls] == ["error"] and answer.response == "好。"
    assert chat.watch.watch(KEY, f"{answer.message_id}:0").answer() == answer


def test_tool_calls_are_limited_and_the_model_is_told(make_chat: MakeChat, upstream: Upstream) -> None:
    chat = make_chat(MAX_TOOL_CALLS=2)
    upstream.reply(*[tool_call("current_time", {}) for _ in range(4)])
    upstream.reply("好。")
    answer = ask(chat)
    assert [call.status for call in answer.tool_calls].count("ok") == 2 and len(answer.tool_calls) == 4
    assert "no more tools" in upstream.requests[-1].messages[0]["content"]


def test_text_before_and_after_a_tool_is_parted(make_chat: MakeChat, upstream: Upstream) -> None:
    upstream.reply(text("我看一下。"), tool_call("current_time", {}))
    upstream.reply("中午。")
    seen = events(make_chat())
    assert "".join(event.content for event in seen if isinstance(event, Chunk)) == "我看一下。\n\n中午。"
    places = [index for index, event in enumerate(seen) if isinstance(event, ToolReturned)]
    assert isinstance(seen[places[0] + 1], Chunk)


def test_thoughts_are_given_back_within_the_turn_only(make_chat: MakeChat, upstream: Upstream) -> None:
    chat = make_chat()
    upstream.reply(reasoning("先看时间"), tool_call("current_time", {}))
    upstream.reply("中午。")
    assert ask(chat).reasoning == "先看时间"
    assert [m.get("reasoning_content") for m in upstream.requests[1].messages if m["role"] == "assistant"] == ["先看时间"]
    ask(chat, "谢谢")
    assert "先看时间" not in str(upstream.requests[2].messages)


def test_usage_is_that_of_all_calls(make_chat: MakeChat, upstream: Upstream) -> None:
    upstream.reply(tool_call("current_time", {}), usage=(100, 10))
    upstream.reply("好。", usage=(150, 5))
    usage = ask(make_chat()).usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (250, 15, 265)


def test_an_answer_that_was_cut_by_its_limit_says_so(make_chat: MakeChat, upstream: Upstream) -> None:
    upstream.reply("很长", finish_reason="length")
    assert ask(make_chat()).finish_reason == "length"


def test_a_reader_who_leaves_before_a_stateless_turn_is_prepared_costs_no_model(
    make_chat: MakeChat, upstream: Upstream
) -> None:
    chat, gone = make_chat(), asyncio.Event()

    async def prepare(turn: Turn, _emit: Callable[[Event], None]) -> Turn:
        await gone.wait()
        return turn

    log = chat.start(Turn(KEY, "问", history=()), prepare)
    log.leave()
    chat.background.loop.call_soon_threadsafe(gone.set)
    assert log.answer().finish_reason == "stopped"
    ask(chat, "再问")
    assert [request.question for request in upstream.requests] == ["再问"]


def test_old_turns_leave_the_window_whole(make_chat: MakeChat, upstream: Upstream) -> None:
    chat = make_chat(LLM_CONTEXT_TOKENS=1500)
    for number in range(12):
        ask(chat, f"{number:02}" + "字" * 100)
    contents = [message["content"] for message in upstream.requests[-1].messages[1:]]
    assert len(contents) % 2 == 1 and contents[-1].startswith("11")
    first = int(contents[0][:2])
    assert first > 0 and [c[:2] for c in contents[::2]] == [f"{number:02}" for number in range(first, 12)]
