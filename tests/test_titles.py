"""Titles that a model writes in the place of the automatic ones."""

import asyncio
from typing import Any

import pytest

from fakes.replies import html, reasoning, status
from fakes.upstream import Upstream
from models import conversation_queries
from models.conversations import find_or_create, title_of
from models.database import Database, Writer
from models.turns import SessionKey
from services.titles import clean, improve
from utils import http_client
from utils.settings import Settings

KEY = SessionKey("local", "会话".encode().hex())
QUESTION = "你好！我想请问一下，入职第二年的员工每年可以休多少天带薪年假，没有休完的可以留到下一年吗？"


@pytest.fixture
def settings(upstream: Upstream) -> Settings:
    return Settings(LLM_API_URL=upstream.url, LLM_API_KEY="k", LLM_MODEL="chatting", TITLE_MODEL="naming")


def titled(database: Database, settings: Settings, question: str = QUESTION, *, own: str | None = None) -> str:
    """What the conversation is called after its first turn, when the user has given it the title `own` meanwhile."""
    conversation = find_or_create(database, KEY)
    conversation_queries.rename(database, KEY, title_of(question) if own is None else own)
    writer = Writer(database)

    async def write(function: Any, *args: Any) -> None:
        await asyncio.wrap_future(writer.submit(lambda connection: function(connection, *args)))

    http_client.run(improve(settings, write, conversation.id, title_of(question), question, "每年五天。"))
    writer.close()
    return conversation_queries.find_listed(database, KEY).title


def test_the_model_names_the_conversation(database: Database, settings: Settings, upstream: Upstream) -> None:
    upstream.reply(reasoning("用户在问年假……"), "“员工年假规定”\n（以上是标题）")
    assert titled(database, settings) == "员工年假规定"
    (request,) = upstream.requests
    assert request.body["model"] == "naming"
    assert QUESTION in request.question and "每年五天。" in request.question and "中文" in request.question


def test_the_title_is_in_the_language_of_the_question(database: Database, settings: Settings, upstream: Upstream) -> None:
    upstream.reply('Title: "Annual leave".')
    assert titled(database, settings, "How many days of leave do I have?") == "Annual leave"
    assert "English" in upstream.requests[0].question


def test_a_title_of_the_user_stays(database: Database, settings: Settings, upstream: Upstream) -> None:
    upstream.reply("员工年假规定")
    assert titled(database, settings, own="我的年假") == "我的年假"
    assert upstream.requests


@pytest.mark.parametrize("reply", [status(500), html(), "", " \n``` "], ids=["failure", "HTML", "nothing", "no words"])
def test_the_first_title_stays_when_the_model_fails(
    database: Database, settings: Settings, upstream: Upstream, reply: Any
) -> None:
    upstream.on(lambda request: reply)
    assert titled(database, settings) == title_of(QUESTION)
    assert upstream.requests


def test_without_a_model_for_titles_none_is_asked(database: Database, upstream: Upstream) -> None:
    settings = Settings(LLM_API_URL=upstream.url, LLM_API_KEY="k", LLM_MODEL="chatting")
    assert titled(database, settings) == title_of(QUESTION)
    assert titled(database, Settings(TITLE_MODEL="naming")) == title_of(QUESTION)  # there is no server to ask
    assert upstream.requests == []


def test_a_conversation_that_is_gone_stays_gone(database: Database, settings: Settings, upstream: Upstream) -> None:
    conversation = find_or_create(database, KEY)

    async def write(function: Any, *args: Any) -> None:
        assert conversation_queries.delete_conversation(database, conversation.id) == 0
        with database.write() as connection:
            function(connection, *args)

    http_client.run(improve(settings, write, conversation.id, "", QUESTION, "好"))
    assert conversation_queries.page(database, "local", limit=5) == ([], None)


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("标题：《年假规定》", "年假规定"),
        ("## **Title: Budget 2024**", "Budget 2024"),
        ("# **“年假：规定”**", "年假：规定"),
        ("```\n预算\n```", "预算"),
        ("《红楼梦》的人物", "《红楼梦》的人物"),
        ("《春》和《秋》", "《春》和《秋》"),
        ("  \n年假\u202e  制度\t说明\0\n第二行", "年假 制度 说明"),
        ("What's new in 'Foo'.", "What's new in 'Foo'"),
        ("C#", "C#"),
        ("标题:", ""),
        ("字" * 80, "字" * 59 + "…"),
    ],
)
def test_a_title_is_one_plain_line(written: str, title: str) -> None:
    assert clean(written) == title
