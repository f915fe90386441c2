"""Lists, searches and histories in SQL."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from models import conversation_queries as queries
from models import conversations as sessions
from models import histories
from models.conversations import find_or_create
from models.database import Database, conversations, documents, messages, now
from models.turn_records import close_turn, open_turn
from models.turns import Attachment, Branch, SessionKey, Turn
from utils.errors import Conflict, InvalidField, NotFound

OWNER, OTHER = "张三", "李四"


def key(name: str, owner: str = OWNER) -> SessionKey:
    return SessionKey(owner, name)


def say(database: Database, name: str, question: str, answer: str | None = "好的。", **options: Any) -> tuple[str, str]:
    """A turn; without an answer it is still running. The ids of its question and its answer."""
    turn = Turn(key(name, options.pop("owner", OWNER)), question, **options)
    with database.write() as connection:
        open_turn(connection, turn, 60)
        if answer is not None:
            close_turn(connection, turn.message_ids[1], "complete", {**ANSWER, "content": answer})
    return turn.message_ids


ANSWER: dict[str, Any] = {
    "steps": [{"role": "assistant", "content": "秘密的步骤", "tool_calls": []}],
    "reasoning": "想一想",
    "sources": [{"document_id": "d", "filename": "报告.pdf", "page": 3, "quote": "三十万元", "score": 0.9, "cited": True}],
    "tool_calls": [{"id": "c", "name": "search_documents", "args": {}, "status": "ok", "result": "预算", "ms": 12}],
    "model": "scripted",
    "finish_reason": "stop",
    "input_tokens": 11,
    "output_tokens": 5,
}


def many(database: Database, count: int, owner: str = OWNER) -> list[str]:
    """So many conversations, all used at one of three moments; their names, as a list must show them."""
    find_or_create(database, key("first", owner))
    start = now()
    rows = [
        {"owner_id": owner, "session_id": f"{owner}-{n}".encode().hex(), "created_at": start}
        | {"updated_at": start + timedelta(seconds=n % 3)}
        for n in range(count)
    ]
    with database.write() as connection:
        connection.execute(conversations.delete().where(conversations.c.owner_id == owner))
        connection.execute(insert(conversations), rows)
    return [rows[n]["session_id"] for n in sorted(range(count), key=lambda n: (n % 3, n), reverse=True)]


def names(rows: Iterable[queries.Listed]) -> list[str]:
    return [row.session_id for row in rows]


def walk(database: Database, limit: int) -> Iterable[list[str]]:
    """The pages of a list."""
    cursor = None
    while True:
        rows, cursor = queries.page(database, OWNER, limit=limit, cursor=cursor)
        yield names(rows)
        if cursor is None:
            return


def found(database: Database, query: str) -> list[str]:
    return names(queries.page(database, OWNER, limit=50, query=query)[0])


def test_the_list_begins_with_the_conversation_used_last(database: Database) -> None:
    for name in "abc":
        say(database, name, f"问题{name}\n第二行")
    say(database, "a", "再问")
    rows, cursor = queries.page(database, OWNER, limit=50)
    assert [(row.session_id, row.title, row.message_count) for row in rows] == [
        ("a", "问题a", 4),
        ("c", "问题c", 2),
        ("b", "问题b", 2),
    ]
    assert cursor is None and rows[0].created_at < rows[1].created_at < rows[0].updated_at


def test_pages_show_each_conversation_once_in_order(database: Database) -> None:
    expected = many(database, 1_000)
    pages = list(walk(database, 64))
    assert [name for page in pages for name in page] == expected
    assert {len(page) for page in pages[:-1]} == {64}


def test_pages_are_stable_while_conversations_are_used_and_deleted(database: Database) -> None:
    expected = many(database, 60)
    pages = walk(database, 10)
    seen = next(iter(pages))
    used, gone = expected[3::7], expected[5::7]
    with database.write() as connection:
        connection.execute(
            update(conversations).where(conversations.c.session_id.in_(used)).values(updated_at=now() + timedelta(hours=1))
        )
        connection.execute(conversations.delete().where(conversations.c.session_id.in_(gone)))
    rest = [name for page in pages for name in page]
    assert rest == [name for name in expected[10:] if name not in {*used, *gone}]
    assert seen == expected[:10]


def test_a_cursor_that_was_changed_is_refused(database: Database) -> None:
    many(database, 3)
    cursor = queries.page(database, OWNER, limit=1)[1]
    assert cursor is not None
    changed = {cursor[:place] + letter + cursor[place + 1 :] for place in range(len(cursor)) for letter in "AB_"} - {cursor}
    made_up = {"", "=", "会话", "A" * 27, "f" * 27, "null", "A" * 10_000, "%", "-1", cursor + "=", cursor[:-1]}
    for wrong in changed | made_up:
        with pytest.raises(InvalidField) as refused:
            queries.page(database, OWNER, limit=1, cursor=wrong)
        assert refused.value.errors[0]["field"] == "cursor"


def test_owners_see_and_change_only_their_own(database: Database) -> None:
    say(database, "同名".encode().hex(), "我的预算")
    name = "同名".encode().hex()
    say(database, name, "他的预算", owner=OTHER)
    assert [row.title for row in queries.page(database, OWNER, limit=9)[0]] == ["我的预算"]
    assert [row.title for row in queries.page(database, OTHER, limit=9, query="预算")[0]] == ["他的预算"]
    assert queries.page(database, OTHER, limit=9, query="我的")[0] == []
    assert [m["content"] for m in histories.history(database, key(name, OTHER)).messages] == ["他的预算", "好的。"]
    assert queries.rename(database, key(name, OTHER), "改名").title == "改名"
    assert queries.find_listed(database, key(name)).title == "我的预算"
    assert list(queries.session_ids(database, OTHER)) == [name]
    for call in (histories.history, queries.find_listed):
        with pytest.raises(NotFound):
            call(database, key(name, "王五"))
    with pytest.raises(NotFound):
        queries.rename(database, key(name, "王五"), "夺取")


def test_a_cursor_of_another_owner_shows_only_ones_own(database: Database) -> None:
    mine = many(database, 5)
    many(database, 5, OTHER)
    cursor = queries.page(database, OTHER, limit=1)[1]
    assert set(names(queries.page(database, OWNER, limit=9, cursor=cursor)[0])) <= set(mine)


def test_search_finds_titles_and_messages(database: Database) -> None:
    say(database, "leave", "员工的带薪年假有几天？", "Annual Leave: five days.")
    say(database, "budget", "Budget\n多少钱？", "预算为三十万元。")
    say(database, "percent", "完成了100%的工作")
    say(database, "number", "完成了1000个的工作")
    say(database, "underscore", "变量a_b是什么")
    say(database, "letter", "变量aXb是什么")
    say(database, "backslash", "路径C:\\Temp")
    say(database, "slash", "a/b 测试")
    expected = {"年假": "leave", "带薪年": "leave", "annual LEAVE": "leave", "三十万元": "budget", "BUDGET": "budget"}
    expected |= {"100%": "percent", "0%的": "percent", "%": "percent", "a_b": "underscore", "_": "underscore"}
    expected |= {"c:\\temp": "backslash", "\\": "backslash", "a/b": "slash", "/": "slash"}
    assert {query: found(database, query) for query in expected} == {query: [name] for query, name in expected.items()}
    for query in ("没有的词", "秘密的步骤", "'; DROP TABLE messages; --"):
        assert found(database, query) == []


def test_search_pages_as_the_list_does(database: Database) -> None:
    for number in range(7):
        say(database, f"s{number}", f"第{number}份预算" if number % 2 else "别的")
    first, cursor = queries.page(database, OWNER, limit=2, query="预算")
    assert names(first) == ["s5", "s3"]
    assert names(queries.page(database, OWNER, limit=2, query="预算", cursor=cursor)[0]) == ["s1"]


def test_search_passes_over_what_is_not_shown(database: Database) -> None:
    question, _ = say(database, "edited", "旧的问题")
    say(database, "edited", "新的问题", branch=Branch("edit", question))
    queries.rename(database, key("edited"), "标题")
    assert found(database, "旧的问题") == [] and found(database, "新的问题") == ["edited"]
    sessions.clear(database, key("edited"))
    assert found(database, "新的问题") == []
    sessions.restore(database, key("edited"), now() - timedelta(hours=1))
    assert found(database, "新的问题") == ["edited"]


def test_temporary_sessions_are_in_no_list(database: Database) -> None:
    say(database, "passing", "过客", temporary=True)
    assert queries.page(database, OWNER, limit=9)[0] == [] and found(database, "过客") == []
    assert queries.find_listed(database, key("passing")).title == ""
    assert histories.history(database, key("passing")).messages == []
    with pytest.raises(NotFound):
        queries.rename(database, key("passing"), "留下")


def test_a_conversation_is_made_once(database: Database) -> None:
    made = queries.create(database, key("new"), "计划")
    assert (made.session_id, made.title, made.message_count) == ("new", "计划", 0)
    with pytest.raises(Conflict):
        queries.create(database, key("new"), "")
    assert queries.create(database, key("new", OTHER), "").title == ""
    say(database, "new", "第一个问题")
    assert queries.find_listed(database, key("new")).title == "计划"


def test_what_is_left_of_an_expired_session_does_not_hinder(database: Database) -> None:
    say(database, "passing", "过客", temporary=True)
    with database.write() as connection:
        connection.execute(update(conversations).values(expires_at=now() - timedelta(seconds=1)))
    assert queries.create(database, key("passing"), "常客").title == "常客"
    assert len(queries.page(database, OWNER, limit=9)[0]) == 1


def test_renaming_leaves_the_order(database: Database) -> None:
    say(database, "old", "一")
    say(database, "new", "二")
    renamed = queries.rename(database, key("old"), "年假 🏖")
    assert renamed.title == "年假 🏖" and renamed.updated_at == queries.find_listed(database, key("old")).updated_at
    assert names(queries.page(database, OWNER, limit=9)[0]) == ["new", "old"]


def test_a_history_tells_everything_but_paths_and_inner_steps(database: Database) -> None:
    picture = Attachment("图.png", "1/images/x/upright.jpg", "image/jpeg", "发票", "一张发票")
    question, answer = say(database, "s", "看图", "是发票", attachments=(picture,), client_id="client-1")
    user, assistant = histories.history(database, key("s")).messages
    assert list(user)[:2] == ["role", "content"] and (user["role"], user["content"]) == ("user", "看图")
    assert user["id"] == question and user["parent_id"] is None and user["siblings"] == [question]
    assert user["attachments"] == [
        {"filename": "图.png", "media_type": "image/jpeg", "ocr_text": "发票", "description": "一张发票"}
    ]
    assert assistant["id"] == answer and assistant["parent_id"] == question and assistant["status"] == "complete"
    assert assistant["sources"] == ANSWER["sources"] and assistant["tool_calls"] == ANSWER["tool_calls"]
    assert assistant["usage"] == {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16}
    assert (assistant["model"], assistant["finish_reason"], assistant["reasoning"]) == ("scripted", "stop", "想一想")
    assert assistant["created_at"].endswith("+00:00")
    assert "images" not in str(user) and "秘密的步骤" not in str(assistant)


def test_an_answer_that_is_being_made_is_running_and_empty(database: Database) -> None:
    say(database, "s", "讲个故事", None)
    assistant = histories.history(database, key("s")).messages[1]
    assert (assistant["status"], assistant["content"]) == ("running", "")


def test_a_history_shows_one_branch_and_names_the_others(database: Database) -> None:
    first, _ = say(database, "s", "你好", "您好")
    old, old_answer = say(database, "s", "旧的问题", "旧的回答")
    new, answer = say(database, "s", "新的问题", "第一次回答", branch=Branch("edit", old))
    _, again = say(database, "s", "", "第二次回答", branch=Branch("again", answer))
    shown = histories.history(database, key("s")).messages
    assert [m["content"] for m in shown] == ["你好", "您好", "新的问题", "第二次回答"]
    assert [m["siblings"] for m in shown][2:] == [[old, new], [answer, again]]
    assert all(m["active"] for m in shown) and shown[0]["siblings"] == [first]
    everything = histories.history(database, key("s"), branches="all").messages
    assert [m["content"] for m in everything if not m["active"]] == ["旧的问题", "旧的回答", "第一次回答"]
    assert [m["siblings"] for m in everything if m["id"] == old_answer] == [[old_answer]]
    sessions.switch_branch(database, key("s"), old)
    assert [m["content"] for m in histories.history(database, key("s")).messages][2:] == ["旧的问题", "旧的回答"]


def test_cleared_messages_are_in_no_history(database: Database) -> None:
    say(database, "s", "旧的")
    sessions.clear(database, key("s"))
    question, answer = say(database, "s", "新的")
    for branches in ("active", "all"):
        assert [m["id"] for m in histories.history(database, key("s"), branches=branches).messages] == [question, answer]
    sessions.restore(database, key("s"), now() - timedelta(hours=1))
    shown = histories.history(database, key("s")).messages
    assert [m["content"] for m in shown] == ["旧的", "好的。", "新的", "好的。"]
    assert all(m["siblings"] == [m["id"]] for m in shown)


def test_a_long_history_is_read_backwards(database: Database) -> None:
    for number in range(5):
        say(database, "s", f"问{number}", f"答{number}")
    newest = histories.history(database, key("s"), limit=4)
    assert [m["content"] for m in newest.messages] == ["问3", "答3", "问4", "答4"] and newest.has_more
    before = histories.history(database, key("s"), limit=100, before=newest.messages[0]["id"])
    assert [m["content"] for m in before.messages] == [f"{who}{n}" for n in range(3) for who in "问答"]
    assert not before.has_more
    with pytest.raises(InvalidField) as refused:
        histories.history(database, key("s"), before="msg_of_nobody")
    assert refused.value.errors[0]["field"] == "before"


def test_a_transcript_is_the_whole_history_in_portions(database: Database) -> None:
    for number in range(histories.PORTION // 2 + 1):
        say(database, "s", f"问{number}", f"答{number}")
    conversation = sessions.find(database, key("s"))
    expected = histories.history(database, key("s")).messages
    for message in expected:
        del message["siblings"]
    assert list(histories.transcript(database, conversation.id, branches="all")) == expected
    assert len(expected) > histories.PORTION


def test_deleting_a_conversation_takes_all_its_messages_and_no_others(database: Database) -> None:
    question, _ = say(database, "gone", "旧的")
    say(database, "gone", "新的", branch=Branch("edit", question))
    sessions.clear(database, key("gone"))
    say(database, "stays", "留下")
    conversation_id = sessions.find(database, key("gone")).id
    assert queries.delete_conversation(database, conversation_id) == 4
    assert names(queries.page(database, OWNER, limit=9)[0]) == ["stays"]
    with database.read() as connection:
        assert len(connection.execute(select(messages.c.id)).all()) == 2


def test_a_conversation_with_documents_is_not_deleted_before_them(database: Database) -> None:
    conversation = find_or_create(database, key("s"))
    row = {"id": "doc_1", "conversation_id": conversation.id, "filename": "a", "media_type": "text/plain", "bytes": 1}
    with database.write() as connection:
        connection.execute(insert(documents).values(**row, sha256="", created_at=now(), updated_at=now()))
    assert queries.delete_conversation(database, conversation.id) is None
    with database.write() as connection:
        connection.execute(documents.delete())
    assert queries.delete_conversation(database, conversation.id) == 0
    with pytest.raises(NotFound):
        sessions.find(database, key("s"))


def test_a_turn_that_outlives_its_conversation_does_no_harm(database: Database) -> None:
    turn = Turn(key("s"), "讲个故事")
    with database.write() as connection:
        conversation = open_turn(connection, turn, 60).conversation
    queries.delete_conversation(database, conversation.id)
    with database.write() as connection:
        close_turn(connection, turn.message_ids[1], "complete", {**ANSWER, "content": "从前……"})
    with database.read() as connection:
        assert not connection.execute(select(messages.c.id)).all() and not connection.execute(select(conversations)).all()


def test_all_sessions_of_an_owner_are_named(database: Database) -> None:
    expected = set(many(database, queries.PORTION + 1))
    many(database, 3, OTHER)
    assert set(queries.session_ids(database, OWNER)) == expected
