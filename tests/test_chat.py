"""Turns over HTTP: gunicorn with two workers, a scripted upstream, real stores."""

import re
import sqlite3
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from fakes.replies import cut, hang, reasoning, status, text, tool_call
from fakes.upstream import Request, Upstream
from fixtures.server import MakeServer, Server


@pytest.fixture
def session() -> str:
    return f"test:{uuid.uuid4()}"


def test_an_answer_has_the_shape_of_the_contract(server: Server, session: str) -> None:
    answer = server.chat("你好，世界", session)
    assert answer["response"] == "回声: 你好，世界"
    assert answer["session_id"] == session
    assert re.fullmatch(r"msg_[0-9a-f]{24}", answer["message_id"])
    assert answer["finish_reason"] == "stop" and answer["model"] == "scripted"
    assert answer["sources"] == [] and answer["tool_calls"] == []
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_a_missing_session_id_is_made(server: Server) -> None:
    first, second = server.chat("一"), server.chat("二")
    assert first["session_id"] != second["session_id"]


def test_a_stream_has_the_events_of_the_contract(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply(reasoning("想一想"), text("你好，"), text("世界"))
    events = server.events("chat", json={"message": "你好", "session_id": session, "stream": True})
    kinds = [event["type"] for event in events]
    assert kinds[0] == "start" and kinds[-1] == "end" and set(kinds[1:-1]) == {"reasoning", "chunk"}
    chunks = "".join(event["data"]["content"] for event in events if event["type"] == "chunk")
    assert chunks == events[-1]["data"]["full_text"] == events[-1]["data"]["response"] == "你好，世界"
    assert events[0]["data"] == {"session_id": session, "message_id": events[-1]["data"]["message_id"]}


def test_event_ids_name_the_turn_and_the_place(server: Server, session: str) -> None:
    with server.api.stream("POST", "chat", json={"message": "你好", "session_id": session, "stream": True}) as response:
        assert response.headers["cache-control"] == "no-cache" and response.headers["x-accel-buffering"] == "no"
        ids = [line.removeprefix("id: ") for line in response.iter_lines() if line.startswith("id: ")]
    names, places = zip(*(one.rsplit(":", 1) for one in ids), strict=True)
    assert len(set(names)) == 1 and names[0].startswith("msg_")
    assert [int(place) for place in places] == list(range(len(ids)))


def test_later_turns_know_earlier_ones_in_whichever_worker(server: Server, scripted: Upstream, session: str) -> None:
    for number in range(8):
        server.chat(f"第{number}句", session)
    told = [message["content"] for message in scripted.requests[-1].messages if message["role"] != "system"]
    expected = [line for n in range(7) for line in (f"第{n}句", f"回声: 第{n}句")] + ["第7句"]
    assert told == expected


def test_sessions_do_not_know_each_other(server: Server, scripted: Upstream, session: str) -> None:
    server.chat("我的密码是芝麻开门", session)
    server.chat("密码是什么", session + "x")
    assert "芝麻开门" not in str(scripted.requests[-1].messages)


def test_the_system_prompt_stays_until_another_is_given(server: Server, scripted: Upstream, session: str) -> None:
    server.chat("一", session, system_prompt="你是海盗")
    server.chat("二", session)
    assert "你是海盗" in scripted.requests[-1].messages[0]["content"]
    server.chat("三", session, system_prompt="你是厨师")
    server.chat("四", session)
    system = scripted.requests[-1].messages[0]["content"]
    assert "你是厨师" in system and "海盗" not in system


def test_options_reach_the_model(server: Server, scripted: Upstream, session: str) -> None:
    server.chat("你好", session, temperature=0.2, max_tokens=77, model="other")
    body = scripted.requests[-1].body
    assert body["temperature"] == 0.2 and body["model"] == "other"
    assert 77 in (body.get("max_tokens"), body.get("max_completion_tokens"))


def test_tools_are_called_and_remembered_in_pairs(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply(tool_call("current_time", {}), tool_call("current_time", {"timezone": "Asia/Shanghai"}))
    scripted.reply("现在是中午。")
    answer = server.chat("几点了？", session)
    assert answer["response"] == "现在是中午。"
    assert [(call["name"], call["status"]) for call in answer["tool_calls"]] == [("current_time", "ok")] * 2
    server.chat("谢谢", session)
    told = scripted.requests[-1].messages
    calls = [call["id"] for message in told for call in message.get("tool_calls") or ()]
    results = [message["tool_call_id"] for message in told if message["role"] == "tool"]
    assert len(calls) == 2 and sorted(calls) == sorted(results)


def test_a_failing_tool_is_a_result_and_the_turn_goes_on(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply(tool_call("current_time", {"timezone": "Mars/Olympus"}), tool_call("no_such_tool", {}))
    scripted.reply("我不知道。")
    events = server.events("chat", json={"message": "火星几点？", "session_id": session, "stream": True})
    results = [event["data"] for event in events if event["type"] == "tool_result"]
    assert [result["status"] for result in results] == ["error", "error"]
    assert events[-1]["type"] == "end" and events[-1]["data"]["response"] == "我不知道。"


def test_an_endless_tool_loop_ends_with_an_answer(server: Server, scripted: Upstream, session: str) -> None:
    scripted.on(lambda request: tool_call("current_time", {}))
    answer = server.chat("几点了？", session)
    assert answer["finish_reason"] == "tool_limit" and answer["response"]
    assert 2 <= len(scripted.requests) <= 8
    scripted.on(lambda request: None)
    server.chat("再见", session)
    told = scripted.requests[-1].messages
    calls = {call["id"] for message in told for call in message.get("tool_calls") or ()}
    assert calls == {message["tool_call_id"] for message in told if message["role"] == "tool"}


def test_a_model_that_fails_at_once_is_an_http_status(server: Server, scripted: Upstream, session: str) -> None:
    for stream in (False, True):
        scripted.reply(status(500, "sk-live-secret /etc/passwd"))
        response = server.api.post("chat", json={"message": "你好", "session_id": session, "stream": stream})
        assert response.status_code == 502
        assert response.headers["content-type"] == "application/problem+json"
        problem = response.json()
        assert problem["code"] == "upstream_failed" and problem["status"] == 502
        assert "sk-" not in response.text and "Traceback" not in response.text
    assert server.chat("还在吗", session)["response"] == "回声: 还在吗"
    assert [m["content"] for m in scripted.requests[-1].messages[1:]] == ["你好", "你好", "还在吗"]


def test_a_failure_in_mid_answer_is_one_error_event_and_is_kept(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply(text("半个"), cut())
    events = server.events("chat", json={"message": "说", "session_id": session, "stream": True})
    assert [event["type"] for event in events] == ["start", "chunk", "error"]
    assert events[-1]["data"]["code"] == "upstream_failed"
    server.chat("继续", session)
    assert [m["content"] for m in scripted.requests[-1].messages[1:]] == ["说", "半个", "继续"]
    assert rows(server, session)[:2] == [("user", "说", "complete"), ("assistant", "半个", "failed")]


def test_errors_speak_the_language_of_the_client(server: Server) -> None:
    english = server.api.post("clear_current_chat_history", json={"session_id": "nobody"})
    chinese = server.api.post(
        "clear_current_chat_history", json={"session_id": "nobody"}, headers={"Accept-Language": "zh-CN,zh;q=0.9"}
    )
    assert english.status_code == chinese.status_code == 404
    assert english.json()["detail"].isascii() and "找不到" in chinese.json()["detail"]


def test_turns_of_one_session_never_interleave(server: Server, scripted: Upstream, session: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: server.chat(f"问{n}", session), range(24)))
    found = rows(server, session)
    assert len(found) == 48
    pairs = list(zip(found[::2], found[1::2], strict=True))
    assert all(answer[1] == f"回声: {question[1]}" for question, answer in pairs)
    server.chat("完", session)
    told = [m["content"] for m in scripted.requests[-1].messages[1:-1]]
    assert told == [content for _, content, _ in found]


def test_a_second_turn_waits_and_then_gets_409(make_server: MakeServer, scripted: Upstream, session: str) -> None:
    server = make_server(LLM_API_URL=scripted.url, LLM_API_KEY="k", LLM_MODEL="scripted", TURN_WAIT_SECONDS="0.2")
    scripted.reply(hang(), text("好"))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.chat, "慢", session)
        hanging_request(scripted, "慢").hanging.wait(10)
        second = server.api.post("chat", json={"message": "快", "session_id": session})
        assert second.status_code == 409 and second.json()["code"] == "turn_in_progress"
        scripted.release()
        assert first.result()["response"] == "好"


def test_stop_ends_the_answer_and_the_upstream_call(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply(text("开始"), hang(), text("不该出现"))
    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(server.chat, "讲", session)
        request = hanging_request(scripted, "讲")
        assert request.hanging.wait(10)
        assert server.api.post(f"chat/{session}/stop").json() == {"stopped": True}
        answer = turn.result(10)
    assert answer["finish_reason"] == "stopped" and answer["response"] == "开始"
    assert request.disconnected.wait(2)
    assert server.api.post(f"chat/{session}/stop").json() == {"stopped": False}
    assert rows(server, session)[1] == ("assistant", "开始", "stopped")


def test_clear_forgets_and_restore_puts_back_in_place(server: Server, scripted: Upstream, session: str) -> None:
    server.chat("我叫小明", session, system_prompt="你是海盗")
    cleared = server.api.post("clear_current_chat_history", json={"session_id": session}).json()
    assert cleared["cleared_messages"] == 2 and cleared["restorable_until"]
    with redis.Redis.from_url(server.redis_url) as client:
        assert [key for key in client.scan_iter() if session.encode() in key] == []
    server.chat("我叫什么？", session)
    told = scripted.requests[-1].messages
    assert "小明" not in str(told) and "你是海盗" in told[0]["content"]
    restored = server.api.post("restore_chat_history", json={"session_id": session}).json()
    assert restored == {"session_id": session, "restored_messages": 2}
    server.chat("那现在呢？", session)
    told = [m["content"] for m in scripted.requests[-1].messages[1:]]
    assert told == ["我叫小明", "回声: 我叫小明", "我叫什么？", "回声: 我叫什么？", "那现在呢？"]
    assert server.api.post("restore_chat_history", json={"session_id": session}).json()["restored_messages"] == 0


def test_clear_stops_a_running_turn(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply(text("开始"), hang())
    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(server.chat, "讲", session)
        assert hanging_request(scripted, "讲").hanging.wait(10)
        cleared = server.api.post("clear_current_chat_history", json={"session_id": session})
        assert cleared.json()["cleared_messages"] == 2
        assert turn.result(10)["finish_reason"] == "stopped"


def test_every_key_of_a_session_expires_and_turns_renew_it(server: Server, session: str) -> None:
    server.chat("一", session)
    with redis.Redis.from_url(server.redis_url) as client:
        keys = [key for key in client.scan_iter() if session.encode() in key]
        assert keys and all(0 < client.ttl(key) <= 3600 for key in keys)
        for key in keys:
            client.expire(key, 100)
        server.chat("二", session)
        assert all(3590 <= client.ttl(key) <= 3600 for key in client.scan_iter() if session.encode() in key)


def test_a_lost_memory_is_rebuilt_with_its_tool_calls(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply(text("我看看"), tool_call("current_time", {}))
    scripted.reply("中午。")
    server.chat("几点了？", session)
    server.chat("二", session)
    with redis.Redis.from_url(server.redis_url) as client:
        before = client.lrange(f"memory:local/{session}", 0, -1)
        client.delete(f"memory:local/{session}")
    server.chat("三", session)
    roles = [m["role"] for m in scripted.requests[-1].messages]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user", "assistant", "user"]
    assert len(before) == 2


def test_a_memory_that_lags_behind_sql_is_rebuilt(server: Server, scripted: Upstream, session: str) -> None:
    server.chat("一", session)
    with redis.Redis.from_url(server.redis_url) as client:
        key = f"memory:local/{session}"
        old = client.dump(key)
        server.chat("二", session)
        client.restore(key, 3_600_000, old, replace=True)
    server.chat("三", session)
    assert [m["content"] for m in scripted.requests[-1].messages[1:]] == ["一", "回声: 一", "二", "回声: 二", "三"]


def test_a_memory_that_outlived_its_messages_is_not_used(server: Server, scripted: Upstream, session: str) -> None:
    server.chat("我叫小明", session)
    with redis.Redis.from_url(server.redis_url) as client:
        key = f"memory:local/{session}"
        old = client.dump(key)
        server.api.post("clear_current_chat_history", json={"session_id": session})
        client.restore(key, 3_600_000, old, replace=True)  # as after a restart of Redis from an old snapshot
    server.chat("我叫什么？", session)
    assert [m["content"] for m in scripted.requests[-1].messages[1:]] == ["我叫什么？"]


def test_a_temporary_session_leaves_no_content_in_sql(server: Server, scripted: Upstream, session: str) -> None:
    server.chat("阅后即焚", session, temporary=True, system_prompt="你是间谍")
    server.chat("还记得吗", session)
    assert "阅后即焚" in str(scripted.requests[-1].messages) and "你是间谍" in scripted.requests[-1].messages[0]["content"]
    files = list(server.data.glob("chat.db*"))
    assert not any(word.encode() in path.read_bytes() for path in files for word in ("阅后即焚", "你是间谍"))
    cleared = server.api.post("clear_current_chat_history", json={"session_id": session}).json()
    assert cleared["cleared_messages"] == 4 and cleared["restorable_until"] is None
    server.chat("我说过什么", session)
    assert "阅后即焚" not in str(scripted.requests[-1].messages)


def test_a_reader_who_leaves_does_not_end_the_turn(server: Server, scripted: Upstream, session: str) -> None:
    scripted.reply(text("前半"), hang(), text("后半"))
    with server.api.stream("POST", "chat", json={"message": "走", "session_id": session, "stream": True}) as response:
        next(response.iter_lines())
    scripted.release()
    server.chat("来", session)  # waits for the turn before it
    assert [m["content"] for m in scripted.requests[-1].messages[1:]] == ["走", "前半后半", "来"]


def hanging_request(scripted: Upstream, question: str) -> Request:
    """The request with this question, once it has come."""
    done = threading.Event()
    while not done.wait(0.01):
        for request in list(scripted.requests):
            if request.question == question:
                return request
    raise AssertionError


def rows(server: Server, session: str) -> list[tuple[str, str, str]]:
    """(role, content, status) of a session's messages, as SQL has them."""
    with sqlite3.connect(server.data / "chat.db") as connection:
        return connection.execute(
            "SELECT role, content, status FROM messages JOIN conversations c ON c.id = conversation_id"
            " WHERE c.session_id = ? ORDER BY seq",
            (session,),
        ).fetchall()
