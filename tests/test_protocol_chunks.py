"""The format of pieces: what becomes of a request and of a whole answer; `test_golden` shows its streams."""

import re

from models.events import Answer, Chunk, Ended, Started
from models.schemas_config import SimpleChatBody
from models.turns import SessionKey
from services.protocols import chunks

ANSWER = Answer("s:1", "msg_1", "你好！有什么可以帮助你的吗？", "qwen", "stop", extra={"user_message": "你好"})


def test_a_request_becomes_a_turn() -> None:
    body = SimpleChatBody(
        user_id="user_xxx", session_id="s:1", message="你好", temperature=0.7, max_tokens=2000, stream=True
    )
    turn = chunks.parse(body, "local", "zh")
    assert (turn.key, turn.message, turn.language) == (SessionKey("local", "s:1"), "你好", "zh")
    assert (turn.temperature, turn.max_tokens, turn.endpoint, turn.model) == (0.7, 2000, None, None)


def test_a_session_without_a_name_gets_one_of_its_own() -> None:
    keys = {chunks.parse(SimpleChatBody(message="你好"), "local", "zh").key.session_id for _ in range(2)}
    assert len(keys) == 2 and all(re.fullmatch(r"[0-9a-f-]{36}", key) for key in keys)


def test_a_whole_answer_repeats_the_question() -> None:
    assert chunks.whole(ANSWER) == {
        "session_id": "s:1",
        "user_message": "你好",
        "assistant_reply": "你好！有什么可以帮助你的吗？",
    }


def test_the_bytes_are_those_of_the_documentation() -> None:
    batch = [("msg_1:0", Started("s:1", "msg_1")), ("msg_1:1", Chunk("你好")), ("msg_1:2", Ended(ANSWER))]
    assert b"".join(chunks.stream([batch], "zh")) == 'data: {"chunk": "你好"}\n\ndata: {"done": true}\n\n'.encode()
