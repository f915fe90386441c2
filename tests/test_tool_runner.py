"""What a tool found, as the model reads it: numbered through the turn, and only what stands and has room."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from pydantic import BaseModel

from fakes.contexts import HANDBOOK, tool_context
from models.passages import Passage
from models.tools import Tool, ToolContext, ToolOutput
from services.history import NUMBERS, to_messages
from services.tool_runner import GONE, Ground, ToolRunner
from services.turn_state import TurnState
from utils.session_storage import SessionStorage
from utils.settings import Settings

PASSAGES = [Passage("d1", "员工手册.pdf", n, f"第{n}段。" + "字" * 100, f"第{n}段。", n, n + 1, 0.5) for n in range(1, 6)]
SUMMARY = Passage("d1", "员工手册.pdf", None, "讲年假。", "", 0, 0, 0.5, summary=True)


async def standing(passages: Sequence[Passage]) -> list[Passage | None]:
    return list(passages)


def found(state: TurnState, *passages: Passage, note: str = "", ground: Ground = standing) -> tuple[str, list[int]]:
    """Runs a tool that finds these passages; what the model reads, and the numbers in it."""

    class Nothing(BaseModel):
        pass

    async def run(args: Nothing, context: ToolContext) -> ToolOutput:
        return ToolOutput(note, passages)

    tool = Tool("find", "Finds.", Nothing, run)
    storage = SessionStorage("redis://127.0.0.1:1/0", ttl=1, lock_ttl=1, wait=1)  # nothing is stored
    status, text, numbers = asyncio.run(ToolRunner([tool], storage, ground).run("find", {}, state))
    assert status == "ok"
    return text, numbers


def state(room: int = 12_000) -> TurnState:
    return TurnState(tool_context(Settings(), documents=[HANDBOOK], language="zh", room=room), lambda event: None, 9_000)


def test_passages_are_numbered_through_the_turn_and_summaries_are_not() -> None:
    turn = state()
    text, numbers = found(turn, SUMMARY, *PASSAGES[:2])
    assert text.startswith("摘要： 员工手册.pdf\n讲年假。\n\n[1] 员工手册.pdf，第 1 页\n第1段。") and "\n\n[2] 员工" in text
    assert numbers == [1, 2] and turn.passages == PASSAGES[:2]
    text, numbers = found(turn, PASSAGES[3], note="注。")
    assert text.startswith("注。\n\n[3] 员工手册.pdf，第 4 页") and numbers == [3, 3] and turn.passages[2] == PASSAGES[3]
    assert found(turn, note="没有。") == ("没有。", [])


def test_a_passage_for_which_there_is_no_room_has_no_number() -> None:
    turn = state(room=300)
    text, numbers = found(turn, *PASSAGES)
    assert numbers == [1, 2] and len(turn.passages) == 2 and "[3]" not in text and len(text) <= 300
    narrow = state(room=50)
    text, numbers = found(narrow, *PASSAGES)
    assert numbers == [1, 1] and len(text) == 51 and text.endswith("…")


def test_a_passage_without_ground_is_not_shown_and_what_may_be_cited_is_the_document() -> None:
    async def shaky(passages: Sequence[Passage]) -> list[Passage | None]:
        return [None, *(replace(passage, text=f"原文：{passage.text}") for passage in passages[1:])]

    turn = state()
    text, numbers = found(turn, *PASSAGES[:2], ground=shaky)
    assert text.startswith("[1] 员工手册.pdf，第 2 页\n第2段。") and "第1段" not in text and numbers == [1, 1]
    assert turn.passages[0].text.startswith("原文：第2段。")


def test_where_nothing_stands_the_model_is_told() -> None:
    async def gone(passages: Sequence[Passage]) -> list[Passage | None]:
        return [None] * len(passages)

    assert found(state(), *PASSAGES, ground=gone) == (GONE["zh"], [])
    assert found(state(), *PASSAGES, ground=gone, note="注。") == ("注。", [])


def test_former_turns_are_shown_without_numbers() -> None:
    text, numbers = found(state(), *PASSAGES[:2])
    quoting = text + "\n\n[9] 文中的文献"
    call = {"id": "c1", "name": "find", "args": {}}
    step = {"role": "tool", "tool_call_id": "c1", "name": "find", "content": quoting, "status": "ok", NUMBERS: numbers}
    turn = {
        "messages": [
            {"role": "user", "content": "年假 [1]？"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            step,
            {"role": "assistant", "content": "十五天 [1][2]。`a[1]`", "tool_calls": []},
        ]
    }
    plain = {"messages": [{"role": "user", "content": "文献？"}, {"role": "assistant", "content": "[1] 论语"}]}
    told = [message.text for message in to_messages([turn, plain], None)]
    assert told[0] == "年假 [1]？" and told[3] == "十五天。`a[1]`" and told[4:] == ["文献？", "[1] 论语"]
    assert told[2] == quoting.replace("[1] 员工", "员工").replace("[2] 员工", "员工") and "[9] 文中的文献" in told[2]
    assert step["content"] == quoting  # the memory keeps what was said
