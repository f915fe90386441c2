"""What the model is told of a conversation."""

import base64
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from models.turn_records import StoredTurn
from models.turns import Attachment
from services.history import estimate_tokens, fit, from_stored, to_messages, user_message

STEPS: list[dict[str, Any]] = [
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c1", "name": "search_documents", "args": {"query": "年假"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "name": "search_documents", "content": "[1] 十五天", "status": "ok"},
    {"role": "assistant", "content": "十五天 [1]。", "tool_calls": []},
]


def turn(question: str, *rest: dict[str, Any]) -> dict[str, Any]:
    return {"seq": 2, "messages": [{"role": "user", "content": question}, *rest]}


def test_tool_calls_and_results_become_pairs_of_messages() -> None:
    question, call, result, answer = to_messages([turn("年假几天？", *STEPS)], None)
    assert isinstance(question, HumanMessage) and question.content == "年假几天？"
    assert isinstance(call, AIMessage) and call.tool_calls[0]["id"] == "c1"
    assert isinstance(result, ToolMessage) and result.tool_call_id == "c1" and result.status == "success"
    assert answer.content == "十五天 [1]。"


def test_the_newest_whole_turns_fit() -> None:
    turns = [turn(f"{number}" + "字" * 100, *STEPS) for number in range(10)]
    size = sum(estimate_tokens(message["content"]) for message in turns[0]["messages"])
    kept = fit(turns, 3 * size + size // 2)
    assert [one["messages"][0]["content"][0] for one in kept] == ["7", "8", "9"]
    assert all(len(one["messages"]) == 4 for one in kept)
    assert fit(turns, 10) == [] and len(fit(turns, 10**6)) == 10


def test_a_chinese_character_counts_as_a_token() -> None:
    assert estimate_tokens("字" * 300) >= 300


def test_sql_gives_the_same_memory_as_redis_had() -> None:
    picture = Attachment("猫.png", "1/a.png", "image/png", ocr_text="一只猫", description="A cat.")
    stored = [
        StoredTurn("这是什么？", [picture.as_dict()], [], "猫。"),
        StoredTurn("年假几天？", [], STEPS, "十五天 [1]。"),
        StoredTurn("没有回答", [], [], ""),
    ]
    first, second, third = from_stored(stored, 6)
    assert first["messages"] == [user_message("这是什么？", [picture]), {"role": "assistant", "content": "猫。"}]
    assert second["messages"][1:] == STEPS and third["messages"] == [{"role": "user", "content": "没有回答"}]
    assert first["seq"] == 6


def test_what_is_known_of_a_picture_stands_in_the_question() -> None:
    message = user_message("多少钱？", [Attachment("发票.png", "1/a.png", "image/png", ocr_text="合计 42 元")])
    assert "合计 42 元" in message["content"] and message["content"].endswith("多少钱？")
    assert "视觉模型" in message["content"]  # says that no vision model looked at it
    assert message["images"] == ["1/a.png"]


def test_a_model_that_sees_is_shown_the_newest_pictures(tmp_path: Path) -> None:
    turns = []
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(b"picture %d" % number)
        turns.append({"seq": 2, "messages": [{"role": "user", "content": "看", "images": [f"{number}.png"]}]})
    messages = to_messages(turns, tmp_path)
    shown = [
        base64.b64decode(m.content[1]["image_url"]["url"].split(",")[1]) for m in messages if not isinstance(m.content, str)
    ]
    assert shown == [b"picture 2", b"picture 3", b"picture 4"]
    assert all(isinstance(message.content, str) for message in to_messages(turns, None))
